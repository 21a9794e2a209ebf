"""The embedded backbone: made the same way twice, as its description says, and useful."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from headstart.backbones.glyphs import GlyphNet
from headstart.pretraining import characters, glyphs, strokes

ASSETS = Path(glyphs.__file__).parents[1] / "assets"


def embedded() -> GlyphNet:
    net = GlyphNet()
    missing, unexpected = net.load_state_dict(
        load_file(ASSETS / "glyphs.safetensors"), strict=False
    )
    assert not unexpected
    assert set(missing) == {"head.weight", "head.bias"}
    return net.eval()


def features(net: GlyphNet, images: np.ndarray) -> np.ndarray:
    """Bring uint8 images (N, 8, 8) through the preprocessing that glyphs.json describes."""
    facts = json.loads((ASSETS / "glyphs.json").read_text())
    side = facts["input_size"][1:]
    scaled = [Image.fromarray(i).resize(side, Image.Resampling.BILINEAR) for i in images]
    x = torch.from_numpy(np.stack(scaled)).float()[:, None] / 255
    with torch.inference_mode():
        z = net.pool(net.blocks(net.stem((x - facts["mean"][0]) / facts["std"][0])))
    return z.numpy()


def test_forward_is_its_four_parts_in_order() -> None:
    net, x = GlyphNet(num_classes=7).eval(), torch.randn(3, 1, 32, 32)
    z = net.pool(net.blocks(net.stem(x)))
    assert z.shape == (3, net.n_features)
    assert torch.equal(net(x), net.head(z))
    assert net(x).shape == (3, 7)


@pytest.mark.slow
def test_pretraining_repeats_bit_for_bit_and_writes_loadable_files(tmp_path: Path) -> None:
    lines: list[str] = []
    before = torch.random.get_rng_state()
    first = glyphs.pretrain_glyphs(tmp_path / "a", steps=2, progress=lines.append)
    second = glyphs.pretrain_glyphs(tmp_path / "b", steps=2)
    other = glyphs.pretrain_glyphs(tmp_path / "c", steps=2, seed=1)
    assert first["sha256"] == second["sha256"] != other["sha256"]
    assert torch.equal(before, torch.random.get_rng_state())
    assert 0 <= first["accuracy"] <= 1
    assert lines
    facts = json.loads((tmp_path / "a" / "glyphs.json").read_text())
    assert facts["sha256"] == first["sha256"]
    state = load_file(tmp_path / "a" / "glyphs.safetensors")
    assert set(state) == {k for k in GlyphNet().state_dict() if not k.startswith("head.")}


def test_pretraining_refuses_no_steps(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        glyphs.pretrain_glyphs(tmp_path, steps=0)


def test_asset_is_what_its_description_says() -> None:
    facts = json.loads((ASSETS / "glyphs.json").read_text())
    weights = ASSETS / "glyphs.safetensors"
    assert hashlib.sha256(weights.read_bytes()).hexdigest() == facts["sha256"]
    assert weights.stat().st_size < 2_000_000
    assert facts["n_features"] == embedded().n_features
    assert facts["mean"] == [glyphs.MEAN]
    assert facts["std"] == [glyphs.STD]


def test_only_printed_fonts_are_drawn() -> None:
    for module in (characters, glyphs, strokes):
        text = Path(module.__file__).read_text(encoding="utf-8")
        assert "sklearn" not in text
        assert "torchvision" not in text
    fonts = characters.font_files()
    assert len(fonts) > 15
    assert {f.stem for f in fonts} > set(characters.HELD_OUT)
    found = {g.label for g in characters.glyphs_of(fonts[0])}
    assert found >= set(range(glyphs.DIGITS))


def test_drawn_images_are_in_range_and_change_with_the_seed() -> None:
    source = list(characters.glyphs_of(characters.font_files()[0]))[:8]
    fields = characters.build_bank(source).fields
    first, again, other = (
        strokes.draw(fields, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)
    )
    assert first.shape == (8, 1, 32, 32)
    assert 0 <= float(first.min()) < float(first.max()) <= 1
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_skeleton_of_a_bar_is_its_middle_line() -> None:
    shape = np.zeros((1, 11, 21), dtype=bool)
    shape[0, 3:8, 3:18] = True
    line = characters.skeleton(shape)[0]
    assert line[5, 6:15].all()
    assert line.sum(0).max() == 1


def test_frozen_features_beat_raw_pixels_on_handwritten_digits() -> None:
    digits = load_digits()
    pixels = (digits.images * 255 / 16).astype(np.uint8)
    z, raw, y = features(embedded(), pixels), digits.data / 16, digits.target

    def accuracy(x: np.ndarray, draw: int) -> float:
        rng = np.random.default_rng(draw)
        train = np.concatenate([rng.permutation(np.flatnonzero(y == c))[:8] for c in range(10)])
        rest = np.setdiff1d(np.arange(len(y)), train)
        return float(
            LogisticRegression(max_iter=1000).fit(x[train], y[train]).score(x[rest], y[rest])
        )

    ours, theirs = (np.mean([accuracy(x, d) for d in range(3)]) for x in (z, raw))
    assert ours > 0.94
    assert ours > theirs + 0.05
