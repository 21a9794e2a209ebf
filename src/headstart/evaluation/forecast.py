"""What more labels should bring: two laws through the sizes that were measured, with a band.

A power law, the error falling as a + b n^-c (Viering and Loog 2023, IEEE TPAMI 45, 7799-7819),
tends to promise too little, log odds that rise with log n too much; pooled they came nearest in a
back-test over ten curves of eight sets, see `benchmarks/forecast.py` and docs/results.md. The
band is a bootstrap over draws and over held-out items.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from headstart.evaluation.advice import Forecast, Goal
from headstart.evaluation.luck import Sample, gap, paired
from headstart.tasks.intervals import wilson

Array = npt.NDArray[np.float64]

LEAST_SIZES = 3
FACTORS = (2, 4, 8)
"""How many times the labels are forecast; farther out a band says nothing."""

FARTHEST = 10.0
"""Times the labels up to which a goal is looked for."""

WIDEST = 0.15
"""Width of a band from which on it says nothing."""

STEPS = 300
"""Bootstrap choices of draws and items."""

EXPONENTS = np.linspace(0.05, 1.5, 59)

USUAL, SPREAD = 0.45, 0.25
"""Exponents that learning curves usually have, and how far they lie apart."""

DOUBT = 1e-4
"""Squared error that an exponent must save for each spread that it lies away from the usual."""

TELLING = 3
"""Items answered otherwise than most, from which on a bootstrap over items shows their luck."""

Z80 = 1.2815515655446004
"""The two-sided 80 % point of the normal distribution."""

POWER = 0.6
"""Share of the power law in what is forecast; the rest is the log odds'."""


class Curve(NamedTuple):
    """What was measured of one strategy.

    Attributes:
        sizes: shape (S,), training items, rising.
        scores: one table (D, N) a size, of the same draws and items.
        shots: labels a class at the first size.
    """

    sizes: Array
    scores: list[Array]
    shots: float


class Law(NamedTuple):
    """The error a + b n^-c, one a row."""

    a: Array
    b: Array
    c: Array

    def at(self, n: float) -> Array:
        """Return the score with ``n`` labels."""
        return np.asarray(1 - self.a - self.b * n ** (-self.c))


class Odds(NamedTuple):
    """The log odds of the score u + v log n, one a row."""

    u: Array
    v: Array

    def at(self, n: float) -> Array:
        """Return the score with ``n`` labels."""
        return np.asarray(1 / (1 + np.exp(-self.u - self.v * np.log(n))))


def log_odds(sizes: Array, errors: Array, weights: Array | None = None) -> Odds:
    """Return the line in log n nearest to the log odds, by weighted least squares; v >= 0."""
    w = np.ones_like(sizes) if weights is None else weights
    w, x = w / w.sum(), np.log(sizes)
    right = np.clip(1 - errors, 1e-3, 1 - 1e-3)
    y = np.log(right / (1 - right))
    middle, height = float((w * x).sum()), (w * y).sum(axis=1)
    slope = ((y - height[:, None]) * (x - middle) * w).sum(axis=1) / (w * (x - middle) ** 2).sum()
    slope = np.maximum(slope, 0)
    return Odds(height - slope * middle, slope)


def power_law(
    sizes: Array, errors: Array, weights: Array | None = None, doubt: float = DOUBT
) -> Law:
    """Return the law nearest to ``errors``, shape (B, S), by weighted least squares; a, b >= 0.

    For each exponent on a grid a and b are solved in closed form; the best exponent is kept, with
    a weak preference for the usual ones: ``doubt`` for each squared spread away from them.

    >>> n = np.array([8.0, 16.0, 32.0, 64.0])
    >>> law = power_law(n, (0.05 + 0.6 * n**-0.5)[None], doubt=0)
    >>> round(float(law.at(256.0)[0]), 3)
    0.912
    """
    w = np.ones_like(sizes) if weights is None else weights / weights.mean()
    x = sizes[None, :] ** -EXPONENTS[:, None]
    sx, sxx, s1 = (w * x).sum(1), (w * x * x).sum(1), w.sum()
    se = (w * errors).sum(1)[None]
    sxe = np.einsum("s,gs,bs->gb", w, x, errors)
    b = (s1 * sxe - sx[:, None] * se) / (s1 * sxx - sx**2)[:, None]
    a = (se - sx[:, None] * b) / s1
    flat, low = b < 0, a < 0
    b = np.where(low, np.maximum(sxe / sxx[:, None], 0), np.where(flat, 0, b))
    a = np.where(low, 0, np.where(flat, se / s1, a))
    off = errors[None] - a[..., None] - b[..., None] * x[:, None, :]
    away = doubt * ((EXPONENTS - USUAL) / SPREAD) ** 2
    best = ((w * off**2).sum(2) + away[:, None]).argmin(axis=0)
    rows = np.arange(errors.shape[0])
    return Law(a[best, rows], b[best, rows], EXPONENTS[best])


def curve_of(found: Mapping[int | str, Sample]) -> Curve | None:
    """Return the curve of one strategy from its samples by shots; None for fewer than three sizes.

    Only sizes with the same held-out items and at least two draws count; draws are cut alike.
    """
    rows = [(shots, one) for shots, one in found.items() if len(one.scores) > 1]
    rows.sort(key=lambda row: row[1].trained)
    sizes = [one.trained for _, one in rows]
    if len(set(sizes)) < LEAST_SIZES or len(set(sizes)) < len(sizes):
        return None
    numbered = next((shots for shots, _ in rows if not isinstance(shots, str)), 1)
    first = rows[0][0] if not isinstance(rows[0][0], str) else numbered
    cut = paired([one for _, one in rows])
    return Curve(np.array(sizes, np.float64), [one.scores for one in cut], float(first))


def rises(curve: Curve) -> bool:
    """Return whether the largest size is surely better than the smallest."""
    first, last = (Sample(curve.scores[at], int(curve.sizes[at]), share=True) for at in (0, -1))
    return gap(last, first, level=0.8).low > 0


def ahead(curve: Curve, sizes: Sequence[float], *, seed: int = 0) -> Array:
    """Return (mean, low, high) of the score at each of ``sizes``, shape (len(sizes), 3).

    The band holds 80 %: draws and items are chosen anew with replacement, the same ones for all
    sizes, as they were the same when they were measured, and both laws are fitted again. Larger
    sizes, which vary less and lie nearer, count more: each as many times as it has labels.
    """
    tables = np.stack(curve.scores)
    _, draws, items = tables.shape
    errors, rng = [1 - tables.mean(axis=(1, 2))], np.random.default_rng(seed)
    for _ in range(STEPS):
        chosen = rng.integers(0, draws, draws)
        times = rng.multinomial(items, np.full(items, 1 / items)) / items
        errors.append(1 - (tables[:, chosen].mean(axis=1) @ times))
    found = curve.sizes, np.stack(errors), curve.sizes
    power, odds = power_law(*found), log_odds(*found)
    out = []
    for n in sizes:
        values = POWER * power.at(n) + (1 - POWER) * odds.at(n)
        low, high = np.quantile(values[1:], [0.1, 0.9])
        out.append(_eased(float(values[0]), float(low), float(high), items))
    return np.array(out)


def _eased(mean: float, low: float, high: float, items: int) -> tuple[float, float, float]:
    """Return the band as wide as so many items allow where hardly one is answered otherwise.

    Choosing anew among items that are all answered alike shows no spread; Wilson's interval does.
    """
    if items * min(mean, 1 - mean) < TELLING:
        least, most = wilson(items * mean, items, Z80)
        low, high = min(low, least), max(high, most)
    return mean, low, high


def forecasts(name: tuple[str, str], curve: Curve) -> list[Forecast]:
    """Return what twice, four and eight times the labels should bring.

    Nothing where the curve does not rise; and it ends where the band is too wide to say anything.
    """
    if not rises(curve):
        return []
    most = curve.sizes[-1]
    out = []
    for factor, (mean, low, high) in zip(
        FACTORS, ahead(curve, [most * f for f in FACTORS]), strict=True
    ):
        if high - low > WIDEST:
            break
        out.append(_row(name, curve, factor * most, mean, low, high))
    return out


def backtest(name: tuple[str, str], curve: Curve) -> list[Forecast]:
    """Return forecasts of sizes that were measured, each made from the smaller ones alone.

    From three sizes on, and up to four times the largest of them.
    """
    out = []
    for known in range(LEAST_SIZES, len(curve.sizes)):
        part = Curve(curve.sizes[:known], curve.scores[:known], curve.shots)
        later = [n for n in curve.sizes[known:] if n <= 4.2 * part.sizes[-1]]
        if not later or not rises(part):
            continue
        for n, (mean, low, high) in zip(later, ahead(part, later), strict=True):
            truth = float(curve.scores[int(np.searchsorted(curve.sizes, n))].mean())
            out.append(_row(name, curve, n, mean, low, high, truth))
    return out


def goal(curve: Curve, wanted: float) -> Goal:
    """Return how many labels ``wanted`` needs: expected, with luck, and without.

    None stands for more than ten times what was measured, as far as a curve may be drawn.
    """
    sizes = np.geomspace(curve.sizes[0], curve.sizes[-1] * FARTHEST, 60)
    found = ahead(curve, [float(n) for n in sizes])

    def first(column: int) -> int | None:
        reached = np.flatnonzero(found[:, column] >= wanted)
        return int(np.ceil(sizes[reached[0]])) if len(reached) else None

    return Goal(wanted, first(0), first(2), first(1))


def _row(
    name: tuple[str, str],
    curve: Curve,
    n: float,
    mean: float,
    low: float,
    high: float,
    truth: float | None = None,
) -> Forecast:
    shots = max(1, round(curve.shots * n / curve.sizes[0]))
    return Forecast(*name, shots, round(n), mean, low, high, truth)
