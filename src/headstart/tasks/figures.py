"""Figures with bootstrap intervals, for tasks whose figures are no plain shares."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from headstart.tasks.intervals import bootstrap, wilson
from headstart.tasks.task import Indices


@dataclass(frozen=True)
class Measured:
    """Figures of a model on ``n`` items that it was not trained on.

    Attributes:
        n: number of items.
        score: which of ``figures`` stands for all; the greater, the better.
        task: name of the task.
        figures: by name; nan where one is not defined.
        intervals: their 95 % intervals, see `headstart.tasks.intervals.bootstrap`.
        more: what else is to be known, as plain values.
    """

    n: int
    score: str
    task: str
    figures: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def value(self) -> float:
        """The figure that stands for all."""
        return self.figures[self.score]

    @property
    def interval(self) -> tuple[float, float]:
        """Its 95 % interval."""
        return self.intervals[self.score]

    def brief(self) -> dict[str, Any]:
        """Return the figures and their intervals; None where one is not defined."""
        out: dict[str, Any] = {}
        for name, value in self.figures.items():
            out |= {name: _plain(value), f"{name}_interval": [*map(_plain, self.intervals[name])]}
        return out

    def to_json(self) -> dict[str, Any]:
        """Return all as plain values."""
        return {"task": self.task, "score": self.score, "n": self.n, **self.brief(), **self.more}


def measured(
    score: str,
    task: str,
    figures: Callable[[Indices], dict[str, float]],
    n: int,
    more: Mapping[str, Any],
    *,
    shares: Collection[str] = (),
) -> Measured:
    """Return the figures of ``n`` items, each with its interval.

    Where all choices of items give the same share (nothing wrong among the few that there are) a
    bootstrap knows nothing, and an interval without width would be a lie; it is `wilson`'s then.

    Args:
        score: which of them stands for all.
        task: its name.
        figures: from the rows of items to their figures.
        n: number of items.
        more: what else is to be known.
        shares: names of the figures that go from 0 to 1.
    """
    found, intervals = figures(np.arange(n)), bootstrap(figures, n)
    for name in shares:
        low, high = intervals[name]
        if low == high:
            intervals[name] = wilson(found[name] * n, n)
    return Measured(n, score, task, found, intervals, more)


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None
