"""Which candidate to take, without one label of the target. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from headstart.adaptation.scores import Scores
from headstart.wording import Said

SHARE = 0.5
"""Of what there seems to be to win in the target: the most that may be lost of the source."""


class Judged(Protocol):
    """What is known of a candidate."""

    @property
    def source_accuracy(self) -> float:
        """On held-out source items, 0..1."""

    @property
    def expected(self) -> float:
        """What it seems to reach in the target, by its own doubt, 0..1."""

    @property
    def scores(self) -> Scores:
        """On target items."""


def choose(
    candidates: Mapping[str, Judged], preferred: tuple[str, ...]
) -> tuple[str, dict[str, str]]:
    """Return the name of the candidate to take, and of each other why it is not taken.

    Scores do not compare across methods, for a method that asks for sure answers gets them. So the
    order of belief is fixed beforehand, from public benchmarks, and what is known can only veto: a
    candidate goes that loses more of the source than half (`SHARE`) of what there is to win, which
    is what the source-only model seems to lose on its way to the target (`expected`); or whose
    answers in the target are less sure and varied than that model's (`nuclear_norm`). Where all go,
    nothing is done: "none".

    Args:
        candidates: by method; "none", the source alone, is among them.
        preferred: names, the most believed first.

    >>> class Of:
    ...     def __init__(self, accuracy, spread):
    ...         self.source_accuracy, self.scores = accuracy, Scores(0.1, spread, 1.0)
    ...         self.expected = 0.8
    >>> choose({"none": Of(0.9, 0.5), "mcc": Of(0.86, 0.9)}, ("mcc", "none"))[0]
    'mcc'
    >>> choose({"none": Of(0.9, 0.5), "mcc": Of(0.84, 0.9)}, ("mcc", "none"))[0]
    'none'
    """
    base = candidates["none"]
    to_win = base.source_accuracy - base.expected
    order = [name for name in preferred if name in candidates]
    why: dict[str, str] = {}
    chosen = ""
    for name in order:
        one = candidates[name]
        lost = base.source_accuracy - one.source_accuracy
        if name != "none" and lost > SHARE * to_win:
            why[name] = _too_dear(lost, to_win)
        elif name != "none" and one.scores.spread < base.scores.spread:
            why[name] = Said("its answers are less sure and varied than the source-only model's")
        elif chosen:
            why[name] = Said("'{chosen}' comes before it", chosen=chosen)
        else:
            chosen = name
    return chosen, why


def _too_dear(lost: float, to_win: float) -> str:
    if to_win <= 0:
        return Said(
            "its source accuracy changes by {change:+.1f} points, and there seems to be nothing to "
            "win",
            change=0.0 - 100 * lost,
        )
    return Said(
        "it loses {lost:.1f} points of the source, where there seem to be {won:.1f} to win",
        lost=100 * lost,
        won=100 * to_win,
    )
