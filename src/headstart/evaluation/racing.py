"""Which cells of a comparison need not be run to the end."""

from __future__ import annotations

from collections.abc import Mapping

from headstart.evaluation.luck import Sample, gap, interval, paired
from headstart.evaluation.runs import Cell

LEAST = 3
"""Models that a cell has before it may be dropped."""

FORGIVING = 0.998
"""Level at which a cell must be lower than the best to be dropped: a late bloomer costs time, a
dropped winner the answer. Early stopping that is not forgiving was found unreliable by Bergman,
Purucker and Hutter 2024 (AutoML conference)."""


def hopeless(found: Mapping[Cell, Sample]) -> frozenset[Cell]:
    """Return the cells that can hardly be the best any more among those of the same shots.

    After Maron and Moore 1993 (Hoeffding races), with the intervals of `headstart.evaluation.luck`.
    """
    out = set()
    for shots in {cell[2] for cell in found}:
        here = {cell: one for cell, one in found.items() if cell[2] == shots and _enough(one)}
        if not here:
            continue
        best = max(here, key=lambda cell: here[cell].mean)
        for cell, one in here.items():
            ahead, mine = paired([here[best], one])
            if cell != best and gap(ahead, mine, level=FORGIVING).low > 0:
                out.add(cell)
    return frozenset(out)


def _enough(one: Sample) -> bool:
    folds = 1 if one.folds is None else int(one.folds.max()) + 1
    return len(one.scores) * folds >= LEAST


def room(found: Mapping[Cell, Sample]) -> bool:
    """Return whether anything could be ahead of the best by more than the best's own band.

    Where that is not so, a costly strategy could win and nobody could tell.
    """
    for shots in {cell[2] for cell in found}:
        best = max((one for cell, one in found.items() if cell[2] == shots), key=lambda o: o.mean)
        mean, low, high = interval(best)
        if 1 - mean > (high - low) / 2:
            return True
    return not found
