"""What the loop is given, and what it hands back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from headstart.errors import DataError
from headstart.settings.groups import Options
from headstart.strategies.plan import Plan, Stage
from headstart.tasks.head import Head
from headstart.tasks.task import Targets, Task

if TYPE_CHECKING:
    from torch import nn

    from headstart.backbones.blocks import Backbone
    from headstart.training.objective import Objective

Indices = npt.NDArray[np.int64]


@dataclass
class Trained:
    """What the loop hands back.

    Attributes:
        head: the linear head, with the temperature fitted on the inner selection part, if any;
            None where the job had no targets.
        task: with what that part has taught it; None as well.
        history: one row an epoch: stage, epoch, boundary, loss, seconds, and what the task judges
            the selection part by where there is one.
        cache: items whose activations were there before ("hits"), and that were computed
            ("misses").
        unchanged: the boundary below which no stage has changed anything.
    """

    head: Head | None
    task: Task | None
    unchanged: int
    history: list[dict[str, float]] = field(default_factory=list)
    cache: dict[str, int] = field(default_factory=lambda: {"hits": 0, "misses": 0})


@dataclass(frozen=True)
class Job:
    """What the loop is to do.

    Attributes:
        plan: what is trained, for how long, how fast.
        targets: of the whole data set, or of its first items where the others have none; None
            where nothing is predicted.
        fit: indices of the items to train on; those with targets, where the objective needs them.
        select: indices that choose the best epoch and fit the temperature; may be empty.
        options: batch size, optimiser, loss.
        seed: of the order of items, dropout and random views.
        device: "cpu", "cuda" or "mps".
        what: what decides the backbone's answers besides its weights, see `Activations`.
        probe: the head to start from; None starts from zero.
        softer: what its outputs are divided by there.
        beside: shape (N, W), of all items, what is joined to their features; None for nothing.
        expected: the score that new items should reach, worked out when it is asked for; see
            `headstart.training.selection`. None, there or here: nobody knows.
        module: stands in place of the linear head and is trained in place; None for that.
        objectives: what names in the plan's stages stand for, besides those that
            `headstart.training.objectives` knows.
    """

    plan: Plan
    targets: Targets | None
    fit: Indices
    select: Indices
    options: Options
    seed: int = 0
    device: str = "cpu"
    what: str = ""
    probe: Head | None = None
    softer: float = 1.0
    beside: npt.NDArray[np.float32] | None = None
    expected: Callable[[], float | None] | None = None
    module: nn.Module | None = None
    objectives: Mapping[str, Maker] = field(default_factory=dict)

    @property
    def known(self) -> Targets:
        """The targets.

        Raises:
            DataError: there are none, but something asks for them.
        """
        if self.targets is None:
            raise DataError("the items have no targets, so nothing can be predicted of them.")
        return self.targets


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


Maker = Callable[[Scene], "Objective"]
"""What makes an objective of a scene."""


@dataclass
class Place:
    """Where a run is: what a checkpoint needs besides tensors.

    Attributes:
        stage: index in the plan.
        epoch: within the stage.
        batch: of the epoch, the next one.
        boundary: now; `auto-freeze` moves it within a stage.
        total: of the epoch's losses so far.
        spent: seconds that the stage has taken.
        changed: blocks that were trained in any stage so far.
    """

    stage: int = 0
    epoch: int = 0
    batch: int = 0
    boundary: int = 0
    total: float = 0.0
    spent: float = 0.0
    changed: list[int] = field(default_factory=list)
