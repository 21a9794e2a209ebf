"""Linear discriminant analysis in closed form, its covariance shrunk as the data say."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from headstart.tasks.head import Head
from headstart.tasks.solvers import of_present, solver
from headstart.tasks.task import Indices, Matrix

Square = npt.NDArray[np.float64]

LEAST = 1e-6
"""The least share of the identity: a covariance must have an inverse."""


@solver("lda")
def lda(x: Matrix, y: Indices, n_classes: int, strength: float) -> Head:
    """Assume normal classes of one covariance: log prior + log density, linear in x.

    The covariance is that of all items around the means of their classes, and it is shrunk once:
    of each class by itself, as scikit-learn does, it means nothing with a few shots.
    Source: Hastie, Tibshirani and Friedman 2009, equation 4.10.
    """
    present, index = np.unique(y, return_inverse=True)
    data = np.asarray(x, np.float64)
    means = np.stack([data[index == k].mean(axis=0) for k in range(len(present))])
    weight = _whitened(means, data - means[index])
    prior = np.bincount(index) / len(y)
    return of_present(
        n_classes, present, weight, np.log(prior) - 0.5 * (means * weight).sum(axis=1)
    )


def _whitened(rows: Square, z: Square) -> Square:
    """Return ``rows``, shape (K, D), times the inverse of the shrunk covariance of ``z``.

    Fewer items than features span few directions, so what is inverted then has the size of the
    items (Woodbury's identity), not of the features.
    """
    n, width = z.shape
    if n >= width:
        return np.asarray(np.linalg.solve(shrunk(z), rows.T).T)
    share, size = shrinkage(z)
    far, near = share * size, (1 - share) / n
    inner = np.linalg.solve(near * z @ z.T + far * np.eye(n), z @ rows.T)
    return np.asarray((rows - near * inner.T @ z) / far)


def shrunk(z: Square) -> Square:
    """Return the covariance of centred rows, shape (N, D), drawn towards a multiple of identity.

    >>> shrunk(np.zeros((3, 2))).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    share, size = shrinkage(z)
    return np.asarray((1 - share) / len(z) * z.T @ z + share * size * np.eye(z.shape[1]))


def shrinkage(z: Square) -> tuple[float, float]:
    """Return what share of the covariance of centred rows, shape (N, D), the identity gets.

    And by what it is multiplied: the mean variance.

    Source: Ledoit and Wolf 2004, "A well-conditioned estimator for large-dimensional covariance
    matrices", theorem 3.2 with lemmas 3.2 to 3.5.

    >>> shrinkage(np.zeros((3, 2)))
    (1.0, 1.0)
    """
    n, width = z.shape
    size = float((z**2).sum() / (n * width))
    if size == 0:
        return 1.0, 1.0  # a single item a class: the nearest mean
    # Of z z' and z' z the smaller: their entries' squares have one sum.
    squares = ((z @ z.T if n < width else z.T @ z) ** 2).sum() / n**2
    away = squares - width * size**2
    noise = (((z**2).sum(axis=1) ** 2).mean() - squares) / n
    return max(LEAST, min(1.0, float(noise / away))) if away > 0 else 1.0, size
