"""What a stage of training minimises: the seam where anything that learns by steps comes in.

An `Objective` says which items it reads, in which batches and so how many steps an epoch has, what
the loss of a step is, and by which items epochs are chosen. It may own networks, and a step tells
it how far training is. The loop does the rest. Those that are known here stand in `OBJECTIVES`;
whoever stands higher on the ladder hands his own to the loop, in `Job.objectives`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from headstart.boundary.inputs import Indices, in_batches
from headstart.errors import UsageError
from headstart.tasks.task import Matrix, Targets
from headstart.training.contrastive import contrastive_batches, supervised_contrastive

if TYPE_CHECKING:
    from headstart.backbones.blocks import Backbone
    from headstart.boundary.engine import Batch
    from headstart.strategies.plan import Stage
    from headstart.training.job import Job

TEMPERATURE = 0.3
"""Of the contrastive loss: chosen on held-out training rows of AG News."""

NONE: Indices = np.empty(0, np.int64)


@dataclass
class Step:
    """One batch, and how far its stage is.

    Attributes:
        indices: of the batch's items, shape (N,).
        batch: what was read of them: pixels, tokens or activations, as the source has them.
        forward: from such a batch to features, shape (N, D), through what the stage trains; or
            through another backbone, where it is given one after the batch.
        progress: the share of the stage's steps that are done, 0 to below 1.
        beside: shape (N, W), what stands beside the items in their table; None for nothing.
    """

    indices: Indices
    batch: Batch
    forward: Callable[..., Tensor]
    progress: float = 0.0
    beside: Tensor | None = None

    @property
    def joined(self) -> Tensor:
        """What a head reads: the features, and behind them what stands beside the items."""
        if self.beside is None:
            return self.features
        return torch.cat([self.features, self.beside.to(self.features.device)], 1)

    @cached_property
    def features(self) -> Tensor:
        """The features of the batch, shape (N, D), computed when first asked for."""
        return self.forward(self.batch)


class Objective(ABC):
    """What the loop asks of an objective.

    Attributes:
        reads: indices of the items that training reads, labelled or not; as random views where
            there are any.
        judges: indices of the items whose plain views choose the best epoch; where there are
            none, the last one is kept.
        steps: batches of an epoch.
        modules: networks of its own. The plan's group `MODULES` trains them, they are always in
            training mode, and checkpoints hold them with their buffers: what an objective must
            not forget between two steps has its place there.
        settling: indices of the items that tell batch norm its statistics, where it learns them
            from batches; None for some of those that the job trains on.
    """

    settling: Indices | None = None

    def __init__(
        self,
        reads: Indices,
        steps: int,
        *,
        judges: Indices = NONE,
        modules: Mapping[str, nn.Module] | None = None,
    ) -> None:
        self.reads, self.steps, self.judges = reads, steps, judges
        self.modules = nn.ModuleDict(modules)

    @abstractmethod
    def order(self, epoch: int) -> list[Indices]:
        """Return the batches of ``epoch``, `steps` of them, by the items' indices."""

    @abstractmethod
    def loss(self, step: Step) -> Tensor:
        """Return the loss of one step."""

    def judge(self, outputs: Matrix) -> dict[str, float]:
        """Return what the head's ``outputs`` for the items of `judges` say of an epoch.

        ``selection_loss`` chooses (the less, the better), and one other ``selection_…`` is for
        people.
        """
        raise NotImplementedError(f"{type(self).__name__} names items to judge by, but not how")


@dataclass(frozen=True)
class Scene:
    """What an objective is made of: the stage that it is for, and what that trains.

    ``head`` is from features to outputs; where the job has no targets it is none, an identity.
    """

    stage: Stage
    backbone: Backbone
    head: nn.Module
    job: Job

    @property
    def batch(self) -> int:
        """Items a step, at most."""
        return self.stage.batch or self.job.options.batch


Maker = Callable[[Scene], Objective]


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
