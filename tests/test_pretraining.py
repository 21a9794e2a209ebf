"""Backbones of one's own: kept, found, chained; pictures mended, gaps filled."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import headstart
from conftest import bars, give_gaps, make_images, save_encoder, sentences
from headstart.backbones.build import build
from headstart.backbones.registry import available, resolve
from headstart.errors import BackboneError, DataError, UsageError
from headstart.pretraining import denoising, masking
from headstart.pretraining.kept import Place
from headstart.verbs.pretrain import autoencoder, masked, supervised

BIG = bars(20, 2, side=32)
FEW: dict[str, Any] = {"epochs": 2, "batch": 8}


@pytest.fixture
def encoder(tmp_path: Path) -> str:
    data = sentences(20)
    texts = [data.content(i).decode() for i in range(len(data))]
    return f"random:{give_gaps(save_encoder(tmp_path / 'encoder', texts))}"


# -- what is kept ---------------------------------------------------------------------------------


def test_a_labelled_set_becomes_a_backbone_and_the_next_goes_on_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADSTART_WEIGHTS", str(tmp_path))
    first = supervised(bars(), backbone="glyphs", out=tmp_path, name="one", **FEW)
    assert first["accuracy"] <= 1
    assert first["n_val"] == 4
    assert "one" in available()
    facts = json.loads((tmp_path / "one.json").read_text())
    assert facts["source_domain"] == "printed glyphs (fonts shipped with matplotlib), then items"
    assert facts["licence"] == resolve("glyphs").licence
    assert facts["check"].startswith("accuracy")
    assert facts["check"].endswith("on 4 held-out items of items")
    moved = build(resolve("one")).net.state_dict()
    assert not torch.equal(moved["stem.0.weight"], build(resolve("glyphs")).net.stem[0].weight)

    second = supervised(bars(seed=1), backbone="one", out=tmp_path, name="two", **FEW)
    assert second["source_domain"].endswith("then items, then items")
    result = headstart.fit(bars(seed=2), backbone="two+glyphs", out=tmp_path / "model")
    assert result.accuracy == 1.0
    loaded = headstart.load(tmp_path / "model")
    np.testing.assert_allclose(
        loaded.model.outputs(result.dataset, result.parts.held_out),
        result.model.outputs(result.dataset, result.parts.held_out),
        atol=1e-5,
    )
    by_path = headstart.fit(bars(seed=2), backbone=str(tmp_path / "two.safetensors"), epochs=1,
                            strategy="warm")  # fmt: skip
    assert by_path.to_json()["backbone"] == "two"


def test_what_is_kept_answers_as_what_was_trained(tmp_path: Path) -> None:
    data, seen = bars(), {}
    real = headstart.verbs.pretrain.fit

    def spy(*args: Any, **how: Any) -> Any:
        seen["fit"] = real(*args, **how)
        return seen["fit"]

    headstart.verbs.pretrain.fit, before = spy, real
    try:
        made = supervised(data, backbone="glyphs", strategy="partial:3", out=tmp_path, **FEW)
    finally:
        headstart.verbs.pretrain.fit = before
    again = build(resolve(made["weights"]))
    x = torch.randint(0, 255, (3, 32, 32, 1))
    with torch.inference_mode():
        assert torch.equal(again(x), seen["fit"].model.backbone(x))


def test_a_text_network_is_kept_with_its_words(tmp_path: Path) -> None:
    data = sentences(20)
    made = supervised(
        data, backbone="textcnn", strategy="scratch", min_frequency=1, out=tmp_path, **FEW
    )
    entry = resolve(made["weights"])
    assert entry.ready
    assert entry.kind == "text"
    assert entry.preprocess.coverage(["own00 own11 own02"]) == 1
    fitted = headstart.fit(data, backbone=made["weights"], strategy="warm", epochs=1)
    assert fitted.model.entries[0].name == made["name"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": "glyphs"}, "the registry's own name"),
        ({"name": "a+b"}, "but must be letters"),
        ({"name": "../up"}, "but must be letters"),
        ({"strategy": "frozen"}, "leaves the backbone as it is"),
        ({"epoch": 3}, "did you mean 'epochs'"),
    ],
)
def test_wrong_words_are_told_before_the_work(
    options: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=said):
        supervised(bars(), backbone="glyphs", out=tmp_path, **options)
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text("{}")
    with pytest.raises(UsageError, match=r"mine\.json is there already"):
        autoencoder(BIG, backbone="random:glyphs", out=tmp_path, name="mine")


def test_the_default_name_is_that_of_the_data(tmp_path: Path) -> None:
    assert Place.of(tmp_path, None, Path("some/My photos.csv")).name == "My-photos"
    assert Place.of(tmp_path, None, Path("照片")).name == "照片"
    assert Place.of(tmp_path, None, Path("???")).name == "backbone"


# -- mending --------------------------------------------------------------------------------------


def test_what_is_spoilt() -> None:
    x = torch.ones(200, 3, 32, 32)
    rng = torch.Generator().manual_seed(0)
    out = denoising.spoil(x, 0.25, rng)
    gone = out == 0
    assert 0.23 < float(gone.float().mean()) < 0.27
    # Whole patches of 4 x 4, in all channels alike.
    patches = gone.view(200, 3, 8, 4, 8, 4).float().mean((3, 5))
    assert set(patches.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(gone[:, 0], gone[:, 2])
    assert abs(float(out[~gone].std()) - 0.125) < 0.01


@pytest.mark.parametrize(("side", "wanted"), [(24, 24), (32, 32), (64, 32), (224, 32)])
def test_the_decoder_makes_pictures_of_the_target_s_size(side: int, wanted: int) -> None:
    x = torch.randn(2, 3, side, side)
    _, channels, *size = denoising.target(x).shape
    assert size == [wanted, wanted]
    made = denoising.Decoder(16, (channels, *size))(torch.randn(2, 16))
    assert made.shape == (2, 3, wanted, wanted)
    if side == 64:
        torch.testing.assert_close(denoising.target(x), F.avg_pool2d(x, 2))


def test_mended_pictures_are_measured_against_the_mean_picture() -> None:
    backbone = build(resolve("glyphs"))
    x = torch.randint(0, 255, (6, 32, 32, 1))
    clean = backbone.forward_to(x, 0)

    class Perfect(nn.Module):
        def forward(self, found: torch.Tensor) -> torch.Tensor:
            return clean

    class Mean(nn.Module):
        def forward(self, found: torch.Tensor) -> torch.Tensor:
            return clean.mean(0, keepdim=True).expand_as(clean)

    assert denoising.explained(backbone, Perfect(), [x]) == 1
    assert abs(denoising.explained(backbone, Mean(), [x])) < 1e-5


@pytest.mark.slow
def test_an_autoencoder_learns_and_its_encoder_is_a_backbone(tmp_path: Path) -> None:
    how: dict[str, Any] = {"backbone": "random:glyphs", "out": tmp_path, "batch": 8}
    made = autoencoder(BIG, epochs=30, rate=3e-3, **how)
    assert 0.2 < made["explained"] < 1
    assert (made["n_train"], made["n_val"]) == (36, 4)
    assert made["source_domain"] == "items"
    assert not list(tmp_path.glob("*.checkpoints"))
    entry = resolve(made["weights"])
    assert entry.licence == ""
    assert headstart.fit(BIG, backbone=made["weights"]).accuracy == 1.0
    first, second = (autoencoder(BIG, epochs=1, name=name, **how) for name in ("x", "y"))
    assert first["explained"] == second["explained"]


def test_labels_are_not_looked_at(tmp_path: Path) -> None:
    folder = make_images(tmp_path / "photos", {"a": 12, "b": 1}, side=32)
    (folder / "loose.png").write_bytes((folder / "a" / "000.png").read_bytes())
    made = autoencoder(folder, backbone="random:glyphs", out=tmp_path, epochs=1)
    assert made["n_train"] + made["n_val"] == 13  # the loose one is a copy
    assert made["name"] == "photos"
    with pytest.raises(UsageError, match=r"holds images, but this is for texts|no texts"):
        masked(BIG, backbone="minilm", out=tmp_path)
    with pytest.raises(DataError, match="ten are the least"):
        autoencoder(bars(2), backbone="random:glyphs", out=tmp_path, name="few")


# -- gaps -----------------------------------------------------------------------------------------


def test_gaps_are_where_they_should_be() -> None:
    words = masking.Vocabulary(3, (0, 1, 2, 3), 1000)
    ids = torch.randint(4, 1000, (300, 60), generator=torch.Generator().manual_seed(1))
    ids[:, 0], ids[:, -1] = 1, 2
    out, chosen = masking.hide(ids, 0.15, words, torch.Generator().manual_seed(0))
    assert not chosen[:, 0].any()
    assert not chosen[:, -1].any()
    assert 0.14 < float(chosen[:, 1:-1].float().mean()) < 0.16
    assert torch.equal(out[~chosen], ids[~chosen])
    became = out[chosen]
    assert 0.78 < float((became == 3).float().mean()) < 0.82
    assert 0.08 < float((became == ids[chosen]).float().mean()) < 0.12


def test_guesses_are_products_with_the_word_table() -> None:
    guesser, table = masking.Guesser(8, 20), torch.randn(20, 8)
    x = torch.randn(5, 8)
    wanted = F.layer_norm(F.gelu(x), (8,)) @ table.T
    torch.testing.assert_close(guesser(x, table), wanted)


def test_masked_tuning_learns_and_is_kept(encoder: str, tmp_path: Path) -> None:
    data = replace(sentences(60), targets=None)
    kwargs: dict[str, Any] = {"backbone": encoder, "out": tmp_path, "batch": 16, "rate": 3e-3}
    little = masked(data, epochs=1, name="little", **kwargs)
    much = masked(data, epochs=12, name="much", **kwargs)
    assert much["loss"] < 0.9 * little["loss"]
    assert 0 <= much["filled"] <= 1
    fitted = headstart.fit(sentences(20), backbone=much["weights"])
    assert fitted.to_json()["backbone"] == "much"


def test_who_knows_no_gaps_is_told(tmp_path: Path) -> None:
    data = sentences(20)
    texts = [data.content(i).decode() for i in range(len(data))]
    folder = save_encoder(tmp_path / "plain", texts)
    with pytest.raises(BackboneError, match="no token for a gap"):
        masked(data, backbone=str(folder), out=tmp_path)
    with pytest.raises(UsageError, match="learns its words"):
        masked(data, backbone="textcnn", out=tmp_path)
