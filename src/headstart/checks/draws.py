"""Check of what so few draws can show of their own luck."""

from __future__ import annotations

from collections.abc import Sequence

from headstart.evaluation.luck import usual_spread
from headstart.evaluation.runs import Run, samples
from headstart.findings import Finding, finding

FEW = 2
"""Draws up to which an interval rests more on what is usual than on what was measured."""


def few_draws(runs: Sequence[Run]) -> Finding | None:
    """Return that so few draws of the labels do not show how far scores move between them.

    Said of the fewest labels, where it matters most. All labels of a training part are one choice
    and no draw; folds show their own luck.
    """
    drawn = [one for one in runs if one.shots != "all" and one.answers.folds is None]
    if not drawn:
        return None
    fewest = min(int(one.shots) for one in drawn)
    found = samples([one for one in drawn if one.shots == fewest])
    draws = max(len(one.scores) for one in found.values())
    if draws > FEW:
        return None
    best = max(found.values(), key=lambda one: one.mean)
    return finding(
        "HS015",
        "draws {draws}: that does not show how far a score moves from one choice of the labels to "
        "the next. The intervals take for it what is usual, {points:.1f} points with {shots} "
        "labels a class; where it is more, they and the verdicts are too sure. --draws 5 "
        "measures it.",
        draws=draws,
        points=100 * usual_spread(best),
        shots=fewest,
    )
