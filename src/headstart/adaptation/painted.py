"""The painters of `cycle`, trained by the one loop, and what they make of the source."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the field's own name for it

from headstart.adaptation.cycle import Critic, Painted, Painter, adversarial
from headstart.adaptation.kept import start
from headstart.adaptation.objective import cycled
from headstart.backbones.build import build
from headstart.backbones.entry import Entry
from headstart.boundary.inputs import PLAIN, Indices, Inputs, in_batches
from headstart.compute.running import to_device
from headstart.data.beside import beside
from headstart.data.dataset import Dataset
from headstart.data.items import packed
from headstart.data.pictures.images import Preprocess
from headstart.progress import log
from headstart.settings.groups import Options
from headstart.strategies.plan import MODULES, Group, Plan, Stage
from headstart.tasks.heads import Examples
from headstart.training.job import Job, Scene
from headstart.training.loop import train
from headstart.training.objective import Objective, Step

RATE, BATCH, EPOCH = 1e-3, 32, 100
"""Peak rate, items of each domain a step, and steps an epoch."""


class Painting(Objective):
    """Two painters, one for each way, and two critics; the backbone and its head stay as they are.

    The job's ``fit`` are the source's items. A picture that is painted there and back is to be
    what it was, and what is painted is to mean what the original did: of the source that is its
    label, of the target what the head says of it.

    Args:
        scene: where to learn.
        method: has the weights of the parts of the loss.
        target: indices of the target's items.
        channels: of the pictures.
    """

    def __init__(self, scene: Scene, method: Painted, target: Indices, channels: int) -> None:
        job = scene.job
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(job.seed)
            modules: dict[str, nn.Module] = {
                "there": Painter(channels),
                "here": Painter(channels),
                "of_target": Critic(channels),
                "of_source": Critic(channels),
            }
        reads = np.concatenate([job.fit, target])
        super().__init__(reads, min(EPOCH, method.steps), modules=modules)
        self.source, self.target, self.n, self.seed = job.fit, target, scene.batch, job.seed
        self.method, self.device = method, job.device
        self.backbone, self.head, self.values = scene.backbone, scene.head, job.known.values

    def order(self, epoch: int) -> list[Indices]:
        """Return batches of as many items of each domain."""
        rng = np.random.default_rng([self.seed, 37, epoch])
        sides = [cycled(side, self.steps * self.n, rng) for side in (self.source, self.target)]
        halves = [np.split(side, self.steps) for side in sides]
        return [np.concatenate(pair) for pair in zip(*halves, strict=True)]

    def loss(self, step: Step) -> Tensor:
        """Return what painters and critics learn from one batch."""
        x = pictures(step.batch, self.device)
        ours, theirs = x[: self.n], x[self.n :]
        m = self.modules
        there, here = m["there"](ours), m["here"](theirs)
        back = F.l1_loss(m["here"](there), ours) + F.l1_loss(m["there"](here), theirs)
        real = adversarial(m["of_target"], theirs, there) + adversarial(m["of_source"], ours, here)
        known = torch.from_numpy(self.values[step.indices[: self.n]]).to(self.device)
        with torch.no_grad():
            taken = self._said(theirs).argmax(1)
        meaning = F.cross_entropy(self._said(there), known)
        meaning = meaning + F.cross_entropy(self._said(here), taken)
        return real + self.method.back * back + self.method.meaning * meaning

    def _said(self, x: Tensor) -> Tensor:
        """Return the head's logits for pictures 0..1."""
        logits: Tensor = self.head(self.backbone(255 * x.permute(0, 2, 3, 1))).float()
        return logits


def pictures(batch: Any, device: str) -> Tensor:
    """Return a batch of pixels, (N, H, W, C) of 0..255, as (N, C, H, W) of 0..1."""
    x: Tensor = to_device(batch, device)
    return x.permute(0, 3, 1, 2).float() / 255


@dataclass(frozen=True)
class _Pixels:
    """Content of item i: row i of pixels, (N, H, W, C)."""

    rows: npt.NDArray[np.uint8]

    def __call__(self, index: int) -> bytes:
        row = self.rows[index]
        return packed(row[:, :, 0] if row.shape[2] == 1 else row)


def painted(
    method: Painted,
    sides: tuple[Dataset, Dataset],
    entry: Entry,
    known: Examples,
    *,
    seed: int,
    device: str,
) -> Dataset:
    """Return the source's items as the target would have them, in the size that ``entry`` reads.

    Args:
        method: how long, and what counts how much.
        sides: audited pictures of the source and of the target that may be learned from.
        entry: the backbone that says what a picture means.
        known: features of the source's items under it, others may follow; and their targets.
        seed: of everything random.
        device: "cpu", "cuda" or "mps".
    """
    ours, theirs = sides
    read = entry.preprocess
    assert isinstance(read, Preprocess)
    inputs = Inputs(beside(ours, theirs), read, seed=seed)
    backbone = build(entry, seed=seed)
    source, target = np.arange(len(ours)), np.arange(len(ours), len(ours) + len(theirs))
    made: list[Painting] = []

    def maker(scene: Scene) -> Objective:
        made.append(Painting(scene, method, target, read.channels))
        return made[-1]

    job = Job(
        _plan(method),
        known.targets,
        source,
        source[:0],
        Options(weight_decay=0.0),
        seed,
        device,
        probe=start(known.features[:, : backbone.n_features], known.targets),
        objectives={"painting": maker},
    )
    train(backbone, inputs, job, say=log.debug)
    rows = _rows(made[-1].modules["there"], inputs, source, device)
    inputs.close()
    return replace(ours, content=_Pixels(rows), digests=None)


def _plan(method: Painted) -> Plan:
    stage = Stage(
        (Group((MODULES,), RATE),),
        -(-method.steps // EPOCH),
        "painting",
        batch=BATCH,
        most_steps=method.steps,
        items=True,
    )
    return Plan((stage,))


@torch.inference_mode()
def _rows(painter: nn.Module, inputs: Inputs, source: Indices, device: str) -> Any:
    """Return the painted source as pixels, (N, H, W, C) of 0..255."""
    painter.eval()
    found = []
    for part in in_batches(source, 256):
        x = pictures(inputs.collate(list(inputs.rows(part, PLAIN))), device)
        found.append((255 * painter(x)).round().byte().permute(0, 2, 3, 1).cpu().numpy())
    return np.concatenate(found)
