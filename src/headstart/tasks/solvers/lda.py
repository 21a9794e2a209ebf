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
    weight = np.linalg.solve(shrunk(data - means[index]), means.T).T
    prior = np.bincount(index) / len(y)
    return of_present(
        n_classes, present, weight, np.log(prior) - 0.5 * (means * weight).sum(axis=1)
    )


def shrunk(z: Square) -> Square:
    """Return the covariance of centred rows, shape (N, D), drawn towards a multiple of identity.

    Source: Ledoit and Wolf 2004, "A well-conditioned estimator for large-dimensional covariance
    matrices", theorem 3.2 with lemmas 3.2 to 3.5.

    >>> shrunk(np.zeros((3, 2))).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    n, width = z.shape
    found = z.T @ z / n
    size = np.trace(found) / width
    if size == 0:
        return np.eye(width)  # a single item a class: the nearest mean
    away = (found**2).sum() - width * size**2
    noise = (((z**2).sum(axis=1) ** 2).mean() - (found**2).sum()) / n
    share = max(LEAST, min(1.0, noise / away)) if away > 0 else 1.0
    return np.asarray((1 - share) * found + share * size * np.eye(width))
