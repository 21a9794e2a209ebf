"""What a stage of training minimises, and the batches that it reads."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the field's own name for it

from headstart.boundary.inputs import Indices, in_batches
from headstart.training.contrastive import contrastive_batches, supervised_contrastive

if TYPE_CHECKING:
    from headstart.strategies.plan import Stage
    from headstart.training.job import Job

TEMPERATURE = 0.3
"""Of the contrastive loss: chosen on held-out training rows of AG News."""


class Objective(Protocol):
    """What the loop asks of an objective; ``steps`` is the number of batches of an epoch."""

    steps: int

    def order(self, epoch: int) -> list[Indices]:
        """Return the batches of ``epoch``."""

    def loss(self, features: Tensor, indices: Indices) -> Tensor:
        """Return the loss of the ``features``, shape (N, D), of the items at ``indices``."""


class Classes:
    """Cross-entropy of a linear head; each item once an epoch, in a new order.

    Args:
        head: from features to logits.
        labels: shape (N,), of the whole data set.
        fit: indices of the items to train on.
        batch: items a step, at most.
        seed: of the orders.
        smoothing: label smoothing, 0..1.
        weighted: weigh classes by the inverse of their number of examples.
    """

    def __init__(
        self,
        head: nn.Linear,
        labels: npt.NDArray[np.int64],
        fit: Indices,
        *,
        batch: int,
        seed: int,
        smoothing: float = 0.0,
        weighted: bool = False,
    ) -> None:
        self.head, self.labels, self.fit = head, labels, fit
        self.batch, self.seed, self.smoothing = batch, seed, smoothing
        self.steps = len(in_batches(fit, batch))
        self.weights = class_weights(labels[fit], head.out_features) if weighted else None

    def order(self, epoch: int) -> list[Indices]:
        """Return all items in batches of nearly equal length, in a random order."""
        shuffled = np.random.default_rng([self.seed, 3, epoch]).permutation(self.fit)
        return in_batches(shuffled, self.batch)

    def loss(self, features: Tensor, indices: Indices) -> Tensor:
        """Return the mean cross-entropy."""
        logits = self.head(features).float()
        target = torch.from_numpy(self.labels[indices]).to(logits.device)
        weights = None if self.weights is None else self.weights.to(logits.device)
        return F.cross_entropy(logits, target, weight=weights, label_smoothing=self.smoothing)


class Contrastive:
    """Items of one class come near each other, and away from others; no head takes part.

    See `headstart.training.contrastive`; batches hold each class equally often.
    """

    def __init__(
        self, labels: npt.NDArray[np.int64], fit: Indices, *, batch: int, seed: int
    ) -> None:
        self.labels, self.fit, self.batch, self.seed = labels, fit, batch, seed
        self.steps = len(in_batches(fit, batch))

    def order(self, epoch: int) -> list[Indices]:
        """Return as many batches as hold every item about once."""
        seed = int(np.random.SeedSequence([self.seed, epoch]).generate_state(1)[0])
        drawn = contrastive_batches(self.labels[self.fit], batch=self.batch, seed=seed)
        return [self.fit[batch] for batch in islice(drawn, self.steps)]

    def loss(self, features: Tensor, indices: Indices) -> Tensor:
        """Return the supervised contrastive loss over all pairs of the batch."""
        labels = torch.from_numpy(self.labels[indices]).to(features.device)
        return supervised_contrastive(features.float(), labels, TEMPERATURE)


def class_weights(labels: npt.NDArray[np.int64], n_classes: int) -> Tensor:
    """Return weights inversely proportional to class counts, with mean 1 over the examples."""
    counts = np.bincount(labels, minlength=n_classes)
    weights = len(labels) / (np.maximum(counts, 1) * max(1, (counts > 0).sum()))
    return torch.tensor(weights, dtype=torch.float32)


def objective(stage: Stage, head: nn.Linear, job: Job) -> Objective:
    """Return what ``stage`` minimises, over the items of ``job``."""
    o = job.options
    batch = stage.batch or o.batch
    if stage.objective == "contrastive":
        return Contrastive(job.labels, job.fit, batch=batch, seed=job.seed)
    return Classes(
        head,
        job.labels,
        job.fit,
        batch=batch,
        seed=job.seed,
        smoothing=o.smoothing,
        weighted=o.class_weights,
    )
