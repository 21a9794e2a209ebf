"""Figures of a classifier on held-out items, each with how sure it is. No torch here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from headstart.tasks import scores
from headstart.tasks.intervals import of_parts, wilson
from headstart.tasks.task import Indices as Labels
from headstart.tasks.task import Matrix

MOST_DENSE = 100
"""Classes up to which the confusion is kept with all its cells, and not as
``{"pairs": [[true class, answered class, count], ...]}``."""


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
        reliability: those bins, see `reliability`.
    """

    n: int
    correct: int
    classes: tuple[str, ...]
    confusion: Labels
    log_loss: float
    calibration_error: float
    reliability: tuple[dict[str, float], ...] = ()

    @property
    def accuracy(self) -> float:
        """Share answered right, 0..1."""
        return self.correct / self.n if self.n else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the accuracy, see `wilson`."""
        return wilson(self.correct, self.n)

    @property
    def value(self) -> float:
        """The accuracy: the figure that stands for all."""
        return self.accuracy

    def per_class(self) -> list[dict[str, Any]]:
        """Return name, n, precision, recall with its interval, and F1 of each class.

        They are None for a class of which no item was measured.
        """
        rows = []
        hits, sizes, given = (
            counts.tolist()
            for counts in (self.confusion.diagonal(), self.confusion.sum(1), self.confusion.sum(0))
        )
        for name, hit, n, answered in zip(self.classes, hits, sizes, given, strict=True):
            if not n:  # nothing is known of it, and 0 % would be a figure
                precision = 0.0 if answered else None
                unknown = {"precision": precision, "recall": None, "interval": None, "f1": None}
                rows.append({"class": name, "n": n} | unknown)
                continue
            rows.append(
                {
                    "class": name,
                    "n": n,
                    "precision": hit / answered if answered else 0.0,
                    "recall": hit / n,
                    "interval": list(wilson(hit, n)),
                    "f1": 2 * hit / (n + answered),
                }
            )
        return rows

    def beside(self) -> dict[str, Any]:
        """Return macro-F1 and balanced accuracy, over the classes that are there, with intervals.

        Each class counts alike in them, however few items it has.
        """
        cells, times = np.nonzero(self.confusion), self.confusion[np.nonzero(self.confusion)]
        truth, said = (scores.rows(np.repeat(one, times), len(self.classes)) for one in cells)
        out: dict[str, Any] = {}
        for name in ("macro_f1", "balanced_accuracy"):
            parts = getattr(scores, name)(said, truth)
            value = float(parts.mean()) if self.n else 0.0
            out |= {name: value, f"{name}_interval": list(of_parts(parts))}
        return out

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain values."""
        return {
            "accuracy": self.accuracy,
            "interval": list(self.interval),
            **self.beside(),
            "n": self.n,
            "per_class": self.per_class(),
            "confusion": self._counts(),
            "log_loss": self.log_loss,
            "calibration_error": self.calibration_error,
            "reliability": list(self.reliability),
        }

    def _counts(self) -> list[list[int]] | dict[str, list[list[int]]]:
        """Return the confusion, of many classes by its few pairs: 5,000 have 25 million cells."""
        if len(self.classes) <= MOST_DENSE:
            return list(self.confusion.tolist())
        at = np.argwhere(self.confusion)
        counts = self.confusion[at[:, 0], at[:, 1]]
        return {"pairs": np.column_stack([at, counts]).tolist()}

    def brief(self) -> dict[str, Any]:
        """Return the part of the figures that a fit prints."""
        left_out = ("n", "confusion", "log_loss", "reliability")
        return {name: value for name, value in self.to_json().items() if name not in left_out}


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
        reliability=tuple(reliability(probabilities, labels)),
    )


def reliability(probabilities: Matrix, labels: Labels, bins: int = 10) -> list[dict[str, float]]:
    """Return the bins of confidence that hold items, each as ``{low, high, n, confidence, right}``.

    ``confidence`` is the mean of the greatest probability, ``right`` the share answered right.
    """
    if not len(labels):
        return []
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    return [
        {
            "low": b / bins,
            "high": (b + 1) / bins,
            "n": int((which == b).sum()),
            "confidence": float(confidence[which == b].mean()),
            "right": float(right[which == b].mean()),
        }
        for b in np.unique(which).tolist()
    ]


def calibration_error(probabilities: Matrix, labels: Labels, bins: int = 10) -> float:
    """Return the expected calibration error: mean gap between confidence and accuracy, 0..1.

    Source: Guo et al. 2017, arXiv:1706.04599, equation 3, with bins of equal width.
    """
    found = reliability(probabilities, labels, bins)
    return sum(abs(b["right"] - b["confidence"]) * b["n"] for b in found) / max(1, len(labels))


def worst(probabilities: Matrix, labels: Labels, most: int) -> list[tuple[int, int]]:
    """Return (row, answer) of the ``most`` confident mistakes, the most confident first."""
    answers = probabilities.argmax(axis=1) if len(labels) else np.empty(0, np.int64)
    wrong = np.flatnonzero(answers != labels)
    order = wrong[np.argsort(-probabilities[wrong, answers[wrong]], kind="stable")][:most]
    return [(int(i), int(answers[i])) for i in order]
