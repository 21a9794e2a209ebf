"""`mcc`: answers for the target that confuse no two classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from headstart.adaptation.method import Method, Pair


def minimum_class_confusion(logits: Tensor, temperature: float = 2.5) -> Tensor:
    """Return how much a batch's answers confuse classes with each other, 0 to below 1.

    With probabilities Y = softmax(logits / T) and weights W, that are the larger the surer an
    answer is and have mean 1, the class correlation C = Y^T diag(W) Y is divided by its row sums;
    the loss is the sum of what lies off the diagonal, divided by the number of classes. It needs no
    second network and no label, and leaves sure answers alone.

    Args:
        logits: of target items, shape (N, K).
        temperature: above 0; above 1 it softens answers that are too sure.

    Source: Jin et al. 2020, arXiv:1912.03699, equations 2 to 6.

    >>> float(minimum_class_confusion(torch.zeros(4, 2)))
    0.5
    >>> round(float(minimum_class_confusion(torch.tensor([[99.0, 0.0], [0.0, 99.0]]))), 3)
    0.0
    """
    chance = (logits / temperature).softmax(1)
    certainty = 1 + torch.exp(-entropy(chance))
    weight = certainty / certainty.mean()
    confusion = (chance * weight[:, None]).T @ chance
    confusion = confusion / confusion.sum(1, keepdim=True)
    return (confusion.sum() - confusion.trace()) / len(confusion)


def entropy(chance: Tensor) -> Tensor:
    """Return the entropy of each row, in nats, shape (N,), of probabilities (N, K)."""
    return -torch.xlogy(chance, chance.clamp(min=1e-12)).sum(-1)


@dataclass(frozen=True)
class ClassConfusion(Method):
    """Learn the source's labels, and not to confuse classes in the target.

    When: nearly always the first to try: in public benchmarks it hardly ever ended below the
    source alone. When not: classes of the source that the target does not have, which it may
    answer all the same.
    """

    by_steps: ClassVar[bool] = True
    temperature: float = 2.5
    strength: float = 1.0

    def loss(self, pair: Pair) -> Tensor:
        """Return the confusion of the target's batch."""
        return self.strength * minimum_class_confusion(pair.target_logits, self.temperature)
