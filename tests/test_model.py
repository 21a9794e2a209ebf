"""The one model: one item or many, paths or what is in memory, a list or a stream."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import headstart
from conftest import bars, save_bars, save_encoder, sentences
from headstart import model as module
from headstart.model import Model
from headstart.settings.groups import Options


@pytest.fixture(params=["frozen", "partial:-1"])
def fitted(request: Any, glyph_graph: Path) -> Model:
    """A model of pictures: its backbone unchanged, or trained and in memory."""
    how = Options(epochs=6, body_rate=1e-3, head_rate=1e-2)
    return headstart.fit(bars(20), strategy=request.param, options=how).model


def labels(answers: list[dict[str, Any]]) -> list[str]:
    return [answer["label"] for answer in answers]


def test_pictures_in_memory_and_on_disk(fitted: Model, tmp_path: Path) -> None:
    data = bars(4)
    truth = [data.said(i) for i in range(len(data))]
    arrays = [np.load(io.BytesIO(data.content(i))) for i in range(len(data))]
    pictures = [Image.fromarray(array) for array in arrays]
    paths = sorted(save_bars(tmp_path / "d", 4).rglob("*.png"), key=lambda path: path.stem)
    contents = [path.read_bytes() for path in paths]
    expected = fitted.predict(arrays)
    assert labels(expected) == truth
    stacked = np.stack(arrays)[..., None]
    for sources in (pictures, paths, [str(path) for path in paths], contents, stacked):
        found = fitted.predict(sources)
        assert labels(found) == truth
        got = [[*row["probabilities"].values()] for row in found]
        np.testing.assert_allclose(
            got, [[*row["probabilities"].values()] for row in expected], atol=1e-4
        )
    for one in (pictures[1], paths[1], str(paths[1]), contents[1], arrays[1], stacked[1]):
        assert labels(fitted.predict(one)) == truth[1:2]
    assert fitted.predict([paths[0], contents[1], arrays[0]])[2]["label"] == truth[0]


def test_bad_items_are_answered_with_their_error(fitted: Model, tmp_path: Path) -> None:
    good = np.load(io.BytesIO(bars().content(0)))
    found = fitted.predict(
        [good, b"rubbish", tmp_path / "nowhere.png", np.zeros((8, 8, 7), np.uint8)]
    )
    assert "label" in found[0]
    assert [("not an image" in row.get("error", "")) for row in found] == [
        False,
        True,
        False,
        False,
    ]
    assert "no such file" in found[2]["error"] and "channels" in found[3]["error"]
    assert "int is no item" in fitted.predict([3])[0]["error"]
    assert fitted.predict([]) == []


def test_a_list_can_be_indexed_and_a_stream_comes_as_it_is_made(
    fitted: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK", 2)
    data = bars(4)
    arrays = [np.load(io.BytesIO(data.content(i))) for i in range(len(data))]
    whole = fitted.predict(arrays)
    assert whole[3]["item"] == "item 3"
    seen: list[int] = []
    real = Model.attempt

    def counting(self: Model, part: Any, **how: Any) -> Any:
        seen.append(len(part))
        return real(self, part, **how)

    monkeypatch.setattr(Model, "attempt", counting)
    stream = fitted.stream(arrays)
    assert next(stream) == whole[0] and seen == [2]
    assert [*stream] == whole[1:]


def test_the_verb_gives_a_list(glyph_graph: Path, tmp_path: Path) -> None:
    result = headstart.fit(bars(), out=tmp_path / "out")
    picture = Image.fromarray(np.load(io.BytesIO(bars().content(1))))
    assert headstart.predict(tmp_path / "out", [picture])[0]["label"] == "bar 1"
    assert headstart.load(tmp_path / "out").predict(picture)[0]["label"] == "bar 1"
    assert result.model.predict(picture)[0]["label"] == "bar 1"


def test_texts(tmp_path: Path) -> None:
    data = sentences(20)
    encoder = save_encoder(tmp_path / "e", [data.content(i).decode() for i in range(len(data))])
    model = headstart.fit(data, backbone=str(encoder), device="cpu").model
    spoken = model.predict(["own11 own12 w2", "own01 own02 w1", b"own11 own12 w2"])
    assert spoken[0]["label"] == spoken[2]["label"] != spoken[1]["label"]
    assert spoken[0]["item"] == "own11 own12 w2"
    assert model.predict("own01 own02 w1")[0]["label"] == spoken[1]["label"]
    assert [*model.stream_texts(["own11"])][0]["label"] == spoken[0]["label"]
