"""F1, average precision and thresholds of labels. No torch here."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from headstart.tasks.task import Indices, Matrix, Values


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
        self.order = np.argsort(-outputs, axis=0, kind="stable")
        ranked = np.take_along_axis(outputs, self.order, axis=0)
        self.truth = np.take_along_axis(truth, self.order, axis=0)
        end = np.ones(outputs.shape, np.bool_)
        end[:-1] = ranked[1:] < ranked[:-1]
        self.ends = [np.flatnonzero(column) for column in end.T]

    def precisions(self, rows: Indices) -> npt.NDArray[np.float64]:
        """Return the average precision of each label on ``rows``; nan where none has it.

        The mean over items with the label of the precision down to each of them; items with
        equal outputs count together.
        """
        times = np.bincount(rows, minlength=len(self.order)).astype(np.float64)
        return np.array([self._precision(k, times) for k in range(self.order.shape[1])])

    def _precision(self, label: int, times: Values) -> float:
        weight = times[self.order[:, label]]
        hits = np.cumsum(weight * self.truth[:, label])[self.ends[label]]
        said = np.cumsum(weight)[self.ends[label]]
        if not len(hits) or not hits[-1]:
            return float("nan")
        steps = np.diff(hits, prepend=0.0)
        return float((steps * hits / np.maximum(said, 1)).sum() / hits[-1])

    def mean_precision(self, rows: Indices) -> float:
        """Return the mean of `precisions` over the labels that some of ``rows`` have."""
        found = self.precisions(rows)
        known = found[np.isfinite(found)]
        return float(known.mean()) if len(known) else float("nan")
