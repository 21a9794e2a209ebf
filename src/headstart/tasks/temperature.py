"""How sure answers are: the temperature that a model's outputs are divided by. No torch here.

Items that were not trained on tell it by their likelihood, and a `Prior` keeps a few of them from
telling too much. Where blocks were trained and hardly an item was set aside, it lies around the one
at which new items would be answered as surely as a head on the unchanged backbone is right, by
inner folds: in accuracy the two are seldom far apart, in how sure they are often.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from headstart.tasks.task import Indices as Labels
from headstart.tasks.task import Matrix

LEAST, MOST = 0.05, 20.0
"""Temperatures that are looked at."""

SHRINK = 0.4
"""What is left of an item's logits where it was not trained on; measured, see docs/results.md."""

NEAR = 0.5
"""How far the logarithm of a temperature lies from `as_sure_as_right`; measured as well."""

AT_ONCE = 4_000_000
"""Logits that are looked at in double precision at once: of many classes they fill the memory."""


class Prior(NamedTuple):
    """What is believed of a temperature before any answer is looked at: log-normal.

    Without it the temperature of twenty answers that are all right is the least that there is, and
    every new item would be answered with certainty.

    Attributes:
        around: the most probable temperature.
        spread: standard deviation of its logarithm.
    """

    around: float = 1.0
    spread: float = 1.0

    def surprise(self, log_t: float) -> float:
        """Return the negative logarithm of the density, up to a constant, in nats."""
        return (log_t - float(np.log(self.around))) ** 2 / (2 * self.spread**2)


def as_sure_as_right(logits: Matrix, accuracy: float) -> float:
    """Return the T at which new items should be answered as surely as ``accuracy``, in 0.05..20.

    It has three digits: more would only tell in what order the outputs were summed.

    Args:
        logits: of items that were trained on, shape (N, C). New ones have `SHRINK` of them.
        accuracy: the share of new items that is expected to be answered right, 0..1.

    >>> round(as_sure_as_right(np.array([[0.0, 2.5], [2.5, 0.0]], np.float32), 0.731), 2)
    1.0
    """
    new = SHRINK * logits.astype(np.float64)
    new -= new.max(axis=1, keepdims=True)

    def off(log_t: float) -> float:
        sure = 1 / np.exp(new / np.exp(log_t)).sum(axis=1)
        return abs(float(sure.mean()) - accuracy)  # falls, then rises: sureness falls with T

    return float(f"{least(off):.3g}")


def fit_temperature(logits: Matrix, labels: Labels, prior: Prior | None = None) -> float:
    """Return the T that makes softmax(logits / T) most likely for ``labels``, in 0.05..20.

    The likelihood is convex in 1/T (Guo et al. 2017, section 4.2), so a golden-section search
    finds its minimum; with a ``prior`` the most probable T.
    """
    rows = max(1, AT_ONCE // max(1, logits.shape[1]))
    starts = range(0, max(1, len(labels)), rows)

    def loss(log_t: float) -> float:
        parts = (slice(start, start + rows) for start in starts)
        return float(
            np.concatenate([_surprise(logits[i], labels[i], np.exp(log_t)) for i in parts]).mean()
        )

    return least(loss, prior, len(labels))


def _surprise(logits: Matrix, labels: Labels, temperature: float) -> npt.NDArray[np.float64]:
    """Return the negative log likelihood of each label, in double precision."""
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    picked = scaled[np.arange(len(labels)), labels]
    return np.asarray(np.log(np.exp(scaled).sum(axis=1)) - picked, np.float64)


def least(loss: Callable[[float], float], prior: Prior | None = None, n: int = 1) -> float:
    """Return the T in 0.05..20 at which ``loss``, of log T and convex in 1/T, is least.

    It is the mean over ``n`` answers, beside which a ``prior`` counts as one.
    """
    low, high, ratio = np.log(LEAST), np.log(MOST), (np.sqrt(5) - 1) / 2

    def whole(log_t: float) -> float:
        return loss(log_t) + (prior.surprise(log_t) / n if prior else 0.0)

    for _ in range(40):
        a, b = high - ratio * (high - low), low + ratio * (high - low)
        if whole(a) < whole(b):
            high = b
        else:
            low = a
    return float(np.exp((low + high) / 2))


def softened(outputs: Matrix, temperature: float) -> Matrix:
    """Return ``outputs`` with their overconfidence taken off.

    The temperature is fitted when training is over, so epochs are compared by what it cannot mend:
    refine, then calibrate (Berta, Holzmüller, Jordan and Bach 2025, arXiv:2501.19195). By the plain
    log loss a network that gets ever more sure seems to get worse while it still learns. It only
    softens: on a few items that are all right, sharper answers would make all epochs alike.
    """
    return outputs / max(1.0, temperature)
