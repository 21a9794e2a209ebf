"""Heads of several labels: one of two classes for each label, by itself."""

from __future__ import annotations

import numpy as np

from headstart.tasks.head import Head
from headstart.tasks.solvers import ABSENT, SOLVERS
from headstart.tasks.task import Indices, Matrix, Solver, Values


def one_against_rest(solver: Solver) -> Solver:
    """Return the solver of L labels that asks ``solver`` of two classes for each by itself.

    Labels that the same items have, as rare ones often are, have the same answer.
    """

    def solve(x: Matrix, y: Values, n_outputs: int, strength: float) -> Head:
        known: dict[bytes, Head] = {}
        pairs = []
        for column in np.asarray(y[:, :n_outputs].T, np.int64):
            key = column.tobytes()
            if key not in known:
                known[key] = _pair(solver, x, column, strength)
            pairs.append(known[key])
        weight = np.stack([pair.weight[1] - pair.weight[0] for pair in pairs])
        bias = np.array([pair.bias[1] - pair.bias[0] for pair in pairs], np.float32)
        squares = [pair.square[1] - pair.square[0] for pair in pairs if pair.square is not None]
        return Head(weight, bias, np.stack(squares) if squares else None)

    return solve


def _pair(solver: Solver, x: Matrix, y: Indices, strength: float) -> Head:
    """Return the head of having a label and not; of a label that all or none have, its bias."""
    if 0 < y.sum() < len(y):
        return solver(x, y, 2, strength)
    weight = np.zeros((2, x.shape[1]), np.float32)
    bias = np.array([0, -ABSENT if y.any() else ABSENT], np.float32)
    return Head(weight, bias, weight if solver is SOLVERS["bayes"] else None)
