"""Which candidate to take, without one label of the target. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from headstart.adaptation.scores import Scores

VETO = 0.05
"""How much of the source-only accuracy on held-out source items a candidate may lose; more only
where the two 95 % intervals still overlap, for a hundred held-out items cannot tell so little."""


class Judged(Protocol):
    """What is known of a candidate."""

    @property
    def source_accuracy(self) -> float:
        """On held-out source items, 0..1."""

    @property
    def source_interval(self) -> tuple[float, float]:
        """Its 95 % interval."""

    @property
    def scores(self) -> Scores:
        """On target items."""


def choose(
    candidates: Mapping[str, Judged], preferred: tuple[str, ...]
) -> tuple[str, dict[str, str]]:
    """Return the name of the candidate to take, and of each other why it is not taken.

    Scores do not compare across methods, for a method that asks for sure answers gets them. So the
    order of belief is fixed beforehand, from public benchmarks, and the scores can only veto: a
    candidate goes that has lost the source (`VETO`), or whose answers in the target are less sure
    and varied than the source-only model's (`nuclear_norm`). Where all go, nothing is done: "none".

    Args:
        candidates: by method; "none", the source alone, is among them.
        preferred: names, the most believed first.

    >>> class Of:
    ...     def __init__(self, accuracy, spread):
    ...         self.source_accuracy, self.scores = accuracy, Scores(0.1, spread, 1.0)
    ...         self.source_interval = accuracy - 0.02, accuracy + 0.02
    >>> choose({"none": Of(0.9, 0.5), "mcc": Of(0.7, 0.9)}, ("mcc", "none"))[0]
    'none'
    """
    base = candidates["none"]
    order = [name for name in preferred if name in candidates]
    why: dict[str, str] = {}
    chosen = ""
    for name in order:
        one = candidates[name]
        if _lost(base, one):
            why[name] = "it has lost the source"
        elif name != "none" and one.scores.spread < base.scores.spread:
            why[name] = "its answers are less sure and varied than the source-only model's"
        elif chosen:
            why[name] = f"'{chosen}' comes before it"
        else:
            chosen = name
    return chosen, why


def _lost(base: Judged, one: Judged) -> bool:
    """Return whether ``one`` has surely lost what ``base`` knows of the source."""
    much = base.source_accuracy - one.source_accuracy > VETO
    return much and one.source_interval[1] < base.source_interval[0]
