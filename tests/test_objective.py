"""The seam of training: what an objective may bring, and what the loop does with it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from conftest import bars
from headstart.backbones import vision
from headstart.backbones.registry import resolve
from headstart.boundary.inputs import Indices, Inputs, in_batches
from headstart.errors import DataError, UsageError
from headstart.settings.groups import Options
from headstart.strategies.plan import HEAD, MODULES, Group, Plan, Stage
from headstart.tasks.task import Matrix, Targets
from headstart.training.checkpoint import Checkpoints
from headstart.training.job import Job, Scene, Trained
from headstart.training.loop import train
from headstart.training.objective import Objective, Step
from headstart.training.objectives import Supervised

PREPROCESS = resolve("glyphs").preprocess
LABELLED = np.arange(16)
UNLABELLED = np.arange(16, 40)


class Domains(Objective):
    """Which items have labels, told from the features by a network of its own; and the labels."""

    def __init__(self, scene: Scene, unlabelled: Indices, seen: list[Any]) -> None:
        torch.manual_seed(5)
        domain = nn.Sequential(nn.Linear(128, 2), nn.BatchNorm1d(2))
        super().__init__(
            np.concatenate([LABELLED, unlabelled]),
            4,
            judges=unlabelled,
            modules={"domain": domain},
        )
        self.supervised = Supervised.of(scene)
        self.unlabelled, self.seen = unlabelled, seen

    def order(self, epoch: int) -> list[Indices]:
        rng = np.random.default_rng(epoch)
        both = (rng.permutation(LABELLED), rng.permutation(self.unlabelled))
        return [np.concatenate(pair) for pair in zip(*(np.split(x, 4) for x in both), strict=True)]

    def loss(self, step: Step) -> Tensor:
        known = step.indices < len(LABELLED)
        self.seen.append((step.progress, int(known.sum()), len(step.indices)))
        part = Step(step.indices[known], step.batch, lambda _: step.features[known])
        told = F.cross_entropy(
            self.modules["domain"](step.features), torch.from_numpy(known.astype(np.int64))
        )
        return self.supervised.loss(part) + step.progress * told

    def judge(self, outputs: Matrix) -> dict[str, float]:
        chances = torch.from_numpy(outputs).softmax(1)
        return {"selection_loss": float(-(chances**2).sum(1).mean()), "selection_entropy": 0.5}


def stages(epochs: int = 3, **facts: Any) -> Plan:
    own = (Group((3, 4), 1e-3), Group((HEAD,), 1e-2), Group((MODULES,), 1e-2))
    return Plan((Stage(own, epochs, objective="domains", **facts),))


def run(plan: Plan, seen: list[Any], folder: Path | None = None, **more: Any) -> tuple[Any, ...]:
    data, unlabelled = bars(20), UNLABELLED
    backbone = vision.build(resolve("glyphs"))
    targets = Targets(data.known.task, data.labels[: len(LABELLED)])
    makers = {"domains": partial(Domains, unlabelled=unlabelled, seen=seen)}
    job = Job(plan, targets, LABELLED, LABELLED[:0], Options(), objectives=makers)
    inputs = Inputs(data, PREPROCESS)
    checkpoints = Checkpoints(folder, {}, every=0.0) if folder else None
    try:
        trained = train(backbone, inputs, replace(job, **more), checkpoints=checkpoints)
    finally:
        inputs.close()
    return backbone, trained


def test_an_objective_reads_items_without_targets_and_knows_how_far_it_is() -> None:
    seen: list[Any] = []
    _, trained = run(stages(), seen)
    assert [one[0] for one in seen] == pytest.approx(np.arange(12) / 12)
    assert {one[1:] for one in seen} == {(4, 10)}
    assert [row["selection_entropy"] for row in trained.history] == [0.5] * 3
    losses = [row["selection_loss"] for row in trained.history]
    assert len(set(losses)) == 3


def test_its_own_networks_are_trained_at_their_own_rate() -> None:
    kept: list[Any] = []
    makers = {"domains": lambda scene: kept.append(Domains(scene, UNLABELLED, [])) or kept[-1]}
    run(stages(), [], objectives=makers)
    (one,) = kept
    torch.manual_seed(5)
    start = nn.Linear(128, 2)
    assert not torch.equal(one.modules["domain"][0].weight, start.weight)
    assert int(one.modules["domain"][1].num_batches_tracked) == 12


def test_no_group_for_its_networks_is_our_own_mistake() -> None:
    (stage,) = stages().stages
    with pytest.raises(AssertionError, match="no group of the stage trains"):
        run(Plan((replace(stage, groups=stage.groups[:2]),)), [])


class Stop(Exception):
    pass


@pytest.mark.parametrize("at", [1, 6, 11])
def test_a_resumed_run_ends_with_the_same_weights(at: int, tmp_path: Path) -> None:
    plan = stages()
    backbone, trained = run(plan, [])

    class Stopping(list[Any]):
        def append(self, one: Any) -> None:
            if len(self) == at:
                raise Stop
            super().append(one)

    with pytest.raises(Stop):
        run(plan, Stopping(), tmp_path)
    seen: list[Any] = []
    again, resumed = run(plan, seen, tmp_path)
    assert len(seen) == 12 - at
    for name, value in again.net.state_dict().items():
        assert torch.equal(value, backbone.net.state_dict()[name]), name
    np.testing.assert_array_equal(resumed.head.weight, trained.head.weight)


class Colour(Objective):
    """Features that say how bright the middle is: no targets, no head."""

    def __init__(self, scene: Scene) -> None:
        assert isinstance(scene.head, nn.Identity)
        super().__init__(scene.job.fit, len(in_batches(scene.job.fit, scene.batch)))
        self.batch = scene.batch

    def order(self, epoch: int) -> list[Indices]:
        return in_batches(self.reads, self.batch)

    def loss(self, step: Step) -> Tensor:
        bright = torch.from_numpy(step.batch[0][:, 12:20, 12:20].mean((1, 2, 3)) / 255)
        return F.mse_loss(step.features.mean(1), bright.float())


def coloured(plan: Plan, name: str = "colour") -> tuple[Any, Trained]:
    backbone = vision.build(resolve("glyphs"))
    inputs = Inputs(bars(), PREPROCESS)
    fit = np.arange(24)
    job = Job(plan, None, fit, fit[:0], Options(batch=8), objectives={name: Colour})
    try:
        return backbone, train(backbone, inputs, job)
    finally:
        inputs.close()


def test_without_targets_there_is_no_head() -> None:
    plan = Plan((Stage((Group((0, 1, 2, 3, 4), 1e-3),), 4, objective="colour", most_steps=11),))
    _, trained = coloured(plan)
    assert trained.head is None
    assert trained.task is None
    losses = [row["loss"] for row in trained.history]
    assert losses[-1] < losses[0] / 2
    assert len(losses) == 4


def test_an_unknown_objective_and_missing_targets_are_clear() -> None:
    plan = Plan((Stage((Group((4,), 1e-3),), 1),))
    with pytest.raises(DataError, match="have no targets"):
        coloured(plan)
    with pytest.raises(UsageError, match="'colour'; there are targets, contrastive, other"):
        coloured(Plan((replace(plan.stages[0], objective="colour"),)), name="other")
