"""Texts through every door: the same verbs, words and JSON as pictures have."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import headstart
from conftest import save_encoder, save_sentences, sentences
from headstart import cli
from headstart.data.items import arriving
from headstart.errors import HeadstartError
from headstart.settings.groups import Options


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    data = sentences()
    texts = [data.content(i).decode() for i in range(len(data))]
    return str(save_encoder(tmp_path_factory.mktemp("encoder"), texts))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return save_sentences(tmp_path / "texts.csv")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*arguments: str | Path) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.app([str(argument) for argument in arguments], prog_name="headstart")
        return int(ended.value.code or 0), *capsys.readouterr()

    return call


@pytest.fixture
def saved(table: Path, encoder: str, tmp_path: Path, run: Any) -> Path:
    code, _, err = run("fit", table, "--backbone", encoder, "--out", tmp_path / "bundle")
    assert code == 0, err
    return tmp_path / "bundle"


@contextmanager
def speaking(text: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    path.write_bytes(text.encode())
    with path.open() as file, monkeypatch.context() as patch:
        patch.setattr(sys, "stdin", file)
        yield


def test_predict_answers_sentences_lines_files_and_tables(
    saved: Path, table: Path, tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one.txt").write_text("own1 own1 w3")
    given = ("own0 w1 w2", "-", tmp_path / "one.txt", tmp_path / "nothing.txt", table)
    with speaking("own0 own0\r\n\nown1 w2", tmp_path / "stdin", monkeypatch):
        code, out, _ = run("predict", saved, *given, "--json")
    answers = json.loads(out)["predictions"]
    assert code == 0
    assert [one["item"] for one in answers[:4]] == ["own0 w1 w2", "own0 own0", "", "own1 w2"]
    assert "empty text" in answers[2]["error"]
    assert answers[4]["item"].endswith("one.txt")
    assert answers[5]["error"] == "no such file"
    assert len(answers) == 6 + 24
    assert answers[6]["item"].endswith("texts.csv:2")
    for answer in (*answers[:2], answers[3]):
        assert set(answer) == {"item", "label", "probability", "probabilities"}
        assert sum(answer["probabilities"].values()) == pytest.approx(1)


def test_lines_come_as_they_are_there() -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as stream:
        found = arriving(stream)
        os.write(writer, b"one\ntw")
        assert next(found) == ["one"]
        os.write(writer, b"o\r\nthr")
        assert next(found) == ["two"]
        os.write(writer, "ee é".encode())
        os.close(writer)
        assert list(found) == [["three é"]]


@pytest.mark.slow
def test_fit_evaluate_and_compare(
    saved: Path, table: Path, encoder: str, tmp_path: Path, run: Any
) -> None:
    code, out, _ = run("evaluate", saved, table, "--json")
    assert code == 0
    assert json.loads(out)["n"] == 24
    names = ["--strategies", "frozen,warm,contrastive", "--backbones", encoder]
    few = ["--shots", "4", "--draws", "2", "--epochs", "2", "--out", tmp_path / "compared"]
    code, out, err = run("compare", table, *names, *few, "--json")
    assert code == 0, err
    assert len(json.loads(out)["runs"]) == 6
    assert (tmp_path / "compared" / "curves.png").stat().st_size > 5000


def test_a_bundle_holds_its_tokenizer_and_needs_no_encoder(saved: Path, encoder: str) -> None:
    facts = json.loads((saved / "bundle.json").read_text("utf-8"))
    assert facts["kind"] == "text"
    assert facts["data"]["columns"] == ["text"]
    assert {path.name for path in (saved / "tokenizer").iterdir()} == {
        "tokenizer.json",
        "tokenize.json",
    }
    (answer,) = headstart.load(saved).model.stream_texts(["own1 own1"])
    assert answer["label"] == "topic 1"
    page = (saved / "report.html").read_text("utf-8")
    assert "transformers" in page


def test_features_of_texts(table: Path, encoder: str, tmp_path: Path, run: Any) -> None:
    out = tmp_path / "vectors.parquet"
    code, said, _ = run("features", table, "--backbone", encoder, "--out", out, "--json")
    assert code == 0
    assert (json.loads(said)["n"], json.loads(said)["n_features"]) == (24, 32)
    assert pq.read_table(out).column_names == ["item", "label", "split", "vector"]


def test_show_errors_are_texts(saved: Path, run: Any) -> None:
    facts = json.loads((saved / "bundle.json").read_text("utf-8"))
    row = {"item": "t.csv:3", "label": "a", "predicted": "b", "probability": 0.9, "text": "so it"}
    facts = {k: v for k, v in facts.items() if k != "digest"} | {"errors": [row]}
    (saved / "bundle.json").write_text(json.dumps(facts), "utf-8")
    assert run("show", saved, "errors")[1] == "t.csv:3: taken for b (90.0 %), is a: so it\n"
    code, _, err = run("show", saved, "filters")
    assert code == 1 and "filters are of image models" in err
    assert run("show", saved, "embedding")[0] == 0


def test_networks_trained_here_tell_what_they_cover(table: Path, tmp_path: Path, run: Any) -> None:
    glove = tmp_path / "glove.txt"
    glove.write_text("own0 1 0\nown1 0 1\nw1 1 1\n")
    words = ["--backbone", "bilstm", "--strategy", "scratch", "--min-frequency", "1"]
    given = [*words, "--vectors", glove, "--epochs", "2", "--out", tmp_path / "out"]
    code, out, err = run("fit", table, *given, "--json")
    assert code == 0, err
    (note,) = json.loads(out)["notes"]
    assert "100.0 % of all tokens have" not in note
    assert "words have none" in note and "words have none" in err
    assert run("predict", tmp_path / "out", "own0 w1 w2")[0] == 0
    glove.write_text("own0 1 0\nown1 0\n")
    code, _, err = run("fit", table, *given)
    assert (code, "line 2" in err) == (1, True)
    code, _, err = run("fit", table, *words, "--vectors", tmp_path / "none.txt")
    assert (code, "none.txt: no such file" in err) == (2, True)
    code, _, err = run("features", table, "--backbone", "bilstm", "--out", tmp_path / "f.parquet")
    assert (code, "learns its words from training texts" in err) == (1, True)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--backbone", "glyphs"], "holds texts, but the backbone 'glyphs' is for images"),
        (["--pooling", "max"], "pooling"),
        (["--text-column", "body"], "body"),
        (["--label-column", "text", "--text-column", "text"], "text"),
    ],
)
def test_wrong_use(
    more: list[str], message: str, table: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = [] if "--backbone" in more else ["--backbone", "bigru"]
    code, _, err = run("fit", table, *backbone, *more)
    assert code in (1, 2)
    assert message in err
    assert "Traceback" not in err


def test_an_estimator_of_texts(encoder: str) -> None:
    data = sentences()
    texts = [data.content(i).decode() for i in range(len(data))]
    labels = [data.classes[label] for label in data.labels]
    scratch = headstart.TransferClassifier("bigru", "scratch", epochs=20, device="cpu")
    assert scratch.fit(texts, labels).score(texts, labels) > 0.8
    model = headstart.TransferClassifier(encoder, device="cpu").fit(texts, labels)
    assert model.predict_proba(texts[:3]).shape == (3, 2)
    with pytest.raises(ValueError, match="reads texts, but X is an array of numbers"):
        model.fit([[1.0, 2.0], [2.0, 1.0]], ["a", "b"])


def test_a_model_of_pictures_refuses_sentences(tmp_path: Path, glyph_graph: Path, run: Any) -> None:
    from conftest import save_bars

    out = tmp_path / "out"
    assert run("fit", save_bars(tmp_path / "data"), "--out", out)[0] == 0
    with pytest.raises(HeadstartError, match="answers pictures, not texts"):
        next(headstart.load(out).model.stream_texts(["a b"]))
    assert "no such file" in run("predict", out, "a b")[2]


def test_cleaning_is_an_option_that_travels(table: Path, encoder: str, tmp_path: Path) -> None:
    wanted = Options(clean=True)
    headstart.fit(table, backbone=encoder, out=tmp_path / "raw", device="cpu")
    headstart.fit(table, backbone=encoder, out=tmp_path / "clean", options=wanted, device="cpu")
    for name, clean in (("raw", False), ("clean", True)):
        (entry,) = headstart.load(tmp_path / name).model.entries
        assert entry.preprocess.clean is clean
