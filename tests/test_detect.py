"""Detectors: on which maps they stand, how they are trained, resumed, saved and asked."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file

import headstart
from conftest import bars, save_bars, save_scenes
from headstart import bundle
from headstart.backbones import vision
from headstart.backbones.registry import resolve
from headstart.cli import app
from headstart.data.items import packed as content_of
from headstart.data.memory.arrays import from_items
from headstart.data.pictures.images import Preprocess, decode
from headstart.detection import maps, reading
from headstart.detection.audit import check
from headstart.detection.detector import Detector, Spec
from headstart.detection.mirrored import mirrored, with_mirrored
from headstart.detection.objective import truth
from headstart.errors import BackboneError, BundleError, DataError, UsageError
from headstart.tasks.box_figures import things
from headstart.tasks.boxes import CROWD, THING, Boxes, packed
from headstart.tasks.task import Targets
from headstart.verbs import detect

FEW: dict[str, Any] = {"epochs": 2, "batch": 8, "device": "cpu", "image_size": 64}


# -- maps -----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "strides"),
    [
        ("glyphs", [4, 8, 16]),
        ("random:torchvision:resnet18", [4, 8, 16, 32]),
        ("random:timm:mobilenetv3_small_050", [4, 8, 16]),
        ("random:torchvision:vgg11", [4, 8, 16, 32]),
    ],
)
def test_maps_are_those_of_the_network(name: str, strides: list[int]) -> None:
    entry = maps.square(resolve(name), 96)
    made = maps.build(entry)
    assert [level.stride for level in made.levels][: len(strides)] == strides
    assert made.highest == made.levels[0].boundary
    x = torch.rand(2, 96, 96, made.cut.size[0]) * 255
    with torch.no_grad():
        whole, parts = made(x), made.forward_from(made.forward_to(x, made.highest), made.highest)
        features = vision.build(entry)(x)
    for one, part, level in zip(whole, parts, made.levels, strict=True):
        assert one.shape == (2, level.channels, 96 // level.stride, 96 // level.stride)
        torch.testing.assert_close(one, part)
    if name == "glyphs":  # its vector is the mean over its last map
        torch.testing.assert_close(whole[-1].mean((2, 3)), features)


def test_networks_without_maps_are_refused() -> None:
    with pytest.raises(BackboneError, match="has no maps to find boxes on; take a convolutional"):
        maps.build(maps.square(resolve("random:timm:vit_tiny_patch16_224"), 224))
    with pytest.raises(BackboneError, match="is for texts; boxes are found in pictures"):
        maps.square(resolve("bilstm"), 64)


def test_a_picture_is_fitted_whole_into_the_square() -> None:
    entry = maps.square(resolve("glyphs"), 60)
    p = entry.preprocess
    assert isinstance(p, Preprocess) and p.size == (64, 64)
    wide = Image.new("L", (128, 64), 255)
    made = p.prepare(wide)[:, :, 0]
    assert (made[:32] == 255).all() and (made[32:] == round(255 * p.mean[0])).all()
    strip = p.prepare(Image.new("L", (3000, 10), 255))[:, :, 0]
    assert (strip[0] == 255).all() and (strip[1:] != 255).all()
    with pytest.raises(UsageError, match="unknown crop 'fitt'; did you mean 'fit'"):
        replace(p, crop="fitt")


# -- the detector ---------------------------------------------------------------------------------


def spec(n_levels: int = 2) -> Spec:
    sizes = ((12.0, 16.0), (24.0, 32.0), (40.0, 50.0))[:n_levels]
    return Spec((32, 80, 128)[:n_levels], (4, 8, 16)[:n_levels], 64, sizes, (0.5, 1.0, 2.0), 3)


@pytest.mark.parametrize("n_levels", [1, 2, 3])
def test_a_detector_on_any_number_of_levels(n_levels: int) -> None:
    torch.manual_seed(0)
    one = Detector(spec(n_levels))
    assert Spec.of(json.loads(json.dumps(one.spec.facts()))) == one.spec
    sides = [64 // stride for stride in one.spec.strides]
    found = [torch.rand(2, c, s, s) for c, s in zip(one.spec.channels, sides, strict=True)]
    with torch.no_grad():
        rows = one(found)
    assert rows.shape == (2, one.n_outputs) and not one.training
    row = np.array([[0.1, 0.1, 0.4, 0.4, 2, THING], [0.5, 0.5, 0.9, 0.9, 0, CROWD]])
    wanted = [truth(packed([row])[0], 64), truth(packed([np.zeros((0, 6))])[0], 64)]
    assert wanted[0]["labels"].tolist() == [3] and wanted[1]["boxes"].shape == (0, 4)
    torch.testing.assert_close(wanted[0]["boxes"], torch.tensor([[6.4, 6.4, 25.6, 25.6]]))
    one.loss(found, wanted).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in one.parameters())


# -- the verb -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_scenes(tmp_path_factory.mktemp("scenes") / "data")


@pytest.mark.slow
def test_it_learns_and_answers_in_pixels_and_ids(scenes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    made = detect.fit(scenes, out=out, **FEW | {"epochs": 14})
    losses = [row["loss"] for row in made.fitted.history]
    assert losses[-1] < 0.6 * losses[0]
    assert made.evaluation.value > 0.3
    assert made.fitted.strategy == "partial:2" and made.cache["misses"] > 0
    assert any(note.startswith("training will take about") for note in made.notes)

    loaded = bundle.load(out)
    assert loaded.facts["task_facts"] == {"ids": [5, 11]} and loaded.classes == ("full", "hollow")
    held_out = made.parts.held_out
    first = made.model.outputs(made.dataset, held_out)
    again = loaded.model.outputs(made.dataset, held_out)
    np.testing.assert_allclose(first, again, atol=1e-4)
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "data:image/png;base64," in page and "By class" in page

    (tmp_path / "no.png").write_text("no picture")
    answers = detect.predict(out, [scenes / "val" / "0.png", tmp_path / "no.png"])
    assert answers[1]["error"] == "not an image"
    assert {box["id"] for one in answers[:1] for box in one["boxes"]} <= {5, 11}
    (whole,) = detect.predict(loaded, scenes / "val" / "0.png", threshold=0.0)
    assert len(whole["boxes"]) >= len(answers[0]["boxes"]) and whole["width"] == 64
    assert all(0 <= end <= 64 for box in whole["boxes"] for end in box["box"])
    (plain,) = headstart.predict(out, scenes / "val" / "0.png")  # the usual door answers as well
    assert plain["boxes"] == whole["boxes"]
    with pytest.raises(UsageError, match="top_k is for answers of one label"):
        headstart.predict(out, scenes / "val" / "0.png", top_k=2)
    with pytest.raises(BundleError, match="`headstart detect evaluate` measures it"):
        headstart.evaluate(out, scenes)
    assert headstart.show(out, "errors")["lines"]
    figures, rejected = detect.evaluate(loaded, scenes)
    assert figures.figures["map50"] == pytest.approx(made.evaluation.value, abs=1e-3)
    assert rejected == ()


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights(scenes: Path) -> None:
    one, two, other = (detect.fit(scenes, **FEW, seed=seed) for seed in (0, 0, 1))
    first, second, third = (made.model.more()[0] for made in (one, two, other))
    assert all((first[name] == second[name]).all() for name in first)
    assert any((first[name] != third[name]).any() for name in first)


@pytest.mark.parametrize("size", [(40, 24), (24, 40)])
def test_mirrored_boxes_stand_where_the_mirrored_things_are(size: tuple[int, int]) -> None:
    wide, high = size
    pixels = np.zeros((high, wide), np.uint8)
    pixels[3:9, 5:16] = 255
    row = np.array([5, 3, 16, 9, 0, 0]) / 40
    row[4:] = 0, THING
    empty = np.zeros(6)
    task = Boxes(("thing",), (1,))
    plain = replace(
        from_items([content_of(pixels)] * 2),
        targets=Targets(task, np.stack([row, empty])),
    )
    both = with_mirrored(plain, np.arange(2), 1)
    assert len(both) == 4 and both.content(0) == plain.content(0)
    picture = np.asarray(decode(both.content(2), 1))
    left, top, right, bottom = (both.labels[2][:4] * 40).round().astype(int)
    found = np.argwhere(picture > 0)
    assert [left, top] == found.min(0)[::-1].tolist()
    assert [right, bottom] == (found.max(0)[::-1] + 1).tolist()
    assert not both.labels[3].any()  # nothing stays nothing
    np.testing.assert_allclose(mirrored(both.labels[2:3], np.array([wide / 40])), row[None])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("strategy", "mirror"),
    [("partial:2", True), ("discriminative", False), ("scratch", True), ("partial:4", False)],
)
def test_it_goes_on_where_it_was_stopped(
    strategy: str, mirror: bool, scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = FEW | {"strategy": strategy, "mirror": mirror, "checkpoint_every": 0.0}
    detect.fit(scenes, out=tmp_path / "whole", **how)
    steps = iter(range(100))
    from headstart.detection.objective import Detection

    plain: Callable[..., Any] = Detection.loss

    def stop(self: Detection, step: Any) -> Any:
        if next(steps) == 3:
            raise KeyboardInterrupt
        return plain(self, step)

    monkeypatch.setattr(Detection, "loss", stop)
    with pytest.raises(KeyboardInterrupt):
        detect.fit(scenes, out=tmp_path / "parts", **how)
    monkeypatch.undo()
    made = detect.fit(scenes, out=tmp_path / "parts", resume=True, **how)
    assert made.fitted.strategy == strategy
    first, second = (load_file(tmp_path / d / "model.safetensors") for d in ("whole", "parts"))
    assert first.keys() == second.keys()
    assert all(first[name].tobytes() == second[name].tobytes() for name in first)


@pytest.mark.slow
def test_what_lies_below_the_boundary_does_not_change(scenes: Path) -> None:
    made = detect.fit(scenes, **FEW, strategy="partial:3")
    plain = vision.build(resolve("glyphs")).net.state_dict()
    backbone = made.model.backbone
    assert backbone is not None
    for name, tensor in backbone.net.state_dict().items():
        same = bool((tensor == plain[name]).all())
        assert same or backbone.owner(name) >= 3, name


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"strategy": "frozen"}, "epochs is not read here: it is not for frozen"),
        ({"strategy": "gradual"}, "'gradual' solves a head on features or trains adapters"),
        ({"strategy": "partial:99"}, "this backbone has 5 blocks"),
        ({"strategy": "warm", "cache_limit": 1.0}, "cache_limit is not read here"),
        ({"backbone": "glyphs+glyphs"}, "on the maps of one backbone"),
        ({"smoothing": 0.1}, "unknown option 'smoothing'"),
        ({"resume": True}, "give the folder"),
    ],
)
def test_wrong_settings(how: dict[str, Any], said: str, scenes: Path) -> None:
    with pytest.raises(UsageError, match=said):
        detect.fit(scenes, **{**FEW, **how})


def test_without_the_extra_it_says_so_at_once(
    scenes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "faster_coco_eval", None)
    with pytest.raises(UsageError, match=r"pip install 'headstart\[detect\]'"):
        detect.fit(scenes)


def test_bundles_of_other_verbs(scenes: Path, tmp_path: Path, glyph_graph: Path) -> None:
    headstart.fit(bars(), out=tmp_path / "classes")
    with pytest.raises(BundleError, match="answers with classes, not with boxes"):
        detect.predict(tmp_path / "classes", scenes / "val" / "0.png")
    with pytest.raises(BundleError, match="answers with classes"):
        detect.evaluate(tmp_path / "classes", scenes)
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="no boxes found"):
        detect.fit(tmp_path / "none")


@pytest.mark.slow
def test_the_command_line(scenes: Path, tmp_path: Path, capsys: Any) -> None:
    def run(*arguments: str | Path) -> str:
        with pytest.raises(SystemExit) as end:
            app([*map(str, arguments)], prog_name="headstart")
        assert not end.value.code
        return str(capsys.readouterr().out)

    out, one = tmp_path / "out", scenes / "val" / "3.png"
    few = ["--epochs", "2", "--device", "cpu", "--out", out, "--json"]
    found = json.loads(run("detect", "fit", scenes, *few))
    assert (found["task"], found["score"], found["classes"]) == (
        *("boxes", "map50"),
        ["full", "hollow"],
    )
    low, high = found["map50_interval"]
    assert low <= found["map50"] <= high and found["n_train"] == found["n_val"] == 16
    (answer,) = json.loads(run("detect", "predict", out, one, "--json"))["predictions"]
    assert answer["item"] == str(one) and "boxes" in answer
    assert len(run("detect", "predict", out, one).strip("\n").split("\t")) == 3
    measured = json.loads(run("detect", "evaluate", out, scenes, "--json"))
    assert {"map50", "map", "per_class", "skipped"} <= set(measured) and measured["n"] == 16
    assert [row["id"] for row in measured["per_class"]] == [5, 11]
    assert "95 %" in run("detect", "evaluate", out, scenes)


@pytest.mark.slow
def test_what_a_person_is_told(
    scenes: Path, tmp_path: Path, capsys: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def run(*arguments: str | Path) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            app([*map(str, arguments)], prog_name="headstart")
        return (int(end.value.code or 0), *capsys.readouterr())

    caplog.set_level("INFO", "headstart")
    out, one = tmp_path / "out", scenes / "val" / "0.png"
    detect.fit(scenes, out=out, **FEW)
    code, said, told = run("detect", "predict", out, tmp_path / "no.png")
    assert (code, said) == (1, "") and "no.png: no such file" in told
    assert "nothing could be answered" in told
    assert run("detect", "predict", out, tmp_path / "no.png", "--json")[0] == 1
    (whole,) = detect.predict(out, one, threshold=0.0)
    _, said, _ = run("detect", "predict", out, one, "--threshold", "0")
    assert len(said.split("\t")[2].split()) == len(whole["boxes"]) > 0, "all that were asked for"
    surest = max(box["probability"] for box in whole["boxes"])
    assert run("detect", "predict", out, one, "--threshold", "1")[1].split("\t")[1] == "nothing"
    assert f"on none of 1 pictures; the surest has {surest:.2f}" in caplog.text
    assert "there is no command 'train'; did you mean 'fit'?" in run("detect", "train")[2]
    with pytest.raises(DataError, match="It holds class folders, which headstart fit learns"):
        detect.fit(save_bars(tmp_path / "bars"))
    # Pictures of several splits are found again by what they are called.
    assert [line for line in headstart.show(out, "errors")["lines"] if "still in" in line] == []


@pytest.mark.slow
def test_classes_that_a_detector_does_not_know(
    scenes: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = detect.fit(scenes, out=tmp_path / "out", **FEW | {"epochs": 1})
    path = Path(shutil.copytree(scenes, tmp_path / "other")) / "val" / "annotations.json"
    told = path.read_text("utf-8")
    path.write_text(told.replace('"full"', '"Full"'), encoding="utf-8")
    found, _ = detect.evaluate(tmp_path / "out", tmp_path / "other")
    n = made.model.task.counts(made.dataset.labels[made.parts.held_out])["full"]
    assert f"are left out: 'Full' (on {n} pictures). Did you mean 'full' ins" in caplog.text
    assert found.n == 16
    path.write_text(told.replace('"full"', '"Full"').replace('"hollow"', '"ring"'))
    with pytest.raises(DataError, match=r"model learned full, hollow. Did you mean 'full' inst"):
        detect.evaluate(tmp_path / "out", tmp_path / "other")


def test_a_crowd_is_no_picture_of_nothing() -> None:
    row = np.array([[0.1, 0.1, 0.4, 0.4, 0, CROWD]])
    assert len(truth(packed([row])[0], 64)["boxes"]) == 0 and len(things(packed([row])[0])) == 1


def test_boxes_stay_with_their_pictures(tmp_path: Path) -> None:
    root = save_scenes(tmp_path / "data")
    path = root / "train" / "annotations.json"
    told = json.loads(path.read_text(encoding="utf-8"))
    rng = np.random.default_rng(0)
    for part in ("images", "annotations"):
        told[part] = [told[part][i] for i in rng.permutation(len(told[part]))]
    path.write_text(json.dumps(told), encoding="utf-8")
    for one in told["images"][::7]:
        picture = root / "train" / one["file_name"]
        picture.write_bytes(picture.read_bytes()[:60])
    found = check(reading.read(root)).audit
    data = found.dataset
    usable = [i for i in found.usable if data.splits[i] == "train"]
    assert 0 < len(usable) < len(told["images"])
    ids = {one["file_name"]: one["id"] for one in told["images"]}
    for i in usable:
        name = Path(data.names[i]).name
        wanted = sorted(one["bbox"] for one in told["annotations"] if one["image_id"] == ids[name])
        there = things(data.known.values[i])[:, :4] * 64
        corners = sorted([x, y, right - x, bottom - y] for x, y, right, bottom in there.tolist())
        np.testing.assert_allclose(corners, wanted, atol=1e-3)
