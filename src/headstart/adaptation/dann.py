"""`dann`: features by which a second network cannot tell the domains apart."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the field's own name for it

from headstart.adaptation.method import Method, Pair


class _Reversed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * gradients[0], None


def reverse(x: Tensor, strength: float) -> Tensor:
    """Return ``x``; its gradient comes back times -``strength``.

    Source: Ganin et al. 2016, arXiv:1505.07818, equations 17 and 18.

    >>> x = torch.ones(2, requires_grad=True)
    >>> reverse(x, 0.5).sum().backward()
    >>> x.grad.tolist()
    [-0.5, -0.5]
    """
    out: Tensor = _Reversed.apply(x, strength)
    return out


def schedule(progress: float) -> float:
    """Return the strength of the reversal, 0 at first and near 1 at the end of training.

    2 / (1 + exp(-10 p)) - 1, with ``progress`` p from 0 to 1: while the discriminator still knows
    nothing, it does not disturb. Source: Ganin et al. 2016, section 5.2.

    >>> schedule(0.0), round(schedule(0.5), 3)
    (0.0, 0.987)
    """
    return 2 / (1 + math.exp(-10 * progress)) - 1


def discriminator(n_inputs: int, width: int = 128) -> nn.Sequential:
    """Return a network from (N, n_inputs) to one logit an item, above 0 for the source."""
    return nn.Sequential(
        nn.Linear(n_inputs, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(),
        nn.Linear(width, 1),
    )  # fmt: skip


def domain_loss(source: Tensor, target: Tensor) -> Tensor:
    """Return the mean cross-entropy of a discriminator's logits, each domain counted half.

    Args:
        source: logits of source items, shape (N, 1).
        target: logits of target items, shape (M, 1).

    >>> round(float(domain_loss(torch.zeros(2, 1), torch.zeros(3, 1))), 4)
    0.6931
    """
    return (F.softplus(-source).mean() + F.softplus(target).mean()) / 2


@dataclass(frozen=True)
class Adversarial(Method):
    """Learn features by which a discriminator cannot tell the domains apart.

    When: blocks are trained, with thousands of items of both domains. When not: on kept features,
    where a linear map is all that can move; and little data, for which two networks against each
    other are unsteady.
    """

    by_steps: ClassVar[bool] = True
    moves: ClassVar[bool] = True
    strength: float = 1.0

    def modules(self, n_features: int, n_classes: int) -> dict[str, nn.Module]:
        """Return the discriminator."""
        return {"discriminator": discriminator(n_features)}

    def loss(self, pair: Pair) -> Tensor:
        """Return the discriminator's loss; its gradient arrives at the features reversed."""
        strength = self.strength * schedule(pair.progress)
        tell = pair.modules["discriminator"]
        return domain_loss(
            tell(reverse(pair.source, strength)), tell(reverse(pair.target, strength))
        )
