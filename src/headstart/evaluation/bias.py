"""What choosing the best of several costs in honesty, and how it is taken off again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from headstart.evaluation.luck import Sample, interval

Means = npt.NDArray[np.float64]

CHOICES = 1000
"""Random choices of the items, on each of which the best is chosen anew."""


@dataclass(frozen=True)
class Corrected:
    """What the chosen one should reach on new items.

    Attributes:
        chosen: its place in the list.
        estimate: what is left of its mean once the luck of being chosen is taken off.
        low: lower end of the 95 % interval.
        high: upper end.
        uncorrected: its own mean, which is too high: it was chosen for it.
    """

    chosen: int
    estimate: float
    low: float
    high: float
    uncorrected: float


def corrected(
    samples: list[Sample],
    chosen: int,
    *,
    seed: int = 0,
    believed: Callable[[Means], Means] | None = None,
) -> Corrected:
    """Return the estimate for the one that was ``chosen`` among ``samples`` by its answers.

    The choice is bootstrapped over the items: the best on a random choice of them is measured on
    those that were not drawn. No model is trained for it (BBC-CV: Tsamardinos, Greasidou and
    Borboudakis 2018, Machine Learning 107, 1895-1922, algorithm 3). The interval is that of the
    chosen one, moved by what was taken off.

    Args:
        samples: scores on the same N items.
        chosen: place of the one that is taken.
        seed: of the random choices.
        believed: from the means of all to what is thought of them, by which one is chosen; None
            for the means themselves.

    >>> rng = np.random.default_rng(0)
    >>> luck = [Sample((rng.random((1, 60)) < 0.5).astype(float), 50) for _ in range(30)]
    >>> best = max(range(30), key=lambda k: luck[k].mean)
    >>> found = corrected(luck, best)
    >>> found.estimate < found.uncorrected - 0.05
    True
    """
    means = np.stack([one.scores.mean(axis=0) for one in samples])
    own = interval(samples[chosen])
    taken = own.mean - _out_of_bag(means, believed, seed) if min(means.shape) > 1 else 0.0
    estimate, low, high = (one - taken for one in own)
    if samples[chosen].share:
        estimate, low, high = (min(1.0, max(0.0, one)) for one in (estimate, low, high))
    return Corrected(chosen, estimate, min(low, estimate), max(high, estimate), own.mean)


def _out_of_bag(means: Means, believed: Callable[[Means], Means] | None, seed: int) -> float:
    """Return the mean score, on the items left out, of the best on those that were drawn."""
    n = means.shape[1]
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(CHOICES):
        times = np.bincount(rng.integers(0, n, n), minlength=n)
        left = times == 0
        if left.any():
            drawn = means @ times / n
            best = int((drawn if believed is None else believed(drawn)).argmax())
            values.append(float(means[best, left].mean()))
    return float(np.mean(values))
