"""A map of few points in which neighbours stay neighbours.

t-SNE as van der Maaten and Hinton 2008 (JMLR 9) have it, exactly, for a few hundred points. Here,
because importing scikit-learn takes longer than all the rest of a page.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]

_STEPS, _EARLY, _RATE = 400, 100, 20.0


def tsne(x: Points, perplexity: float = 30.0) -> Points:
    """Return the rows of ``x``, shape (N, D), in the plane, shape (N, 2).

    It begins with the first two principal components, so that equal rows give equal maps.

    Args:
        x: centred, its columns in the order of their spread.
        perplexity: about how many neighbours a point has; below N / 3.

    >>> two = tsne(np.repeat([[0.0, 0.0], [9.0, 9.0]], 6, axis=0) + np.eye(12)[:, :2] * 0.1, 3.0)
    >>> two.shape, bool(np.abs(two[:6].mean(0) - two[6:].mean(0)).max() > two[:6].std())
    ((12, 2), True)
    """
    wanted = joint(x, perplexity)
    found = 1e-4 * x[:, :2] / (x[:, 0].std() or 1.0)
    speed, gains = np.zeros_like(found), np.ones_like(found)
    for step in range(_STEPS):
        early = step < _EARLY
        slope = gradient(found, 12 * wanted if early else wanted)
        # A coordinate that keeps its direction goes faster, one that turns slower (section 3.4).
        gains = np.maximum(np.where(speed * slope < 0, gains + 0.2, gains * 0.8), 0.01)
        speed = (0.5 if early else 0.8) * speed - _RATE * gains * slope
        found = found + speed
    return np.asarray(found - found.mean(axis=0), np.float64)


def joint(x: Points, perplexity: float) -> Points:
    """Return how near each two rows are, shape (N, N), with a sum of 1 (section 2, equation 1)."""
    square = (x * x).sum(axis=1)
    apart = np.maximum(square[:, None] + square[None] - 2 * x @ x.T, 0.0)
    np.fill_diagonal(apart, np.inf)
    low, high = np.full(len(x), -40.0), np.full(len(x), 40.0)
    nearest = apart.min(axis=1, keepdims=True)
    for _ in range(60):  # bisection of the logarithm of each row's precision
        middle = (low + high) / 2
        near = np.exp(-(apart - nearest) * np.exp(middle)[:, None])
        near /= near.sum(axis=1, keepdims=True)
        entropy = -(near * np.log(np.maximum(near, 1e-300))).sum(axis=1)
        wide = entropy > np.log(perplexity)
        low, high = np.where(wide, middle, low), np.where(wide, high, middle)
    both = near + near.T
    return np.asarray(both / both.sum(), np.float64)


def gradient(found: Points, wanted: Points) -> Points:
    """Return the slope of the Kullback-Leibler divergence (equation 5), shape (N, 2)."""
    heavy = _kernel(found)
    pull = (wanted - heavy / heavy.sum()) * heavy
    return np.asarray(4 * (pull.sum(axis=1)[:, None] * found - pull @ found), np.float64)


def divergence(found: Points, wanted: Points) -> float:
    """Return what is made small: the Kullback-Leibler divergence of the map (equation 2)."""
    heavy = _kernel(found)
    share = np.maximum(heavy / heavy.sum(), 1e-12)
    return float((wanted * np.log(np.maximum(wanted, 1e-12) / share)).sum())


def _kernel(found: Points) -> Points:
    square = (found * found).sum(axis=1)
    heavy = 1 / (1 + np.maximum(square[:, None] + square[None] - 2 * found @ found.T, 0.0))
    np.fill_diagonal(heavy, 0.0)
    return np.asarray(heavy, np.float64)
