"""F1, average precision and thresholds of labels. No torch here."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from headstart.tasks.task import Indices, Matrix, Values

AT_ONCE = 1 << 16
"""Ranks that are looked at in one step."""


def f1(said: Values, truth: Values) -> npt.NDArray[np.float64]:
    """Return F1 of each label, 0..1, from booleans of shape (N, L); nan where nobody has it.

    F1 = 2 TP / (2 TP + FP + FN), the harmonic mean of precision and recall.

    >>> f1(np.array([[1], [1]], bool), np.array([[1], [0]], bool)).round(3).tolist()
    [0.667]
    """
    both = (said & truth).sum(axis=0)
    either = said.sum(axis=0) + truth.sum(axis=0)
    return np.where(either > 0, 2 * both / np.maximum(either, 1), np.nan)


def best_threshold(chances: Values, truth: Values) -> float:
    """Return the probability from which saying "has it" gives the best F1; between two chances.

    >>> round(best_threshold(np.array([0.1, 0.2, 0.6]), np.array([False, True, True])), 3)
    0.15
    """
    order = np.argsort(-chances, kind="stable")
    chance, hits = chances[order].astype(np.float64), np.cumsum(truth[order])
    said = np.arange(1, len(order) + 1)
    last = np.append(chance[1:] < chance[:-1], True)  # equal chances are said together
    score = np.where(last, 2 * hits / (said + truth.sum()), -1.0)
    at = int(score.argmax())
    below = chance[at + 1] if at + 1 < len(chance) else 0.0
    return float((chance[at] + below) / 2)


class Ranked:
    """Items in the order of their outputs, label by label: sorted once, measured many times.

    Args:
        outputs: shape (N, L).
        truth: shape (N, L).
    """

    def __init__(self, outputs: Matrix, truth: Values) -> None:
        order = np.argsort(-outputs, axis=0, kind="stable")
        ranked = np.take_along_axis(outputs, order, axis=0)
        end = np.ones(outputs.shape, np.bool_)
        end[:-1] = ranked[1:] < ranked[:-1]
        self.n, self.n_labels = outputs.shape
        truth = np.take_along_axis(truth, order, axis=0)
        self.parts = [_part(labels, order, truth, end) for labels in _alike(end)]

    def precisions(self, rows: Indices) -> npt.NDArray[np.float64]:
        """Return the average precision of each label on ``rows``; nan where none has it.

        The mean over items with the label of the precision down to each of them; items with
        equal outputs count together.
        """
        times = np.bincount(rows, minlength=self.n).astype(np.float64)
        found = np.full(self.n_labels, np.nan)
        for part in self.parts:
            found[part.labels] = part.precisions(times)
        return found

    def mean_precision(self, rows: Indices) -> float:
        """Return the mean of `precisions` over the labels that some of ``rows`` have."""
        found = self.precisions(rows)
        known = found[np.isfinite(found)]
        return float(known.mean()) if len(known) else float("nan")


class _Part(NamedTuple):
    """Some labels, a row each, that have as many different outputs.

    Attributes:
        labels: shape (K,).
        order: shape (K, N), items with the greatest output first.
        truth: shape (K, N), which of them have the label.
        ends: shape (K, E), where items with equal outputs end.
    """

    labels: Indices
    order: Indices
    truth: Values
    ends: Indices

    def precisions(self, times: Values) -> npt.NDArray[np.float64]:
        weight = times[self.order]
        hits = np.take_along_axis(np.cumsum(weight * self.truth, axis=1), self.ends, axis=1)
        said = np.take_along_axis(np.cumsum(weight, axis=1), self.ends, axis=1)
        steps, whole = np.diff(hits, prepend=0.0, axis=1), hits[:, -1]
        sums = (steps * hits / np.maximum(said, 1)).sum(axis=1)
        return np.where(whole > 0, sums / np.maximum(whole, 1), np.nan)


def _alike(end: Values) -> list[Indices]:
    """Return the labels in parts that have as many ends; thousands at once leave the cache."""
    counts = end.sum(axis=0)
    most = max(1, AT_ONCE // max(1, len(end)))
    found = [np.flatnonzero(counts == n) for n in np.unique(counts[counts > 0])]
    return [one[at : at + most] for one in found for at in range(0, len(one), most)]


def _part(labels: Indices, order: Indices, truth: Values, end: Values) -> _Part:
    ends = np.nonzero(end[:, labels].T)[1].reshape(len(labels), -1)
    ranks, has = (np.ascontiguousarray(one[:, labels].T) for one in (order, truth))
    return _Part(labels, ranks, has, ends)
