"""`norm`: each domain in its own statistics."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from headstart.adaptation.method import Method

FLOOR = 0.1
"""Added to every spread, as a share of the mean one: features that hardly ever fire would
otherwise be blown up into noise."""


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and the spread, shape (D,) each, of features of shape (N, D).

    The spread is the standard deviation (over N, not N - 1) and `FLOOR` times the mean of all;
    where nothing differs it is 1.

    >>> import torch
    >>> mean, spread = moments(torch.tensor([[0.0, 1.0], [2.0, 1.0]]))
    >>> mean.tolist(), [round(s, 3) for s in spread.tolist()]
    ([1.0, 1.0], [1.05, 0.05])
    """
    spread = x.std(0, correction=0)
    floored = spread + FLOOR * spread.mean()
    return x.mean(0), floored.where(floored > 0, 1.0)


def standardised(x: Tensor, mean: Tensor, spread: Tensor) -> Tensor:
    """Return (x - mean) / spread, shape (N, D).

    With each domain's own moments, a shift or a scaling of the whole domain is gone; what is left
    of it lies between the features. Source: Li et al. 2016, arXiv:1603.04779, equation 1 (adaptive
    batch normalisation), here on the features of a frozen network.
    """
    return (x - mean) / spread


@dataclass(frozen=True)
class OwnStatistics(Method):
    """Bring each domain to its own statistics, then learn from the source.

    When: the whole target is darker, paler or noisier. When not: its classes come in another mix,
    which moves the statistics too. Of networks with batch norm, their features under the domain's
    own batch statistics are joined to those that they learned with.
    """
