"""What is expected of each item from all others: kernel ridge regression, in closed form.

To doubt a label one wants an answer that has not seen it, from as much of the rest as there is.
With folds a fifth is missing; here only the item itself is, and nothing is solved twice. Against
logistic heads on folds it found more of the wrong labels put into other sets, see docs/results.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from headstart.tasks.solvers import softmax
from headstart.tasks.task import Indices, Matrix
from headstart.tasks.temperature import fit_temperature

Square = npt.NDArray[np.float64]

MOST = 1500
"""Items beyond which the square matrix takes longer than folds do."""

WIDTH = 0.5
"""Of the kernel: exp(-WIDTH d^2 / the median of d^2)."""

PENALTIES = (0.1, 0.3, 1.0, 3.0)
"""Of the ridge; the one whose answers make the labels most likely is taken."""


def left_out(
    features: Matrix, labels: Indices, widths: Sequence[int] = ()
) -> tuple[Indices, Matrix]:
    """Return rows, and the probabilities of the classes from models that have not seen the row.

    Args:
        features: shape (N, D).
        labels: shape (N,), of classes 0 and up.
        widths: lengths of the vectors that were joined, which then weigh alike.

    Returns:
        rows: shape (M,); the only item of a class is left out, which the others know nothing of.
        chances: shape (M, C).

    >>> rows, chances = left_out(np.array([[0.0], [0.1], [1.0], [1.1]]), np.array([0, 0, 1, 1]))
    >>> chances.argmax(axis=1).tolist()
    [0, 0, 1, 1]
    """
    rows = np.flatnonzero(np.bincount(labels)[labels] > 1)
    present, known = np.unique(labels[rows], return_inverse=True)
    chances = np.zeros((len(rows), int(labels.max()) + 1), np.float32)
    if not len(rows):
        return rows, chances
    kernel = similar(features[rows], widths)
    found = [_calibrated(answers(kernel, known, penalty), known) for penalty in PENALTIES]
    own = np.arange(len(rows)), known
    best = max(found, key=lambda one: float(np.log(np.maximum(one[own], 1e-12)).mean()))
    chances[:, present] = best
    return rows, chances


def similar(features: Matrix, widths: Sequence[int] = ()) -> Square:
    """Return the Gaussian kernel of the directions in which the items lie from their mean.

    One is added for the offset of the regression.
    """
    centred = np.asarray(features, np.float64) - features.mean(axis=0)
    ends = np.cumsum(widths)[:-1].astype(int)
    parts = [one / max(np.sqrt((one**2).mean()), 1e-12) for one in np.split(centred, ends, axis=1)]
    rows = np.concatenate(parts, axis=1)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    apart = np.maximum(2 - 2 * rows @ rows.T, 0)
    usual = float(np.median(apart[~np.eye(len(apart), dtype=bool)])) or 1.0
    return np.asarray(np.exp(-WIDTH * apart / usual) + 1)


def answers(kernel: Square, labels: Indices, penalty: float) -> Square:
    """Return what the regression on all others says of each item, shape (N, C).

    With A = (kernel + penalty I)^-1 and targets T of -1 and 1, the model without item i says
    T_i - (A T)_i / A_ii of it (Rasmussen and Williams 2006, Gaussian Processes for Machine
    Learning, equation 5.12).
    """
    target = np.where(labels[:, None] == np.arange(labels.max() + 1), 1.0, -1.0)
    inverse = np.linalg.inv(kernel + penalty * np.eye(len(kernel)))
    return np.asarray(target - inverse @ target / np.diag(inverse)[:, None])


def _calibrated(outputs: Square, labels: Indices) -> Matrix:
    found = np.asarray(outputs, np.float32)
    return softmax(np.asarray(found / fit_temperature(found, labels), np.float32))
