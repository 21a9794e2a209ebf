"""Whether a classifier can tell the training items from the held-out ones."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from headstart.boundary.extract import Features
from headstart.data.split import Split
from headstart.findings import Finding, finding
from headstart.tasks.classes import Classes
from headstart.tasks.heads import Examples, out_of_fold
from headstart.tasks.task import Indices, Matrix, Targets

TOLD = 0.65
"""Share of pairs that must surely be told apart; 0.5 is chance."""

LEAST, MOST = 20, 500
"""Items of each part below which nothing is said, and beyond which none are needed."""

_STRENGTH = 0.1


def shift(features: Features, parts: Split, groups: Indices | None, seed: int) -> Finding | None:
    """Return that training and held-out items of the same classes look different.

    A classifier two-sample test (Lopez-Paz and Oquab 2017, arXiv:1610.06545): a logistic head on
    the features, on folds of its own, with as many items of each class from both parts, so that
    other shares of the classes are not taken for another look. Where it tells them apart, what was
    learned on one part says less of the other.

    Args:
        features: of all items.
        parts: indices of the training and the held-out items.
        groups: shape (N,), the class of each item of the data set; None where there are none.
        seed: of the choice of items.
    """
    here, there = _paired(parts, groups, seed)
    if len(here) < LEAST:
        return None
    truth = np.repeat([0, 1], [len(here), len(there)])
    x = features.rows(np.concatenate([here, there]))
    targets = Targets(Classes(("training", "held out")), truth)
    examples = Examples(x, targets, tuple(features.widths))
    rows, outputs = out_of_fold("logistic", examples, seed=seed, strength=_STRENGTH)
    told, error = auc(outputs[:, 1] - outputs[:, 0], truth[rows] == 1)
    if told - 1.96 * error < TOLD:
        return None
    return finding(
        "HS007",
        "a classifier tells training from held-out items of the same class in {told:.0f} % of the "
        "pairs (50 % is chance): they come from different places. The figures are about the "
        "held-out ones; see to it that those are like what will be asked.",
        told=100 * told,
        n=len(truth),
    )


def _paired(parts: Split, groups: Indices | None, seed: int) -> tuple[Indices, Indices]:
    rng = np.random.default_rng([seed, 7])
    one, other = (rng.permutation(np.asarray(part)) for part in parts)
    if groups is None:
        n = min(len(one), len(other), MOST)
        return one[:n], other[:n]
    ones, others = [], []
    for group in np.unique(groups[other]):
        mine, theirs = one[groups[one] == group], other[groups[other] == group]
        n = min(len(mine), len(theirs))
        ones.append(mine[:n])
        others.append(theirs[:n])
    keep = rng.permutation(sum(map(len, ones)))[:MOST] if ones else np.empty(0, np.int64)
    return (
        (np.concatenate(ones)[keep], np.concatenate(others)[keep]) if ones else (one[:0], other[:0])
    )


def auc(scores: Matrix, positive: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Return the area under the ROC curve and its standard error, ties counted half.

    Source: Hanley and McNeil 1982, Radiology 143, 29-36.

    >>> auc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]))[0]
    0.75
    """
    n, m = int(positive.sum()), int((~positive).sum())
    if not n or not m:
        return 0.5, 0.5
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    area = float((ranks[positive].sum() - n * (n + 1) / 2) / (n * m))
    q1, q2 = area / (2 - area), 2 * area * area / (1 + area)
    spread = area * (1 - area) + (n - 1) * (q1 - area**2) + (m - 1) * (q2 - area**2)
    return area, math.sqrt(max(spread, 0.25 / max(n, m)) / (n * m))
