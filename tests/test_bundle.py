"""A saved model: what lies in the folder, that it answers the same, and what is refused."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

import headstart
from conftest import bars, save_bars
from headstart import bundle, model
from headstart.backbones import vision
from headstart.backbones.registry import resolve
from headstart.errors import BundleError, DataError
from headstart.settings.groups import Options
from headstart.store import file_digest
from headstart.tasks.solvers import softmax


@pytest.fixture
def saved(tmp_path: Path, glyph_graph: Path) -> Path:
    """A frozen model of two classes, in a folder."""
    save_bars(tmp_path / "data")
    headstart.fit(tmp_path / "data", out=tmp_path / "bundle")
    return tmp_path / "bundle"


def change(folder: Path, **values: Any) -> None:
    """Overwrite ``values`` in a bundle's JSON, as if written so; None takes one away."""
    path = folder / "bundle.json"
    facts = json.loads(path.read_text(encoding="utf-8")) | values
    facts = {name: value for name, value in facts.items() if value is not None}
    facts["digest"] = bundle.whole_digest(facts)
    path.write_text(json.dumps(facts), encoding="utf-8")


def change_weights(folder: Path, **tensors: np.ndarray) -> None:
    """Overwrite tensors, and let the JSON describe the new file."""
    path = folder / "model.safetensors"
    save_file(dict(load_file(path)) | tensors, path)
    change(folder, weights=file_digest(path))


def test_layout(saved: Path, tmp_path: Path) -> None:
    names = {path.name for path in saved.iterdir()}
    files = {"bundle.json", "model.safetensors", "report.html", "skipped.csv"}
    assert names == files | {"trained.safetensors"}
    facts = json.loads((saved / "bundle.json").read_text(encoding="utf-8"))
    assert facts["format"] == bundle.FORMAT
    assert facts["classes"] == ["bar 0", "bar 1"]
    assert facts["strategy"] == "frozen"
    assert facts["seed"] == 0
    assert facts["backbones"][0]["name"] == "glyphs"
    assert facts["backbones"][0]["input_size"] == [1, 32, 32]
    assert facts["data"]["n_train"] + facts["data"]["n_val"] == 24
    assert len(facts["data"]["fingerprint"]) == 32
    assert {"torch", "numpy", "python"} <= set(facts["versions"])
    assert facts["metrics"]["accuracy"] == 1.0
    for path in saved.iterdir():
        assert not re.match(rb"\x80[\x02-\x05]", path.read_bytes()), "a pickle"


def test_files_are_as_readable_as_any_other(saved: Path) -> None:
    plain = saved.parent / "plain"
    plain.touch()
    for path in saved.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_answers_good_files_and_says_what_is_wrong_with_bad_ones(
    saved: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "new"
    folder.mkdir()
    shutil.copy(sorted((tmp_path / "data" / "bar 1").iterdir())[0], folder / "a.png")
    (folder / "b.jpg").write_text("not a picture")
    (folder / "c.png").touch()
    (folder / "notes.txt").write_text("is no picture and is left out")
    answers = list(bundle.load(saved).predict([folder, tmp_path / "nowhere.png"]))
    assert [Path(answer["item"]).name for answer in answers] == [
        "a.png",
        "b.jpg",
        "c.png",
        "nowhere.png",
    ]
    assert answers[0]["label"] == "bar 1"
    assert answers[0]["probability"] == max(answers[0]["probabilities"].values()) > 0.5
    assert sum(answers[0]["probabilities"].values()) == pytest.approx(1)
    assert "not an image" in answers[1]["error"]
    assert "empty file" in answers[2]["error"]
    assert "no such file" in answers[3]["error"]


def test_one_path_will_do(saved: Path, tmp_path: Path) -> None:
    picture = sorted((tmp_path / "data" / "bar 0").iterdir())[0]
    (answer,) = headstart.predict(saved, str(picture))
    assert answer["label"] == "bar 0"


def test_answers_come_in_order_across_chunks(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = sorted((tmp_path / "data").rglob("*.png"))
    bad = tmp_path / "bad.png"
    bad.touch()
    sources = [*pictures[:7], bad, *pictures[7:], pictures[0]]
    whole = list(headstart.predict(saved, sources))
    monkeypatch.setattr(model, "CHUNK", 5)
    for once, again in zip(whole, headstart.predict(saved, sources), strict=True):
        assert once["item"] == again["item"] and once.get("label") == again.get("label")
        assert once.get("probability") == pytest.approx(again.get("probability"), abs=1e-6)
    assert [Path(answer["item"]) for answer in whole] == sources
    assert all(
        answer["label"] == source.parent.name
        for answer, source in zip(whole, sources, strict=True)
        if source != bad
    )


@pytest.mark.parametrize("name", ["model.safetensors", "bundle.json"])
def test_missing_files(saved: Path, name: str) -> None:
    (saved / name).unlink()
    with pytest.raises(BundleError, match=name if name == "model.safetensors" else "not a bundle"):
        bundle.load(saved)


def test_no_bundle_at_all(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is not a bundle: it has no bundle.json"):
        bundle.load(tmp_path / "nowhere")


@pytest.mark.parametrize("place", [0, 200, -1])
def test_damaged_weights(saved: Path, place: int) -> None:
    content = bytearray((saved / "model.safetensors").read_bytes())
    content[place] ^= 1
    (saved / "model.safetensors").write_bytes(content)
    with pytest.raises(BundleError, match="is damaged"):
        bundle.load(saved)


def test_truncated_weights(saved: Path) -> None:
    content = (saved / "model.safetensors").read_bytes()
    (saved / "model.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(BundleError, match="is damaged"):
        bundle.load(saved)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\x00", '{"format": "1"}'])
def test_damaged_json(saved: Path, text: str) -> None:
    (saved / "bundle.json").write_text(text)
    with pytest.raises(BundleError, match=r"cannot be read|bundle format"):
        bundle.load(saved)


def test_newer_format(saved: Path) -> None:
    change(saved, format=bundle.FORMAT + 1)
    with pytest.raises(BundleError, match=f"reads up to {bundle.FORMAT}"):
        bundle.load(saved)


@pytest.mark.parametrize("name", ["classes", "backbones", "weights", "temperature", "kind"])
def test_missing_facts(saved: Path, name: str) -> None:
    change(saved, **{name: None})
    with pytest.raises(BundleError, match=f"is damaged: bundle.json lacks {name}"):
        bundle.load(saved)


def test_a_head_of_another_size_is_refused(saved: Path) -> None:
    change(saved, classes=["a", "b", "c"])
    with pytest.raises(BundleError, match="is damaged"):
        bundle.load(saved)


def test_weights_without_a_head_are_refused(saved: Path) -> None:
    path = saved / "model.safetensors"
    tensors = {k: v for k, v in load_file(path).items() if k != "head.weight"}
    save_file(tensors, path)
    change(saved, weights=file_digest(path))
    with pytest.raises(BundleError, match="is damaged"):
        bundle.load(saved)


def test_other_files_are_not_overwritten(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.doc").touch()
    with pytest.raises(BundleError, match="holds other files"):
        headstart.fit(tmp_path / "data", out=tmp_path / "mine")
    (tmp_path / "file").touch()
    with pytest.raises(BundleError, match="is a file"):
        headstart.fit(tmp_path / "data", out=tmp_path / "file")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.doc"]
    # A bundle may be made anew in its place.
    headstart.fit(tmp_path / "data", out=saved, seed=5)
    assert bundle.load(saved).facts["seed"] == 5


def test_class_names_in_any_script(tmp_path: Path, glyph_graph: Path) -> None:
    save_bars(tmp_path / "data")
    names = {"bar 0": "蚂蚁 🐜", "bar 1": "пчёлы <b>&"}
    for old, new in names.items():
        (tmp_path / "data" / old).rename(tmp_path / "data" / new)
    headstart.fit(tmp_path / "data", out=tmp_path / "模型")
    loaded = bundle.load(tmp_path / "模型")
    assert set(loaded.classes) == set(names.values())
    for name in names.values():
        picture = sorted((tmp_path / "data" / name).iterdir())[0]
        (answer,) = loaded.predict([picture])
        assert answer["label"] == name


def test_the_page_escapes_what_others_named(tmp_path: Path, glyph_graph: Path) -> None:
    save_bars(tmp_path / "data")
    evil = "<script>alert(1)<"
    (tmp_path / "data" / "bar 0").rename(tmp_path / "data" / evil)
    (tmp_path / "data" / evil / "<img src=x onerror=alert(2)>.png").touch()
    headstart.fit(tmp_path / "data", out=tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "<img" not in page
    assert "&lt;script&gt;alert(1)&lt;" in page
    assert "&lt;img src=x" in page


def test_evaluate(saved: Path, tmp_path: Path) -> None:
    figures, skipped = headstart.evaluate(saved, tmp_path / "data")
    assert (figures.n, figures.accuracy, skipped) == (24, 1.0, ())


def test_evaluate_on_other_classes(saved: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "bar 1").rename(data / "stranger")
    figures, skipped = headstart.evaluate(saved, data)
    assert figures.n == 12
    assert figures.classes == ("bar 0", "bar 1")
    assert figures.confusion.tolist() == [[12, 0], [0, 0]]
    assert {one.reason for one in skipped} == {"class 'stranger' is not known"}
    assert len(skipped) == 12
    (data / "bar 0").rename(data / "another")
    with pytest.raises(DataError, match="is one of the bundle's: bar 0, bar 1"):
        headstart.evaluate(saved, data)


def test_evaluate_on_nothing_usable(saved: Path, tmp_path: Path) -> None:
    for path in (tmp_path / "data").rglob("*.png"):
        path.write_text("rubbish")
    with pytest.raises(DataError, match="nothing usable"):
        headstart.evaluate(saved, tmp_path / "data")


def test_evaluate_measures_the_held_out_part(saved: Path, tmp_path: Path) -> None:
    for name in ("train", "val"):
        (tmp_path / "split").mkdir(exist_ok=True)
        shutil.copytree(tmp_path / "data", tmp_path / "split" / name)
    for path in sorted((tmp_path / "split" / "val").rglob("*.png"))[::2]:
        path.unlink()
    figures, _ = headstart.evaluate(saved, tmp_path / "split")
    assert figures.n == 12


@pytest.mark.parametrize("strategy", ["frozen", "partial:-1"])
def test_pictures_of_several_channels(strategy: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for label in range(2):
        folder = tmp_path / "data" / f"c{label}"
        folder.mkdir(parents=True)
        for number in range(8):
            values = rng.integers(0, 60, (12, 12, 5)).astype(np.uint8)
            values[:, 2 + 6 * label, :] += 190
            np.save(folder / f"{number}.npy", values)
    options = Options(epochs=8, batch=4)
    how = {"backbone": "glyphs", "strategy": strategy, "options": options}
    result = headstart.fit(tmp_path / "data", out=tmp_path / "out", **how)
    assert result.notes[0] == "glyphs: first convolution adapted from 1 to 5 channels"
    loaded = bundle.load(tmp_path / "out")
    assert loaded.model.entries[0].preprocess.channels == 5
    everything = np.arange(16)
    answers = list(loaded.predict([tmp_path / "data" / name for name in result.dataset.names]))
    got = [list(answer["probabilities"].values()) for answer in answers]
    expected = softmax(result.fitted.model.outputs(result.dataset, everything))
    np.testing.assert_allclose(got, expected, atol=1e-4)
    Image.new("RGB", (12, 12)).save(tmp_path / "rgb.png")
    (answer,) = loaded.predict([tmp_path / "rgb.png"])
    assert answer["error"] == "has 3 channels; the network wants 5"


def test_layers_as_wide_as_the_old_head_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A backbone whose own head had 64 outputs, like the channels of its second block.
    from safetensors.torch import save_file as save_torch

    from headstart.backbones.glyphs import GlyphNet

    entry = resolve("glyphs")
    state = GlyphNet(num_classes=64).state_dict()
    state |= vision.build(entry).net.state_dict()
    save_torch({k: v.contiguous() for k, v in state.items()}, tmp_path / "mine.safetensors")
    facts = entry.facts() | {"num_classes": 64}
    (tmp_path / "mine.json").write_text(json.dumps(facts))
    monkeypatch.setenv("HEADSTART_WEIGHTS", str(tmp_path))
    headstart.fit(bars(), backbone="mine", out=tmp_path / "out")
    loaded = bundle.load(tmp_path / "out")
    assert not [name for name in loaded.tensors if name.startswith("backbone.0.head.")]
    after = vision.build(loaded.model.entries[0]).net.state_dict()
    for name, value in vision.build(entry).net.state_dict().items():
        np.testing.assert_array_equal(after[name], value)


def test_a_crash_leaves_the_old_bundle_or_none(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(BundleError, match=r"cannot be saved in .*No space"):
        headstart.fit(bars(), out=tmp_path / "fresh")
    assert not (tmp_path / "fresh").exists()
    with pytest.raises(BundleError, match=r"cannot be saved in .*No space"):
        headstart.fit(bars(), out=saved)
    assert bundle.load(saved).facts["seed"] == 0
    assert not list(saved.glob(".*"))


def test_the_report_tells_how_the_boundary_moved(tmp_path: Path) -> None:
    fit = headstart.fit(
        bars(20), strategy="gradual", options=Options(epochs=4), out=tmp_path / "moved"
    )
    page = (tmp_path / "moved" / "report.html").read_text(encoding="utf-8")
    for column in ("stage", "epoch", "frozen below block"):
        assert f">{column}</th>" in page
    assert ("inner accuracy" in page) == ("selection_loss" in fit.fitted.history[0])
    headstart.fit(bars(9), strategy="partial:-1", options=Options(epochs=2), out=tmp_path / "fixed")
    page = (tmp_path / "fixed" / "report.html").read_text(encoding="utf-8")
    assert ">time</th>" in page and ">stage</th>" not in page
    assert "frozen below block" not in page
    assert "inner" not in page, "too few items to set some aside"


def test_another_s_place_is_not_taken(tmp_path: Path, headstart_home: Path) -> None:
    honest = headstart.fit(bars(), out=tmp_path / "honest").bundle
    assert honest is not None
    own = resolve("glyphs").with_channels(1).key()
    assert bundle.load(honest).model.entries[0].key() == own, "what the fit has made is found again"
    false = shutil.copytree(honest, tmp_path / "false")
    tensors = load_file(false / "model.safetensors")
    tensors = {k: -v if k.startswith("backbone") and v.ndim > 1 else v for k, v in tensors.items()}
    save_file(tensors, false / "model.safetensors")
    change(false, weights=file_digest(false / "model.safetensors"))
    assert bundle.load(false).model.entries[0].key() != own
    items = tmp_path / "items"
    save_bars(items)
    answers = [row["probability"] for row in bundle.load(honest).predict([items])]
    list(bundle.load(false).predict([items]))
    shutil.rmtree(headstart_home / "features", ignore_errors=True)
    assert [row["probability"] for row in bundle.load(honest).predict([items])] == answers
    # Where nothing is known of it, an honest one answers the same, from a graph of its own.
    shutil.rmtree(headstart_home)
    assert bundle.load(honest).model.entries[0].key() != own
    again = [row["probability"] for row in bundle.load(honest).predict([items])]
    np.testing.assert_allclose(again, answers, atol=1e-5)
