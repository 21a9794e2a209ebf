"""Kept activations: exact, never stale, bounded, and lost without harm."""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch import nn

import headstart
from conftest import bars, save_bars, save_encoder, sentences, shared_weights
from headstart import store
from headstart.backbones import surgery, vision
from headstart.backbones.blocks import Backbone, Normalise
from headstart.backbones.build import build
from headstart.backbones.registry import resolve
from headstart.boundary import activations
from headstart.boundary.activations import GB, VIEWS, Activations
from headstart.boundary.inputs import PLAIN, Inputs, Rows
from headstart.data.dataset import Dataset
from headstart.data.memory.arrays import from_items
from headstart.data.pictures.images import Preprocess
from headstart.data.texts.tokens import Tokenize
from headstart.errors import HeadstartError
from headstart.settings.groups import Options
from headstart.store import DIGEST, Shelves, Store, digest
from headstart.strategies.plan import HEAD, Freeze, Group, Plan, Stage
from headstart.training import loop
from headstart.training.job import Job, Trained
from headstart.training.loop import train
from headstart.training.sources import Sources

NONE = np.empty(0, np.int64)
SMALL = Preprocess((32, 32), 32, channels=3, mean=(0.5,) * 3, std=(0.25,) * 3)
FEW = Options(batch=8, views=2, weight_decay=0.1)
Weights = dict[str, np.ndarray]


@dataclass(frozen=True)
class Case:
    """A network with random or own weights, and the items that it reads."""

    build: Callable[[], Backbone]
    preprocess: Preprocess | Tokenize
    data: Dataset
    boundaries: tuple[int, ...]

    def inputs(self, augment: str = "off", *, views: int | None = 2, seed: int = 0) -> Inputs:
        return Inputs(self.data, self.preprocess, augment=augment, views=views, seed=seed)


def by_hand(make: Callable[[], nn.Module]) -> Callable[[], Backbone]:
    """Return how to build one of torchvision's networks in small, its batch norm lived in."""

    lived: dict[str, torch.Tensor] = {}

    def made() -> Backbone:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            net = make()
            n_features = surgery.take_off_head(net)
            start = Normalise(SMALL.mean, SMALL.std)
            backbone = Backbone(net, vision.features, start, n_features, size=(3, 32, 32))
            if not lived:
                backbone.batch_statistics = True
                with torch.no_grad():
                    for _ in range(20):
                        backbone.train()(torch.randint(0, 256, (16, 32, 32, 3), dtype=torch.uint8))
                backbone.batch_statistics = False
                lived.update({name: v.clone() for name, v in net.state_dict().items()})
        net.load_state_dict(lived)
        return backbone.to(memory_format=torch.channels_last).eval()

    return made


def mobilenet() -> nn.Module:
    from torchvision.models import MobileNetV2

    return MobileNetV2(width_mult=0.25)


def vit() -> nn.Module:
    from torchvision.models import VisionTransformer

    return VisionTransformer(32, 8, num_layers=3, num_heads=2, hidden_dim=24, mlp_dim=40)


def equally_long() -> Dataset:
    data = sentences(per_class=13)
    texts = [(data.content(i).decode() + " w1" * 9).split()[:9] for i in range(len(data))]
    return from_items([" ".join(words) for words in texts], list(data.labels), "text")


PICTURES = ["residual", "batch norm", "vit"]
TEXTS = ["encoder", "encoder, equal lengths", "bilstm"]


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Case]:
    """All cases by name; a case is made when it is first asked for."""
    made: dict[str, Case] = {}

    def one(name: str) -> Case:
        if name == "residual":
            entry = resolve("glyphs")
            return Case(lambda: build(entry), entry.preprocess, bars(13), (1, 3, 5))
        if name == "batch norm":
            return Case(by_hand(mobilenet), SMALL, bars(13), (1, 9, 18))
        if name == "vit":
            return Case(by_hand(vit), SMALL, bars(13), (1, 2, 4))
        data = equally_long() if "equal" in name else sentences(per_class=13)
        texts = [data.content(i).decode() for i in range(len(data))]
        if name == "bilstm":
            from headstart.backbones import words

            known = words.learn(resolve("bilstm"), texts, min_frequency=1).entry
            return Case(lambda: build(known), known.preprocess, data, (1, 2))
        entry = resolve(str(save_encoder(tmp_path_factory.mktemp("encoder"), texts)))
        return Case(lambda: build(entry), entry.preprocess, data, (1, 2, 4))

    def named(name: str) -> Case:
        if name not in made:
            made[name] = one(name)
        return made[name]

    return named


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def above(boundary: int, n_blocks: int, epochs: int = 2, **how: Any) -> Plan:
    groups = (Group(tuple(range(boundary, n_blocks)), 1e-3),) if boundary < n_blocks else ()
    return Plan((Stage((*groups, Group((HEAD,), 1e-2)), epochs, **how),))


def slowing(epochs: int = 6) -> Plan:
    """Return a plan whose boundary moves up in steps; the lower a block, the slower it learns."""
    groups = tuple(Group((block,), 4e-5 * 3**block) for block in range(5))
    return Plan((Stage((*groups, Group((HEAD,), 1e-3)), epochs, freeze=Freeze(0.05, 1)),))


def run(
    case: Case,
    plan: int | Plan,
    options: Options = FEW,
    *,
    augment: str = "off",
    select: int = 0,
    seed: int = 0,
) -> tuple[Weights, Trained]:
    """Train above a boundary or as a plan says; return all weights, and what the loop returns."""
    backbone, inputs = case.build(), case.inputs(augment)
    if isinstance(plan, int):
        plan = above(plan, backbone.n_blocks)
    everything = np.arange(len(case.data))
    fit, chosen = everything[select:], everything[:select]
    job = Job(plan, case.data.known, fit, chosen, options, seed, what="x")
    try:
        trained = train(backbone, inputs, job)
    finally:
        inputs.close()
    weights = {name: value.numpy() for name, value in backbone.net.state_dict().items()}
    return weights | {"head": trained.head.weight, "bias": trained.head.bias}, trained


def assert_equal(one: Weights, other: Weights, atol: float = 0.0) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        np.testing.assert_allclose(other[name], value, rtol=0, atol=atol, err_msg=name)


def kept(
    case: Case,
    boundary: int,
    fit: np.ndarray | None = None,
    *,
    inputs: Inputs | None = None,
    backbone: Backbone | None = None,
    select: np.ndarray = NONE,
    **how: Any,
) -> Activations:
    """Return activations, filled."""
    inputs = inputs or case.inputs()
    made = Activations(inputs, backbone or case.build(), boundary, "cpu", **how)
    fit = np.arange(len(case.data)) if fit is None else fit
    made.fill(select, fit, range(inputs.views or VIEWS))
    return made


def values(of: Activations, fit: np.ndarray, number: int = PLAIN) -> list[np.ndarray]:
    return list(of.rows(fit, number))


def folders(home: Path) -> list[Path]:
    root = home / "activations"
    return sorted(root.iterdir()) if root.is_dir() else []


def bytes_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]


# -- exact ----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("at", [0, 1, -1], ids=["low", "middle", "top"])
@pytest.mark.parametrize("name", [*PICTURES, *TEXTS])
def test_kept_and_computed_anew_come_to_the_same_weights(
    name: str, at: int, cases: Callable[[str], Case]
) -> None:
    case = cases(name)
    augment = "light" if name in PICTURES else "off"
    boundary = case.boundaries[at]
    weights, trained = run(case, boundary, augment=augment, select=5)
    again, anew = run(case, boundary, replace(FEW, cache_limit=0), augment=augment, select=5)
    assert trained.cache["misses"] > 0 == anew.cache["misses"]
    assert_equal(weights, again)
    found, warm = run(case, boundary, augment=augment, select=5)
    assert warm.cache == {"hits": trained.cache["misses"], "misses": 0}
    assert_equal(weights, found)
    plain = [{k: v for k, v in row.items() if k != "seconds"} for row in trained.history]
    assert plain == [{k: v for k, v in row.items() if k != "seconds"} for row in anew.history]


@pytest.mark.parametrize("name", ["residual", "batch norm", "vit", "encoder", "bilstm"])
def test_the_whole_network_in_each_step_comes_to_the_same_weights(
    name: str, cases: Callable[[str], Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    case = cases(name)
    boundary = case.boundaries[1 if name != "bilstm" else 0]
    plan = above(boundary, case.build().n_blocks, epochs=1)
    # Plain steps: Adam makes a full step also of a gradient that is nothing but rounding.
    few = replace(FEW, optimiser="sgd")
    weights, _ = run(case, plan, few)
    real = Sources.at
    monkeypatch.setattr(Sources, "at", lambda self, boundary, *rest: real(self, 0, *rest))
    whole, trained = run(case, plan, few)
    assert trained.cache == {"hits": 0, "misses": 0}
    assert_equal(weights, whole, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", [*PICTURES, *TEXTS])
def test_it_does_not_matter_what_stands_beside_an_item(
    name: str, threads: int, cases: Callable[[str], Case]
) -> None:
    torch.set_num_threads(threads)
    case = cases(name)
    everything = np.arange(len(case.data))
    turned = np.random.default_rng(0).permutation(everything)
    for boundary in case.boundaries:
        backbone = case.build()
        expected = values(kept(case, boundary, backbone=backbone), everything)
        pieces = [turned[:1], turned[1:8], turned[8:]]
        for part in pieces:
            made = kept(case, boundary, part, backbone=backbone, what="in pieces")
        anew = kept(case, boundary, turned, backbone=backbone, limit=0)
        for other in (values(made, everything), list(anew._anew(everything, PLAIN))):
            for row, value in zip(other, expected, strict=True):
                np.testing.assert_array_equal(row, value)


@pytest.mark.slow
def test_what_is_kept_is_what_the_network_says(cases: Callable[[str], Case]) -> None:
    for name in (*PICTURES, *TEXTS):
        case = cases(name)
        backbone, everything = case.build(), np.arange(len(case.data))
        inputs = case.inputs()
        for boundary in case.boundaries:
            made = kept(case, boundary, backbone=backbone)
            for index, value in zip(everything, values(made, everything), strict=True):
                batch = [
                    torch.from_numpy(x)
                    for x in inputs.collate(list(inputs.rows(np.array([index]), PLAIN)))
                ]
                with torch.inference_mode():
                    state = backbone.forward_to(
                        batch[0] if len(batch) == 1 else tuple(batch), boundary
                    )
                said = state[0] if isinstance(state, tuple) else state
                np.testing.assert_allclose(value, said[0].numpy(), rtol=1e-4, atol=1e-5)


def test_a_batch_is_padded_to_its_longest_text(cases: Callable[[str], Case]) -> None:
    made = kept(cases("encoder"), 1)
    everything = np.arange(len(made.inputs.dataset))
    rows = values(made, everything)
    assert len({len(row) for row in rows}) > 3
    hidden, mask = made.collate(values(made, everything))
    assert hidden.shape == (len(rows), max(map(len, rows)), 32)
    for row, one, seen in zip(rows, hidden, mask, strict=True):
        assert seen.tolist() == [1] * len(row) + [0] * (len(seen) - len(row))
        np.testing.assert_array_equal(one[: len(row)], row)
        assert not one[len(row) :].any()


def test_each_epoch_reads_its_view(cases: Callable[[str], Case]) -> None:
    case = cases("residual")
    inputs, everything = case.inputs("strong", views=3), np.arange(26)
    made = kept(case, 2, inputs=inputs)
    anew = kept(case, 2, inputs=inputs, limit=0)
    assert (made.hits, made.misses) == (0, 78)
    order = [everything[3:9], everything[9:20]]
    seen = []
    for epoch in range(4):
        batches, again = (list(one.batches(order, epoch)) for one in (made, anew))
        for (batch,), (other,) in zip(batches, again, strict=True):
            np.testing.assert_array_equal(batch, other)
        seen.append(np.concatenate([batch for (batch,) in batches]))
    np.testing.assert_array_equal(seen[0], seen[3])
    assert (seen[0] != seen[1]).any() and (seen[1] != seen[2]).any()


@pytest.mark.parametrize("soup", [0, 3])
def test_blocks_that_freeze_on_the_way_change_nothing(
    soup: int, cases: Callable[[str], Case]
) -> None:
    """The best epochs may have other weights below than those that the activations are of."""
    case = cases("residual")
    options = replace(FEW, soup=soup, early_stopping=False)
    weights, trained = run(case, slowing(), options, select=6)
    assert len({row["boundary"] for row in trained.history}) > 2
    anew, again = run(case, slowing(), replace(options, cache_limit=0), select=6)
    assert [row["boundary"] for row in again.history] == [
        row["boundary"] for row in trained.history
    ]
    assert_equal(weights, anew)


def test_what_the_soup_is_judged_by_is_not_stale(
    cases: Callable[[str], Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    case, judged = cases("residual"), []
    real = loop._Run._score_of

    def watched(self: Any, state: Any) -> float:
        score, source = real(self, state), self.source
        self.source = self.inputs
        judged.append((score, -self._score()["selection_loss"]))
        self.source = source
        return score

    monkeypatch.setattr(loop._Run, "_score_of", watched)
    run(case, slowing(), replace(FEW, soup=4, early_stopping=False), select=6)
    assert len(judged) == 4
    for said, true in judged:
        assert said == pytest.approx(true, rel=1e-4)


def test_half_the_bytes_and_nearly_the_same_weights(
    cases: Callable[[str], Case], headstart_home: Path
) -> None:
    for name in ("residual", "encoder"):
        case = cases(name)
        weights, _ = run(case, 1)
        (whole,) = folders(headstart_home)
        size = bytes_of(whole)
        shutil.rmtree(whole)
        halves, _ = run(case, 1, replace(FEW, cache_half=True))
        (half,) = folders(headstart_home)
        overhead = 400 * len(list(half.rglob("*.npy")))
        assert 0.5 * size - overhead < bytes_of(half) < 0.5 * size + overhead
        shutil.rmtree(half)
        assert_equal(weights, halves, atol=1e-2)
        assert any((weights[key] != halves[key]).any() for key in weights)


def test_what_16_bits_cannot_hold_is_computed_anew(
    cases: Callable[[str], Case], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = cases("residual")
    weights, _ = run(case, 3, replace(FEW, cache_limit=0))
    real = Activations._keep
    monkeypatch.setattr(Activations, "_keep", lambda self, key, row: real(self, key, row * 1e6))
    again, _ = run(case, 3, replace(FEW, cache_half=True))
    assert_equal(weights, again)
    assert len(warnings(caplog)) == 1 and "too large for 16-bit floats" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "strategy"),
    [
        *((f"random:timm:test_{kind}", "partial:2") for kind in ("vit", "resnet", "convnext")),
        ("random:timm:test_efficientnet", "partial:-2"),
        *(("mobilenet_v2", f"partial:{k}") for k in (1, 10, -2)),
        *(("minilm", f"partial:{k}") for k in (1, -2)),
    ],
)
def test_real_networks(
    name: str, strategy: str, headstart_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "mobilenet_v2":
        monkeypatch.setenv("HEADSTART_WEIGHTS", str(shared_weights()))
    data = sentences(per_class=20) if name == "minilm" else bars(10, side=32)
    digests = []
    for limit in (8.0, 0, 8.0):
        few = Options(epochs=1, batch=7, views=1, cache_limit=limit)
        fit = headstart.fit(data, backbone=name, strategy=strategy, options=few, device="cpu")
        made = fit.fitted.model
        assert made.backbone is not None
        state = made.backbone.net.state_dict()
        digests.append(digest(*(v.numpy().tobytes() for v in state.values())))
    assert len(set(digests)) == 1
    assert len(folders(headstart_home)) == 1


# -- found again, and never stale -----------------------------------------------------------------


def test_equal_ones_are_found_again(cases: Callable[[str], Case]) -> None:
    case, everything = cases("residual"), np.arange(26)
    first = kept(case, 3, everything[:20], select=everything[20:])
    assert (first.hits, first.misses) == (0, 26)
    again = kept(case, 3, everything[6:], select=everything[:6])
    assert (again.hits, again.misses) == (26, 0)
    first = kept(case, 3, everything[:10], inputs=case.inputs("light", seed=0))
    assert (first.hits, first.misses) == (0, 20)
    other_seed = kept(case, 3, everything[5:15], inputs=case.inputs("light", seed=1))
    assert (other_seed.hits, other_seed.misses) == (10, 10)
    more_views = kept(case, 3, everything[:10], inputs=case.inputs("light", views=3))
    assert (more_views.hits, more_views.misses) == (20, 10)
    default = kept(case, 3, everything[:10], inputs=case.inputs("light", views=None))
    assert default.hits + default.misses == VIEWS * 10


def test_an_item_is_known_by_its_content(cases: Callable[[str], Case]) -> None:
    case, everything = cases("residual"), np.arange(26)
    kept(case, 3)
    turned = replace(case, data=case.data.take(everything[::-1]))
    assert kept(turned, 3).misses == 0
    real = case.data.content
    changed = replace(case.data, content=lambda i: real(i) if i != 4 else real(i)[:-1] + b"\xff")
    made = kept(replace(case, data=changed), 3)
    assert made.misses == 1
    assert_rows_are_true(made)


def assert_rows_are_true(made: Activations, number: int = PLAIN) -> None:
    """What is kept equals what is computed without looking at anything kept."""
    anew = Activations(made.inputs, made.backbone, made.boundary, "cpu", limit=0)
    everything = np.arange(len(made.inputs.dataset))
    expected = list(anew._anew(everything, number))
    for row, value in zip(values(made, everything, number), expected, strict=True):
        np.testing.assert_array_equal(row, value)


def nudged(name: str) -> Callable[[Backbone], None]:
    def nudge(backbone: Backbone) -> None:
        with torch.no_grad():
            tensor = backbone.net.state_dict()[name]
            tensor[(0,) * tensor.ndim] += 1e-3

    return nudge


@pytest.mark.parametrize(
    "name", ["stem.0.weight", "stem.1.running_mean", "stem.1.bias", "blocks.1.shortcut.1.weight"]
)
def test_other_weights_below(name: str, cases: Callable[[str], Case]) -> None:
    case, backbone = cases("residual"), cases("residual").build()
    kept(case, 3, backbone=backbone)
    nudged(name)(backbone)
    made = kept(case, 3, backbone=backbone)
    assert made.hits == 0
    assert_rows_are_true(made)


def test_other_weights_above(cases: Callable[[str], Case]) -> None:
    case, backbone = cases("residual"), cases("residual").build()
    kept(case, 3, backbone=backbone)
    nudged("blocks.2.conv1.weight")(backbone)
    made = kept(case, 3, backbone=backbone)
    assert made.misses == 0
    assert_rows_are_true(made)


@pytest.mark.parametrize(
    "change",
    [{"interpolation": "nearest"}, {"resize": 40}, {"mean": (0.4,)}, {"std": (0.4,)}],
    ids=str,
)
def test_another_preprocessing(change: dict[str, Any], cases: Callable[[str], Case]) -> None:
    case = cases("residual")
    kept(case, 2)
    assert isinstance(case.preprocess, Preprocess)
    other = replace(case, preprocess=replace(case.preprocess, **change))
    backbone = other.build()
    backbone.start = Normalise(other.preprocess.mean, other.preprocess.std)  # type: ignore
    made = kept(other, 2, backbone=backbone)
    assert made.hits == 0
    assert_rows_are_true(made)


def test_another_reading_of_texts(cases: Callable[[str], Case]) -> None:
    case = cases("encoder")
    assert isinstance(case.preprocess, Tokenize)
    kept(case, 2)
    made = kept(replace(case, preprocess=replace(case.preprocess, max_length=5)), 2)
    assert made.hits == 0
    assert_rows_are_true(made)


def test_another_boundary_level_half_or_network(cases: Callable[[str], Case]) -> None:
    case = cases("residual")
    inputs = {level: case.inputs(level) for level in ("off", "light", "strong")}
    for boundary in (2, 3):
        for level, half, what in (
            ("off", False, ""),
            ("light", False, ""),
            ("strong", False, ""),
            ("off", True, ""),
            ("off", False, "another"),
        ):
            made = kept(case, boundary, inputs=inputs[level], half=half, what=what)
            assert made.hits == 0, (boundary, level, half, what)
            if not half:
                assert_rows_are_true(made, PLAIN if level == "off" else 1)
            again = kept(case, boundary, inputs=inputs[level], half=half, what=what)
            assert again.misses == 0


def test_a_level_is_known_by_what_it_does(
    cases: Callable[[str], Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    case = cases("residual")
    kept(case, 3, inputs=case.inputs("light"))
    from headstart.boundary import views as augment

    monkeypatch.setitem(augment.LEVELS, "light", replace(augment.LEVELS["light"], area=0.9))
    made = kept(case, 3, inputs=case.inputs("light"))
    assert made.hits == 0
    assert_rows_are_true(made, 1)


def test_another_run_another_seed_another_draw() -> None:
    data = bars(16)
    few = Options(epochs=1, batch=8)

    def fit(**how: Any) -> headstart.Fit:
        return headstart.fit(data, strategy="partial:3", options=few, device="cpu", **how)

    first = fit(shots=4)
    mine, measured = (set(part.tolist()) for part in (first.parts.train, first.parts.held_out))
    assert first.cache == {"hits": 0, "misses": len(mine)}
    assert fit(shots=4).cache == {"hits": len(mine), "misses": 0}
    seen = mine | measured  # what is measured on is kept as well
    for how in ({"seed": 1}, {"seed": 2, "shots": 4}, {"seed": 3, "shots": 9}):
        made = fit(**how)
        mine, measured = (set(part.tolist()) for part in (made.parts.train, made.parts.held_out))
        assert made.cache == {"hits": len(mine & seen), "misses": len(mine - seen)}
        seen |= mine | measured
    assert fit(seed=5).cache["misses"] == 0


@pytest.mark.parametrize(("strategy", "told"), [("partial:3", True), ("warm", False)])
def test_16_bits_are_told_where_they_are_kept(strategy: str, told: bool) -> None:
    few = Options(epochs=1, batch=8, cache_half=True)
    notes = headstart.fit(bars(), strategy=strategy, options=few, device="cpu").to_json()["notes"]
    assert any("16-bit" in note for note in notes) == told


def test_another_draw_comes_to_what_it_would_have_alone(headstart_home: Path) -> None:
    few = Options(epochs=1, batch=8)

    def weights() -> list[bytes]:
        fit = headstart.fit(bars(16), strategy="partial:3", seed=2, options=few, device="cpu")
        made = fit.fitted.model
        assert made.backbone is not None
        return [v.numpy().tobytes() for v in made.backbone.net.state_dict().values()]

    alone = weights()
    shutil.rmtree(headstart_home / "activations")
    headstart.fit(bars(16), strategy="partial:3", shots=3, options=few, device="cpu")
    assert weights() == alone


# -- the boundary moves ---------------------------------------------------------------------------


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was read of the inputs: "load" or "view" an item that is decoded, "row" a kept one."""
    seen: list[str] = []

    def counted(name: str, what: str) -> None:
        real = getattr(Inputs, name)

        def counting(self: Inputs, *how: Any, **more: Any) -> Any:
            seen.append(what)
            return real(self, *how, **more)

        monkeypatch.setattr(Inputs, name, counting)

    counted("_load", "load")
    counted("view", "view")
    real = Inputs.rows

    def rows(self: Inputs, indices: np.ndarray, number: int) -> Iterator[Any]:
        for row in real(self, indices, number):
            seen.append("row")
            yield row

    monkeypatch.setattr(Inputs, "rows", rows)
    return seen


@pytest.mark.parametrize("name", ["residual", "batch norm", "vit", "encoder"])
def test_up_from_the_old_one_and_never_from_the_pixels(
    name: str, cases: Callable[[str], Case], decoded: list[str]
) -> None:
    case = cases(name)
    augment = "light" if name in PICTURES else "off"
    low, middle, top = case.boundaries
    backbone, inputs = case.build(), case.inputs(augment)
    kept(case, low, inputs=inputs, backbone=backbone)
    assert decoded
    decoded.clear()
    for boundary in (middle, top):
        made = kept(case, boundary, inputs=inputs, backbone=backbone)
        assert made.misses == 26 * (2 if augment == "light" else 1)
        # Of texts the lengths of some are looked at, to say how much room they will take.
        assert set(decoded) <= ({"row", "load"} if name == "encoder" else set())
    assert_rows_are_true(made, 1 if augment == "light" else PLAIN)


def test_down_to_the_deepest_that_is_valid(
    cases: Callable[[str], Case], decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    case, backbone = cases("residual"), cases("residual").build()
    started: list[int] = []
    real = Backbone.forward_between

    def watched(self: Backbone, x: Any, j: int, k: int) -> Any:
        started.append(j)
        return real(self, x, j, k)

    monkeypatch.setattr(Backbone, "forward_between", watched)
    for boundary, expected in ((5, 0), (1, 0), (3, 1), (2, 1), (4, 3)):
        started.clear()
        kept(case, boundary, backbone=backbone)
        assert set(started) == {expected}, boundary
    nudged("blocks.0.conv1.weight")(backbone)  # of block 1
    started.clear()
    kept(case, 5, backbone=backbone)
    assert set(started) == {1}
    assert decoded.count("load") == 2 * 26  # for 5 and for 1


def test_what_is_below_need_only_hold_what_is_missing(
    cases: Callable[[str], Case], decoded: list[str]
) -> None:
    case, everything = cases("residual"), np.arange(26)
    kept(case, 3, everything[:13])
    kept(case, 1, everything[13:])
    decoded.clear()
    made = kept(case, 3)
    assert (made.hits, made.misses) == (13, 13)
    assert not decoded


def test_gradual_reads_what_another_run_has_left(
    cases: Callable[[str], Case], decoded: list[str]
) -> None:
    case = cases("residual")
    run(case, 1)
    assert decoded.count("load") == 26
    decoded.clear()
    groups = [Group(tuple(range(k, 5)), 1e-3) for k in (3, 1, 0)]
    stages = [Stage((Group((HEAD,), 1e-2),), 1)]
    stages += [Stage((group, Group((HEAD,), 1e-2)), 1) for group in groups]
    _, trained = run(case, Plan(tuple(stages)))
    assert trained.cache == {"hits": 26, "misses": 52}
    # The last stage trains everything: each picture is decoded once, and kept as pixels.
    assert decoded.count("load") == 26
    assert decoded.count("row") == 26 * 1


def test_auto_freeze_decodes_nothing_again(
    cases: Callable[[str], Case], decoded: list[str]
) -> None:
    case = cases("residual")
    _, trained = run(case, slowing())
    boundaries = [row["boundary"] for row in trained.history]
    assert len(set(boundaries) - {0}) > 1
    assert trained.cache["misses"] == 26 * len(set(boundaries) - {0})
    assert decoded.count("load") == 26
    # Read in each epoch at 0, then once more for the first activations, and never again.
    assert decoded.count("row") == 26 * (boundaries.count(0) + 1)


def test_only_this_run_comes_to_these_weights(
    cases: Callable[[str], Case], headstart_home: Path
) -> None:
    run(cases("residual"), slowing())
    assert folders(headstart_home) == []
    run(cases("residual"), 2)
    assert len(folders(headstart_home)) == 1


# -- size -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["residual", "encoder"])
def test_too_much_is_computed_anew(
    name: str,
    cases: Callable[[str], Case],
    headstart_home: Path,
    caplog: pytest.LogCaptureFixture,
    decoded: list[str],
) -> None:
    case = cases(name)
    weights, _ = run(case, 1)
    shutil.rmtree(headstart_home / "activations")
    decoded.clear()
    limit = 20_000 / GB
    again, _ = run(case, 1, replace(FEW, cache_limit=limit))
    assert_equal(weights, again)
    (said,) = warnings(caplog)
    assert "activations at block 1 would take" in said and "e-05 GB may be taken" in said
    assert f"--cache-limit {limit:g}" in said and str(headstart_home) in said
    assert "computing them anew each time" in said
    assert folders(headstart_home) == []
    # Decoded for a look, and once more to be kept as pixels or tokens: not in each epoch.
    assert decoded.count("load") <= 3 * 26


@pytest.mark.parametrize("name", ["residual", "encoder", "encoder, equal lengths"])
@pytest.mark.parametrize("half", [False, True])
def test_the_size_is_estimated_well(
    name: str, half: bool, cases: Callable[[str], Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(Activations, "_reserve", lambda self, size: asked.append(size))
    made = kept(cases(name), 1, half=half)
    content = sum(row.nbytes for row in made.shelves.get(made._keys(np.arange(26), PLAIN)))
    assert asked == [pytest.approx(content, rel=0.02)]
    assert content <= bytes_of(made.shelves.folder) < 1.3 * content + 3000


def test_the_longest_unused_make_room(
    cases: Callable[[str], Case], headstart_home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    case = cases("residual")
    size = 26 * 32 * 8 * 8 * 4
    made = [kept(case, 1, what=what).shelves.folder for what in "abc"]
    for age, folder in enumerate(made):
        os.utime(folder, (age, age))
    kept(case, 1, what="a")  # used again: now b is the longest unused
    kept(case, 1, what="d", limit=3.2 * size / GB)
    left = [folder for folder in made if folder.is_dir()]
    assert left == [made[0], made[2]]
    assert len(folders(headstart_home)) == 3
    kept(case, 1, what="e", limit=1.1 * size / GB)
    assert len(folders(headstart_home)) == 1
    assert not warnings(caplog)
    assert bytes_of(headstart_home) < 1.1 * size


def test_one_folder_does_not_grow_without_bounds(
    cases: Callable[[str], Case], headstart_home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    case, everything = cases("residual"), np.arange(26)
    size = 26 * 32 * 8 * 8 * 4
    kept(case, 1, everything[:13])
    made = kept(case, 1, everything[13:], limit=0.9 * size / GB)
    assert not made.kept
    assert "may be taken" in caplog.text
    assert bytes_of(headstart_home) < 0.6 * size
    assert kept(case, 1, everything[13:], limit=1.1 * size / GB).kept


def test_what_is_free_on_the_disk_counts(
    cases: Callable[[str], Case],
    headstart_home: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = cases("residual")
    size = 26 * 32 * 8 * 8 * 4
    real = shutil.disk_usage

    def short(path: Any) -> Any:
        return real(path)._replace(free=size // 2)

    monkeypatch.setattr(shutil, "disk_usage", short)
    assert not kept(case, 1, what="a").kept
    assert len(warnings(caplog)) == 1 and "what is free in" in caplog.text
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", real)
        kept(case, 1, what="b")
    assert kept(case, 1, what="c").kept, "b makes room"
    assert len(folders(headstart_home)) == 1


def test_what_waits_to_be_written_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_MOST_WAITING", 20_000)
    shelves = Shelves(tmp_path)
    rng = np.random.default_rng(0)
    put = {}
    for number in range(1000):
        length = int(rng.integers(1, 40)) if number % 2 else 40
        key = digest(str(number).encode())
        put[key] = rng.random((length, 3)).astype(np.float32)
        shelves.add(key, put[key])
        waiting = sum(rows.nbytes for one in shelves._stores.values() for rows in one._pending)
        assert waiting <= 20_000
    written = list(tmp_path.rglob("*.npy"))
    assert len(written) < 1000 / 4, "parts stay few"
    shelves.flush()
    keys = np.array(list(put), DIGEST)
    for row, value in zip(Shelves(tmp_path).get(keys), put.values(), strict=True):
        np.testing.assert_array_equal(row, value)


# -- what can go wrong ----------------------------------------------------------------------------


@contextmanager
def failing(patch: pytest.MonkeyPatch, number: int, after: int) -> Iterator[list[Path]]:
    """All writes to the store but the first ``after`` fail, as on a full or a read-only disk."""
    tried: list[Path] = []
    real = store.written_aside

    @contextmanager
    def aside(path: Path) -> Iterator[Path]:
        tried.append(path)
        with real(path) as one:
            yield one
            if len(tried) > after:
                raise OSError(number, os.strerror(number), str(path))

    with patch.context() as inner:
        inner.setattr(store, "written_aside", aside)
        inner.setattr(store, "_PENDING", 20_000)  # a part every few rows
        yield tried


@pytest.mark.slow
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
@pytest.mark.parametrize("after", [0, 3])
def test_where_nothing_more_can_be_written(
    number: int,
    after: int,
    cases: Callable[[str], Case],
    headstart_home: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = cases("residual")
    expected, _ = run(case, 1, replace(FEW, cache_limit=0))
    with failing(monkeypatch, number, after) as tried:
        weights, _ = run(case, 1)
    assert len(tried) == after + 1, "one failure is enough"
    assert_equal(expected, weights)
    (said,) = warnings(caplog)
    assert said.startswith("activations cannot be kept in") and os.strerror(number) in said
    assert not list(headstart_home.rglob("*.part"))
    if number == errno.ENOSPC:
        assert folders(headstart_home) == [], "others need the room more"
    again, trained = run(case, 1)
    assert_equal(expected, again)
    assert (trained.cache["hits"] > 0) == (after > 0 and number != errno.ENOSPC)


def test_a_limit_of_the_system(
    cases: Callable[[str], Case], caplog: pytest.LogCaptureFixture
) -> None:
    resource = pytest.importorskip("resource")
    case = cases("residual")
    expected, _ = run(case, 1)
    at_0, _ = run(case, 0)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for boundary, weights in ((2, None), (0, at_0), (1, expected)):
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))
        try:
            got, _ = run(case, boundary)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        if weights:
            assert_equal(weights, got)
    said = warnings(caplog)
    assert len(said) == 3 and "activations cannot be kept" in said[0]
    assert all("no room for decoded items" in one for one in said[1:])
    assert all("File too large" in one for one in said)


@pytest.mark.parametrize("where", ["activations", ""])
def test_a_file_in_the_place_of_the_folder(
    where: str,
    cases: Callable[[str], Case],
    headstart_home: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    case = cases("residual")
    expected, _ = run(case, 3, replace(FEW, cache_limit=0))
    if not where:
        shutil.rmtree(headstart_home)
    (headstart_home / where).write_text("no folder can be here")
    weights, _ = run(case, 3)
    assert_equal(expected, weights)
    (said,) = warnings(caplog)
    assert said.startswith("activations cannot be kept in")


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_read_only(
    cases: Callable[[str], Case], headstart_home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    case = cases("residual")
    expected, _ = run(case, 3)
    (headstart_home / "activations").chmod(0o500)
    assert_equal(expected, run(case, 3)[0])
    assert not warnings(caplog)
    run(case, 2)
    (headstart_home / "activations").chmod(0o700)
    assert len(warnings(caplog)) == 1 and "Permission denied" in caplog.text


def test_many_parts_that_cannot_be_joined(
    cases: Callable[[str], Case], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, everything = cases("residual"), np.arange(26)
    monkeypatch.setattr(store, "_MOST_SHARDS", 5)
    for index in range(7):
        kept(case, 3, everything[index : index + 1])
    with failing(monkeypatch, errno.EROFS, 0):
        made = kept(case, 3, everything[:7])
    assert (made.hits, made.kept) == (7, True)
    assert_rows_are_true(kept(case, 3))
    assert not warnings(caplog)


def stages(*boundaries: int) -> Plan:
    groups = [Group(tuple(range(k, 5)), 1e-3) for k in boundaries]
    return Plan(tuple(Stage((group, Group((HEAD,), 1e-2)), 1) for group in groups))


def test_deleted_between_stages(
    cases: Callable[[str], Case],
    headstart_home: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = cases("residual")
    expected, _ = run(case, stages(4, 3, 1, 0), select=5)
    real, deleted = loop._Run._enter, []

    def deleting(self: Any, *how: Any) -> None:
        deleted.append(len(folders(headstart_home)))
        shutil.rmtree(headstart_home, ignore_errors=True)
        real(self, *how)

    monkeypatch.setattr(loop._Run, "_enter", deleting)
    weights, trained = run(case, stages(4, 3, 1, 0), select=5)
    assert deleted == [3, 1, 1, 1]
    assert trained.cache == {"hits": 0, "misses": 78}
    assert_equal(expected, weights)
    assert not warnings(caplog)


@pytest.mark.parametrize("name", ["residual", "encoder"])
def test_deleted_in_the_middle(
    name: str,
    cases: Callable[[str], Case],
    headstart_home: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In the middle of an epoch, and between two parts that are written."""
    case = cases(name)
    boundary = case.boundaries[1]
    expected, _ = run(case, boundary, select=5)
    monkeypatch.setattr(store, "_PENDING", 20_000)
    shutil.rmtree(headstart_home)
    add, step = Shelves.add, loop._Run._step
    deleted = []

    def adding(self: Shelves, *how: Any) -> None:
        add(self, *how)
        if not deleted and folders(headstart_home):
            shutil.rmtree(headstart_home)
            deleted.append("while they were computed")

    def stepping(self: Any, *how: Any) -> float:
        if folders(headstart_home):
            shutil.rmtree(headstart_home)
            deleted.append("while they were read")
        return step(self, *how)

    monkeypatch.setattr(Shelves, "add", adding)
    monkeypatch.setattr(loop._Run, "_step", stepping)
    weights, _ = run(case, boundary, select=5)
    assert deleted[-1] == "while they were read"
    assert len(deleted) == (2 if name == "residual" else 1)
    assert_equal(expected, weights)
    assert not warnings(caplog)


def test_two_runs_at_once(
    cases: Callable[[str], Case], headstart_home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    case = cases("residual")
    expected, _ = run(case, 2, replace(FEW, cache_limit=0))
    both, real, met = Barrier(2, timeout=60), Shelves.add, set()

    def meeting(self: Shelves, *how: Any) -> None:
        if id(self) not in met:
            met.add(id(self))
            both.wait()
        real(self, *how)

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(2) as pool:
        patch.setattr(Shelves, "add", meeting)
        for weights, trained in pool.map(lambda _: run(case, 2), range(2)):
            assert_equal(expected, weights)
            assert trained.cache == {"hits": 0, "misses": 26}
    again, trained = run(case, 2)
    assert trained.cache == {"hits": 26, "misses": 0}
    assert_equal(expected, again)
    assert not warnings(caplog)
    assert len(folders(headstart_home)) == 1


@pytest.mark.slow
def test_two_processes_at_once(tmp_path: Path, headstart_home: Path) -> None:
    data = save_bars(tmp_path / "data", 40)
    line = [sys.executable, "-m", "headstart", "fit", str(data), "--strategy", "partial:1"]
    line += ["--augment", "light", "--epochs", str(VIEWS), "--json", "--out"]
    digests = []
    for outs in ("ab", "c"):
        started = [
            subprocess.Popen([*line, str(tmp_path / out)], stdout=subprocess.PIPE, text=True)
            for out in outs
        ]
        for out, process in zip(outs, started, strict=True):
            said, _ = process.communicate()
            assert process.returncode == 0
            digests.append(store.file_digest(tmp_path / out / "model.safetensors"))
    assert json.loads(said)["cache"] == {"hits": VIEWS * 54 + 10, "misses": 0}
    assert len(set(digests)) == 1
    assert len(folders(headstart_home)) == 1


def test_another_run_makes_room_meanwhile(
    cases: Callable[[str], Case], headstart_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is evicted while it is looked at is no error, and not a damaged one either."""
    case = cases("residual")
    for what in "ab":
        kept(case, 1, what=what)
    real = activations._size

    def vanishing(folder: Path) -> int:
        size = real(folder)
        if folder.parent.name == "activations":
            shutil.rmtree(folder, ignore_errors=True)
        return size

    monkeypatch.setattr(activations, "_size", vanishing)
    made = kept(case, 1, what="c", limit=250_000 / GB)
    assert made.kept
    assert_rows_are_true(made)


@pytest.mark.parametrize("damage", ["cut", "rubbish", "empty"])
def test_a_damaged_part_is_computed_again(
    damage: str, cases: Callable[[str], Case], headstart_home: Path
) -> None:
    case = cases("residual")
    kept(case, 1, np.arange(20))
    kept(case, 1, np.arange(20, 26))
    first = sorted(headstart_home.rglob("*.npy"), key=lambda path: path.stat().st_size)[0]
    content = first.read_bytes()
    first.write_bytes({"cut": content[:-4], "rubbish": b"rubbish", "empty": b""}[damage])
    made = kept(case, 1)
    assert (made.hits, made.misses) == (20, 6)
    assert_rows_are_true(made)


def test_foreign_files_are_left_alone(cases: Callable[[str], Case]) -> None:
    made = kept(cases("residual"), 1)
    (made.shelves.folder / "shape-3x4 (copy)").mkdir()
    (made.shelves.folder / "shape-").mkdir()
    (made.shelves.folder / "notes.txt").touch()
    assert kept(cases("residual"), 1).misses == 0


@pytest.mark.parametrize("full", [False, True])
def test_ctrl_c_ends_it_and_keeps_what_was_computed(
    full: bool, cases: Callable[[str], Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    case, real, added = cases("residual"), Shelves.add, []

    def interrupted(self: Shelves, *how: Any) -> None:
        real(self, *how)
        added.append(how)
        if len(added) == 11:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Shelves, "add", interrupted)
        if full:
            patch.setattr(Shelves, "flush", lambda self: os.mkdir(os.devnull))
        run(case, 3)
    _, trained = run(case, 3)
    assert trained.cache["hits"] == (0 if full else 11)


def test_an_item_that_cannot_be_read_any_more_is_named(cases: Callable[[str], Case]) -> None:
    """Its error is passed on, and not taken for one of the disk that activations are kept on."""
    case = cases("residual")
    real = case.data.content

    def content(index: int) -> bytes:
        if index == 17:
            raise FileNotFoundError(errno.ENOENT, "No such file", "bars/17.png")
        return real(index)

    with pytest.raises(FileNotFoundError, match=r"17\.png"):
        kept(replace(case, data=replace(case.data, content=content)), 3)


def test_files_of_killed_runs_are_swept(cases: Callable[[str], Case], headstart_home: Path) -> None:
    made = kept(cases("residual"), 3)
    (shelf,) = made.shelves.folder.iterdir()
    day = 24 * 3600
    for name, age in ((".old.npy.01.part", day + 60), (".new.npy.02.part", day - 60)):
        (shelf / name).write_bytes(b"half")
        os.utime(shelf / name, (time.time() - age,) * 2)
    assert kept(cases("residual"), 3).misses == 0
    assert [path.name for path in shelf.glob(".*")] == [".new.npy.02.part"]
    assert len(list(shelf.iterdir())) == 2


# -- truly frozen ---------------------------------------------------------------------------------


def only(block: int) -> Plan:
    """Train one block and the head: what is frozen lies above it, too, and is run in each step."""
    return Plan((Stage((Group((block,), 1e-3), Group((HEAD,), 1e-2)), 2),))


@pytest.mark.parametrize("limit", [8.0, 0.0])
@pytest.mark.parametrize("name", ["residual", "encoder"])
def test_batch_norm_and_dropout_in_training_mode(
    name: str, limit: float, cases: Callable[[str], Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    def everything(self: Backbone, mode: bool = True) -> Backbone:
        nn.Module.train(self, mode)
        return self

    monkeypatch.setattr(Backbone, "train", everything)
    case = cases(name)
    for plan in (1, 3, only(0), only(1)):
        with pytest.raises(HeadstartError, match="a frozen block changed to training mode"):
            run(case, plan, replace(FEW, cache_limit=limit))


@pytest.mark.parametrize("plan", [only(0), only(2)], ids=["lowest", "middle"])
def test_batch_norm_that_learns_behind_our_back(
    plan: Plan, cases: Callable[[str], Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = loop._Run._step

    def stepping(self: Any, *how: Any) -> float:
        for module in self.backbone.net.modules():
            module.training |= isinstance(module, nn.BatchNorm2d)
        return real(self, *how)

    monkeypatch.setattr(loop._Run, "_step", stepping)
    with pytest.raises(HeadstartError, match="a frozen block changed during training"):
        run(cases("residual"), plan)


@pytest.mark.parametrize("limit", [8.0, 0.0])
def test_dropout_below_the_boundary_is_off(limit: float, cases: Callable[[str], Case]) -> None:
    case, found = cases("encoder"), []
    for chance in (0.1, 0.9):

        def wild(chance: float = chance) -> Backbone:
            backbone = case.build()
            for name, module in backbone.net.named_modules():
                if isinstance(module, nn.Dropout) and backbone.owner(name) < 2:
                    module.p = chance
            return backbone

        few = replace(FEW, cache_limit=limit)
        found.append(run(replace(case, build=wild), 2, few)[0])
    assert_equal(*found)
    on = run(replace(case, build=wild), 1)[0]
    off = run(case, 1)[0]
    assert any((on[name] != off[name]).any() for name in on), "above it, it is on"


class Sloppy(torch.optim.AdamW):
    """Takes what has no gradient for what has a gradient of zero, so that its decay goes on."""

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = torch.zeros_like(p) if p.grad is None else p.grad
        super().step()


@pytest.mark.parametrize("plan", [2, only(0)], ids=["below", "above"])
@pytest.mark.parametrize("kind", [torch.optim.AdamW, torch.optim.SGD, Sloppy])
@pytest.mark.parametrize("asked", [False, True], ids=["no gradients", "gradients"])
def test_an_optimiser_that_holds_everything(
    plan: int | Plan,
    kind: Any,
    asked: bool,
    cases: Callable[[str], Case],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = cases("residual")
    before = {name: v.clone() for name, v in case.build().net.state_dict().items()}
    owner = case.build().owner
    trained = set(range(2, 5)) if plan == 2 else {0}

    def all_of_it(self: Any, stage: Stage) -> Any:
        for p in self.backbone.net.parameters():
            p.requires_grad_(asked or p.requires_grad)
        held = [*self.backbone.net.parameters(), *self.head.parameters()]
        return kind(held, lr=1e-3, weight_decay=0.5)

    monkeypatch.setattr(loop._Run, "_optimiser", all_of_it)
    # Below the boundary nothing is run, so nothing there can get a gradient.
    if kind is Sloppy or (asked and plan != 2):
        with pytest.raises(HeadstartError, match="a frozen block changed during training"):
            run(case, plan)
        return
    weights, _ = run(case, plan)
    moved = {owner(name) for name, v in before.items() if (v.numpy() != weights[name]).any()}
    assert moved == trained


def test_an_optimiser_that_still_holds_what_was_frozen_on_the_way(
    cases: Callable[[str], Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = loop._Run._optimiser

    def the_first(self: Any, stage: Stage) -> Any:
        if not hasattr(self, "first"):
            self.first = real(self, stage)
            self.first.__class__ = Sloppy
        return self.first

    monkeypatch.setattr(loop._Run, "_optimiser", the_first)
    with pytest.raises(HeadstartError, match="a frozen block changed during training"):
        run(cases("residual"), slowing())


# -- arrays on disk -------------------------------------------------------------------------------

shapes = st.lists(st.integers(0, 4), min_size=1, max_size=3).map(tuple)
floats = st.floats(width=32, allow_nan=False)


@settings(deadline=None, max_examples=40)
@given(
    st.dictionaries(
        st.integers(0, 99),
        shapes.flatmap(lambda shape: arrays.arrays(np.float32, shape, elements=floats)),
        max_size=12,
    ),
    st.lists(st.integers(0, 99), max_size=10),
    st.booleans(),
)
def test_what_is_put_on_shelves_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
    put: dict[int, np.ndarray],
    asked: list[int],
    anew: bool,
) -> None:
    folder = tmp_path_factory.mktemp("shelves") / "one"
    shelves = Shelves(folder)
    for number, value in put.items():
        shelves.add(digest(bytes([number])), value)
    shelves.flush()
    found = Shelves(folder) if anew else shelves
    keys = np.array([digest(bytes([number])) for number in asked], DIGEST)
    assert found.has(keys).tolist() == [number in put for number in asked]
    there = [number for number in asked if number in put]
    keys = np.array([digest(bytes([number])) for number in there], DIGEST)
    for number, value in zip(there, found.get(keys), strict=True):
        assert value.dtype == np.float32 and value.shape == put[number].shape
        np.testing.assert_array_equal(value, put[number])
    if len(there) < len(asked):
        keys = np.array([digest(bytes([number])) for number in asked], DIGEST)
        with pytest.raises(KeyError, match="arrays are not in"):
            found.get(keys)


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from([np.uint8, np.int32, np.float32]),
    st.lists(st.integers(0, 3), max_size=2),
    st.lists(st.integers(0, 5), min_size=1, max_size=12),
)
def test_rows_come_back(dtype: Any, width: list[int], lengths: list[int]) -> None:
    rng = np.random.default_rng(0)
    put = [rng.integers(0, 200, (length, *width)).astype(dtype) for length in lengths]
    rows = Rows(iter(put))
    for number in reversed(range(len(put))):
        assert rows[number].dtype == dtype
        np.testing.assert_array_equal(rows[number], put[number])
    rows.close()


def test_rows_have_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    rows = Rows([np.zeros((3, 2), np.float32)] * 5)
    assert list(tmp_path.iterdir()) == []
    assert rows[4].shape == (3, 2)
    rows.close()
    with pytest.raises(RuntimeError):
        Rows(fails())
    assert list(tmp_path.iterdir()) == []


def fails() -> Iterator[np.ndarray]:
    yield np.zeros((3, 2), np.float32)
    raise RuntimeError


def test_keeping_other_items_forgets_the_first(cases: Callable[[str], Case]) -> None:
    inputs, everything = cases("residual").inputs(), np.arange(26)
    inputs.keep_plain(everything[:5])
    expected = [row.copy() for row in inputs.rows(everything[:9], PLAIN)]
    inputs.keep_plain(everything[:9])
    for row, value in zip(inputs.rows(everything[:9], PLAIN), expected, strict=True):
        np.testing.assert_array_equal(row, value)
    inputs.close()


def test_a_store_that_another_process_joined_meanwhile(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = [("value", "<f4", (2,))]
    one = Store(tmp_path, fields)
    one.add(np.zeros(1, one.dtype))
    one.flush()
    real = Store._open

    def gone(self: Store, path: Path) -> Any:
        path.unlink()
        return real(self, path)

    monkeypatch.setattr(Store, "_open", gone)
    assert len(Store(tmp_path, fields)) == 0
    assert not warnings(caplog)
