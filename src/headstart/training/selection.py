"""The items set aside to choose the best epoch by: which they are, and what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from headstart.boundary.heads import fit_temperature
from headstart.data.split import inner
from headstart.settings.table import Options

if TYPE_CHECKING:
    from torch import nn

    from headstart.backbones.blocks import Backbone
    from headstart.boundary.forward import Source
    from headstart.training.job import Job

Indices = npt.NDArray[np.int64]

LEAST_TO_SELECT = 16
"""Examples of the smallest class from which an inner part is set aside to choose the best epoch;
with fewer, every example is worth more in training."""

SELECTION_SHARE = 0.15


def selection(
    labels: npt.NDArray[np.int64], train: Indices, options: Options, seed: int
) -> tuple[Indices, Indices]:
    """Return the part of ``train`` to fit on and the part that chooses the best epoch.

    The second is empty with ``early_stopping`` off, or where the smallest class is small.
    """
    smallest = np.bincount(labels[train])[np.unique(labels[train])].min()
    if not options.early_stopping or smallest < LEAST_TO_SELECT:
        return train, train[:0]
    parts = inner(labels, train, fraction=SELECTION_SHARE, seed=seed)
    return parts.train, parts.held_out


class Judge:
    """Measures a network and its head on the items of ``job.select``."""

    def __init__(self, backbone: Backbone, head: nn.Module, job: Job) -> None:
        self.backbone, self.head, self.job = backbone, head, job

    def logits(self, source: Source) -> npt.NDArray[np.float32]:
        """Return the logits of the items set aside, read from ``source``."""
        import torch

        from headstart.boundary.forward import features

        device = self.job.device
        with torch.inference_mode():
            found = features(self.backbone, source, self.job.select, device)
            logits: npt.NDArray[np.float32] = self.head(torch.from_numpy(found).to(device)).cpu()
            return np.asarray(logits)

    def score(self, source: Source) -> dict[str, float]:
        """Return the log loss, by which epochs are chosen, and the accuracy."""
        import torch
        from torch.nn import functional as F  # noqa: N812 - the field's own name for it

        logits = torch.from_numpy(self.logits(source))
        target = torch.from_numpy(self.job.labels[self.job.select])
        return {
            "selection_loss": float(F.cross_entropy(logits, target)),
            "selection_accuracy": float((logits.argmax(1) == target).float().mean()),
        }

    def temperature(self, source: Source) -> float:
        """Return the temperature fitted on the items set aside; 1 where there are none."""
        solved_later = self.job.plan.solver is not None
        if not len(self.job.select) or solved_later:
            return 1.0
        return fit_temperature(self.logits(source), self.job.labels[self.job.select])
