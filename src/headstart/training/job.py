"""What the loop is given, and what it hands back."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from headstart.settings.table import Options
from headstart.strategies.plan import Plan
from headstart.tasks.heads import Head
from headstart.tasks.task import Targets, Task

Indices = npt.NDArray[np.int64]


@dataclass
class Trained:
    """What the loop hands back.

    Attributes:
        head: the linear head, with the temperature fitted on the inner selection part, if any.
        task: with what that part has taught it.
        history: one row an epoch: stage, epoch, boundary, loss, seconds, and what the task judges
            the selection part by where there is one.
        cache: items whose activations were there before ("hits"), and that were computed
            ("misses").
        unchanged: the boundary below which no stage has changed anything.
    """

    head: Head
    task: Task
    unchanged: int
    history: list[dict[str, float]] = field(default_factory=list)
    cache: dict[str, int] = field(default_factory=lambda: {"hits": 0, "misses": 0})


@dataclass(frozen=True)
class Job:
    """What the loop is to do.

    Attributes:
        plan: what is trained, for how long, how fast.
        targets: of the whole data set.
        fit: indices of the items to train on.
        select: indices that choose the best epoch and fit the temperature; may be empty.
        options: batch size, optimiser, loss.
        seed: of the order of items, dropout and random views.
        device: "cpu", "cuda" or "mps".
        what: what decides the backbone's answers besides its weights, see `Activations`.
        probe: the head to start from; None starts from zero.
    """

    plan: Plan
    targets: Targets
    fit: Indices
    select: Indices
    options: Options
    seed: int = 0
    device: str = "cpu"
    what: str = ""
    probe: Head | None = None


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
