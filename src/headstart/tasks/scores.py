"""A score of many items as the mean of one value an item, so that all luck can be told apart."""

from __future__ import annotations

import numpy as np

from headstart.tasks.task import Indices, Scores, Values

AT_ONCE = 4_000_000
"""Values that are held at once: of thousands of classes they would fill the memory."""


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
    one = whole[known].sum() / np.count_nonzero(wholes)
    part = one * parts[:, known].sum(axis=0).sum() / whole[known].sum()
    blocks = np.array_split(np.flatnonzero(known), max(1, -(-parts.size // AT_ONCE)))
    sums = [_values(parts[:, k], wholes[:, k], part, one).sum(axis=1) for k in blocks if len(k)]
    return np.asarray(np.sum(sums, axis=0) / known.sum(), np.float64)


def _values(parts: Values, wholes: Values, part: float, one: float) -> Scores:
    """Return the values of some ratios; one item more has ``part`` out of ``one``."""
    parts, wholes = parts.astype(np.float64), wholes.astype(np.float64)
    total, whole = parts.sum(axis=0), wholes.sum(axis=0)
    others = (total - parts + part) / (whole - wholes + one)
    moved = len(parts) * (parts - others * wholes) / whole
    return np.asarray(total / whole + moved - moved.mean(axis=0), np.float64)


def macro_f1(said: Values, truth: Values) -> Scores:
    """Return the values whose mean is macro-F1, from booleans of shape (N, C).

    The mean over the classes that some item has or was taken for; F1 = 2 TP / (2 TP + FP + FN).
    """
    return of_ratios(np.int8(2) * (said & truth), said.astype(np.int8) + truth)


def balanced_accuracy(said: Values, truth: Values) -> Scores:
    """Return the values whose mean is the mean recall of the classes that some item has."""
    return of_ratios(said & truth, truth)


def rows(numbers: Indices, n: int) -> Values:
    """Return classes as rows of booleans, shape (N, n)."""
    return np.asarray(numbers[:, None] == np.arange(n))


def explained(said: Values, truth: Values) -> Scores:
    """Return the values whose mean is R², from numbers of shape (N,); nan where all are equal."""
    around = (truth - truth.mean()) ** 2 if len(truth) else truth
    if not around.sum():
        return np.full(len(truth), np.nan)
    return 1 - of_ratios(((said - truth) ** 2)[:, None], around[:, None])
