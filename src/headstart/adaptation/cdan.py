"""`cdan`: as `dann`, but the discriminator sees what the item is taken for as well."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the field's own name for it

from headstart.adaptation.dann import discriminator, reverse, schedule
from headstart.adaptation.mcc import entropy
from headstart.adaptation.method import Method, Pair

MOST = 1024
"""Length of the joint vector above which random products stand in for all of them."""


def joint(features: Tensor, chance: Tensor) -> Tensor:
    """Return all products of a feature and a probability, shape (N, D K).

    So domains are told apart class by class. Source: Long et al. 2018, arXiv:1705.10667, equation
    4 (the multilinear map).

    >>> joint(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.25, 0.75]])).tolist()
    [[0.25, 0.5, 0.75, 1.5]]
    """
    return (chance[:, :, None] * features[:, None, :]).flatten(1)


def random_joint(features: Tensor, chance: Tensor, r_f: Tensor, r_g: Tensor) -> Tensor:
    """Return M random combinations of the products, shape (N, M): (f R_f) * (g R_g) / sqrt(M).

    Args:
        features: f, shape (N, D).
        chance: g, shape (N, K).
        r_f: R_f, shape (D, M), of standard normal numbers drawn once.
        r_g: R_g, shape (K, M), likewise.

    Inner products have the expectation of those of `joint`. Source: Long et al. 2018, equation 6.
    """
    product: Tensor = (features @ r_f) * (chance @ r_g) / r_f.shape[1] ** 0.5
    return product


def certainty_weights(chance: Tensor) -> Tensor:
    """Return 1 + exp(-entropy) of each row, divided by the mean, shape (N,): sure items lead.

    Source: Long et al. 2018, equation 8 (CDAN+E).

    >>> certainty_weights(torch.tensor([[0.5, 0.5], [0.5, 0.5]])).tolist()
    [1.0, 1.0]
    """
    weight = 1 + torch.exp(-entropy(chance))
    return weight / weight.mean()


def conditional_loss(source: Tensor, target: Tensor, w_s: Tensor, w_t: Tensor) -> Tensor:
    """Return the discriminator's cross-entropy, items weighted, each domain counted half.

    Args:
        source: logits of source items, shape (N, 1).
        target: logits of target items, shape (M, 1).
        w_s: weights of the source items with mean 1, shape (N,).
        w_t: weights of the target items with mean 1, shape (M,).
    """
    of_source = (w_s * F.softplus(-source[:, 0])).mean()
    of_target = (w_t * F.softplus(target[:, 0])).mean()
    return (of_source + of_target) / 2


class Joint(nn.Module):
    """A discriminator of features and answers together; random products where there are many."""

    r_f: Tensor
    r_g: Tensor

    def __init__(self, n_features: int, n_classes: int) -> None:
        super().__init__()
        self.random = n_features * n_classes > MOST
        self.tell = discriminator(MOST if self.random else n_features * n_classes)
        shape = (MOST if self.random else 0,)
        self.register_buffer("r_f", torch.randn(n_features, *shape))
        self.register_buffer("r_g", torch.randn(n_classes, *shape))

    def forward(self, features: Tensor, chance: Tensor) -> Tensor:
        """Return a logit an item, (N, 1), above 0 for the source."""
        if self.random:
            return self.tell(random_joint(features, chance, self.r_f, self.r_g))  # type: ignore[no-any-return]
        return self.tell(joint(features, chance))  # type: ignore[no-any-return]


@dataclass(frozen=True)
class ConditionalAdversarial(Method):
    """Learn features by which the domains cannot be told apart class by class; sure items lead.

    When: as `dann`, and the classes lie far apart. When not: as `dann`; an early wrong answer is
    believed.
    """

    by_steps: ClassVar[bool] = True
    moves: ClassVar[bool] = True
    strength: float = 1.0

    def modules(self, n_features: int, n_classes: int) -> dict[str, nn.Module]:
        """Return the discriminator."""
        return {"discriminator": Joint(n_features, n_classes)}

    def loss(self, pair: Pair) -> Tensor:
        """Return the discriminator's loss; its gradient arrives at the features reversed."""
        strength = self.strength * schedule(pair.progress)
        told, weights = [], []
        for features, logits in (
            (pair.source, pair.source_logits),
            (pair.target, pair.target_logits),
        ):
            chance = logits.softmax(1)
            # The answers are taken as given, as the authors' code does: a head that is moved to
            # hide the domain, at a head's rate, forgets the classes.
            x = reverse(features, strength)
            told.append(pair.modules["discriminator"](x, chance.detach()))
            weights.append(certainty_weights(chance).detach())
        return conditional_loss(told[0], told[1], weights[0], weights[1])
