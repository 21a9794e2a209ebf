"""The command line: one JSON object on stdout, the rest on stderr, and the exit codes."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import headstart
from conftest import png_header, save_bars
from headstart import cli
from headstart.errors import UsageError


class Ran(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON object that stdout holds."""
        assert self.code == 0, self.err
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    """Run the command line in this process."""

    def call(*arguments: str | Path) -> Ran:
        with pytest.raises(SystemExit) as ended:
            cli.app([str(argument) for argument in arguments], prog_name="headstart")
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return Ran(int(ended.value.code or 0), out, err)

    return call


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return save_bars(tmp_path / "data")


@pytest.fixture
def saved(data: Path, tmp_path: Path, run: Any, glyph_graph: Path) -> Path:
    assert run("fit", data, "--out", tmp_path / "bundle").code == 0
    return tmp_path / "bundle"


def size(path: str | Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


def test_fit(data: Path, tmp_path: Path, run: Any, glyph_graph: Path) -> None:
    (data / "bar 0" / "bad.png").write_text("no picture")
    found = run("fit", data, "--out", tmp_path / "out", "--json").json
    assert found["accuracy"] == 1.0
    assert 0 < found["interval"][0] < found["interval"][1] == 1.0
    assert (found["n_train"], found["n_val"]) == (20, 4)
    assert found["classes"] == ["bar 0", "bar 1"]
    assert (found["backbone"], found["strategy"], found["seed"]) == ("glyphs", "frozen", 0)
    assert found["seconds"].keys() == {"total", "features", "train"}
    assert found["seconds"]["total"] >= found["seconds"]["features"] > 0
    assert found["cache"] == {"hits": 0, "misses": 24}
    assert found["skipped"] == [{"item": "bar 0/bad.png", "reason": "not an image"}]
    assert found["bundle"] == str(tmp_path / "out")
    again = run("fit", data, "--json").json
    assert again["cache"] == {"hits": 24, "misses": 0}
    assert again["bundle"] is None


def test_fit_by_steps_tells_its_epochs_on_stderr(data: Path, run: Any) -> None:
    options = ["--strategy", "partial:-1", "--epochs", "2", "--seed", "3", "--shots", "4"]
    ran = run("fit", data, *options, "--json")
    assert ran.json["n_train"] == 8
    assert ran.json["seed"] == 3
    assert "epoch 1/2: loss" in ran.err
    assert "epoch 2/2: loss" in ran.err


def test_fit_for_people(data: Path, run: Any, glyph_graph: Path) -> None:
    ran = run("fit", data)
    assert ran.code == 0
    assert "accuracy 100.0 %" in ran.out
    assert "bar 0" in ran.out
    assert "not saved; add --out DIR" in ran.out


def test_predict(saved: Path, data: Path, tmp_path: Path, run: Any) -> None:
    (tmp_path / "bad.png").touch()
    picture = sorted((data / "bar 1").iterdir())[0]
    found = run("predict", saved, picture, tmp_path / "bad.png", "--json").json["predictions"]
    assert found[0].keys() == {"item", "label", "probability", "probabilities"}
    assert found[0]["label"] == "bar 1"
    assert found[1] == {"item": str(tmp_path / "bad.png"), "error": "empty file"}
    said = run("predict", saved, picture, tmp_path / "bad.png")
    (line,) = said.out.splitlines()
    assert line.split("\t")[:2] == [str(picture), "bar 1"]
    assert f"{tmp_path / 'bad.png'}: empty file" in said.err


def test_predict_the_likeliest(saved: Path, data: Path, tmp_path: Path, run: Any) -> None:
    (tmp_path / "bad.png").touch()
    picture = sorted((data / "bar 1").iterdir())[0]
    items = [saved, picture, tmp_path / "bad.png"]
    first, bad = run("predict", *items, "--top-k", "2", "--json").json["predictions"]
    assert [one["label"] for one in first["top"]] == ["bar 1", "bar 0"]
    assert first["top"][0]["probability"] == first["probability"]
    assert sum(one["probability"] for one in first["top"]) == pytest.approx(1)
    assert bad.keys() == {"item", "error"}
    (alone,) = run("predict", saved, picture, "--top-k", "1", "--json").json["predictions"]
    assert len(alone["top"]) == 1
    (more,) = headstart.predict(saved, picture, top_k=99)
    assert more["top"] == first["top"]
    (line,) = run("predict", *items, "--top-k", "2").out.splitlines()
    assert line.split("\t")[1::2] == ["bar 1", "bar 0"]
    assert run("predict", *items, "--top-k", "0").code == 2
    with pytest.raises(UsageError, match="top_k is 0, but must be 1 or more"):
        headstart.predict(saved, picture, top_k=0)


def test_evaluate(saved: Path, data: Path, run: Any) -> None:
    (data / "bar 0" / "bad.png").touch()
    found = run("evaluate", saved, data, "--json").json
    assert {"accuracy", "interval", "n", "per_class", "confusion", "skipped"} <= found.keys()
    assert (found["accuracy"], found["n"]) == (1.0, 24)
    assert found["confusion"] == [[12, 0], [0, 12]]
    assert found["per_class"][0].keys() >= {"class", "n", "precision", "recall", "interval"}
    assert found["skipped"] == [{"item": "bar 0/bad.png", "reason": "empty file"}]


@pytest.mark.slow
def test_compare(data: Path, tmp_path: Path, run: Any, glyph_graph: Path) -> None:
    arguments = ["--strategies", "frozen,partial:-1", "--shots", "1,all", "--draws", "2"]
    arguments += ["--image-size", "16"]
    folder = tmp_path / "out"
    found = run("compare", data, *arguments, "--epochs", "1", "--out", folder, "--json").json
    assert len(found["runs"]) == 2 * 2 * 2
    keys = {"backbone", "strategy", "shots", "draw", "accuracy", "seconds"}
    assert all(row.keys() == keys for row in found["runs"])
    keys = {"backbone", "strategy", "shots", "mean", "low", "high", "seconds", "verdict"}
    assert all(row.keys() >= keys for row in found["summary"])
    assert len(found["summary"]) == 4
    assert {path.name for path in folder.iterdir()} == {
        *("compare.json", "runs.csv", "curves.png", "report.html")
    }
    assert json.loads((folder / "compare.json").read_text())["runs"] == found["runs"]
    assert len((folder / "runs.csv").read_text().splitlines()) == 9


def test_compare_within_a_budget(data: Path, run: Any, glyph_graph: Path) -> None:
    ran = run("compare", data, "--strategies", "frozen", "--draws", "3", "--budget", "0s")
    assert "2 runs were left out: the budget was spent" in ran.out


def test_features(data: Path, tmp_path: Path, run: Any, glyph_graph: Path) -> None:
    out = tmp_path / "features.parquet"
    (data / "bar 0" / "bad.png").touch()
    found = run("features", data, "--backbone", "glyphs", "--out", out, "--json").json
    assert (found["n"], found["n_features"]) == (24, 128)
    assert len(found["skipped"]) == 1
    table = pq.read_table(out)
    assert table.column_names == ["item", "label", "split", "vector"]
    rows = table.to_pylist()
    assert len({row["item"] for row in rows}) == 24
    assert {row["item"].split("/")[0] == row["label"] for row in rows} == {True}
    vectors = np.array([row["vector"] for row in rows])
    assert vectors.shape == (24, 128)
    # The classes lie apart: each vector is nearer to its own class's mean.
    labels = np.array([row["label"] for row in rows])
    means = [vectors[labels == name].mean(axis=0) for name in ("bar 0", "bar 1")]
    gaps = np.linalg.norm(vectors - means[0], axis=1) - np.linalg.norm(vectors - means[1], axis=1)
    np.testing.assert_array_equal(gaps > 0, labels == "bar 1")


def test_audit_names_everything_that_cannot_be_used(tmp_path: Path, run: Any) -> None:
    data = save_bars(tmp_path / "data", per_class=6)
    good = sorted((data / "bar 0").iterdir())[0].read_bytes()
    bad = {
        "truncated.png": good[:-40],
        "text.jpg": b"just text",
        "lfs.jpg": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
        "empty.png": b"",
        "bomb.png": png_header(50_000, 50_000),
        "twin of another.png": good,
    }
    for name, content in bad.items():
        (data / "bar 0" / name).write_bytes(content)
    (data / "empty").mkdir()
    found = run("audit", data, "--out", tmp_path / "skipped.csv", "--json").json
    reasons = {Path(row["item"]).name: row["reason"] for row in found["skipped"]}
    assert "truncated" in reasons["truncated.png"]
    assert reasons["text.jpg"] == "not an image"
    assert "git lfs pull" in reasons["lfs.jpg"]
    assert reasons["empty.png"] == "empty file"
    assert "too large: 50000 x 50000" in reasons["bomb.png"]
    assert len(reasons) == len(bad)
    assert (found["n"], found["usable"]) == (12 + len(bad), 12)
    assert found["empty_classes"] == ["empty"]
    assert len(found["duplicates"]) == 1
    assert len((tmp_path / "skipped.csv").read_text().splitlines()) == 1 + len(bad)
    shown = run("audit", data)
    assert "18 items, 12 usable" in shown.out
    assert "no usable item: empty" in shown.out


def test_audit_of_rubbish_fails_after_saying_why(tmp_path: Path, run: Any) -> None:
    (tmp_path / "data" / "a").mkdir(parents=True)
    (tmp_path / "data" / "a" / "x.png").write_text("rubbish")
    ran = run("audit", tmp_path / "data", "--json")
    assert ran.code == 1
    assert "nothing usable" in ran.err
    assert ran.out == "" or json.loads(ran.out)["usable"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["frozen", "partial:0"])
def test_show_filters(strategy: str, data: Path, tmp_path: Path, run: Any) -> None:
    steps = [] if strategy == "frozen" else ["--epochs", "1"]
    assert run("fit", data, "--strategy", strategy, *steps, "--out", tmp_path / "b").code == 0
    found = run("show", tmp_path / "b", "filters", "--json").json
    assert (found["relative_change"] > 0) == (strategy == "partial:0")
    width, height = size(found["out"])
    assert 600 < width < 2000
    assert 100 < height < 2000


def test_show_errors_and_embedding(saved: Path, data: Path, tmp_path: Path, run: Any) -> None:
    none = run("show", saved, "errors", "--json").json
    assert none["errors"] == []
    assert none["out"] is None
    assert not (saved / "errors.png").exists()
    found = run("show", saved, "embedding", "--json").json
    assert 0.3 < found["variance"] <= 1
    assert (found["n"], found["new"], found["mistakes"]) == (24, 4, 0)
    assert size(found["out"])[0] > 600

    # A model is confidently wrong about a picture in the wrong folder.
    mixed = save_bars(tmp_path / "mixed", per_class=20, seed=1)
    for number, path in enumerate(sorted((mixed / "bar 0").iterdir())[:5]):
        path.rename(mixed / "bar 1" / f"wrong {number}.png")
    assert run("fit", mixed, "--val", "0.5", "--out", tmp_path / "wrong").code == 0
    out = tmp_path / "errors.png"
    shown = run("show", tmp_path / "wrong", "errors", "--out", out)
    assert ".png: taken for bar " in shown.out
    assert str(out) in shown.out
    width, height = size(out)
    assert min(width, height) > 150
    mixed.rename(tmp_path / "moved")
    shown = run("show", tmp_path / "wrong", "errors")
    assert "give --data if they moved" in shown.out


def test_errors_of_a_table_find_their_pictures(tmp_path: Path, run: Any) -> None:
    pictures = save_bars(tmp_path / "pictures", per_class=20)
    lines = ["file,label"]
    for number, path in enumerate(sorted(pictures.rglob("*.png"))):
        label = path.parent.name if number % 4 else "bar 1"
        lines.append(f"{path.parent.name}/{path.name},{label}")
    table = pictures / "labels.csv"
    table.write_text("\n".join(lines))
    assert run("fit", table, "--out", tmp_path / "out").code == 0
    shown = run("show", tmp_path / "out", "errors")
    assert "is bar 1" in shown.out
    assert "pictures are still in" not in shown.out


WRONG = [
    (["fit", "DATA", "--strategy", "frozn"], 2, "did you mean 'frozen'?"),
    (["fit", "DATA", "--strategy", "partial"], 2, "write 'partial:-3'"),
    (["fit", "DATA", "--strategy", "partial:x"], 2, "'x' is not a whole number"),
    (["fit", "DATA", "--strategy", "partial:99"], 2, "this backbone has"),
    (["fit", "DATA", "--strategy", "partial:-9"], 2, "K goes from"),
    (["fit", "DATA", "--device", "gpu"], 2, "device is gpu, but must be auto, cpu, cuda, mps"),
    (["fit", "DATA", "--head", "logstic"], 2, "logistic, svm"),
    (["fit", "DATA", "--augment", "wild"], 2, "off, light, strong"),
    (["fit", "DATA", "--smoothing", "2", "--decay", "0"], 2, "decay is 0.0"),
    (["fit", "DATA", "--body-rate", "-1"], 2, "body_rate is -1.0, but must be above 0"),
    (["fit", "DATA", "--val", "1.5"], 2, "val is 1.5, but must be between 0 and 1"),
    (["fit", "DATA", "--no-such-option"], 2, "--no-such-option"),
    (["fit", "DATA", "--epochs", "0"], 2, "--epochs"),
    (["fit", "DATA", "--seed", "-1"], 2, "--seed"),
    (["fit"], 2, "DATA"),
    (["fti"], 2, "fit"),
    (["fit", "nowhere"], 1, "no such file or folder: 'nowhere'"),
    (["fit", "DATA", "--backbone", "glyps"], 1, "glyps"),
    (["fit", "DATA", "--backbone", "glyphs+"], 1, "empty backbone"),
    (["fit", "DATA", "--backbone", "glyphs+random:glyphs", "--strategy", "warm"], 2, "'frozen'"),
    (["predict", "DATA", "x.png"], 1, "is not a bundle"),
    (["evaluate", "DATA", "DATA"], 1, "is not a bundle"),
    (["show", "DATA", "filtres"], 2, "did you mean 'filters'?"),
    (["show", "DATA", "filters"], 1, "is not a bundle"),
    (["compare", "DATA", "--strategies", "warm,frozn"], 2, "did you mean 'frozen'?"),
    (["compare", "DATA", "--strategies", ""], 2, "at least one strategy"),
    (["compare", "DATA", "--shots", "many"], 2, "whole numbers or all"),
    (["compare", "DATA", "--shots", "0"], 2, "shots of 1 or more"),
    (["compare", "DATA", "--budget", "soon"], 2, "write 90s, 10m or 2h"),
    (["features", "DATA", "--backbone", "glyphs", "--out", "f", "--block", "77"], 2, "block 77"),
]


@pytest.mark.parametrize(("arguments", "code", "said"), WRONG, ids=lambda v: str(v)[:60])
def test_wrong_use_is_one_clear_message(
    arguments: list[str], code: int, said: str, data: Path, run: Any, glyph_graph: Path
) -> None:
    ran = run(*[str(data) if word == "DATA" else word for word in arguments])
    assert ran.code == code, ran.err
    assert ran.out == ""
    assert said in " ".join(ran.err.split()), ran.err


def test_all_faults_of_the_options_are_told_at_once(data: Path, run: Any) -> None:
    ran = run("fit", data, "--smoothing", "2", "--decay", "0", "--optimiser", "adam")
    assert all(word in ran.err for word in ("smoothing", "decay", "adamw or sgd"))


def test_an_out_folder_with_other_files_is_refused_before_the_work(
    data: Path, tmp_path: Path, run: Any
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.doc").touch()
    ran = run("fit", data, "--out", tmp_path / "mine")
    assert ran.code == 1
    assert "holds other files" in ran.err


def test_what_pretraining_prints_last_measures_whether_it_helps(
    data: Path, tmp_path: Path, run: Any
) -> None:
    before = "glyphs"
    for name in "one", "two":  # the second goes on from the first, by its path
        how = ["--backbone", before, "--epochs", "1", "--batch", "8", "--out", tmp_path / "a place"]
        found = run("pretrain", "supervised", data, "--name", name, *how)
        assert found.code == 0, found.err
        _, _, printed = found.out.strip().splitlines()[-1].partition("headstart ")
        words = shlex.split(printed.replace("LABELLED-DATA", shlex.quote(str(data))))
        assert words[-1] == f"{before},{tmp_path / 'a place' / name}.safetensors"
        before = words[-1].split(",")[1]
        measured = run(*words, "--strategies", "frozen", "--draws", "1", "--json")
        assert measured.code == 0, measured.err
        assert {row["backbone"] for row in measured.json["summary"]} == set(words[-1].split(","))


@pytest.mark.parametrize("arguments", [[], ["pretrain"]])
def test_without_arguments_help_is_shown(arguments: list[str], run: Any) -> None:
    assert "Usage: headstart" in run(*arguments).out


def test_version(run: Any) -> None:
    assert run("--version") == Ran(0, "0.1.0\n", "")


def test_usage_names_what_is_needed_plainly(run: Any) -> None:
    found = {verb: run(verb, "--help").out for verb in ("fit", "predict", "show")}
    assert "headstart fit [OPTIONS] DATA" in found["fit"]
    assert "headstart predict [OPTIONS] BUNDLE ITEM... " in found["predict"]
    assert "headstart show [OPTIONS] BUNDLE... WHAT" in found["show"]


def test_every_option_has_help(run: Any) -> None:
    from typer.main import get_command

    group = get_command(cli.app)
    for command in group.commands.values():
        for option in command.params:
            assert option.help or option.name in ("bundle",), (command.name, option.name)


@pytest.mark.slow
def test_demo(tmp_path: Path, run: Any, glyph_graph: Path, monkeypatch: Any) -> None:
    demo = import_module("headstart.verbs.demo")
    monkeypatch.setattr(demo, "STRATEGIES", ("frozen",))
    options = ["--draws", "2", "--shots", "1,2"]
    found = run("demo", *options, "--out", tmp_path / "demo.png", "--json").json
    assert found.keys() >= {"runs", "summary"}
    assert size(tmp_path / "demo.png")[0] > 800


MAIN = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from headstart.cli import main; main()"
)


def lines(process: subprocess.Popen[str]) -> Iterator[str]:
    assert process.stderr is not None
    return iter(process.stderr.readline, "")


@pytest.mark.slow
def test_interrupt_is_one_line_and_no_traceback(data: Path, tmp_path: Path) -> None:
    options = ["--strategy", "warm", "--epochs", "100000", "--out", str(tmp_path / "out")]
    with subprocess.Popen(
        [sys.executable, "-c", MAIN, "fit", str(data), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert any("epoch 2/" in line for line in lines(process))
        process.send_signal(signal.SIGINT)
        rest = list(lines(process))
        assert process.stdout is not None
        assert process.stdout.read() == ""
    assert process.returncode == 130
    assert rest[-1].startswith("headstart: interrupted")
    assert not any("Traceback" in line for line in rest)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["checkpoints"]


@pytest.mark.slow
def test_a_reader_that_stops_reading_is_no_error(saved: Path, data: Path) -> None:
    pictures = [str(path) for path in data.rglob("*.png")] * 300
    with subprocess.Popen(
        [sys.executable, "-c", MAIN, "predict", str(saved), *pictures],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.stdout.close()
        said = list(lines(process))
    assert said == []
    assert process.returncode == 1


@pytest.mark.slow
def test_the_installed_command_speaks_ascii_json_in_any_locale(
    tmp_path: Path, glyph_graph: Path
) -> None:
    save_bars(tmp_path / "data")
    (tmp_path / "data" / "bar 0").rename(tmp_path / "data" / "蚂蚁")
    done = subprocess.run(
        [sys.executable, "-m", "headstart", "fit", str(tmp_path / "data"), "--json"],
        env=os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=True,
    )
    assert json.loads(done.stdout)["classes"] == ["bar 1", "蚂蚁"]


def _commands() -> list[list[str]]:
    from typer.main import get_command

    found: list[list[str]] = [[]]
    for name, one in get_command(cli.app).commands.items():  # type: ignore[attr-defined]
        found += [[name], *([name, inner] for inner in getattr(one, "commands", {}))]
    return found


@pytest.mark.parametrize("command", _commands(), ids=" ".join)
def test_help_fits_eighty_columns(
    command: list[str], run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.main import get_command

    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERMINAL_WIDTH", "80")
    out = run(*command, "--help").out
    assert max(map(len, out.splitlines())) <= 80 and "…" not in out
    found: Any = get_command(cli.app)
    for name in command:
        found = found.commands[name]
    words = set(out.split())
    for one in [*found.params, *getattr(found, "commands", {}).values()]:
        options = [name for name in getattr(one, "opts", []) if name.startswith("-")]
        said = [*(getattr(one, "help", None) or "").split(), *options]
        cut = [word for word in said if word not in words and word.strip("`*") not in words]
        assert not cut, f"{one.name}: cut in the middle: {cut}"
