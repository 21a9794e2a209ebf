"""A method of adaptation as an objective of the one loop: half a batch of each domain."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from headstart.adaptation.method import Method, Pair
from headstart.adaptation.shot import information_maximisation
from headstart.boundary.inputs import Indices
from headstart.tasks.task import ERROR, LOSS, Matrix
from headstart.training.job import Maker, Scene
from headstart.training.objective import Objective, Step

LEAST_STEPS = 50
"""Of an epoch: a hundred source items are soon gone through, and it is steps that move weights."""

MOST_JUDGED = 2000
"""Items of each domain that an epoch is judged by."""


class Adapting(Objective):
    """The loss of the source's labels, and of a method on the target without labels.

    Each domain goes through the network by itself, so that batch norm which learns sees the
    statistics of one domain at a time. An epoch is judged by the source's log loss and by how sure
    and how varied the target's answers are (`information_maximisation`); all in nats, and no label
    of the target is looked at.

    Args:
        scene: its job's ``fit`` are the items with labels that are learned from.
        method: has the loss.
        target: indices of the items without labels.
        weights: how often the items of ``fit`` are drawn, with mean 1; None for equally.
        judged: whether epochs are judged; not where batch norm has one domain's statistics.
    """

    def __init__(
        self,
        scene: Scene,
        method: Method,
        target: Indices,
        weights: Matrix | None = None,
        *,
        judged: bool = True,
    ) -> None:
        job = scene.job
        self.fit, self.target, self.weights = job.fit, target, weights
        self.n_source = 0 if method.source_free else scene.batch
        self.n_target, self.seed = scene.batch, job.seed
        longest = max(len(self.fit) if self.n_source else 0, min(len(target), len(self.fit)))
        n_classes = job.known.task.n_outputs
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(job.seed)
            modules = method.modules(scene.backbone.n_features, n_classes)
        super().__init__(
            np.concatenate([self.fit, target]),
            max(LEAST_STEPS, -(-longest // scene.batch)),
            judges=np.concatenate([self.fit[:MOST_JUDGED], target[:MOST_JUDGED]])
            if judged
            else target[:0],
            modules=modules,
        )
        self.method, self.head, self.values = method, scene.head, job.known.values
        self.task = job.known.task
        self.criterion = self.task.criterion(
            self.values[self.fit],
            smoothing=job.options.smoothing,
            weighted=job.options.class_weights,
        )

    def order(self, epoch: int) -> list[Indices]:
        """Return batches of as many items of each domain; the shorter one comes round again."""
        rng = np.random.default_rng([self.seed, 13, epoch])
        if self.weights is None:
            source = cycled(self.fit, self.steps * self.n_source, rng)
        else:
            chance = self.weights / self.weights.sum(dtype=np.float64)
            source = rng.choice(self.fit, self.steps * self.n_source, p=chance)
        target = cycled(self.target, self.steps * self.n_target, rng)
        parts = zip(
            np.split(source, self.steps) if self.n_source else [source] * self.steps,
            np.split(target, self.steps),
            strict=True,
        )
        return [np.concatenate(part) for part in parts]

    def loss(self, step: Step) -> Tensor:
        """Return the source's loss and the method's."""
        n = self.n_source
        halves = [slice(n, None)] if self.method.source_free else [slice(n), slice(n, None)]
        features = [step.forward(tuple(part[half] for part in step.batch)) for half in halves]
        logits = [self.head(one).float() for one in features]
        # Of what sees no source item, both sides of the pair are the target's.
        pair = Pair(features[0].float(), features[-1].float(), logits[0], logits[-1],
                    self.modules, step.progress)  # fmt: skip
        loss = self.method.loss(pair)
        if n:
            loss = loss + self.criterion(logits[0], self.values[step.indices[:n]])
        return loss

    def judge(self, outputs: Matrix) -> dict[str, float]:
        """Return the source's log loss and the target's information loss, added."""
        n = min(MOST_JUDGED, len(self.fit))
        values = self.values[self.judges[:n]]
        target = information_maximisation(torch.from_numpy(outputs[n:]))
        found = self.task.judge(outputs[:n], values)
        return found | {LOSS: found[LOSS] + float(target), ERROR: 0.0}


def cycled(items: Indices, n: int, rng: np.random.Generator) -> Indices:
    """Return ``n`` of the items, each in a random order before any comes again."""
    rounds = -(-n // max(1, len(items)))
    return np.concatenate([rng.permutation(items) for _ in range(max(1, rounds))])[:n]


def maker(
    method: Method, target: Indices, weights: Matrix | None = None, *, judged: bool = True
) -> Maker:
    """Return what makes the objective for a stage of the loop."""
    return lambda scene: Adapting(scene, method, target, weights, judged=judged)
