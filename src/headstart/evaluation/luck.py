"""How sure a mean over draws and held-out items is: both kinds of luck, in one interval.

A comparison asks D models about the same N items. Their scores x(d, i) are a two-way table with
crossed random effects: some draws are lucky, some items easy, and the rest is noise,

    var(mean) = draws / D + items / N + rest / (D N),

each part estimated by the analysis of variance (Searle, Casella and McCulloch 1992, Variance
Components, chapter 4; Owen 2007, Annals of Applied Statistics 1, 386-411, on what goes wrong where
one of them is left out). Two things are added, since few draws and few items are the usual case:

- what few draws say of their own spread is joined with what draws usually do, as limma does it
  (Smyth 2004, Statistical Applications in Genetics and Molecular Biology 3, 3): `USUAL`, with the
  weight of `WEIGHT` draws more;
- shares get Wilson's interval for the number of independent items that would be as sure (Korn and
  Graubard 1998, Survey Methodology 24, 193-201), differences some items on which both sides differ
  (Agresti and Min 2005, Statistics in Medicine 24, 729-740): no interval is without width.

`benchmarks/simulated_comparisons.py` holds them against simulated truth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Table = npt.NDArray[np.float64]

USUAL = 1.0
"""Times 1/sqrt(training items): the usual spread of draws, in units of p (1 - p), that is, on the
scale of log odds. Measured on frozen heads of three sets with 4 to 224 labels, see docs/results.md.
"""

WEIGHT = 4
"""Degrees of freedom that the usual spread of draws has beside the measured one."""

APART = 1.15
"""The usual spread of a difference on paired draws, in units of that of one side."""

EASED = 4.0
"""Items that are taken to be as independent as they seem, where the others' answers are weighed."""

UNSEEN = 0.25
"""Weight of an item each way on which two sides differ, though none was seen."""


class Interval(NamedTuple):
    """A mean and the ends of its interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Sample:
    """The scores of one strategy: D runs about the same N items.

    Attributes:
        scores: shape (D, N); row d is draw d's, or repetition d's of a cross-validation.
        trained: number of items that each model learned from.
        share: whether the mean lies between 0 and 1.
        folds: shape (D, N): the fold in which an item was held out; None without folds.
    """

    scores: Table
    trained: int
    share: bool = True
    folds: npt.NDArray[np.int64] | None = None

    @property
    def mean(self) -> float:
        """The mean of all."""
        return float(self.scores.mean())


def interval(sample: Sample, *, level: float = 0.95) -> Interval:
    """Return the mean of a sample and its interval.

    >>> one = Sample(np.ones((5, 16)), trained=100)
    >>> [round(x, 2) for x in interval(one)]
    [1.0, 0.81, 1.0]
    """
    mean, n = sample.mean, sample.scores.shape[1]
    items = _items(sample.scores)
    if not sample.share:
        variance, freedom = _joined(sample, items, max(0.0, 1 - mean))
        half = _critical(freedom, level) * math.sqrt(variance)
        return Interval(mean, mean - half, mean + half)
    eased = (n * min(1.0, max(0.0, mean)) + 2) / (n + 4)
    plain, usual = mean * (1 - mean) / n, eased * (1 - eased)
    apart = items / plain if plain > 0 else 1.0
    apart = (n * apart + EASED) / (n + EASED)
    variance, freedom = _joined(sample, apart * usual / n, usual)
    return _wilson(mean, usual / variance, _critical(freedom, level))


def gap(best: Sample, mine: Sample, *, level: float = 0.95) -> Interval:
    """Return by how much ``best`` is ahead of ``mine`` on the same draws and items.

    Raises:
        ValueError: they are not of the same draws and items.

    >>> same = Sample(np.ones((2, 50)), trained=100)
    >>> low, high = gap(same, same)[1:]
    >>> bool(low < 0 < high)
    True
    """
    if best.scores.shape != mine.scores.shape:
        raise ValueError(f"{best.scores.shape} scores beside {mine.scores.shape}")
    apart = best.scores - mine.scores
    draws, n = apart.shape
    between = Sample(apart, best.trained, share=best.share, folds=best.folds)
    level_of = (best.mean + mine.mean) / 2
    if not best.share:
        variance, freedom = _joined(between, _items(apart), APART * max(0.0, 1 - level_of))
        mean = between.mean
    else:
        eased = (n * min(1.0, max(0.0, level_of)) + 1) / (n + 2)
        columns = apart.mean(axis=0)
        # Where draws disagree about an item, its mean differs by less than one.
        steady = (1 / draws + (columns**2).sum()) / (1 + (apart**2).mean(axis=0).sum())
        more = n + 2 * UNSEEN
        mean = float(columns.sum()) / more
        items = (float((columns**2).sum()) + UNSEEN * steady) / more - mean**2
        variance, freedom = _joined(between, items / (more - 1), APART * eased * (1 - eased))
    half = _critical(freedom, level) * math.sqrt(variance)
    return Interval(between.mean, mean - half, mean + half)


def lower(best: Sample, mine: Sample, others: int) -> bool:
    """Return whether ``mine`` is lower than ``best``, the best of ``others`` + 1, at 5 %.

    The best is only known afterwards, so each of all pairs gets its share of the 5 % (Bonferroni).
    """
    pairs = max(1, others * (others + 1) // 2)
    return gap(best, mine, level=1 - 0.05 / pairs).low > 0


def paired(samples: Sequence[Sample]) -> list[Sample]:
    """Return the samples cut to the same number of draws, the first ones."""
    draws = min(len(one.scores) for one in samples)
    return [
        Sample(
            one.scores[:draws],
            one.trained,
            one.share,
            None if one.folds is None else one.folds[:draws],
        )
        for one in samples
    ]


def _items(scores: Table) -> float:
    """Return the variance of the mean that comes from the items, noise included."""
    columns = scores.mean(axis=0)
    n = len(columns)
    return float(columns.var(ddof=1)) / n if n > 1 else 0.0


def _joined(sample: Sample, items: float, usual: float) -> tuple[float, float]:
    """Return the variance of the mean, and its degrees of freedom (Satterthwaite 1946)."""
    if sample.folds is not None:
        return _folded(sample, items)
    draws = len(sample.scores)
    prior = (USUAL * usual) ** 2 / max(1, sample.trained)
    weight = WEIGHT + draws - 1
    luck = max(0.0, (WEIGHT * prior + (draws - 1) * _between(sample.scores)) / weight) / draws
    variance = items + luck
    return max(variance, 1e-12), weight * (variance / luck) ** 2 if luck else math.inf


def _between(scores: Table) -> float:
    """Return the variance of draws beyond what their items explain; below 0 by chance."""
    draws, n = scores.shape
    if draws < 2 or n < 2:
        return 0.0
    rows, columns, mean = scores.mean(axis=1), scores.mean(axis=0), scores.mean()
    rest = scores - rows[:, None] - columns + mean
    noise = float((rest**2).sum()) / ((n - 1) * (draws - 1))
    return float(rows.var(ddof=1) - noise / n)


def _folded(sample: Sample, items: float) -> tuple[float, float]:
    """Return the variance of a repeated cross-validation's mean, training sets overlapping.

    The variance of the folds' means times 1/J + n_test/n_train (Nadeau and Bengio 2003, Machine
    Learning 52, 239-281, equation 9), and not below what the items alone say.
    """
    assert sample.folds is not None
    means = np.array(
        [
            row[fold == k].mean()
            for row, fold in zip(sample.scores, sample.folds, strict=True)
            for k in np.unique(fold)
        ]
    )
    n_folds = max(2, len(np.unique(sample.folds[0])))
    variance = (1 / len(means) + 1 / (n_folds - 1)) * float(means.var(ddof=1))
    return (variance, len(means) - 1.0) if variance > items else (max(items, 1e-12), math.inf)


def _critical(freedom: float, level: float) -> float:
    """Return the two-sided critical value of Student's t."""
    from scipy.special import stdtrit  # the quantile alone; scipy.stats takes a second to import

    return float(stdtrit(min(freedom, 1e9), (1 + level) / 2))


def _wilson(share: float, n: float, z: float) -> Interval:
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    inner = max(0.0, share * (1 - share)) / n + z * z / (4 * n * n)
    half = z / (1 + z * z / n) * math.sqrt(inner)
    return Interval(share, max(0.0, centre - half), min(1.0, centre + half))
