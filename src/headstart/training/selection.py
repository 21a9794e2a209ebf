"""The items set aside to choose the best epoch by: which they are, and what they say."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from headstart.data.split import inner
from headstart.settings.groups import Options
from headstart.tasks.task import Matrix, Targets, Task

if TYPE_CHECKING:
    from torch import nn

    from headstart.backbones.blocks import Backbone
    from headstart.boundary.forward import Source
    from headstart.training.job import Job

Indices = npt.NDArray[np.int64]

SELECTION_SHARE = 0.15

ENOUGH = 100
"""Items set aside that tell a temperature by themselves."""

SEEN = 500
"""Training items that are looked at for what else is to be expected of it."""


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
    """Measures a network and its head on items set aside."""

    def __init__(
        self, backbone: Backbone, head: nn.Module, device: str, beside: Matrix | None = None
    ) -> None:
        self.backbone, self.head, self.device, self.beside = backbone, head, device, beside

    def outputs(self, source: Source, indices: Indices) -> Matrix:
        """Return the head's outputs for the plain items at ``indices``, read from ``source``."""
        import torch

        from headstart.boundary.forward import features

        with torch.inference_mode():
            if not isinstance(self.head, torch.nn.Linear):
                return features(self.backbone, source, indices, self.device, self.head)
            found = features(self.backbone, source, indices, self.device)
            if self.beside is not None:
                found = np.concatenate([found, self.beside[indices]], axis=1)
            outputs: Matrix = self.head(torch.from_numpy(found).to(self.device)).cpu()
            return np.asarray(outputs)

    def settled(self, source: Source, near: Source, job: Job) -> tuple[float, Task]:
        """Return the temperature, and the task, that the items of ``job.select`` teach.

        Where they are few or none, what is to be expected counts too. Where the head is solved
        later, it is 1.

        Args:
            source: whence those items are read.
            near: what the last stage was trained on, so that little is read or computed again.
            job: what was to be done.
        """
        known, select = job.known, job.select
        if job.plan.solver is not None:
            return 1.0, known.task
        few = len(select) < ENOUGH
        around = anchor(job, lambda: self._learned(near, job)) if few else None
        if not len(select):
            return around or 1.0, known.task
        return known.task.settled(self.outputs(source, select), known.values[select], around)

    def _learned(self, near: Source, job: Job) -> Matrix:
        """Return the outputs for some of the items that were trained on."""
        from headstart.boundary.activations import Activations

        seen = some(job.fit)
        if isinstance(near, Activations):
            near.fill(seen)
        return self.outputs(near, seen)


def anchor(job: Job, learned: Callable[[], Matrix]) -> float | None:
    """Return the temperature that is to be expected; None where nobody knows.

    Args:
        job: says what new items should reach.
        learned: gives the outputs of items that were trained on, under a temperature of 1.
    """
    task = job.known.task
    expected = job.expected() if job.expected and task.anchored else None
    return None if expected is None else task.anchor(learned(), expected)


def some(items: Indices) -> Indices:
    """Return at most `SEEN` of the items, evenly spread."""
    return items[:: -(-len(items) // SEEN) or 1]
