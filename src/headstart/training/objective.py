"""What a stage of training minimises: the seam where anything that learns by steps comes in.

An `Objective` says which items it reads, in which batches and so how many steps an epoch has, what
the loss of a step is, and by which items epochs are chosen. It may own networks, and a step tells
it how far training is. The loop does the rest. Two of them are in `headstart.training.objectives`;
whoever stands higher on the ladder hands his own to the loop, in `Job.objectives`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from headstart.boundary.inputs import Indices
from headstart.tasks.task import Matrix

if TYPE_CHECKING:
    from headstart.boundary.engine import Batch

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
