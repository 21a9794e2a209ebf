"""What users meet at the doors, row by row: said, refused with a way on, or read."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import headstart
from conftest import bars, make_images, save_bars, save_encoder, save_sentences, sentences
from headstart.data.folders import read_folders
from headstart.errors import DataError, UsageError
from headstart.report import comparison_tables, tables
from headstart.report.terminal import narrow
from headstart.tasks.classes import Classes


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "headstart")
    return caplog


# -- row 3 ----------------------------------------------------------------------------------------


def test_an_earlier_comparison_is_not_replaced_unasked(tmp_path: Path, glyph_graph: Path) -> None:
    out = tmp_path / "lose"
    how: dict[str, Any] = {"strategies": "frozen", "backbones": "glyphs", "draws": 1, "out": out}
    headstart.compare(bars(), **how)
    with pytest.raises(UsageError, match="--resume; start anew with --overwrite; or name another"):
        headstart.compare(bars(), **how)
    before = (out / "compare.json").read_text()
    assert len(headstart.compare(bars(), resume=True, **how).runs) == 1
    assert json.loads(before)["runs"] == json.loads((out / "compare.json").read_text())["runs"]
    headstart.compare(bars(), overwrite=True, **how | {"strategies": "frozen", "seed": 1})


# -- row 11 ---------------------------------------------------------------------------------------


def test_photos_of_telephones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heif = pytest.importorskip("pillow_heif")
    for name, colour in (("a", 30), ("b", 200)):
        (tmp_path / name).mkdir()
        picture = Image.new("RGB", (32, 24), (colour, 90, 90))
        heif.from_pillow(picture).save(tmp_path / name / "x.heic")
    found = headstart.audit(tmp_path)
    assert len(found.usable) == 2 and found.n == 2
    import sys

    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setenv("HEADSTART_HOME", str(tmp_path / "anew"))
    reasons = {one.reason for one in headstart.audit(tmp_path).rejected}
    assert reasons == {
        "a HEIC photo, which takes a package: pip install pillow-heif; or save it as JPEG"
    }


def test_json_lists(tmp_path: Path) -> None:
    rows = [{"text": f"text {i}", "label": "ab"[i % 2]} for i in range(6)]
    for name, whole in (("list", rows), ("keyed", {"version": 1, "data": rows})):
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(whole))
        found = headstart.read(path)
        assert found.classes == ("a", "b") and found.names[0] == f"{name}.json:1"
    (tmp_path / "no.json").write_text('{"a": 1}')
    with pytest.raises(DataError, match="holds no list of objects; write one object a row"):
        headstart.read(tmp_path / "no.json")


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("photos.zip", "is an archive; unpack it, and give the folder"),
        ("digits.mat", r"holds arrays; load them in Python, headstart.fit\(pictures, labels\)"),
        ("mnist.npz", "cannot be read: File is not a zip file"),
        ("train-images-idx3-ubyte", "is no idx file: it starts with nothing"),
        ("sheet.ods", "save it as .xlsx or .csv"),
    ],
)
def test_files_that_are_none_name_the_way(name: str, way: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    with pytest.raises(DataError, match=way):
        headstart.read(tmp_path / name)


# -- row 15 ---------------------------------------------------------------------------------------


def test_a_comparison_fits_eighty_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], glyph_graph: Path
) -> None:
    import sys

    found = headstart.compare(
        bars(), backbones="glyphs", strategies="frozen,discriminative", draws=2, epochs=1
    )
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert narrow()
    comparison_tables.comparison(found)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    lines = [line.rstrip() for line in plain.splitlines()]
    of_table = [line for line in lines if " s  " in line or line.startswith(" strategy")]
    assert len(of_table) == 3 and max(map(len, of_table)) <= 80
    assert "backbone: glyphs" in lines
    assert any("discriminative" in line and "%" in line for line in lines), "in one piece"


# -- rows 20 to 24 --------------------------------------------------------------------------------


def test_more_shots_than_there_are_is_said(
    said: pytest.LogCaptureFixture, glyph_graph: Path
) -> None:
    headstart.compare(bars(), backbones="glyphs", strategies="frozen", shots="1000", draws=1)
    assert "shots 1000: fewer are there to train on, all are used: bar 0 (12)" in said.text


@pytest.mark.parametrize(
    ("labels", "alike"),
    [(["WORLD", "World"], "'WORLD' and 'World'"), (["01", "1"], "'01' and '1'")],
)
def test_labels_that_may_be_one(
    labels: list[str], alike: str, tmp_path: Path, said: pytest.LogCaptureFixture
) -> None:
    rows = [f"text number {i},{labels[i % 2]}" for i in range(8)]
    (tmp_path / "t.csv").write_text("\n".join(["text,label", *rows]))
    assert len(headstart.read(tmp_path / "t.csv").classes) == 2
    assert f"taken for different classes: {alike}" in said.text


def test_a_cell_of_nan_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("text,label\na good one,a\nNaN,a\nnan,b\na bad one,b\n")
    found = headstart.audit(tmp_path / "t.csv")
    assert [one.reason for one in found.rejected] == ["empty text"] * 2


def test_what_was_read_as_what(tmp_path: Path, said: pytest.LogCaptureFixture) -> None:
    (tmp_path / "t.csv").write_text(
        "title,body,topic,split\n" + "".join(f"t{i},b{i} b,{i % 2},train\n" for i in range(6))
    )
    headstart.read(tmp_path / "t.csv")
    expected = "texts from 'title', 'body', labels from 'topic', split from 'split'"
    assert expected in said.text
    make_images(tmp_path / "inner", {"cat/train": 2, "cat/test": 1, "dog/big": 2})
    read_folders(tmp_path / "inner")
    assert "cat/test, cat/train are read as parts of their class, not as splits" in said.text
    assert "folders within dog are read as one class each" in said.text


def test_an_audit_counts_by_split_and_says_where_the_rest_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_images(tmp_path / "train", {"a": 5, "b": 3})
    make_images(tmp_path / "test", {"a": 2, "b": 1}, seed=1)
    for i in range(30):
        (tmp_path / "train" / "a" / f"bad{i}.png").write_text(f"no picture {i}")
    found = headstart.audit(tmp_path)
    assert found.by_split == {"a": {"train": 5, "test": 2}, "b": {"train": 3, "test": 1}}
    tables.audit(found)
    out = capsys.readouterr().out
    assert "and 10 more, listed with --out FILE.csv" in out and "skipped.csv" not in out
    (row,) = [line.split() for line in out.splitlines() if line.split()[:1] == ["b"]]
    assert row == ["b", "4", "3", "1"]


def test_vectors_are_parquet(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"vectors are written as Parquet.*f\.parquet"):
        headstart.features(bars(), backbone="glyphs", out=tmp_path / "f.csv")
    assert not (tmp_path / "f.csv").exists()


def test_a_bundle_of_another_kind_is_replaced_with_a_word(
    tmp_path: Path, glyph_graph: Path, said: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "m"
    headstart.fit(save_bars(tmp_path / "data"), out=out)
    headstart.show(out, "embedding")
    assert (out / "embedding.png").exists() and "replaces" not in said.text
    table = save_sentences(tmp_path / "t.csv")
    headstart.fit(table, backbone="textcnn", strategy="scratch", epochs=1, out=out)
    assert f"{out} held a model of images, which this one of texts replaces" in said.text
    assert not (out / "embedding.png").exists(), "it was of the other model"


# -- rows 27, 28 ----------------------------------------------------------------------------------


def test_seconds_are_all_there(tmp_path: Path, glyph_graph: Path) -> None:
    fit = headstart.fit(bars(), backbone="glyphs", out=tmp_path / "m")
    kept = headstart.load(tmp_path / "m").facts["seconds"]
    assert 0 < kept["total"] <= fit.seconds["total"] + 0.01


@pytest.mark.parametrize("in_memory", [True, False])
def test_few_shots_embed_no_more_than_is_needed(
    tmp_path: Path, glyph_graph: Path, in_memory: bool
) -> None:
    data: Any = bars(per_class=40) if in_memory else save_bars(tmp_path, per_class=40)
    fit = headstart.fit(data, backbone="glyphs", shots=2)
    assert len(fit.parts.train) == 4
    assert fit.cache == {"hits": 0, "misses": 4 + len(fit.parts.held_out)}
    again = headstart.fit(data, backbone="glyphs")
    assert again.cache["hits"] == 4 + len(fit.parts.held_out)
    assert again.cache["hits"] + again.cache["misses"] == len(fit.audit.usable)


def test_a_comparison_of_few_shots_embeds_no_more_than_is_needed(glyph_graph: Path) -> None:
    data = bars(per_class=40)
    how: dict[str, Any] = {"strategies": "frozen", "backbones": "glyphs", "draws": 2, "val": 0.1}
    found = headstart.compare(data, shots="2,3", **how)
    kept = headstart.fit(data, backbone="glyphs").cache["hits"]
    held_out = len(found.held_out.targets)
    assert held_out + 6 <= kept <= held_out + 2 * 2 * 3
    again = headstart.compare(data, shots="2,3,all", **how)
    few = [run.value for run in again.runs if run.shots != "all"]
    assert few == [run.value for run in found.runs], "the same figures as where all is embedded"


def test_transfer_by_itself_looks_at_what_it_is_asked_for(glyph_graph: Path) -> None:
    from headstart.backbones.registry import resolve
    from headstart.settings.table import Fitting
    from headstart.training.transfer import transfer

    data = bars(per_class=40)
    asked: list[int] = []
    whole = data.content
    watched = headstart.Dataset(
        **{**vars(data), "content": lambda i: (asked.append(i), whole(i))[1]}
    )
    fitted = transfer(watched, np.arange(6), [resolve("glyphs")], Fitting())
    assert set(asked) == set(range(6))
    asked.clear()
    fitted.model.outputs(watched, np.array([70, 71]))
    assert set(asked) == {70, 71}


def test_training_that_stops_early_says_so(
    said: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    worse = iter(range(99))
    rows = ({"selection_loss": float(k), "selection_accuracy": 0.5} for k in worse)
    monkeypatch.setattr(Classes, "judge", lambda *_: next(rows))
    headstart.fit(bars(per_class=40), backbone="glyphs", strategy="warm", epochs=12)
    assert "the loss on the inner part no longer falls" in said.text


# -- row 30 ---------------------------------------------------------------------------------------


def test_rows_of_pixels(tmp_path: Path, glyph_graph: Path) -> None:
    from headstart.data.pictures.images import decode

    data = bars(per_class=20)
    pictures = [np.asarray(decode(data.content(i), 1)) for i in range(len(data))]
    head = ",".join(["label", *(f"pixel{i}" for i in range(64))])
    rows = [f"{data.said(i)}," + ",".join(map(str, p.ravel())) for i, p in enumerate(pictures)]
    (tmp_path / "digits.csv").write_text("\n".join([head, *rows]))
    found = headstart.read(tmp_path / "digits.csv")
    assert (found.kind, found.classes) == ("image", ("bar 0", "bar 1"))
    np.testing.assert_array_equal(np.asarray(decode(found.content(7), 1)), pictures[7])
    fit = headstart.fit(tmp_path / "digits.csv", out=tmp_path / "m")
    assert fit.accuracy == 1.0 and fit.model.entries[0].name == "glyphs"
    new = [row.partition(",")[2] for row in [head, *rows[:3]]]
    (tmp_path / "new.csv").write_text("\n".join(new))
    answers = headstart.predict(tmp_path / "m", tmp_path / "new.csv")
    assert [one["label"] for one in answers] == [data.said(i) for i in range(3)]


# -- labels: an empty cell is none of them --------------------------------------------------------


def test_an_empty_cell_of_labels_is_none_of_them(tmp_path: Path) -> None:
    rows = ["a;b", "a", "", "b", "a;b", ""]
    (tmp_path / "t.csv").write_text(
        "text,tags\n" + "".join(f"text {i},{cell}\n" for i, cell in enumerate(rows))
    )
    found = headstart.read(tmp_path / "t.csv", task="labels", label_column="tags")
    assert len(found) == 6 and not found.rejected
    assert [found.said(i) for i in range(6)] == ["a;b", "a", "", "b", "a;b", ""]


def test_a_graph_that_failed_for_want_of_memory_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from headstart.backbones.registry import resolve
    from headstart.boundary import engine

    tried: list[str] = []

    def failing(*arguments: Any, **how: Any) -> None:
        tried.append(why)
        raise RuntimeError(why)

    monkeypatch.setattr(engine, "_written", failing)
    data, entry = bars(), resolve("glyphs")
    batch = entry.preprocess.collate([entry.preprocess.load(data.content(0))])
    for why, times in (("bad_alloc: out of memory", 2), ("unsupported operator", 1)):
        tried.clear()
        for _ in range(2):
            assert engine.engine(entry)(batch).shape[0] == 1
        assert len(tried) == 2 * times, why


def test_few_shots_of_texts_embed_no_more_than_is_needed(tmp_path: Path) -> None:
    data = sentences()
    words = [data.content(i).decode() for i in range(len(data))]
    encoder = save_encoder(tmp_path / "e", words)
    table = save_sentences(tmp_path / "t.csv")
    assert headstart.fit(table, backbone=str(encoder), shots=3).cache["misses"] < len(words)
