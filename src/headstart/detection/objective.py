"""What a detector minimises, as the one loop carries it out."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor

from headstart.boundary.inputs import Indices, in_batches
from headstart.detection.detector import Detector, Truth
from headstart.tasks.box_figures import things
from headstart.tasks.boxes import THING
from headstart.tasks.task import Matrix, Targets
from headstart.training.job import Scene
from headstart.training.objective import Objective, Step


class Detection(Objective):
    """The detector's four losses on each picture once an epoch; mAP chooses the best epoch.

    Args:
        detector: is the head.
        targets: of the whole data set.
        fit: indices of the pictures to train on.
        select: indices of those that choose the best epoch.
        batch: pictures a step, at most.
        seed: of the orders.
        mirrored: N where item i + N is picture i mirrored, and each is drawn in half of the epochs;
            0 where there are none.
    """

    def __init__(
        self,
        detector: Detector,
        targets: Targets,
        fit: Indices,
        select: Indices,
        *,
        batch: int,
        seed: int,
        mirrored: int = 0,
    ) -> None:
        reads = np.concatenate([fit, fit + mirrored]) if mirrored else fit
        super().__init__(reads, len(in_batches(fit, batch)), judges=select)
        self.fit, self.mirrored = fit, mirrored
        self.detector, self.targets, self.batch, self.seed = detector, targets, batch, seed

    @classmethod
    def of(cls, scene: Scene, mirrored: int = 0) -> Detection:
        """Return the objective of the scene, whose head is a detector."""
        job = scene.job
        head = cast("Detector", scene.head)
        return cls(
            head, job.known, job.fit, job.select,
            batch=scene.batch, seed=job.seed, mirrored=mirrored,
        )  # fmt: skip

    def order(self, epoch: int) -> list[Indices]:
        """Return all pictures in batches of nearly equal length, in a random order."""
        rng = np.random.default_rng([self.seed, 3, epoch])
        shuffled = rng.permutation(self.fit)
        if self.mirrored:
            shuffled = shuffled + self.mirrored * rng.integers(0, 2, len(shuffled))
        return in_batches(shuffled, self.batch)

    def loss(self, step: Step) -> Tensor:
        """Return the sum of the detector's losses, each a mean over the batch."""
        maps = cast("list[Tensor]", step.features)
        side, device = self.detector.spec.side, maps[0].device
        rows = self.targets.values[step.indices]
        return self.detector.loss(maps, [truth(row, side, device) for row in rows])

    def judge(self, outputs: Matrix) -> dict[str, float]:
        """Return one less mAP, and mAP at half an overlap."""
        return self.targets.task.judge(outputs, self.targets.values[self.judges])


def truth(row: Matrix, side: int, device: torch.device | str = "cpu") -> Truth:
    """Return the things of one picture as torchvision wants them; crowds teach nothing."""
    found = things(row)
    found = found[found[:, 5] == THING]
    boxes = torch.tensor(found[:, :4] * side, dtype=torch.float32, device=device)
    labels = torch.tensor(found[:, 4] + 1, dtype=torch.int64, device=device)
    return {"boxes": boxes, "labels": labels}
