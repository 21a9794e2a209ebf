"""How sure a figure is. No torch here."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

Z95 = 1.959963984540054
"""The two-sided 95 % point of the normal distribution."""

DRAWS = 1000
"""Random choices of the items behind a bootstrap interval."""


def wilson(correct: float, n: float, z: float = Z95) -> tuple[float, float]:
    """Return the interval of a share of ``correct`` out of ``n``, in 0..1; of 95 % with that ``z``.

    Wilson's score interval: right also near 100 % and for few items, where the usual
    plus-or-minus is not. Source: Wilson 1927, JASA 22, 209-212.

    >>> [round(x, 3) for x in wilson(96, 100)]
    [0.902, 0.984]
    >>> wilson(0, 0)
    (0.0, 1.0)
    """
    if n == 0:
        return 0.0, 1.0
    share = correct / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def of_parts(parts: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return the 95 % interval of a share that is the mean of one value an item.

    Wilson's for the number of items that would be as sure, if each were plainly right or wrong:
    p (1 - p) over the variance of the mean (Korn and Graubard 1998, Survey Methodology 24,
    193-201). A few items are taken to be just that, so that the interval is never without width.

    Args:
        parts: shape (N,), see `headstart.tasks.scores`.

    >>> [round(x, 3) for x in of_parts(np.array([1.0] * 96 + [0.0] * 4))]
    [0.902, 0.984]
    """
    n = len(parts)
    known = bool(n) and math.isfinite(float(parts.mean()))
    share = min(1.0, max(0.0, float(parts.mean()))) if known else 0.0
    plain = share * (1 - share)
    if not plain or n < 2:
        return wilson(share * n, n) if known else (0.0, 1.0)
    wider = (n * float(parts.var()) / plain + _PLAIN) / (n + _PLAIN)
    return wilson(share * n / wider, n / wider)


_PLAIN = 4.0


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return (mean, low, high): the mean over draws and its 95 % interval by Student's t.

    With one value the interval is not known and spans from the value to itself.

    >>> mean_interval([0.5])
    (0.5, 0.5, 0.5)
    """
    mean = float(np.mean(values))
    n = len(values)
    if n < 2:
        return mean, mean, mean
    from scipy.special import stdtrit  # the quantile of Student's t; scipy.stats takes a second

    half = float(stdtrit(n - 1, 0.975)) * float(np.std(values, ddof=1)) / math.sqrt(n)
    return mean, mean - half, mean + half


def bootstrap(
    figures: Callable[[npt.NDArray[np.int64]], dict[str, float]], n: int
) -> dict[str, tuple[float, float]]:
    """Return the 95 % interval of each of ``figures`` of ``n`` items.

    The percentile bootstrap: the figures of `DRAWS` choices of n items with replacement, always
    the same ones; their 2.5 % and 97.5 % points. A choice for which a figure is not defined has no
    part in it. Source: Efron 1979, Annals of Statistics 7, 1-26.

    Args:
        figures: from the rows of the chosen items to each figure's value; nan where it has none.
        n: number of items.

    >>> bootstrap(lambda rows: {"mean": float(np.mean(rows > 4))}, 10)["mean"]
    (0.2, 0.8)
    """
    rng = np.random.default_rng(0)
    drawn = [figures(rng.integers(0, n, n)) for _ in range(DRAWS)] if n else [figures(_NOBODY)]
    return {name: _ends([one[name] for one in drawn]) for name in drawn[0]}


_NOBODY = np.empty(0, np.int64)


def _ends(values: Sequence[float]) -> tuple[float, float]:
    known = np.asarray(values)[np.isfinite(values)]
    if not len(known):
        return math.nan, math.nan
    low, high = np.quantile(known, [0.025, 0.975])
    return float(low), float(high)
