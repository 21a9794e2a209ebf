"""A score of many items as the mean of one value an item, so that all luck can be told apart."""

from __future__ import annotations

import numpy as np

from headstart.tasks.task import Indices, Scores, Values


def of_ratios(parts: Values, wholes: Values) -> Scores:
    """Return the values whose mean is the mean over C of ``sum(parts) / sum(wholes)``.

    With R = A/B item i moves a ratio by N (a_i - R b_i) / B, its influence (Hampel 1974, JASA 69,
    383-393); added to the ratio itself, these values have it as their mean, and their spread says
    how sure it is. F1, recall and accuracy are such ratios. One whose whole is 0 has no part.

    An item is held against the ratio of the *others* (Quenouille 1956, Biometrika 43, 353-360), of
    which one more is taken to be like all items of all ratios: the only item of a class is else
    always as its own ratio says, and a figure over many small classes seems sure.

    Args:
        parts: shape (N, C), what counts for each ratio.
        wholes: shape (N, C), out of what.

    >>> right = np.array([[1.0], [0.0], [1.0], [1.0]])
    >>> of_ratios(right, np.ones((4, 1))).round(4).tolist()
    [1.0625, -0.1875, 1.0625, 1.0625]
    """
    whole = wholes.sum(axis=0)
    known = whole > 0
    if not known.any():
        return np.full(len(parts), np.nan)
    parts, wholes, whole = parts[:, known], wholes[:, known], whole[known]
    total, one = parts.sum(axis=0), whole.sum() / np.count_nonzero(wholes)
    others = (total - parts + one * total.sum() / whole.sum()) / (whole - wholes + one)
    moved = len(parts) * (parts - others * wholes) / whole
    values = total / whole + moved - moved.mean(axis=0)
    return np.asarray(values.mean(axis=1), np.float64)


def macro_f1(said: Values, truth: Values) -> Scores:
    """Return the values whose mean is macro-F1, from booleans of shape (N, C).

    The mean over the classes that some item has or was taken for; F1 = 2 TP / (2 TP + FP + FN).
    """
    return of_ratios(2.0 * (said & truth), said.astype(np.float64) + truth)


def balanced_accuracy(said: Values, truth: Values) -> Scores:
    """Return the values whose mean is the mean recall of the classes that some item has."""
    return of_ratios((said & truth).astype(np.float64), truth.astype(np.float64))


def rows(numbers: Indices, n: int) -> Values:
    """Return classes as rows of booleans, shape (N, n)."""
    return np.asarray(numbers[:, None] == np.arange(n))


def explained(said: Values, truth: Values) -> Scores:
    """Return the values whose mean is R², from numbers of shape (N,); nan where all are equal."""
    around = (truth - truth.mean()) ** 2 if len(truth) else truth
    if not around.sum():
        return np.full(len(truth), np.nan)
    return 1 - of_ratios(((said - truth) ** 2)[:, None], around[:, None])
