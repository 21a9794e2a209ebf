"""The objectives that the loop knows by itself: what the labels say, and pairs of like items."""

from __future__ import annotations

from itertools import islice

import numpy as np
import torch
from torch import Tensor, nn

from headstart.boundary.inputs import Indices, in_batches
from headstart.errors import UsageError
from headstart.tasks.task import Matrix, Targets
from headstart.training.contrastive import contrastive_batches, supervised_contrastive
from headstart.training.job import Maker, Scene
from headstart.training.objective import NONE, Objective, Step

TEMPERATURE = 0.3
"""Of the contrastive loss: chosen on held-out training rows of AG News."""


class Supervised(Objective):
    """The task's loss of a linear head; each item once an epoch, in a new order.

    Args:
        head: from features to outputs.
        targets: of the whole data set.
        fit: indices of the items to train on.
        batch: items a step, at most.
        seed: of the orders.
        smoothing: label smoothing, 0..1.
        weighted: weigh classes by the inverse of their number of examples.
        select: indices of the items that choose the best epoch.
    """

    def __init__(
        self,
        head: nn.Module,
        targets: Targets,
        fit: Indices,
        *,
        batch: int,
        seed: int,
        smoothing: float = 0.0,
        weighted: bool = False,
        select: Indices = NONE,
    ) -> None:
        super().__init__(fit, len(in_batches(fit, batch)), judges=select)
        self.head, self.task, self.values = head, targets.task, targets.values
        self.batch, self.seed = batch, seed
        self.criterion = targets.task.criterion(
            targets.values[fit], smoothing=smoothing, weighted=weighted
        )

    @classmethod
    def of(cls, scene: Scene) -> Supervised:
        """Return the objective of the scene's targets, as its options say."""
        job = scene.job
        return cls(
            scene.head,
            job.known,
            job.fit,
            batch=scene.batch,
            seed=job.seed,
            smoothing=job.options.smoothing,
            weighted=job.options.class_weights,
            select=job.select,
        )

    def order(self, epoch: int) -> list[Indices]:
        """Return all items in batches of nearly equal length, in a random order."""
        shuffled = np.random.default_rng([self.seed, 3, epoch]).permutation(self.reads)
        return in_batches(shuffled, self.batch)

    def loss(self, step: Step) -> Tensor:
        """Return the mean loss of the batch."""
        return self.criterion(self.head(step.joined).float(), self.values[step.indices])

    def judge(self, outputs: Matrix) -> dict[str, float]:
        """Return the task's loss, and its figure for people."""
        return self.task.judge(outputs, self.values[self.judges])


class Contrastive(Objective):
    """Items of one class come near each other, and away from others; no head takes part.

    See `headstart.training.contrastive`; batches hold each class equally often.
    """

    def __init__(self, labels: Indices, fit: Indices, *, batch: int, seed: int) -> None:
        super().__init__(fit, len(in_batches(fit, batch)))
        self.labels, self.batch, self.seed = labels, batch, seed

    @classmethod
    def of(cls, scene: Scene) -> Contrastive:
        """Return the objective of the scene's items and their classes."""
        known = scene.job.known
        labels = known.task.groups(known.values)
        return cls(labels, scene.job.fit, batch=scene.batch, seed=scene.job.seed)

    def order(self, epoch: int) -> list[Indices]:
        """Return as many batches as hold every item about once."""
        seed = int(np.random.SeedSequence([self.seed, epoch]).generate_state(1)[0])
        drawn = contrastive_batches(self.labels[self.reads], batch=self.batch, seed=seed)
        return [self.reads[batch] for batch in islice(drawn, self.steps)]

    def loss(self, step: Step) -> Tensor:
        """Return the supervised contrastive loss over all pairs of the batch."""
        labels = torch.from_numpy(self.labels[step.indices]).to(step.features.device)
        return supervised_contrastive(step.features.float(), labels, TEMPERATURE)


OBJECTIVES: dict[str, Maker] = {"targets": Supervised.of, "contrastive": Contrastive.of}
"""What the name in `Stage.objective` stands for, unless the job says it."""


def objective(scene: Scene) -> Objective:
    """Return what the scene's stage minimises, over the items of its job.

    Raises:
        UsageError: neither this file nor the job knows the objective's name.
    """
    known = {**OBJECTIVES, **scene.job.objectives}
    name = scene.stage.objective
    if name not in known:
        raise UsageError(f"no objective is called '{name}'; there are {', '.join(known)}.")
    return known[name](scene)
