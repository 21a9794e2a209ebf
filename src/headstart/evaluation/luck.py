"""How sure a mean over draws and held-out items is: both kinds of luck, in one interval.

A comparison asks D models about the same N items. Their scores x(d, i) are a two-way table with
crossed random effects: some draws are lucky, some items easy, and the rest is noise,

    var(mean) = draws / D + items / N + rest / (D N),

each part estimated by the analysis of variance (Searle, Casella and McCulloch 1992, Variance
Components, chapter 4; Owen 2007, Annals of Applied Statistics 1, 386-411, on what goes wrong where
one of them is left out). Two things are added, since few draws and few items are the usual case:

- what few draws say of their own spread is joined with what draws usually do, as limma does it
  (Smyth 2004, Statistical Applications in Genetics and Molecular Biology 3, 3): `USUAL`, with the
  weight of `WEIGHT` draws more, and with what the draws of the other strategies beside it say,
  see `Spread`;
- shares get Wilson's interval for the number of independent items that would be as sure (Korn and
  Graubard 1998, Survey Methodology 24, 193-201), differences some items on which both sides differ
  (Agresti and Min 2005, Statistics in Medicine 24, 729-740): no interval is without width.

`benchmarks/simulated_comparisons.py` holds them against simulated truth.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
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


SHARED = 0.5
"""Weight of what another strategy's draws say of the spread, beside one's own."""


class Spread(NamedTuple):
    """The variance of draws, in units of the usual one, as others know it.

    Attributes:
        ratio: what it is taken for.
        freedom: by how many degrees of freedom that is known.
    """

    ratio: float
    freedom: float


ALONE = Spread(1.0, WEIGHT)
"""What is usual, where there are no others."""

LEAST = 0.05
"""Of the usual variance of draws, the least that others may make of it."""


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


def told(sample: Sample, usual: float | None = None) -> Spread | None:
    """Return what the draws of one strategy say of their spread; None where they say nothing.

    ``usual`` is the usual deviation, where it is not that of `usual_spread`.

    What is left of the variance of D draws once the items' noise is taken off has a deviation of
    sqrt(2 / (D - 1)) (draws + noise): noise as large as the draws leaves a quarter of what they
    can tell. It is taken for no less than a quarter of what independent answers would have.
    """
    if sample.folds is not None or len(sample.scores) < 2:
        return None
    usual = usual_spread(sample) if usual is None else usual
    if usual <= 0:
        return None
    between, noise = _between(sample.scores)
    least = usual * math.sqrt(max(1, sample.trained)) / (4 * USUAL * sample.scores.shape[1])
    freedom = (len(sample.scores) - 1) / (1 + max(noise, least) / usual**2) ** 2
    return Spread(between / usual**2, freedom)


def told_apart(best: Sample, mine: Sample) -> Spread | None:
    """Return what the paired draws of two strategies say of the spread of their difference.

    What is lucky for both is no luck of the difference, so it is not told by either alone.
    """
    first, second = paired([best, mine])
    level = (first.mean + second.mean) / 2
    n = first.scores.shape[1]
    eased = (n * min(1.0, max(0.0, level)) + 1) / (n + 2)
    usual = APART * (eased * (1 - eased) if best.share else max(0.0, 1 - level))
    apart = Sample(first.scores - second.scores, best.trained, best.share, first.folds)
    return told(apart, USUAL * usual / math.sqrt(max(1, best.trained)))


def spread_of(others: Iterable[Spread | None]) -> Spread:
    """Return how far draws spread, by what is usual and by what ``others`` say together.

    >>> spread_of([Spread(4.0, 4.0), None, Spread(4.0, 4.0)])
    Spread(ratio=2.5, freedom=8.0)
    """
    known = [ALONE, *(one._replace(freedom=SHARED * one.freedom) for one in others if one)]
    freedom = sum(one.freedom for one in known)
    return Spread(max(sum(one.ratio * one.freedom for one in known) / freedom, LEAST), freedom)


def interval(sample: Sample, *, level: float = 0.95, spread: Spread = ALONE) -> Interval:
    """Return the mean of a sample and its interval; ``spread`` is what others say of draws.

    >>> one = Sample(np.ones((5, 16)), trained=100)
    >>> [round(x, 2) for x in interval(one)]
    [1.0, 0.81, 1.0]
    """
    mean, n = sample.mean, sample.scores.shape[1]
    items = _items(sample.scores)
    if not sample.share:
        variance, freedom = _joined(sample, items, max(0.0, 1 - mean), spread)
        half = _critical(freedom, level) * math.sqrt(variance)
        return Interval(mean, mean - half, mean + half)
    eased = (n * min(1.0, max(0.0, mean)) + 2) / (n + 4)
    plain, usual = mean * (1 - mean) / n, eased * (1 - eased)
    apart = items / plain if plain > 0 else 1.0
    apart = (n * apart + EASED) / (n + EASED)
    variance, freedom = _joined(sample, apart * usual / n, usual, spread)
    return _wilson(mean, usual / variance, _critical(freedom, level))


def gap(
    best: Sample,
    mine: Sample,
    *,
    level: float = 0.95,
    spread: Spread = ALONE,
) -> Interval:
    """Return by how much ``best`` is ahead of ``mine`` on the same draws and items.

    ``spread`` is what others say of how far such differences spread, see `told_apart`.

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
        usual = APART * max(0.0, 1 - level_of)
        variance, freedom = _joined(between, _items(apart), usual, spread)
        mean = between.mean
    else:
        eased = (n * min(1.0, max(0.0, level_of)) + 1) / (n + 2)
        columns = apart.mean(axis=0)
        # Where draws disagree about an item, its mean differs by less than one.
        steady = (1 / draws + (columns**2).sum()) / (1 + (apart**2).mean(axis=0).sum())
        more = n + 2 * UNSEEN
        mean = float(columns.sum()) / more
        items = (float((columns**2).sum()) + UNSEEN * steady) / more - mean**2
        usual = APART * eased * (1 - eased)
        variance, freedom = _joined(between, items / (more - 1), usual, spread)
    half = _critical(freedom, level) * math.sqrt(variance)
    return Interval(between.mean, mean - half, mean + half)


def lower(
    best: Sample,
    mine: Sample,
    others: int,
    spread: Spread = ALONE,
) -> bool:
    """Return whether ``mine`` is lower than ``best``, the best of ``others`` + 1, at 5 %.

    The best is only known afterwards, so each of all pairs gets its share of the 5 % (Bonferroni).
    """
    pairs = max(1, others * (others + 1) // 2)
    return gap(best, mine, level=1 - 0.05 / pairs, spread=spread).low > 0


def usual_spread(sample: Sample) -> float:
    """Return how far draws of so many labels usually move the mean: their deviation.

    >>> round(usual_spread(Sample(np.tile([1.0, 1.0, 1.0, 0.0], (1, 50)), trained=16)), 3)
    0.047
    """
    n = sample.scores.shape[1]
    eased = (n * min(1.0, max(0.0, sample.mean)) + 2) / (n + 4)
    usual = eased * (1 - eased) if sample.share else max(0.0, 1 - sample.mean)
    return float(USUAL * usual / math.sqrt(max(1, sample.trained)))


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


def _joined(sample: Sample, items: float, usual: float, spread: Spread) -> tuple[float, float]:
    """Return the variance of the mean, and its degrees of freedom (Satterthwaite 1946)."""
    if sample.folds is not None:
        return _folded(sample, items)
    draws = len(sample.scores)
    prior = spread.ratio * (USUAL * usual) ** 2 / max(1, sample.trained)
    weight = spread.freedom + draws - 1
    told = spread.freedom * prior + (draws - 1) * _between(sample.scores)[0]
    luck = max(0.0, told / weight) / draws
    variance = items + luck
    return max(variance, 1e-12), weight * (variance / luck) ** 2 if luck else math.inf


def _between(scores: Table) -> tuple[float, float]:
    """Return the variance of draws beyond what their items explain, below 0 by chance, and that."""
    draws, n = scores.shape
    if draws < 2 or n < 2:
        return 0.0, 0.0
    rows, columns, mean = scores.mean(axis=1), scores.mean(axis=0), scores.mean()
    rest = scores - rows[:, None] - columns + mean
    noise = float((rest**2).sum()) / ((n - 1) * (draws - 1)) / n
    return float(rows.var(ddof=1) - noise), noise


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
