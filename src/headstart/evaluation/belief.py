"""What to believe of a strategy once a few items have spoken: what it did elsewhere counts too.

Between strategies a handful of labels can hardly tell, and the best of several noisy means is
mostly the luckiest. So the measured gap to `frozen` on the same backbone is joined with the gap
that the strategy had on other data, each weighed by how sure it is: the posterior mean of a normal
gap (Efron and Morris 1975, Journal of the American Statistical Association 70, 311-319). With many
items the measurement alone decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from headstart.evaluation.luck import Sample, gap, paired
from headstart.evaluation.runs import Cell

BASE = "frozen"
"""The strategy that the others are held against: it is always there, and the steadiest."""

EXPECTED = {"lp-ft": 0.12, "warm": 0.1, "contrastive": 0.08}
"""Share of the errors of `BASE` that a strategy took away on other data, see docs/results.md; of
the rest nothing is expected.
"""

SPREAD = 0.12
"""How far, as a share of the errors of `BASE`, data sets lie apart in that."""

SURE = 0.95, 3.92
"""Level of an interval, and its width in standard errors."""

Means = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Belief:
    """From the measured means of K cells to what is believed of them.

    Attributes:
        base: shape (K,), the place of the cell that each is held against; its own without one.
        weight: shape (K,), how much of the measured gap counts, 0 to 1.
        expected: shape (K,), the share of the base's errors that is expected to go.
    """

    base: npt.NDArray[np.int64]
    weight: Means
    expected: Means

    def __call__(self, means: Means) -> Means:
        """Return what is believed where ``means``, shape (K,), were measured.

        >>> belief = Belief(np.array([0, 0]), np.array([1.0, 0.5]), np.array([0.0, 0.2]))
        >>> belief(np.array([0.8, 0.7])).round(3).tolist()
        [0.8, 0.77]
        """
        start = means[self.base]
        known = self.expected * (1 - start)
        return np.asarray(start + self.weight * (means - start) + (1 - self.weight) * known)


def belief(found: Mapping[Cell, Sample]) -> Belief:
    """Return what is to be made of the means of ``found``, in its order.

    Scores that have no upper end, such as an R squared, are believed as they were measured.
    """
    cells = list(found)
    base = np.arange(len(cells))
    weight, expected = np.ones(len(cells)), np.zeros(len(cells))
    for k, (backbone, strategy, shots) in enumerate(cells):
        other = (backbone, BASE, shots)
        if strategy == BASE or other not in found or not found[cells[k]].share:
            continue
        base[k] = cells.index(other)
        expected[k] = EXPECTED.get(strategy, 0.0)
        weight[k] = _weight(found[other], found[cells[k]])
    return Belief(base, weight, expected)


def _weight(base: Sample, mine: Sample) -> float:
    level, width = SURE
    apart = gap(*paired([mine, base]), level=level)
    error = ((apart.high - apart.low) / width) ** 2
    spread = (SPREAD * (1 - base.mean)) ** 2
    return spread / (spread + error) if spread + error else 1.0
