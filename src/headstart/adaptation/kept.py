"""A method on kept features: a linear head for the target, as quick as a frozen fit."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch

from headstart.adaptation.method import Method
from headstart.adaptation.objective import maker
from headstart.adaptation.space import Material, Space
from headstart.adaptation.vectors import Map, Vectors, above_features
from headstart.progress import log
from headstart.settings.groups import Options
from headstart.strategies.plan import HEAD, MODULES, Group, Plan, Stage
from headstart.tasks.head import Head
from headstart.tasks.heads import OWN, Examples, solve
from headstart.tasks.task import Matrix, Targets
from headstart.training.job import Job
from headstart.training.loop import train

EPOCHS, BATCH = 12, 64
"""Of `headstart.adaptation.objective.LEAST_STEPS` steps or more; items of each domain a step."""

HEAD_RATE, MODULE_RATE, MAP_RATE = 1e-2, 1e-3, 1e-4
"""Peak rates of the head, which starts solved on the source; of networks of the method; and of the
map below the head. It is slower than the discriminator that it is to deceive: at one rate the two
drive each other away from features that told the classes apart."""


@dataclass(frozen=True)
class Heads:
    """What a method has found: a head for each domain's own features.

    ``history`` has one row an epoch of training by steps.
    """

    source: Head
    target: Head
    history: list[dict[str, float]] = field(default_factory=list)


def adapted(
    method: Method, material: Material, *, options: Options, seed: int, device: str = "cpu"
) -> Heads:
    """Return the heads that ``method`` finds.

    Args:
        method: how.
        material: on what.
        options: of training by steps; where they say nothing, the numbers above.
        seed: of everything random.
        device: "cpu", "cuda" or "mps".
    """
    space = Space.of(method, material)
    x, targets = space.examples(material)
    if not method.by_steps:
        generator = torch.Generator().manual_seed(seed)
        labels = torch.from_numpy(targets.values)
        x, labels = method.examples(x, labels, targets.task.n_outputs, generator)
        drawn = Examples(x.numpy(), Targets(targets.task, labels.numpy()))
        return Heads(*space.heads(solve(OWN, drawn, seed=seed)[0]))
    features = torch.cat([x, space.target.inside(material.target)])
    run = _Run(method, features, targets, options, seed, device)
    head, history = run.trained()
    return Heads(*space.heads(head), history)


@dataclass(frozen=True)
class _Run:
    """Training by steps: the first rows of ``features`` have the ``targets``, the rest none."""

    method: Method
    features: torch.Tensor
    targets: Targets
    options: Options
    seed: int
    device: str

    def trained(self) -> tuple[Head, list[dict[str, float]]]:
        """Return the head, and one row an epoch."""
        backbone = above_features(self.features.shape[1], moves=self.method.moves, seed=self.seed)
        found = train(backbone, Vectors(self.features.numpy()), self._job(), say=log.debug)
        assert found.head is not None
        head = found.head
        if isinstance(backbone.net, Map):
            head = replace(head, weight=backbone.net.below(head.weight))
        return head, found.history

    def _job(self) -> Job:
        n = len(self.targets)
        fit, target = np.arange(n), np.arange(n, len(self.features))
        ours, theirs = self.features[:n], self.features[n:]
        weights = self.method.weights(ours, theirs)
        objective = maker(self.method, target, None if weights is None else weights.numpy())
        probe = start(ours.numpy(), self.targets)
        return Job(
            _plan(self.options),
            self.targets,
            fit,
            fit[:0],
            self.options,
            self.seed,
            self.device,
            probe=probe,
            objectives={"adapt": objective},
        )


def start(features: Matrix, targets: Targets) -> Head:
    """Return the head solved with C = 1: to start from, no C need be chosen.

    The features are centred and brought to a mean square length of 10, where C = 1 is usual.
    """
    mean = features.mean(axis=0)
    x = features - mean
    scale = np.float32((10 / max(float((x * x).sum(axis=1).mean()), 1e-12)) ** 0.5)
    task = targets.task
    head = task.solvers[task.own](x * scale, targets.values, task.n_outputs, 1.0)
    weight = head.weight * scale
    return replace(head, weight=weight, bias=head.bias - weight @ mean)


def _plan(options: Options) -> Plan:
    groups = (
        Group((0,), options.body_rate or MAP_RATE),
        Group((MODULES,), MODULE_RATE),
        Group((HEAD,), options.head_rate or HEAD_RATE),
    )
    batch = options.batch if "batch" in options.given else BATCH
    return Plan((Stage(groups, options.epochs or EPOCHS, "adapt", batch=batch),))
