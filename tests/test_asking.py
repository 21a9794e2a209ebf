"""Asking a saved model and measuring it: what is a text, what is written, what is believed."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
import pytest

import headstart
from conftest import save_bars, save_encoder, save_sentences, sentences
from headstart import cli
from headstart.data.items import arriving
from headstart.errors import DataError, ItemError, UsageError


class Ran(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*arguments: str | Path) -> Ran:
        with pytest.raises(SystemExit) as ended:
            cli.app([str(argument) for argument in arguments], prog_name="headstart")
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return Ran(int(ended.value.code or 0), out, err)

    return call


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two fitted models with their data, and the cache that they leave."""
    root, data = tmp_path_factory.mktemp("made"), sentences()
    words = [data.content(i).decode() for i in range(len(data))]
    encoder = save_encoder(tmp_path_factory.mktemp("encoder"), words)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADSTART_HOME", str(root / "home"))
        headstart.fit(save_sentences(root / "t.csv"), backbone=str(encoder), out=root / "texts")
        headstart.fit(save_bars(root / "data"), backbone="glyphs", out=root / "model")
    return root


@pytest.fixture
def copied(made: Path, tmp_path: Path, headstart_home: Path) -> Path:
    shutil.copytree(made / "home", headstart_home, dirs_exist_ok=True)
    return Path(shutil.copytree(made, tmp_path / "made"))


@pytest.fixture
def texts(copied: Path) -> Path:
    return copied / "texts"


@pytest.fixture
def pictures(copied: Path) -> Path:
    return copied / "model"


@pytest.fixture
def data(copied: Path) -> Path:
    return copied / "data"


# -- row 2: what is no path is a text -------------------------------------------------------------


def test_what_is_no_path_is_a_text(texts: Path, run: Any) -> None:
    found = run("predict", texts, "这家店真不错，下次还来。", "wonderful", "and/or both")
    assert found.code == 0 and found.err == ""
    assert [line.split("\t")[0] for line in found.out.splitlines()] == [
        "这家店真不错，下次还来。",
        "wonderful",
        "and/or both",
    ]
    for path in ("new/reviews", "nosuch.csv", "my film.txt"):
        found = run("predict", texts, path)
        assert (found.code, found.out) == (1, "")
        assert f"{path}: no such file" in found.err


# -- row 8: nothing could be answered -------------------------------------------------------------


def test_what_cannot_be_answered_is_on_stderr(
    pictures: Path, data: Path, tmp_path: Path, run: Any
) -> None:
    found = run("predict", pictures, tmp_path / "no.jpg")
    assert (found.code, found.out) == (1, "")
    assert "no.jpg: no such file" in found.err and "nothing could be answered" in found.err
    found = run("predict", pictures, tmp_path / "*.jpg")
    assert "nothing matches this pattern" in found.err
    found = run("predict", pictures, tmp_path / "no.jpg", "--json")
    assert found.code == 1
    assert json.loads(found.out)["predictions"][0]["error"] == "no such file"
    good = next((data / "bar 0").iterdir())
    found = run("predict", pictures, tmp_path / "no.jpg", good)
    assert found.code == 0 and len(found.out.splitlines()) == 1 and "no.jpg" in found.err


def test_a_folder_of_the_other_kind_says_so(texts: Path, tmp_path: Path, run: Any) -> None:
    photos = save_bars(tmp_path / "photos")
    found = run("predict", texts, photos)
    assert (found.code, found.out) == (1, "")
    assert "holds no text files (.txt); it holds 24 pictures, and this model answers texts" in (
        found.err
    )
    assert run("predict", texts, texts / "tokenizer").code == 1


def test_an_empty_name_is_an_error(texts: Path, pictures: Path, run: Any) -> None:
    for model in (texts, pictures):
        found = run("predict", model, "")
        assert (found.code, found.out) == (2, "") and "an item's name is empty" in found.err


# -- row 7: answers as a table --------------------------------------------------------------------


def asked(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".csv":
        return list(csv.DictReader(io.StringIO(path.read_text("utf-8"))))
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return pq.read_table(path).to_pylist()  # type: ignore[no-any-return]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_table_keeps_its_columns(texts: Path, tmp_path: Path, suffix: str, run: Any) -> None:
    table = tmp_path / "new.csv"
    table.write_text('id,text,label,订单\n007,own0 w1,old,一\n008,own1 w2,"a,b",二\n009,,x,三\n')
    out = tmp_path / f"answers{suffix}"
    found = run("predict", texts, table, "--out", out, "--top-k", "2")
    assert found.code == 0, found.err
    assert "2 answers" in found.out and "new.csv:4: empty text" in found.err
    rows = asked(out)
    assert [row["id"] for row in rows] == ["007", "008", "009"]
    assert [row["订单"] for row in rows] == ["一", "二", "三"]
    assert rows[1]["label"] == "a,b", "the user's own"
    expected = headstart.predict(texts, ["own0 w1", "own1 w2"], top_k=2)
    for row, answer in zip(rows, expected, strict=False):
        assert row["predicted_label"] == answer["label"]
        assert float(row["probability"]) == pytest.approx(answer["probability"], rel=1e-4)
        assert row["label_2"] == answer["top"][1]["label"]
    assert rows[2]["error"] == "empty text" and not rows[2].get("predicted_label")
    assert run("predict", texts, table, "--out", out).code == 2, "it is there"
    assert run("predict", texts, table, "--out", out, "--overwrite").code == 0


def test_files_have_their_names_and_frames_their_columns(
    pictures: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from headstart.report import answers

    monkeypatch.setattr(answers, "ROWS", 3)
    given = headstart.predict(pictures, data, out=tmp_path / "a.parquet")
    rows = asked(tmp_path / "a.parquet")
    assert [row["item"] for row in rows] == [one["item"] for one in given]
    assert [row["label"] for row in rows] == [one["label"] for one in given]
    frame = {"file": [one["item"] for one in given], "id": list(range(len(given)))}
    headstart.predict(pictures, frame, out=tmp_path / "b.csv")
    rows = asked(tmp_path / "b.csv")
    assert [row["id"] for row in rows] == list(map(str, frame["id"]))
    assert [*rows[0]] == ["file", "id", "label", "probability", "error"]
    with pytest.raises(UsageError, match=r"must end in .csv, .jsonl, .parquet"):
        headstart.predict(pictures, data, out=tmp_path / "a.txt")


# -- rows 4 to 6: what may be believed ------------------------------------------------------------


def test_what_it_was_trained_on_is_no_news(pictures: Path, data: Path, run: Any) -> None:
    found = run("evaluate", pictures, data)
    assert "the model was trained on 20 of these items" in found.out
    assert "on the 4 others" in found.out
    measured = headstart.evaluate(pictures, data)
    assert (measured.trained_on, measured.figures.n) == (20, 24)
    assert measured.unseen is not None and measured.unseen.n == 4
    train = headstart.fit(data, backbone="glyphs").parts.train
    whole = headstart.read(data)
    only = headstart.evaluate(pictures, whole.take(np.setdiff1d(np.arange(24), train)))
    assert (only.trained_on, only.unseen, only.notes()) == (0, None, [])
    rest = headstart.evaluate(pictures, whole.take(train))
    assert rest.trained_on == 20 and "says nothing of new ones" in rest.notes()[0]
    (pictures / "trained.safetensors").unlink()
    assert headstart.evaluate(pictures, whole).trained_on == 0, "a bundle from before"


def test_strange_classes_are_said_with_near_names(pictures: Path, data: Path, run: Any) -> None:
    (data / "bar 1").rename(data / "Bar_1")
    found = run("evaluate", pictures, data)
    assert found.code == 0
    assert "12 items are left out, their class is not known: 'Bar_1' (12; did you mean" in found.out
    assert "without bar 1 (not measured)" in found.out
    (data / "bar 0").rename(data / "BAR-0")
    with pytest.raises(DataError, match=r"Did you mean 'bar 0' instead of 'BAR-0', 'bar 1' inst"):
        headstart.evaluate(pictures, data)


def test_a_class_of_one_is_not_measured(tmp_path: Path, run: Any, glyph_graph: Path) -> None:
    data = save_bars(tmp_path / "data", classes=3)
    for path in sorted((data / "bar 2").iterdir())[1:]:
        path.unlink()
    found = run("fit", data, "--backbone", "glyphs", "--out", tmp_path / "m")
    assert found.code == 0, found.err
    assert "without bar 2 (not measured)" in found.out
    assert "bar 2" in found.out and "not measured" in found.out
    rows = headstart.load(tmp_path / "m").facts["metrics"]["per_class"]
    assert [row["recall"] is None for row in rows] == [False, False, True]
    assert rows[2]["interval"] is None and rows[2]["f1"] is None
    assert "Not measured, for no such item was held out: bar 2" in (
        (tmp_path / "m" / "report.html").read_text("utf-8")
    )


# -- row 25: lines in another encoding ------------------------------------------------------------


@pytest.mark.parametrize("name", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
@pytest.mark.parametrize("cut", [1, 3, 1000])
def test_lines_are_read_in_their_encoding(name: str, cut: int) -> None:
    text = "plain line\n这家店真不错，下次还来\r\n味道很好 ok\n\n价格便宜，服务也很周到"
    content = text.encode(name)
    reader, writer = os.pipe()
    lines: list[str] = []
    with os.fdopen(reader, "rb") as stream:
        found = arriving(stream)
        for start in range(0, len(content), cut):
            os.write(writer, content[start : start + cut])
        os.close(writer)
        for some in found:
            lines += some
    assert lines == text.replace("\r", "").split("\n")


def test_lines_in_no_known_encoding_are_refused() -> None:
    reader, writer = os.pipe()
    os.write(writer, "Сколько это стоит сегодня\n".encode("cp1251"))
    os.close(writer)
    with os.fdopen(reader, "rb") as stream, pytest.raises(ItemError, match="save the file as UTF"):
        list(arriving(stream))


# -- rows 16, 17, 19 ------------------------------------------------------------------------------


def test_a_western_console_gets_escapes(texts: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "headstart", "predict", str(texts), "这家店真不错"],
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": "cp1252"},
    )
    assert done.returncode == 0, done.stderr
    assert rb"\u8fd9\u5bb6" in done.stdout and b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        (["train", "x"], "there is no command 'train'; did you mean 'fit'?"),
        (["Predict", "x"], "did you mean 'predict'?"),
        (["fit", "x", "--strategy", "freeze"], "did you mean 'frozen'?"),
        (["fit", "x", "--device", "gpu"], "did you mean 'cuda'?"),
    ],
)
def test_names_that_were_meant(wrong: list[str], right: str, run: Any) -> None:
    found = run(*wrong)
    assert found.code == 2
    assert right in " ".join(found.err.replace("│", " ").split())


@pytest.mark.parametrize("name", ["mobilenet", "MobileNet_V2", "MobileNet-v2"])
def test_backbones_that_are_here_come_first(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mobilenet_v2.safetensors").touch()
    (tmp_path / "mobilenet_v2.json").touch()
    monkeypatch.setenv("HEADSTART_WEIGHTS", str(tmp_path))
    with pytest.raises(headstart.HeadstartError, match="did you mean 'mobilenet_v2'?"):
        headstart.resolve(name)


def test_what_has_learned_nothing_is_not_kept_frozen(tmp_path: Path, run: Any) -> None:
    table = save_sentences(tmp_path / "t.csv")
    found = run("fit", table, "--backbone", "textcnn")
    assert found.code == 2
    assert "'textcnn' has learned nothing before" in found.err and "--strategy scratch" in found.err
    found = run("compare", table, "--backbones", "textcnn", "--strategies", "scratch,frozen")
    assert found.code == 2 and "would keep its random weights" in found.err
