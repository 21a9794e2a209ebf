"""Pictures of a batch as training sees it, and of several models' first filters side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import headstart
from conftest import make_images
from headstart.boundary.inputs import Inputs
from headstart.errors import BundleError, UsageError
from headstart.report import pictures


@pytest.fixture
def bundles(tmp_path: Path, glyph_graph: Path) -> tuple[Path, Path]:
    """A frozen model, and one that trained on augmented pictures."""
    data = make_images(tmp_path / "data", {"a": 8, "b": 8}, side=40)
    headstart.fit(data, backbone="glyphs", out=tmp_path / "frozen")
    headstart.fit(
        data, backbone="glyphs", strategy="warm", epochs=1, augment="strong", out=tmp_path / "warm"
    )
    return tmp_path / "frozen", tmp_path / "warm"


def test_a_batch_is_what_training_reads(
    bundles: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: dict[str, Any] = {}
    real = pictures.batch

    def spy(rows: Any, path: Path) -> None:
        seen["rows"] = rows
        real(rows, path)

    monkeypatch.setattr(pictures, "batch", spy)
    plain, strong = (headstart.show(one, "batch", data=tmp_path / "data") for one in bundles)
    assert plain["augment"] == "off"
    assert "as they are" in plain["lines"][0]
    assert strong["augment"] == "strong"
    assert strong["lines"] == [
        "training saw 32 x 32 pixels, as random views, augmentation 'strong'"
    ]
    assert {name for name, _ in seen["rows"]} <= {"a", "b"}
    assert all(len(views) == 6 for _, views in seen["rows"])
    dataset = headstart.read(tmp_path / "data")
    inputs = Inputs(dataset, headstart.load(bundles[1]).model.entries[0].preprocess)
    known = {row.tobytes() for row in inputs.rows(np.arange(len(dataset)), -1)}
    for _, views in seen["rows"]:
        assert views[0].tobytes() in known
        assert views[1].tobytes() not in known
        assert views[0].shape == views[5].shape == (32, 32, 1)
    with Image.open(strong["out"]) as picture:
        assert min(picture.size) > 400


@pytest.mark.slow
def test_filters_of_several_models(bundles: tuple[Path, Path], tmp_path: Path) -> None:
    found = headstart.show(list(bundles), "filters", out=tmp_path / "filters.png")
    assert found["relative_change"]["frozen"] == 0
    assert found["relative_change"]["warm"] > 0
    alone = headstart.show([bundles[1]], "filters")
    assert alone["relative_change"] == found["relative_change"]["warm"]
    assert len(found["lines"]) == 2
    with Image.open(found["out"]) as picture:
        assert picture.size[0] > 900
    twice = headstart.show([bundles[0]] * 2, "filters", out=tmp_path / "twice.png")
    assert list(twice["relative_change"]) == ["frozen", "frozen (2)"]


def test_what_cannot_be_shown_is_told(bundles: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="only filters are drawn of several"):
        headstart.show(list(bundles), "batch")
    with pytest.raises(UsageError, match="did you mean 'batch'"):
        headstart.show(bundles[0], "batsh")
    table = tmp_path / "t.csv"
    table.write_text("text,label\n" + "".join(f"word{i % 2} of {i},{i % 2}\n" for i in range(30)))
    headstart.fit(
        table, backbone="textcnn", strategy="scratch", epochs=1, min_frequency=1,
        out=tmp_path / "texts",
    )  # fmt: skip
    found = headstart.show(tmp_path / "texts", "batch", data=table)
    assert found["out"] is None
    assert len(found["lines"]) == 8
    assert all("word" in line for line in found["lines"])
    with pytest.raises(BundleError, match="is for texts"):
        headstart.show([bundles[0], tmp_path / "texts"], "filters")
