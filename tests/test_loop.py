"""The one loop, against ten lines of plain PyTorch, and the promises that it makes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from conftest import bars
from headstart.backbones import vision
from headstart.backbones.blocks import Backbone
from headstart.backbones.registry import resolve
from headstart.boundary import inputs
from headstart.boundary.activations import VIEWS, Activations
from headstart.boundary.inputs import Inputs, in_batches
from headstart.data.dataset import Dataset
from headstart.errors import HeadstartError
from headstart.settings.groups import Options
from headstart.strategies.plan import HEAD, Group, Plan, Stage
from headstart.tasks.classes import class_weights
from headstart.tasks.head import Head
from headstart.training import loop, selection
from headstart.training.best import Best
from headstart.training.job import Job, Trained
from headstart.training.loop import train
from headstart.training.objectives import Supervised
from headstart.training.optimiser import cosine

NONE = np.empty(0, np.int64)
PREPROCESS = resolve("glyphs").preprocess


def stage(boundary: int = 0, epochs: int = 2, body: float = 1e-3, head: float = 1e-2) -> Plan:
    groups = (Group(tuple(range(boundary, 5)), body),) if boundary < 5 else ()
    return Plan((Stage((*groups, Group((HEAD,), head)), epochs),))


def run(
    plan: Plan,
    options: Options | None = None,
    *,
    data: Dataset | None = None,
    fit: np.ndarray | None = None,
    select: np.ndarray = NONE,
    augment: str = "off",
    seed: int = 0,
    expected: Any = None,
) -> tuple[Backbone, Trained]:
    data = bars() if data is None else data
    backbone = vision.build(resolve("glyphs"))
    backbone.to(memory_format=torch.contiguous_format)
    pictures = Inputs(data, PREPROCESS, augment=augment, seed=seed)
    fit = np.arange(len(data)) if fit is None else fit
    options = options or Options(batch=8)
    job = Job(plan, data.known, fit, select, options, seed, expected=expected)
    try:
        trained = train(backbone, pictures, job)
    finally:
        pictures.close()
    return backbone, trained


def plain(options: Options, epochs: int, rates: tuple[float, float], boundary: int = 0) -> Any:
    """Train as everybody does: a network, a linear layer, an optimiser, a schedule."""
    data = bars()
    inputs = torch.from_numpy(
        np.stack([PREPROCESS.load(data.content(i)) for i in range(len(data))])
    )
    target = torch.from_numpy(data.labels)
    backbone = vision.build(resolve("glyphs")).to(memory_format=torch.contiguous_format).eval()
    head = nn.Linear(128, 2)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    groups = []
    for rate, parameters in ((rates[0], _body(backbone, boundary)), (rates[1], head.parameters())):
        both = list(parameters)
        pulled = [p for p in both if p.ndim > 1]
        others = [p for p in both if p.ndim == 1]
        groups.append({"params": pulled, "lr": rate, "weight_decay": options.weight_decay})
        groups.append({"params": others, "lr": rate, "weight_decay": 0.0})
    kind = torch.optim.AdamW if options.optimiser == "adamw" else torch.optim.SGD
    optimiser = kind(groups, **({} if options.optimiser == "adamw" else {"momentum": 0.9}))
    counts = torch.bincount(target)
    weight = len(target) / (2 * counts) if options.class_weights else None
    steps = epochs * 3
    peaks = [group["lr"] for group in optimiser.param_groups]
    step = 0
    for epoch in range(epochs):
        order = np.random.default_rng([0, 3, epoch]).permutation(np.arange(24))
        for batch in np.array_split(order, 3):
            for group, peak in zip(optimiser.param_groups, peaks, strict=True):
                group["lr"] = peak * cosine(step, steps)
            logits = head(backbone(inputs[batch]))
            loss = F.cross_entropy(
                logits, target[batch], weight=weight, label_smoothing=options.smoothing
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            step += 1
    return backbone, head


def _body(backbone: Backbone, boundary: int) -> Iterator[nn.Parameter]:
    for block in range(boundary, backbone.n_blocks):
        yield from backbone.parameters_of(block)


@pytest.mark.parametrize("boundary", [0, 3, 5])
@pytest.mark.parametrize(
    "options",
    [
        Options(batch=8),
        Options(batch=8, optimiser="sgd", weight_decay=0.1),
        Options(batch=8, smoothing=0.2, class_weights=True),
    ],
    ids=["adamw", "sgd", "smoothed, weighted"],
)
def test_plain_torch_comes_to_the_same_weights(options: Options, boundary: int) -> None:
    backbone, trained = run(stage(boundary), options)
    expected, head = plain(options, 2, (1e-3, 1e-2), boundary)
    for name, value in expected.net.state_dict().items():
        torch.testing.assert_close(
            backbone.net.state_dict()[name], value, rtol=1e-4, atol=2e-6, msg=name
        )
    np.testing.assert_allclose(trained.head.weight, head.weight.detach(), atol=2e-6)
    np.testing.assert_allclose(trained.head.bias, head.bias.detach(), atol=2e-6)


def test_class_weights_lift_the_rare_class() -> None:
    data = bars()
    rare = np.concatenate([np.flatnonzero(data.labels == 0), np.flatnonzero(data.labels == 1)[:2]])
    weights = class_weights(data.labels[rare], 2)
    np.testing.assert_allclose(weights, [14 / 24, 14 / 4])
    assert float(weights[data.labels[rare]].mean()) == pytest.approx(1)
    plan = stage(5, epochs=1)
    sgd = {"batch": 32, "optimiser": "sgd"}
    biases = [
        run(plan, Options(**sgd, class_weights=on), fit=rare)[1].head.bias  # type: ignore[arg-type]
        for on in (False, True)
    ]
    assert biases[0][0] > biases[0][1], "without weights the common class wins"
    assert biases[1][0] == pytest.approx(biases[1][1], abs=1e-6)


def test_absent_classes_get_no_weight_that_is_not_a_number() -> None:
    weights = class_weights(np.array([0, 0, 2]), 4)
    assert np.isfinite(weights).all()


def test_cosine_rises_for_a_tenth_and_falls_to_nothing() -> None:
    shares = [cosine(step, 100) for step in range(100)]
    assert max(shares) == 1.0
    assert shares.index(1.0) == 9
    assert shares[:10] == sorted(shares[:10])
    assert shares[10:] == sorted(shares[10:], reverse=True)
    assert shares[-1] < 0.001
    assert cosine(0, 1) == 1.0


def test_the_best_epoch_is_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    states: list[dict[str, torch.Tensor]] = []
    losses = iter([0.9, 0.2, 0.5, 0.4])

    def score(self: Any) -> dict[str, float]:
        states.append({k: v.clone() for k, v in self.backbone.net.state_dict().items()})
        return {"selection_loss": next(losses), "selection_accuracy": 0.5}

    monkeypatch.setattr(loop._Run, "_score", score)
    backbone, trained = run(stage(2, epochs=4), fit=np.arange(16), select=np.arange(16, 24))
    assert [row["selection_loss"] for row in trained.history] == [0.9, 0.2, 0.5, 0.4]
    moved = 0
    for name, value in backbone.net.state_dict().items():
        assert torch.equal(value, states[1][name]), name
        moved += not torch.equal(value, states[3][name])
    assert moved


@pytest.mark.parametrize(("early", "epochs"), [(True, 5), (False, 9)])
def test_training_stops_when_nothing_gets_better(
    early: bool, epochs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rising = iter(range(1, 100))
    monkeypatch.setattr(
        Supervised,
        "judge",
        lambda self, outputs: {"selection_loss": float(next(rising)), "selection_accuracy": 0.0},
    )
    options = Options(batch=8, early_stopping=early)
    _, trained = run(stage(5, epochs=9), options, fit=np.arange(16), select=np.arange(16, 24))
    assert len(trained.history) == epochs


def test_selection_is_measured_and_gives_the_temperature() -> None:
    _, trained = run(stage(0, epochs=3), fit=np.arange(16), select=np.arange(16, 24))
    assert all(0 < row["selection_loss"] < 2 for row in trained.history)
    assert 0.05 <= trained.head.temperature != 1.0
    _, trained = run(stage(5, epochs=1))
    assert trained.head.temperature == 1.0
    assert "selection_loss" not in trained.history[0]


@pytest.mark.parametrize("boundary", [0, 3, 5])
@pytest.mark.parametrize(("enough", "asks"), [(8, False), (9, True)])
def test_of_few_items_what_is_expected_counts_too(
    enough: int, asks: bool, boundary: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "ENOUGH", enough)
    asked = []

    def expected(share: float | None) -> Any:
        return lambda: asked.append(share) or share

    parts = {"fit": np.arange(16), "select": np.arange(16, 24)}
    told = [
        run(stage(boundary), **parts, expected=expected(share))[1].head.temperature
        for share in (None, 0.6, 0.99)
    ]
    assert len(asked) == 3 * asks
    assert (told[1] > told[2]) == asks and (told[0] == told[1]) == (not asks)
    del parts["select"]
    sure, unsure = (
        run(stage(boundary), **parts, expected=expected(share))[1] for share in (0.99, 0.6)
    )
    assert sure.head.temperature < unsure.head.temperature
    assert run(stage(boundary), **parts, expected=expected(None))[1].head.temperature == 1.0


def test_a_softer_start_divides_the_probe_and_is_judged_as_the_probe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data, rng = bars(), np.random.default_rng(0)
    probe = Head(
        rng.normal(size=(2, 128)).astype(np.float32), np.ones(2, np.float32), temperature=2.0
    )
    losses, adding = list[float](), Best.add

    def noted(self: Best, loss: float, *rest: Any) -> None:
        losses.append(loss)
        adding(self, loss, *rest)

    monkeypatch.setattr(Best, "add", noted)
    for softer in (1.0, 3.0):
        pictures = Inputs(data, PREPROCESS, augment="off", seed=0)
        still = stage(boundary=5, epochs=1, head=1e-12)
        options = Options(batch=8, weight_decay=0.0)
        job = Job(still, data.known, np.arange(18), np.arange(18, 24), options, probe=probe,
                  softer=softer)  # fmt: skip
        head = train(vision.build(resolve("glyphs")), pictures, job).head
        pictures.close()
        assert head is not None
        np.testing.assert_allclose(head.weight, probe.weight / (2 * softer), rtol=1e-5)
        np.testing.assert_allclose(head.bias, probe.bias / (2 * softer), rtol=1e-5)
    before, epoch, soft_before, soft_epoch = losses
    assert before == pytest.approx(epoch, rel=1e-5)
    assert soft_before == pytest.approx(before, rel=1e-5)
    assert soft_epoch != pytest.approx(before, rel=0.01)


def test_a_loss_that_is_no_number_is_a_clear_error() -> None:
    with pytest.raises(HeadstartError, match="the loss is nan.*try a smaller learning rate"):
        run(stage(0, epochs=30, body=1e9, head=1e30), Options(batch=8, optimiser="sgd"))


def test_something_frozen_that_moves_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    real = loop._Run._epoch

    def meddling(self: Any, *arguments: Any) -> float:
        self.backbone.net.get_buffer("stem.1.running_mean").add_(1e-6)
        return real(self, *arguments)

    monkeypatch.setattr(loop._Run, "_epoch", meddling)
    run(stage(0, epochs=1))  # where it is trained it may move
    with pytest.raises(HeadstartError, match="a frozen block changed"):
        run(stage(2, epochs=1))


def test_the_callers_random_state_and_threads_are_left_alone() -> None:
    torch.manual_seed(5)
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    numpy_before = np.random.get_state()[1].copy()
    run(stage(0, epochs=1), augment="strong")
    assert torch.equal(torch.random.get_rng_state(), before)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_before)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("augment", ["off", "light"])
def test_kept_activations_equal_those_computed_anew(augment: str) -> None:
    few = Options(batch=8, views=3)
    kept, trained = run(stage(3, epochs=4), few, augment=augment)
    anew, again = run(stage(3, epochs=4), replace(few, cache_limit=0), augment=augment)
    assert (trained.cache["misses"], again.cache["misses"]) == (24 if augment == "off" else 72, 0)
    for name, value in anew.net.state_dict().items():
        assert torch.equal(kept.net.state_dict()[name], value), name
    np.testing.assert_array_equal(trained.head.weight, again.head.weight)


def test_activations_are_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    real = Backbone.forward_to

    def counting(self: Backbone, x: Any, k: int) -> Any:
        seen.append(len(x) if k == 3 else 0)
        return real(self, x, k)

    monkeypatch.setattr(Backbone, "forward_to", counting)
    run(stage(3, epochs=5), data=bars(16))
    assert sum(seen) == 32


def test_augmented_views_go_round() -> None:
    pictures = Inputs(bars(), PREPROCESS, augment="strong", views=VIEWS)
    backbone = vision.build(resolve("glyphs"))
    kept = Activations(pictures, backbone, 2, "cpu")
    kept.fill(NONE, np.arange(24), range(VIEWS))
    try:
        order = in_batches(np.arange(24)[::-1], 10)
        first, second, again = (
            np.concatenate([batch[0] for batch in kept.batches(order, epoch)])
            for epoch in (0, 1, VIEWS)
        )
        np.testing.assert_array_equal(first, again)
        assert (first != second).any()
    finally:
        pictures.close()


@pytest.mark.parametrize("augment", ["off", "strong"])
def test_the_number_of_workers_changes_nothing(
    augment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads = []
    for workers in (1, 5):
        monkeypatch.setattr(inputs, "ThreadPoolExecutor", lambda w=workers: ThreadPoolExecutor(w))
        heads.append(run(stage(3, epochs=2), augment=augment)[1].head)
    np.testing.assert_array_equal(heads[0].weight, heads[1].weight)


@pytest.mark.parametrize("fails", [False, True])
def test_files_are_cleaned_up(fails: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    used: list[list[Path]] = []
    real = loop._Run._epochs

    def watched(self: Any, *arguments: Any) -> None:
        assert isinstance(self.inputs._kept._all, np.memmap), "plain pictures lie on disk"
        used.append(list(tmp_path.iterdir()))
        if fails:
            raise KeyboardInterrupt
        real(self, *arguments)

    monkeypatch.setattr(loop._Run, "_epochs", watched)
    try:
        run(stage(0, epochs=1))
    except KeyboardInterrupt:
        assert fails
    assert used == [[]], "under no name, so that not even kill -9 leaves anything"
    assert list(tmp_path.iterdir()) == []


def test_batches_are_nearly_equal() -> None:
    for n in (1, 7, 32, 33, 100):
        batches = in_batches(np.arange(n), 32)
        assert np.concatenate(batches).tolist() == list(range(n))
        sizes = [len(batch) for batch in batches]
        assert max(sizes) <= 32
        assert max(sizes) - min(sizes) <= 1
