"""`reweight`: source examples count by how likely they are in the target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from headstart.adaptation.method import Method, Pair

MOST = 10.0
"""The largest weight: a few examples must not stand for all."""


def density_ratio(source: Tensor, target: Tensor, strength: float = 0.1) -> Tensor:
    """Return p_target(x) / p_source(x) for each source row, with mean 1, shape (N,).

    A logistic classifier tells the domains apart, each counted half; its odds for the target are
    the ratio (Bickel, Brueckner and Scheffer 2009, JMLR 10, section 5, covariate shift). Ratios
    are cut at `MOST` before they get mean 1.

    Args:
        source: shape (N, D).
        target: shape (M, D).
        strength: inverse regularisation C of the classifier on features of unit variance; the
            smaller, the nearer the weights are to 1.

    >>> x = torch.tensor([[-1.0], [1.0]])
    >>> w = density_ratio(x, torch.tensor([[1.0], [1.0]]))
    >>> bool(w[1] > w[0]), round(float(w.mean()), 6)
    (True, 1.0)
    """
    both = torch.cat([source, target]).double()
    both = (both - both.mean(0)) / both.std(0, correction=0).clamp(min=1e-6)
    share = torch.cat([
        torch.full((len(rows),), 0.5 / len(rows), dtype=torch.float64)
        for rows in (source, target)
    ]).to(both.device)  # fmt: skip
    of_target = (torch.arange(len(both), device=both.device) >= len(source)).double()
    weight = _logistic(both, of_target, share, strength)
    odds = torch.exp(both[: len(source)] @ weight[:-1] + weight[-1]).clamp(max=MOST)
    return (odds / odds.mean()).to(source.dtype)


def _logistic(x: Tensor, truth: Tensor, share: Tensor, strength: float) -> Tensor:
    """Minimise |w|^2 / 2 / C + the weighted sum of log losses by L-BFGS; the bias comes last."""
    x = torch.cat([x, torch.ones_like(x[:, :1])], 1)
    weight = torch.zeros(x.shape[1], dtype=x.dtype, device=x.device, requires_grad=True)
    solver = torch.optim.LBFGS([weight], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        solver.zero_grad()
        logit = x @ weight
        nll = torch.nn.functional.softplus(logit) - truth * logit
        value = (share * nll).sum() + (weight[:-1] ** 2).sum() / (2 * strength * len(x))
        value.backward()  # type: ignore[no-untyped-call]
        return value

    solver.step(loss)  # type: ignore[no-untyped-call]
    return weight.detach()


@dataclass(frozen=True)
class Reweighted(Method):
    """Let source examples count by how likely they are in the target.

    When: the target is a part of the source, another mix of the same. When not: the domains hardly
    overlap, and a few examples would stand for all.
    """

    own: ClassVar[bool] = False
    by_steps: ClassVar[bool] = True
    kept_only: ClassVar[bool] = True
    strength: float = 0.1

    def weights(self, source: Tensor, target: Tensor) -> Tensor:
        """Return the density ratios."""
        return density_ratio(source, target, self.strength)

    def loss(self, pair: Pair) -> Tensor:
        """Return 0: the weights are all there is to it."""
        return pair.target_logits.new_zeros(())
