"""What every solver ends in: outputs that are linear in the features, kept as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Head:
    """outputs = x @ weight.T + x**2 @ square.T + bias, then divided by ``temperature``.

    Attributes:
        weight: shape (K, D).
        bias: shape (K,).
        square: shape (K, D), or None.
        temperature: above 0; fitted on predictions for items that were not trained on, so that
            probabilities mean what they say (Guo et al. 2017, arXiv:1706.04599).
        chosen: what the inner cross-validation chose, for the report.
    """

    weight: Matrix
    bias: Matrix
    square: Matrix | None = None
    temperature: float = 1.0
    chosen: str = ""

    def logits(self, x: Matrix) -> Matrix:
        """Return the calibrated outputs, shape (N, K), of features of shape (N, D)."""
        out = x @ self.weight.T + self.bias
        if self.square is not None:
            out = out + (x * x) @ self.square.T
        return np.asarray(out / self.temperature, np.float32)
