"""Not to forget: rehearsal, the old answers, weights in between; and what is measured of it."""

from __future__ import annotations

import copy
import io
import json
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

import headstart
import headstart.data.memory.arrays
from conftest import bars, sentences, truth
from headstart.backbones.build import build
from headstart.backbones.registry import resolve, resolve_all
from headstart.backbones.weights import old_head
from headstart.boundary.extract import extract
from headstart.boundary.inputs import Inputs
from headstart.data.beside import beside
from headstart.data.dataset import Dataset
from headstart.data.pictures.corruptions import CORRUPTIONS, corrupted
from headstart.errors import DataError, UsageError
from headstart.evaluation.forgetting import forgetting, robustness
from headstart.model import Model
from headstart.settings.groups import Carried
from headstart.tasks.head import Head
from headstart.training import blending, remembering
from headstart.training.earlier import Earlier
from headstart.training.fitted import Fitted
from headstart.training.optimiser import cosine
from headstart.training.transfer import transfer

HOW: dict[str, Any] = {"epochs": 4, "batch": 8, "early_stopping": False}
HOW |= {"body_rate": 1e-3, "head_rate": 1e-2}


def rows_of_bars(per_class: int = 12) -> Dataset:
    """What was known before: bars that lie, of three places."""
    data = bars(per_class, 3, seed=9)
    pictures = [np.load(_file(data.content(i))).T for i in range(len(data))]
    return headstart.data.memory.arrays.from_items(
        np.stack(pictures), [data.said(i) for i in range(len(data))]
    )


def _file(content: bytes) -> Any:
    return io.BytesIO(content)


@pytest.fixture
def earlier(glyph_graph: Path) -> Earlier:
    return Earlier.of(rows_of_bars(), resolve_all("glyphs"), device="cpu", seed=0)


def learned(name: str, earlier: Earlier | None = None, **how: Any) -> Fitted:
    data = bars(16)
    run = Carried(strategy=name, **{**HOW, **how})
    return transfer(data, np.arange(24), resolve_all("glyphs"), run, earlier=earlier)


# -- the two losses -------------------------------------------------------------------------------


def test_soft_targets_against_numpy() -> None:
    rng = np.random.default_rng(0)
    new, old = rng.normal(0, 3, (2, 5, 4))

    def softmax(x: np.ndarray) -> np.ndarray:
        raised = np.exp(x - x.max(1, keepdims=True))
        return raised / raised.sum(1, keepdims=True)

    for t in (1.0, 2.0, 5.0):
        wanted = -(softmax(old / t) * np.log(softmax(new / t))).sum(1).mean() * t * t
        got = remembering.distilled(torch.tensor(new), torch.tensor(old), t)
        assert float(got) == pytest.approx(wanted)
    x = torch.tensor(old, requires_grad=True)
    remembering.distilled(x, torch.tensor(old)).backward()
    assert float(x.grad.abs().max()) < 1e-12  # least where nothing has changed


def test_drift_against_numpy() -> None:
    new, old = np.random.default_rng(0).normal(0, 3, (2, 5, 4))
    wanted = ((new - old) ** 2).sum() / (old**2).sum()
    assert float(remembering.drifted(torch.tensor(new), torch.tensor(old))) == pytest.approx(wanted)


# -- the two strategies, step by step -------------------------------------------------------------


def replay(earlier: Earlier | None, name: str) -> dict[str, torch.Tensor]:
    """Train as the strategies do, written down by hand in plain PyTorch."""
    data, fit = bars(16), np.arange(24)
    net = build(resolve("glyphs"))
    teacher = copy.deepcopy(net).eval()
    n_new = len(data)
    both = data if earlier is None else beside(data, earlier.dataset)
    inputs = Inputs(both, resolve("glyphs").preprocess)
    pixels = torch.from_numpy(np.stack([*inputs.rows(np.arange(len(both)), -1)]))
    head = nn.Linear(128, 2)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    groups = []
    for parameters, rate in ((net.net.parameters(), 1e-3), (head.parameters(), 1e-2)):
        every = list(parameters)
        for wanted in (True, False):
            part = [p for p in every if (p.ndim > 1) == wanted]
            groups.append({"params": part, "lr": rate, "weight_decay": 0.01 if wanted else 0.0})
    optimiser = torch.optim.AdamW(groups, fused=True)
    step = 0
    for epoch in range(4):
        order = np.random.default_rng([0, 3, epoch]).permutation(fit)
        extra = np.random.default_rng([0, 23, epoch])
        for batch in np.array_split(order, 3):
            for group, rate in zip(optimiser.param_groups, (1e-3, 1e-3, 1e-2, 1e-2), strict=True):
                group["lr"] = rate * cosine(step, 12)
            labels = torch.from_numpy(data.labels[batch])
            if earlier is not None:
                old = extra.choice(earlier.train, 4, replace=False)
                z = net(pixels[np.concatenate([batch, n_new + old])])
                said = z[8:] @ torch.from_numpy(earlier.head.weight / earlier.head.temperature).T
                said = said + torch.from_numpy(earlier.head.bias / earlier.head.temperature)
                truth = torch.from_numpy(earlier.dataset.labels[old])
                loss = F.cross_entropy(head(z[:8]), labels) + 0.5 * F.cross_entropy(said, truth)
            else:
                z = net(pixels[batch])
                with torch.no_grad():
                    z0 = teacher(pixels[batch])
                lost = ((z - z0) ** 2).sum(1).mean() / (z0**2).sum(1).mean()
                loss = F.cross_entropy(head(z), labels) + lost
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            step += 1
    assert name in ("rehearsal", "lwf")
    return dict(net.net.state_dict())


@pytest.mark.parametrize("name", ["rehearsal", "lwf"])
def test_the_same_weights_as_by_hand(name: str, earlier: Earlier) -> None:
    known = earlier if name == "rehearsal" else None
    wanted, fitted = replay(known, name), learned(name, known)
    assert fitted.model.backbone is not None
    for key, value in fitted.model.backbone.net.state_dict().items():
        torch.testing.assert_close(value, wanted[key], atol=2e-5, rtol=2e-4)


def test_old_answers_come_from_the_probe_s_head_where_there_is_one(earlier: Earlier) -> None:
    plain, with_head = learned("lwf"), learned("lwf", earlier)
    assert not np.array_equal(plain.model.head.weight, with_head.model.head.weight)


def test_the_head_that_came_with_the_weights(tmp_path: Path) -> None:
    weights = {"fc.weight": torch.randn(7, 5), "fc.bias": torch.randn(7), "a.weight": torch.ones(3)}
    from safetensors.torch import save_file

    save_file(weights, tmp_path / "w.safetensors")
    entry = copy.copy(resolve("glyphs"))
    object.__setattr__(entry, "weights", tmp_path / "w.safetensors")
    object.__setattr__(entry, "num_classes", 7)
    found = old_head(entry, 5)
    assert found is not None
    np.testing.assert_array_equal(found[0], weights["fc.weight"].numpy())
    np.testing.assert_array_equal(found[1], weights["fc.bias"].numpy())
    assert old_head(entry, 4) is None
    assert old_head(resolve("glyphs"), 128) is None


# -- what is forgotten ----------------------------------------------------------------------------


@pytest.mark.slow
def test_rehearsal_and_lwf_forget_less_than_warm(earlier: Earlier) -> None:
    data, how = bars(16), {"epochs": 12, "body_rate": 2e-3}
    lost = {}
    for name in ("warm", "rehearsal", "lwf"):
        model = learned(name, earlier, **how).model
        found = forgetting(model, earlier, data, np.arange(24, 32), device="cpu")
        lost[name] = found["lost"]
        assert found["before"] - found["after"] == pytest.approx(found["lost"])
        low, high = found["lost_interval"]
        assert low <= found["lost"] <= high
        json.dumps(found)
    assert lost["warm"] > 0.2
    assert lost["rehearsal"] < lost["warm"] / 2
    assert lost["lwf"] < lost["warm"]


def test_frozen_forgets_nothing(earlier: Earlier) -> None:
    model = learned("frozen").model
    found = forgetting(model, earlier, bars(16), np.arange(24, 32), device="cpu")
    assert (found["lost"], found["lost_interval"]) == (0.0, [0.0, 0.0])
    assert found["before"] == found["relearned"]
    _, features = extract(earlier.dataset, resolve_all("glyphs"))
    right = earlier.head.logits(features.rows(earlier.held_out)).argmax(1)
    truth = earlier.dataset.labels[earlier.held_out]
    assert found["before"] == np.mean(right == truth)


# -- weights in between ---------------------------------------------------------------------------


def test_between() -> None:
    before = {"a": torch.tensor([0.0, 2.0])}
    after = {"a": torch.tensor([1.0, 4.0]), "count": torch.tensor(7)}
    for share in blending.SHARES:
        found = blending.between(before, after, share)
        torch.testing.assert_close(found["a"], torch.tensor([share, 2 + 2 * share]))
        assert int(found["count"]) == 7
    assert blending.between(before, after, 1.0)["a"] is after["a"]


def test_the_share_of_the_least_loss_and_of_equals_the_least_change() -> None:
    before, after = {"a": torch.tensor(0.0)}, {"a": torch.tensor(1.0)}
    for best in blending.SHARES:
        state, share = blending.chosen(before, after, lambda s, at=best: abs(float(s["a"]) - at))
        assert share == best and float(state["a"]) == pytest.approx(best)
    assert blending.chosen(before, after, lambda _: 1.0)[1] == 0.0


def test_surer_weights_do_not_lose_to_those_that_hardly_moved() -> None:
    """What a temperature takes off does not count: twice as sure, and one more is right."""
    values = np.array([0, 1] * 20)
    right = np.where(np.arange(40) < 36, 1, -1)
    job = Mock(probe=None, select=np.arange(40), device="cpu")
    job.known = truth(values)
    weights: dict[str, Any] = {}

    def outputs() -> np.ndarray:
        share = float(weights["net.a"])
        sure = np.where((np.arange(40) == 36) & (share > 0.5), 1, right) * (1 + 9 * share)
        return np.stack([np.where(values == k, sure, -sure) / 2 for k in (0, 1)], 1).astype("f4")

    share = blending.blend(
        Mock(put_back=weights.update),
        {"a": torch.tensor(0.0)},
        {"net.a": torch.tensor(1.0)},
        outputs,
        job,
    )
    raw = [job.known.task.losses(outputs(), values).mean() for weights["net.a"] in (0.0, 1.0)]
    assert raw[0] < raw[1] and share > 0.5


def test_blend_ends_between_before_and_after(glyph_graph: Path) -> None:
    how: dict[str, Any] = {"epochs": 3, "body_rate": 3e-3, "early_stopping": True}
    data, train = bars(30), np.arange(50)
    fits = {
        blend: transfer(
            data, train, resolve_all("glyphs"), Carried(strategy="lp-ft", blend=blend, **how)
        )
        for blend in (False, True)
    }
    share = fits[True].history[-1]["blend"]
    assert fits[True].notes == [
        f"blend: {share:.0%} of the way from the weights before to those after"
    ]
    before = build(resolve("glyphs")).net.state_dict()
    after = fits[False].model.backbone.net.state_dict()
    for key, value in fits[True].model.backbone.net.state_dict().items():
        wanted = before[key] + share * (after[key] - before[key])
        torch.testing.assert_close(value.float(), wanted.float(), atol=1e-6, rtol=1e-5)


def test_blend_says_where_nobody_could_choose(glyph_graph: Path) -> None:
    fitted = learned("warm", blend=True)
    assert fitted.notes == ["nothing is blended: no inner part could be set aside to choose by"]
    with pytest.raises(UsageError, match="blend is not read here: it is for"):
        headstart.fit(bars(), strategy="scratch", blend=True)


# -- corruptions ----------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [32, 128])
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_corruptions_keep_the_form_and_repeat(name: str, side: int, channels: int) -> None:
    rng = np.random.default_rng(0)
    smooth = rng.integers(0, 255, (8, 8, channels)).astype(np.uint8)
    picture = smooth.repeat(side // 8, 0).repeat(side // 8, 1)
    first, again, other = (corrupted(picture, name, seed) for seed in (1, 1, 2))
    assert first.shape == picture.shape
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, picture)
    random = name.endswith("noise") or name == "motion_blur"
    assert np.array_equal(first, other) != random
    error = np.abs(first.astype(float) - picture).mean()
    assert 0.5 < error < 80


def test_corruptions_against_their_definitions() -> None:
    grey = np.full((200, 200, 3), 100, np.uint8)
    assert abs(corrupted(grey, "gaussian_noise", 0).std() / 255 - 0.18) < 0.02
    assert abs((corrupted(grey, "impulse_noise", 0) != 100).mean() - 0.09) < 0.01
    assert set(np.unique(corrupted(grey, "brightness", 0))) == {176}
    ramp = np.tile(np.arange(200, dtype=np.uint8)[None, :, None], (200, 1, 1))
    made = corrupted(ramp, "contrast", 0).astype(float)
    assert np.ptp(made) == pytest.approx(0.2 * 199, abs=1)
    for name in ("defocus_blur", "motion_blur"):  # they move light, and add or take none
        assert corrupted(grey, name, 0).mean() == pytest.approx(100, abs=1)
    assert len(np.unique(corrupted(ramp, "pixelate", 0))) <= 80


def test_clean_pictures_are_among_the_figures(glyph_graph: Path) -> None:
    data = bars(16)
    model = learned("warm").model
    found = robustness(model, data, np.arange(24, 32), device="cpu")
    truth = data.labels[24:32]
    assert found["clean"] == np.mean(model.outputs(data, np.arange(24, 32)).argmax(1) == truth)
    assert set(found["each"]) == set(CORRUPTIONS)
    assert found["mean"] == pytest.approx(np.mean(list(found["each"].values())))
    blind = Model(
        resolve_all("glyphs"), Head(np.zeros((2, 128), "f4"), np.ones(2, "f4")), model.task
    )
    assert robustness(blind, data, np.arange(24, 32), device="cpu")["lost"] == 0


# -- doors ----------------------------------------------------------------------------------------


@pytest.fixture
def probe(tmp_path: Path) -> Path:
    data = rows_of_bars()
    for i in range(len(data)):
        folder = tmp_path / "known" / data.said(i)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.load(_file(data.content(i)))).save(folder / f"{i}.png")
    return tmp_path / "known"


@pytest.mark.parametrize("name", ["warm", "frozen", "rehearsal"])
def test_fit_reports_what_was_forgotten(
    name: str, probe: Path, tmp_path: Path, glyph_graph: Path, capsys: Any
) -> None:
    from headstart.report import tables

    how = {} if name == "frozen" else {"epochs": 2}
    result = headstart.fit(bars(), strategy=name, probe=probe, out=tmp_path / "out", **how)
    found = result.to_json()["forgetting"]
    assert (found["probe"], found["n"], found["score"]) == ("known", 6, "accuracy")
    assert headstart.load(tmp_path / "out").facts["forgetting"] == found
    tables.fit(result)
    told = capsys.readouterr().out
    assert "forgetting: accuracy on known (6 held-out items) before" in told
    own = told[told.index("forgetting:") :].splitlines()[:4]
    assert max(map(len, own)) <= 80


@pytest.mark.slow
def test_compare_reports_what_each_strategy_forgot(
    probe: Path, tmp_path: Path, glyph_graph: Path, capsys: Any
) -> None:
    from headstart.report import comparison_tables

    how: dict[str, Any] = {"strategies": ("frozen", "warm", "rehearsal"), "probe": probe}
    how |= {"epochs": 2, "draws": 2, "val": 0.25, "body_rate": 1e-2}
    result = headstart.compare(bars(), **how, out=tmp_path / "out")
    lost = {run.strategy: run.lost for run in result.runs if run.draw == 1}
    one = headstart.fit(bars(), strategy="warm", probe=probe, seed=1, epochs=2, val=0.25,
                        body_rate=1e-2)  # fmt: skip
    assert one.forgetting is not None and lost["warm"] is not None and lost["frozen"] is not None
    assert (lost["warm"].probe, lost["warm"].n) == ("known", 6)
    assert lost["frozen"].lost == 0 and lost["warm"].before == one.forgetting["before"]
    rows = {row.strategy: row.to_json()["lost"] for row in result.summary}
    each = [run.lost.lost for run in result.runs if run.strategy == "warm" and run.lost]
    assert rows["warm"]["lost"] == pytest.approx(np.mean(each))
    assert rows["warm"]["low"] <= rows["warm"]["lost"] <= rows["warm"]["high"]
    again = headstart.compare(bars(), **how, out=tmp_path / "out", resume=True)
    assert [run.lost for run in again.runs] == [run.lost for run in result.runs]
    comparison_tables.comparison(again)
    told = capsys.readouterr().out
    assert "lost on known (6 held-out items)" in told
    assert max(map(len, told[told.index("lost on") :].splitlines()[:7])) <= 80
    with pytest.raises(UsageError, match="probe"):
        headstart.compare(bars(), **how | {"probe": None}, out=tmp_path / "out", resume=True)


def test_a_probe_of_another_kind_and_none_at_all(tmp_path: Path, probe: Path) -> None:
    with pytest.raises(UsageError, match="with --probe DATA, or try 'lwf'"):
        headstart.fit(bars(), strategy="rehearsal")
    table = tmp_path / "texts.csv"
    table.write_text("text,label\n" + "".join(f"a {i} b,{i % 2}\n" for i in range(20)))
    with pytest.raises(UsageError, match="probe holds texts, but the data are images"):
        headstart.fit(bars(), strategy="warm", probe=table)
    with pytest.raises(DataError, match="no such file or folder"):
        headstart.fit(bars(), strategy="warm", probe=tmp_path / "nowhere")
    with pytest.raises(UsageError, match="these learn their words here"):
        headstart.fit(sentences(), backbone="textcnn", strategy="scratch", probe=table)
