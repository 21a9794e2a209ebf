"""The items set aside to choose the best epoch by: which they are, and what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from headstart.data.split import inner
from headstart.settings.table import Options
from headstart.tasks.task import Matrix, Targets, Task, Values

if TYPE_CHECKING:
    from torch import nn

    from headstart.backbones.blocks import Backbone
    from headstart.boundary.forward import Source
    from headstart.training.job import Job

Indices = npt.NDArray[np.int64]

SELECTION_SHARE = 0.15


def selection(
    targets: Targets, train: Indices, options: Options, seed: int
) -> tuple[Indices, Indices]:
    """Return the part of ``train`` to fit on and the part that chooses the best epoch.

    The second is empty with ``early_stopping`` off, or where the task cannot spare any item.
    """
    if not options.early_stopping or not targets.task.spares(targets.values[train]):
        return train, train[:0]
    parts = inner(targets, train, fraction=SELECTION_SHARE, seed=seed)
    return parts.train, parts.held_out


class Judge:
    """Measures a network and its head on the items of ``job.select``."""

    def __init__(self, backbone: Backbone, head: nn.Module, job: Job) -> None:
        self.backbone, self.head, self.job = backbone, head, job

    @property
    def values(self) -> Values:
        """The targets of the items set aside."""
        return self.job.targets.values[self.job.select]

    def outputs(self, source: Source) -> Matrix:
        """Return the head's outputs for the items set aside, read from ``source``."""
        import torch

        from headstart.boundary.forward import features

        device = self.job.device
        with torch.inference_mode():
            found = features(self.backbone, source, self.job.select, device)
            outputs: Matrix = self.head(torch.from_numpy(found).to(device)).cpu()
            return np.asarray(outputs)

    def score(self, source: Source) -> dict[str, float]:
        """Return the loss, by which epochs are chosen, and the task's figure for people."""
        return self.job.targets.task.judge(self.outputs(source), self.values)

    def settled(self, source: Source) -> tuple[float, Task]:
        """Return the temperature, and the task, that the items set aside teach; 1 without any."""
        task, solved_later = self.job.targets.task, self.job.plan.solver is not None
        if not len(self.job.select) or solved_later:
            return 1.0, task
        return task.settled(self.outputs(source), self.values)
