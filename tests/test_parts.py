"""Less than whole blocks: only biases, only norms train, and all else provably stands still."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from conftest import bars, save_encoder, sentences
from headstart.backbones.build import build
from headstart.backbones.parts import biases, names_of, norms
from headstart.backbones.registry import resolve
from headstart.boundary.inputs import Inputs
from headstart.errors import HeadstartError, UsageError
from headstart.settings.groups import Options
from headstart.strategies.plan import HEAD, Group, Part, Plan, Stage
from headstart.training.job import Job
from headstart.training.loop import train

NORMS = (nn.LayerNorm, nn.GroupNorm, nn.BatchNorm1d, nn.BatchNorm2d)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = [sentences().content(i).decode() for i in range(24)]
    return save_encoder(tmp_path_factory.mktemp("encoder"), texts)


@pytest.mark.parametrize("name", ["glyphs", "random:torchvision:vit_b_32", "encoder"])
def test_parts_are_what_torch_calls_so(name: str, encoder: Path) -> None:
    net = build(resolve(str(encoder) if name == "encoder" else name)).net
    assert set(biases(net)) == {n for n, _ in net.named_parameters() if n.endswith("bias")}
    own = {
        f"{prefix}.{n}"
        for prefix, module in net.named_modules()
        if isinstance(module, NORMS)
        for n, _ in module.named_parameters()
    }
    assert set(norms(net)) == own


def test_names_that_only_look_like_biases() -> None:
    net = nn.Module()
    net.add_module("lstm", nn.LSTM(2, 3))
    net.add_module("attention", nn.MultiheadAttention(4, 2))
    net.relative_position_bias_table = nn.Parameter(torch.zeros(5, 2))
    net.biased = nn.Parameter(torch.zeros(5))
    assert set(biases(net)) == {
        *("lstm.bias_ih_l0", "lstm.bias_hh_l0"),
        *("attention.in_proj_bias", "attention.out_proj.bias"),
    }
    with pytest.raises(UsageError, match="Linear has no norms"):
        names_of(nn.Linear(2, 2), "norms")


def run(only: Part, blocks: tuple[int, ...] = (1, 2)) -> tuple[set[str], Any]:
    """Return the names of what moved in a stage that trains ``only`` that, and the backbone."""
    data, entry = bars(), resolve("glyphs")
    backbone = build(entry)
    before = {k: v.clone() for k, v in backbone.net.state_dict().items()}
    stage = Stage((Group(blocks, 0.1, only), Group((HEAD,), 0.1)), epochs=2)
    items = np.arange(len(data))
    job = Job(Plan((stage,)), data.targets, items, items[:0], Options(batch=8), 0)
    train(backbone, Inputs(data, entry.preprocess), job)
    after = backbone.net.state_dict()
    return {k for k in before if not torch.equal(before[k], after[k])}, backbone


@pytest.mark.parametrize("only", ["biases", "norms"])
def test_nothing_else_moves(only: Part) -> None:
    moved, backbone = run(only)
    allowed = names_of(backbone.net, only)
    assert moved
    assert moved == {name for name in allowed if backbone.owner(name) in (1, 2)}


def test_what_should_not_have_moved_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    from headstart.training import loop

    real = loop._Run._step

    def careless(self: Any, *how: Any) -> float:
        net = self.backbone.net
        name = next(n for n in net.state_dict() if n in self.backbone.held)
        with torch.no_grad():
            net.get_parameter(name).add_(1e-3)
        return real(self, *how)

    monkeypatch.setattr(loop._Run, "_step", careless)
    with pytest.raises(HeadstartError, match="a frozen block changed"):
        run("biases")


def test_whole_blocks_train_again_afterwards() -> None:
    backbone = build(resolve("glyphs"))
    backbone.set_trainable([1], {1: "biases"})
    part = [p for p in backbone.net.parameters() if p.requires_grad]
    backbone.set_trainable([1])
    whole = [p for p in backbone.net.parameters() if p.requires_grad]
    assert len(part) < len(whole) == len(backbone.parameters_of(1))
    assert not backbone.held
