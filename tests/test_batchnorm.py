"""Statistics of batch norm that fit the final weights."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from conftest import bars
from headstart.backbones.blocks import Backbone
from headstart.backbones.build import build
from headstart.backbones.registry import resolve
from headstart.boundary.engine import Batch
from headstart.boundary.inputs import PLAIN, Inputs
from headstart.settings.groups import Carried
from headstart.training.batchnorm import settle
from headstart.training.transfer import transfer

NORMS = nn.modules.batchnorm._BatchNorm


@pytest.fixture
def inputs() -> Inputs:
    entry = resolve("glyphs")
    return Inputs(bars(16), entry.preprocess)


def batches(inputs: Inputs, *sizes: int) -> Iterator[Batch]:
    start = 0
    for size in sizes:
        rows = inputs.rows(np.arange(start, start + size), PLAIN)
        yield inputs.collate(list(rows))
        start += size


def norms(backbone: Backbone) -> dict[str, NORMS]:
    return {n: m for n, m in backbone.net.named_modules() if isinstance(m, NORMS)}


def inputs_of(norm: nn.Module, backbone: Backbone, batch: Batch) -> Tensor:
    seen: list[Tensor] = []
    hook = norm.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    with torch.inference_mode():
        backbone(torch.from_numpy(batch[0]))
    hook.remove()
    return seen[0]


def test_statistics_are_those_of_the_batches(inputs: Inputs) -> None:
    backbone = build(resolve("random:glyphs"))
    first = next(iter(norms(backbone).values()))
    settle(backbone, inputs, batches(inputs, 16, 16), "cpu")
    seen = [
        inputs_of(first, backbone, one).double().numpy().swapaxes(0, 1)
        for one in batches(inputs, 16, 16)
    ]
    flat = [one.reshape(len(one), -1) for one in seen]
    mean = np.mean([one.mean(1) for one in flat], axis=0)
    var = np.mean([one.var(1, ddof=1) for one in flat], axis=0)
    assert first.running_mean is not None and first.running_var is not None
    np.testing.assert_allclose(first.running_mean.numpy(), mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(first.running_var.numpy(), var, rtol=1e-4, atol=1e-5)


def test_the_network_then_answers_in_eval_mode_as_it_does_on_the_batch(inputs: Inputs) -> None:
    backbone = build(resolve("random:glyphs"))
    (batch,) = batches(inputs, 32)
    pixels = torch.from_numpy(batch[0])
    with torch.no_grad():
        for norm in norms(backbone).values():
            norm.train()
        trained = backbone(pixels)
        backbone.eval()
        assert not torch.allclose(backbone(pixels), trained, atol=1e-2)
        settle(backbone, inputs, [batch], "cpu")
        # Running variances are of n - 1, those of a batch in training of n.
        torch.testing.assert_close(backbone(pixels), trained, rtol=0.05, atol=0.05)


def test_nothing_else_changes(inputs: Inputs) -> None:
    backbone = build(resolve("glyphs"))
    top = backbone.n_blocks - 1
    backbone.set_trainable([top])
    before = {name: value.clone() for name, value in backbone.net.state_dict().items()}
    settle(backbone, inputs, batches(inputs, 16), "cpu")
    changed = {n for n, v in backbone.net.state_dict().items() if not torch.equal(v, before[n])}
    assert {backbone.owner(name) for name in changed} == {top}
    assert {name.rpartition(".")[2] for name in changed} <= {
        "running_mean",
        "running_var",
        "num_batches_tracked",
    }
    assert not backbone.training
    assert all(n.momentum == 0.1 and not n.training for n in norms(backbone).values())


@pytest.mark.slow
def test_a_deep_network_from_scratch_tells_items_apart() -> None:
    data, everything = bars(16, side=32), np.arange(32)
    entry = resolve("random:torchvision:mobilenet_v2").with_image_size(32).with_channels(1)
    few = Carried(strategy="scratch", epochs=4, batch=16, early_stopping=False)
    model = transfer(data, everything, [entry], few).model
    logits = model.outputs(data, everything)
    assert logits.std(axis=0).min() > 0.01
