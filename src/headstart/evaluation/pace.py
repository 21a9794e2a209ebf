"""How long the rest of a comparison should take, by the runs that are done."""

from __future__ import annotations

import time
from collections.abc import Sequence
from math import inf

import numpy as np

from headstart.evaluation.runs import Cell, Run


def time_left(waiting: Sequence[Cell], runs: Sequence[Run], moment: float = inf) -> float | None:
    """Return the seconds until all is done; None while nothing can be said.

    A run is expected to take as long as those of its cell; else as those of its backbone and
    strategy; else as those of its strategy. Side by side they end sooner than that.

    Args:
        waiting: the cells of the runs that are to come.
        runs: those that are done.
        moment: of the monotonic clock at which it must end.

    >>> time_left([("net", "frozen", 8)], [])
    """
    rest = None if moment == inf else max(0.0, moment - time.monotonic())
    known: dict[Sequence[object], list[float]] = {}
    for run in runs:
        for like in _likes(run.cell):
            known.setdefault(like, []).append(run.seconds)
    means = {like: float(np.mean(seconds)) for like, seconds in known.items()}
    found = [
        next((means[like] for like in _likes(cell) if like in means), None) for cell in waiting
    ]
    expected = None if None in found else sum(one for one in found if one is not None)
    told = [seconds for seconds in (rest, expected) if seconds is not None]
    return min(told, default=None)


def _likes(cell: Cell) -> tuple[Sequence[object], ...]:
    """Return what a run of this cell is like, the nearest first."""
    backbone, strategy, _ = cell
    return cell, (backbone, strategy), (strategy,)
