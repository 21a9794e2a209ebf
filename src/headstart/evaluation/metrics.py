"""Figures of a classifier on held-out items, each with how sure it is. No torch here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

Z95 = 1.959963984540054
"""The two-sided 95 % point of the normal distribution."""


def wilson(correct: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a share of ``correct`` out of ``n``, in 0..1.

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
    centre = (share + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 / (1 + Z95**2 / n) * math.sqrt(share * (1 - share) / n + Z95**2 / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


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


@dataclass(frozen=True)
class Evaluation:
    """What a model does on ``n`` items that it was not trained on.

    Attributes:
        n: number of items.
        correct: how many were answered right.
        classes: names, in the order of rows and columns.
        confusion: shape (C, C), true class by answered class.
        log_loss: mean negative log likelihood of the true class, in nats.
        calibration_error: expected calibration error over 10 bins of confidence, 0..1.
    """

    n: int
    correct: int
    classes: tuple[str, ...]
    confusion: Labels
    log_loss: float
    calibration_error: float

    @property
    def accuracy(self) -> float:
        """Share answered right, 0..1."""
        return self.correct / self.n if self.n else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the accuracy, see `wilson`."""
        return wilson(self.correct, self.n)

    def per_class(self) -> list[dict[str, Any]]:
        """Return name, n, precision, recall with its interval, and F1 of each class."""
        rows = []
        for c, name in enumerate(self.classes):
            hit, n, answered = (
                int(self.confusion[c, c]),
                int(self.confusion[c].sum()),
                int(self.confusion[:, c].sum()),
            )
            precision, recall = hit / answered if answered else 0.0, hit / n if n else 0.0
            both = precision + recall
            rows.append(
                {
                    "class": name,
                    "n": n,
                    "precision": precision,
                    "recall": recall,
                    "interval": list(wilson(hit, n)),
                    "f1": 2 * precision * recall / both if both else 0.0,
                }
            )
        return rows

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain values."""
        return {
            "accuracy": self.accuracy,
            "interval": list(self.interval),
            "n": self.n,
            "per_class": self.per_class(),
            "confusion": self.confusion.tolist(),
            "log_loss": self.log_loss,
            "calibration_error": self.calibration_error,
        }


def evaluate(probabilities: Matrix, labels: Labels, classes: tuple[str, ...]) -> Evaluation:
    """Return the figures of ``probabilities``, shape (N, C), against ``labels``, shape (N,)."""
    answers = probabilities.argmax(axis=1) if len(labels) else np.empty(0, np.int64)
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(confusion, (labels, answers), 1)
    picked = probabilities[np.arange(len(labels)), labels]
    return Evaluation(
        n=len(labels),
        correct=int((answers == labels).sum()),
        classes=classes,
        confusion=confusion,
        log_loss=float(-np.log(np.maximum(picked, 1e-12)).mean()) if len(labels) else 0.0,
        calibration_error=calibration_error(probabilities, labels),
    )


def calibration_error(probabilities: Matrix, labels: Labels, bins: int = 10) -> float:
    """Return the expected calibration error: mean gap between confidence and accuracy, 0..1.

    Source: Guo et al. 2017, arXiv:1706.04599, equation 3, with bins of equal width.
    """
    if not len(labels):
        return 0.0
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [
        abs(float(right[which == b].mean()) - float(confidence[which == b].mean()))
        * float((which == b).mean())
        for b in np.unique(which)
    ]
    return float(sum(gaps))


def worst(
    probabilities: Matrix, labels: Labels, names: Sequence[str], classes: Sequence[str], most: int
) -> list[dict[str, Any]]:
    """Return the ``most`` confident mistakes, the most confident first."""
    answers = probabilities.argmax(axis=1) if len(labels) else np.empty(0, np.int64)
    wrong = np.flatnonzero(answers != labels)
    order = wrong[np.argsort(-probabilities[wrong, answers[wrong]], kind="stable")][:most]
    return [
        {
            "item": names[i],
            "label": classes[labels[i]],
            "predicted": classes[answers[i]],
            "probability": float(probabilities[i, answers[i]]),
        }
        for i in map(int, order)
    ]
