"""Scores that say, without training, how well features suit targets; pure functions of arrays.

They are shown beside what a linear head really reaches, and decide nothing: on the usual zoo they
rank worse than size alone (arXiv:2510.06448).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

STEPS = 30
"""Fixed-point steps of the evidence, far more than it needs."""


def log_me(features: Array, columns: Array) -> float:
    """Return LogME: the mean log evidence of a Bayesian linear model, per item and column.

    The strengths alpha of the prior and beta of the noise are those that make the targets most
    likely, found by MacKay's fixed point (You et al. 2021, arXiv:2102.11005, algorithm 1). The
    higher, the better do the features explain the targets.

    Args:
        features: shape (N, D).
        columns: shape (N, K), targets as numbers; of classes one column of 0 and 1 each.

    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(50, 3))
    >>> log_me(x, x[:, :1]) > log_me(x, rng.normal(size=(50, 1)))
    True
    """
    x = features - features.mean(axis=0)
    u, spread, _ = np.linalg.svd(x, full_matrices=False)
    return float(np.mean([_evidence(u, spread**2, len(x), column) for column in columns.T]))


def _evidence(u: Array, power: Array, n: int, column: Array) -> float:
    y = column - column.mean()
    along = u.T @ y
    rest = max(0.0, float(y @ y - along @ along))
    alpha, beta = 1.0, 1.0
    for _ in range(STEPS):
        shrunk = alpha + beta * power
        gamma = float((beta * power / shrunk).sum())
        size = float((beta**2 * power * along**2 / shrunk**2).sum())
        off = float((alpha**2 * along**2 / shrunk**2).sum()) + rest
        alpha, beta = gamma / max(size, 1e-12), max(n - gamma, 1e-6) / max(off, 1e-12)
        alpha, beta = min(alpha, 1e12), min(beta, 1e12)
    shrunk = alpha + beta * power
    size = float((beta**2 * power * along**2 / shrunk**2).sum())
    off = float((alpha**2 * along**2 / shrunk**2).sum()) + rest
    # Directions that the items do not span add log(alpha) to both sides, and so nothing.
    log = len(power) * np.log(alpha) - np.log(shrunk).sum() + n * np.log(beta)
    return float((log - beta * off - alpha * size - n * np.log(2 * np.pi)) / (2 * n))


def h_score(features: Array, labels: npt.NDArray[np.int64], shrink: float = 0.1) -> float:
    """Return the H-score: how much of the features' spread lies between the classes.

    tr(S^-1 B), with S the covariance of the features and B that of their class means (Bao et al.
    2019, ICIP, definition 2). S is shrunk towards a multiple of the identity, without which few
    items with many features give nothing but their number (Ibrahim et al. 2021, arXiv:2110.06893).

    Args:
        features: shape (N, D).
        labels: shape (N,).
        shrink: share of the identity in S, 0..1.
    """
    x = features - features.mean(axis=0)
    present = np.unique(labels)
    means = np.stack([x[labels == c].mean(axis=0) for c in present])
    shares = np.array([(labels == c).mean() for c in present])
    scale = float((x**2).mean())
    if not scale:
        return 0.0
    # By Woodbury, in N dimensions where D is larger: S = shrink scale I + (1 - shrink) X'X / N.
    ridge, weight = max(shrink, 1e-6) * scale, (1 - shrink) / len(x)
    if len(x) < x.shape[1]:
        inner = np.eye(len(x)) + weight / ridge * (x @ x.T)
        turned = means @ x.T
        taken = weight / ridge * turned @ np.linalg.solve(inner, turned.T)
        return float((shares * np.diag(means @ means.T - taken)).sum() / ridge)
    covariance = ridge * np.eye(x.shape[1]) + weight * (x.T @ x)
    return float((shares * (means * np.linalg.solve(covariance, means.T).T).sum(axis=1)).sum())


def agreement(first: Array, second: Array) -> float:
    """Return Kendall's tau-b of two rankings, -1..1; nan where one of them has no order.

    >>> agreement(np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0]))
    0.3333333333333333
    """
    upper = np.triu_indices(len(first), 1)
    a = np.sign(np.subtract.outer(first, first)[upper])
    b = np.sign(np.subtract.outer(second, second)[upper])
    scale = np.sqrt((a**2).sum() * (b**2).sum())
    return float((a * b).sum() / scale) if scale else float("nan")
