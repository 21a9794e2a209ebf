"""`coral`: the source's correlations become the target's, in closed form or as a loss."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from headstart.adaptation.method import Method, Pair


def covariance(x: Tensor) -> Tensor:
    """Return the covariance, shape (D, D), of N >= 2 rows of shape (N, D), divided by N - 1."""
    centred = x - x.mean(0)
    return centred.T @ centred / (len(x) - 1)


def recolouring(source: Tensor, target: Tensor, ridge: float = 1.0) -> Tensor:
    """Return A, shape (D, D), such that centred source rows times A have the target's covariance.

    A = (C_s + r I)^(-1/2) (C_t + r I)^(1/2), computed in 64 bits.

    Args:
        source: shape (N, D), N >= 2.
        target: shape (M, D), M >= 2.
        ridge: r, above 0, in units of a variance; 1, as in the paper, suits features of about
            unit variance, and keeps A finite where there are fewer rows than features.

    Source: Sun, Feng and Saenko 2016, arXiv:1511.05547, algorithm 1.

    >>> x = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    >>> a = recolouring(x, 2 * x, ridge=1e-9)
    >>> [[round(v, 3) + 0.0 for v in row] for row in a.tolist()]
    [[2.0, 0.0], [0.0, 2.0]]
    """
    source, target, dtype = source.double(), target.double(), source.dtype
    if 2 * (len(source) + len(target)) < source.shape[1]:
        return _in_span(source, target, ridge).to(dtype)
    c_s, c_t = covariance(source), covariance(target)
    eye = ridge * torch.eye(source.shape[1], dtype=torch.float64, device=source.device)
    found: Tensor = _power(c_s + eye, -0.5) @ _power(c_t + eye, 0.5)
    return found.to(dtype)


def _in_span(source: Tensor, target: Tensor, ridge: float) -> Tensor:
    """Return the same A from the few directions that the rows span; elsewhere it is the identity.

    There both covariances are 0, so that (r I)^(-1/2) (r I)^(1/2) is all that is left.
    """
    rows = torch.cat([source - source.mean(0), target - target.mean(0)])
    basis = torch.linalg.qr(rows.T)[0]
    inner = recolouring(source @ basis, target @ basis, ridge)
    eye = torch.eye(source.shape[1], dtype=source.dtype, device=source.device)
    inside = inner - torch.eye(len(inner), dtype=inner.dtype, device=inner.device)
    found: Tensor = eye + basis @ inside @ basis.T
    return found


def _power(matrix: Tensor, exponent: float) -> Tensor:
    """Return a power of a symmetric positive matrix."""
    values, vectors = torch.linalg.eigh(matrix)
    found: Tensor = (vectors * values.clamp(min=1e-12) ** exponent) @ vectors.T
    return found


def coral_loss(source: Tensor, target: Tensor) -> Tensor:
    """Return the squared Frobenius distance of the two covariances, divided by 4 D^2.

    Args:
        source: features of a batch, shape (N, D), N >= 2.
        target: features of a batch, shape (M, D), M >= 2.

    Source: Sun and Saenko 2016, arXiv:1607.01719, equation 1.

    >>> x = torch.tensor([[1.0], [-1.0]])
    >>> float(coral_loss(x, x)), float(coral_loss(x, 0 * x))
    (0.0, 1.0)
    """
    gap = covariance(source) - covariance(target)
    return (gap * gap).sum() / (4 * source.shape[1] ** 2)


@dataclass(frozen=True)
class CorrelationAlignment(Method):
    """Give the source the correlations of the target; above trained blocks, as a loss.

    When: a cheap, steady step where the classes of both domains are alike in number. When not: few
    items of many features, whose covariance says little.
    """

    strength: float = 1.0

    def matrix(self, source: Tensor, target: Tensor) -> Tensor:
        """Return the closed form."""
        return recolouring(source, target)

    def loss(self, pair: Pair) -> Tensor:
        """Return the distance of the covariances of the batch."""
        return self.strength * coral_loss(pair.source, pair.target)
