"""`shot`: the target alone, from a model that has learned the source: sure and varied answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the field's own name for it

from headstart.adaptation.mcc import entropy
from headstart.adaptation.method import Method, Pair

KEPT = 0.9
"""How much of the centroids a batch leaves as they were."""


def information_maximisation(logits: Tensor) -> Tensor:
    """Return the mean entropy of the answers less the entropy of the mean answer, in nats.

    Each answer is to be sure, and all classes are to be answered; from -log K (best) to 0.

    Args:
        logits: of target items, shape (N, K).

    Source: Liang, Hu and Feng 2020, arXiv:2002.08546, equations 3 and 4.

    >>> round(float(information_maximisation(torch.tensor([[99.0, 0.0], [0.0, 99.0]]))), 4)
    -0.6931
    """
    chance = logits.softmax(1)
    return entropy(chance).mean() - entropy(chance.mean(0))


def centroids(features: Tensor, chance: Tensor) -> Tensor:
    """Return the mean of features of length 1, weighted by each class's probability, (K, D).

    Args:
        features: shape (N, D).
        chance: shape (N, K).

    Source: Liang, Hu and Feng 2020, equation 5.
    """
    unit = F.normalize(features, dim=1)
    return chance.T @ unit / chance.sum(0)[:, None].clamp(min=1e-6)


def nearest(features: Tensor, centres: Tensor) -> Tensor:
    """Return the class, shape (N,), whose centroid has the largest cosine with the features.

    Source: Liang, Hu and Feng 2020, equation 6.

    >>> nearest(torch.tensor([[1.0, 0.1], [0.0, 3.0]]), torch.eye(2)).tolist()
    [0, 1]
    """
    return (F.normalize(features, dim=1) @ F.normalize(centres, dim=1).T).argmax(1)


class Centres(nn.Module):
    """The classes' centroids, a moving average over batches; checkpoints hold them."""

    value: Tensor

    def __init__(self, n_features: int, n_classes: int) -> None:
        super().__init__()
        self.register_buffer("value", torch.zeros(n_classes, n_features))

    @torch.no_grad()
    def labels(self, features: Tensor, chance: Tensor) -> Tensor:
        """Return each item's nearest centroid, after the centroids have moved by this batch."""
        new = centroids(features, chance)
        keep = KEPT if self.value.any() else 0.0
        self.value.mul_(keep).add_(new, alpha=1 - keep)
        return nearest(features, self.value)


@dataclass(frozen=True)
class SourceHypothesis(Method):
    """Start from what the source taught, then see the target alone.

    When: the source may not be kept or shown. When not: the target lacks classes, for varied
    answers are asked for. The paper freezes the head and moves the features; on kept features the
    head moves, which comes to the same, for a head of moved features is a head.
    """

    by_steps: ClassVar[bool] = True
    source_free: ClassVar[bool] = True
    pull: float = 0.3

    def modules(self, n_features: int, n_classes: int) -> dict[str, nn.Module]:
        """Return the centroids."""
        return {"centres": Centres(n_features, n_classes)}

    def loss(self, pair: Pair) -> Tensor:
        """Return the information loss and the cross-entropy with the nearest centroids' classes."""
        logits, centres = pair.target_logits, pair.modules["centres"]
        assert isinstance(centres, Centres)
        labels = centres.labels(pair.target.detach(), logits.detach().softmax(1))
        return information_maximisation(logits) + self.pull * F.cross_entropy(logits, labels)
