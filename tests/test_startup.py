"""What importing and starting bring in: a command that answers at once imports next to nothing."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import headstart
from conftest import save_bars, save_encoder, save_sentences

HEAVY = ("torch", "torchvision", "timm", "transformers", "sklearn", "matplotlib", "onnxruntime")


def imported(code: str, *arguments: str | Path, stdin: str = "") -> set[str]:
    """Run ``code`` in a new process and return which heavy libraries are imported at its end."""
    tail = f"\nimport sys\nprint('LOADED', *(m for m in {HEAVY!r} if m in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code + tail, *map(str, arguments)],
        capture_output=True,
        text=True,
        input=stdin,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split()[1:])


def test_the_judge_sees_what_is_imported() -> None:
    assert imported("import sklearn") >= {"sklearn"}


def test_importing_is_light() -> None:
    assert imported("import headstart; headstart.Dataset, headstart.HeadstartError") == set()


def test_verbs_are_light() -> None:
    names = "fit audit compare evaluate features load predict read resolve split Options Plan"
    code = "import headstart\n" + "\n".join(f"headstart.{name}" for name in names.split())
    assert imported(code) == set()


@pytest.mark.parametrize("arguments", [["--help"], ["fit", "--help"], ["--version"]])
def test_help_is_light(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom headstart.cli import app\n"
        "try:\n    app(sys.argv[1:], prog_name='headstart')\nexcept SystemExit as e:\n"
        "    assert not e.code"
    )
    assert imported(code, *arguments) == set()


@pytest.mark.slow
def test_frozen_on_kept_features_predicts_and_fits_without_torch(tmp_path: Path) -> None:
    data = save_bars(tmp_path / "data")
    fit = "import sys\nfrom headstart import fit, load, predict\nfit(sys.argv[1], out=sys.argv[2])"
    ask = "\nassert 'label' in predict(sys.argv[2], sys.argv[1])[0]"
    assert "torch" in imported(fit, data, tmp_path / "out"), "the first run exports the graph"
    again = imported(fit + ask, data, tmp_path / "again")
    assert again & {"torch", "sklearn", "transformers", "matplotlib"} == set()


@pytest.mark.slow
@pytest.mark.parametrize("task", ["labels", "number"])
def test_other_tasks_are_as_light(task: str, tmp_path: Path) -> None:
    data = save_bars(tmp_path / "data")
    for path in sorted(data.rglob("*.png")):
        path.rename(data / f"{path.parent.name[-1]}.{path.name}")
    cells = {"labels": ["a", "a;b"], "number": ["0.5", "1.5"]}[task]
    rows = [f"{path.name},{cells[int(path.name[0])]}" for path in sorted(data.glob("*.png"))]
    (data / "t.csv").write_text("\n".join(["file,target", *rows]) + "\n")
    headstart.fit(data, out=tmp_path / "out")
    code = "import sys\nfrom headstart import fit, predict\nfit(sys.argv[1], out=sys.argv[2])"
    ask = f"\nassert 'error' not in predict(sys.argv[2], {str(data / rows[0].split(',')[0])!r})[0]"
    again = imported(code + ask, data, tmp_path / "again")
    assert again & {"torch", "sklearn", "transformers", "matplotlib"} == set()


@pytest.mark.slow
def test_texts_are_answered_without_torch(tmp_path: Path) -> None:
    table = save_sentences(tmp_path / "texts.csv")
    encoder = save_encoder(tmp_path / "encoder", table.read_text().split())
    out = tmp_path / "out"
    headstart.fit(table, backbone=str(encoder), out=out, device="cpu")
    ask = "import sys\nfrom headstart.cli import app\ntry:\n    app(sys.argv[1:])\n"
    ask += "except SystemExit as e:\n    assert not e.code"
    lines = "own0 w1\n\nown1 own1 w2"
    found = imported(ask, "predict", out, "-", "own1 w3", stdin=lines)
    assert found & {"torch", "transformers", "sklearn", "timm"} == set()


def test_public_names_are_sorted_complete_and_there() -> None:
    assert sorted(headstart.__all__) == headstart.__all__
    assert set(headstart.__all__) == set(headstart._HOME)
    assert 15 <= len(headstart.__all__) <= 25
    for name in headstart.__all__:
        found = getattr(headstart, name)
        assert found.__name__ == name
        assert found.__doc__
        home = import_module(f"headstart.{headstart._HOME[name]}")
        assert getattr(home, name) is found
    assert set(dir(headstart)) == {*headstart.__all__, "__version__"}


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="no attribute 'fitt'"):
        _ = headstart.fitt


def test_verbs_are_not_hidden_by_the_modules_of_the_same_names() -> None:
    verbs = "audit", "compare", "demo", "evaluate", "features", "fit", "predict", "show"
    code = "".join(f"import headstart.verbs.{verb}\nheadstart.{verb}\n" for verb in verbs)
    imported(code + "".join(f"assert callable(headstart.{verb})\n" for verb in verbs))


def test_importing_leaves_no_trace() -> None:
    code = (
        "import logging, random, warnings\nimport numpy as np\n"
        "before = random.getstate(), str(np.random.get_state()), warnings.filters[:], "
        "logging.root.level, len(logging.root.handlers)\n"
        "import headstart.verbs.fit, headstart.cli\n"
        "after = random.getstate(), str(np.random.get_state()), warnings.filters[:], "
        "logging.root.level, len(logging.root.handlers)\n"
        "assert before == after"
    )
    assert imported(code) == set()


def test_the_package_knows_its_version() -> None:
    from importlib.metadata import version

    assert headstart.__version__ == version("headstart")
