"""What a stage of training minimises, and the batches that it reads."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from headstart.boundary.inputs import Indices, in_batches
from headstart.tasks.task import Targets
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


class Supervised:
    """The task's loss of a linear head; each item once an epoch, in a new order.

    Args:
        head: from features to outputs.
        targets: of the whole data set.
        fit: indices of the items to train on.
        batch: items a step, at most.
        seed: of the orders.
        smoothing: label smoothing, 0..1.
        weighted: weigh classes by the inverse of their number of examples.
    """

    def __init__(
        self,
        head: nn.Linear,
        targets: Targets,
        fit: Indices,
        *,
        batch: int,
        seed: int,
        smoothing: float = 0.0,
        weighted: bool = False,
    ) -> None:
        self.head, self.values, self.fit = head, targets.values, fit
        self.batch, self.seed = batch, seed
        self.steps = len(in_batches(fit, batch))
        self.criterion = targets.task.criterion(
            targets.values[fit], smoothing=smoothing, weighted=weighted
        )

    def order(self, epoch: int) -> list[Indices]:
        """Return all items in batches of nearly equal length, in a random order."""
        shuffled = np.random.default_rng([self.seed, 3, epoch]).permutation(self.fit)
        return in_batches(shuffled, self.batch)

    def loss(self, features: Tensor, indices: Indices) -> Tensor:
        """Return the mean loss of the batch."""
        return self.criterion(self.head(features).float(), self.values[indices])


class Contrastive:
    """Items of one class come near each other, and away from others; no head takes part.

    See `headstart.training.contrastive`; batches hold each class equally often.
    """

    def __init__(self, labels: Indices, fit: Indices, *, batch: int, seed: int) -> None:
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


def objective(stage: Stage, head: nn.Linear, job: Job) -> Objective:
    """Return what ``stage`` minimises, over the items of ``job``."""
    o = job.options
    batch = stage.batch or o.batch
    if stage.objective == "contrastive":
        groups = job.targets.task.groups(job.targets.values)
        return Contrastive(groups, job.fit, batch=batch, seed=job.seed)
    return Supervised(
        head,
        job.targets,
        job.fit,
        batch=batch,
        seed=job.seed,
        smoothing=o.smoothing,
        weighted=o.class_weights,
    )
