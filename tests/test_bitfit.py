"""`bitfit`: the biases of all blocks and the head move, and nothing else."""

from __future__ import annotations

import numpy as np

import headstart
from conftest import bars
from headstart.backbones.build import build
from headstart.settings.groups import RATES, Options
from headstart.strategies.plan import HEAD, Group, Stage
from headstart.strategies.registry import strategy


def test_it_is_warm_with_biases_alone() -> None:
    made = strategy("bitfit").plan(4, 64, Options(epochs=5))
    body, head = RATES["adamw"]
    groups = (Group((0, 1, 2, 3), 10 * body, "biases"), Group((HEAD,), head))
    assert made.stages == (Stage(groups, 5),)
    told = strategy("bitfit").plan(2, 64, Options(epochs=5, body_rate=1.0, decay=0.5))
    assert told.stages[0].groups[:2] == (Group((0,), 0.5, "biases"), Group((1,), 1.0, "biases"))


def test_biases_move_and_nothing_else() -> None:
    found = headstart.fit(bars(), strategy="bitfit", epochs=3, batch=8, device="cpu").fitted.model
    assert found.backbone is not None
    before, after = build(found.entries[0]).net.state_dict(), found.backbone.net.state_dict()
    moved = {k for k in before if not np.array_equal(before[k].numpy(), after[k].numpy())}
    assert moved == {k for k in before if k.endswith("bias")}
