"""What every task promises, whatever strategy learns it: the contract of strategies and tasks."""

from __future__ import annotations

import ast
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import headstart
from conftest import bars, save_encoder, sentences
from headstart import bundle
from headstart.cli import app
from headstart.data.dataset import Dataset
from headstart.errors import DataError, UsageError
from headstart.settings.groups import Options
from headstart.tasks.registry import TASKS, find, of_values, restored

STEPS = ["scratch", "warm", "discriminative", "partial:-1", "first:2", "gradual", "lp-ft"]
STEPS += ["l2-sp", "auto-freeze"]
FEW = Options(epochs=2, batch=16, body_rate=1e-3, head_rate=1e-2)

KEYS = {
    "classes": ["accuracy"],
    "labels": ["macro_f1", "micro_f1", "map", "exact"],
    "number": ["r2", "mae", "rmse"],
}


def of(task: str, data: Dataset) -> Dataset:
    """Return ``data`` of three classes with targets of ``task`` that follow from the class."""
    answers: dict[str, list[Any]] = {
        "classes": ["a", "b", "c"],
        "labels": [["a"], ["a", "b"], []],
        "number": [0.5, 1.5, 2.5],
    }
    return replace(data, targets=of_values([answers[task][c] for c in data.labels], task))


def test_every_registered_task_is_covered() -> None:
    assert set(TASKS) == {*KEYS, "boxes"}  # which `fit` never meets, see test_detect.py


@pytest.mark.slow
@pytest.mark.parametrize("task", KEYS)
@pytest.mark.parametrize("strategy", ["frozen", *STEPS])
def test_pictures(strategy: str, task: str, glyph_graph: Path, tmp_path: Path) -> None:
    data = of(task, bars(14, 3))
    how: dict[str, Any] = {"strategy": strategy, "options": FEW, "device": "cpu"}
    result = headstart.fit(data, **how, out=tmp_path / "out")
    found = result.to_json()
    assert (found["task"], found["score"]) == (task, find(task).score)
    for key in KEYS[task]:
        low, high = found["interval" if key == "accuracy" else f"{key}_interval"]
        assert low <= found[key] <= high
    if strategy == "frozen":
        assert result.evaluation.value > 0.85
    again = headstart.fit(data, **how)
    np.testing.assert_array_equal(result.model.head.weight, again.model.head.weight)

    loaded = bundle.load(tmp_path / "out")
    assert loaded.model.task == result.model.task
    everything = np.arange(len(data))
    expected = result.model.outputs(data, everything)
    np.testing.assert_allclose(loaded.model.outputs(data, everything), expected, atol=1e-3)
    first, *_ = loaded.model.stream_items(data)
    assert set(first) > {"item"} and "error" not in first
    assert json.loads(json.dumps(first)) == first
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    blocks = loaded.model.task.blocks(loaded.facts["metrics"])
    titles = (
        ["By class", "What is taken for what"] if task == "classes" else [b.title for b in blocks]
    )
    assert all(title in page for title in titles)


@pytest.mark.parametrize("task", ["labels", "number"])
@pytest.mark.parametrize("strategy", ["frozen", "partial:-1", "lora", "adapt-refit"])
def test_texts(strategy: str, task: str, tmp_path: Path) -> None:
    data = of(task, sentences(14, 3))
    encoder = save_encoder(tmp_path / "e", [data.content(i).decode() for i in range(len(data))])
    result = headstart.fit(data, strategy=strategy, backbone=str(encoder), options=FEW)
    assert np.isfinite(result.evaluation.value)
    assert {"text", "predicted", "label"} <= set(result.errors[0]) if result.errors else True


@pytest.mark.parametrize("task", ["labels", "number"])
def test_pairs_of_one_class_need_classes(task: str) -> None:
    with pytest.raises(UsageError, match=f"the task '{task}' has no classes"):
        headstart.fit(of(task, sentences()), strategy="contrastive")


@pytest.mark.slow
@pytest.mark.parametrize("task", ["labels", "number"])
def test_compare(task: str, glyph_graph: Path, tmp_path: Path) -> None:
    data, out = of(task, bars(12, 3)), tmp_path / "out"
    how: dict[str, Any] = {"draws": 2, "shots": [6, "all"], "options": FEW, "out": out}
    result = headstart.compare(data, strategies=["frozen"], **how)
    assert (result.task, result.score) == (task, KEYS[task][0])
    found = json.loads(json.dumps(result.to_json()))
    assert all(KEYS[task][0] in run and "accuracy" not in run for run in found["runs"])
    more = headstart.compare(data, strategies=["frozen", "partial:-1"], **how, resume=True)
    assert len(more.runs) == 8 and more.runs[:4] == result.runs


@pytest.mark.parametrize("task", KEYS)
def test_the_command_line(task: str, glyph_graph: Path, tmp_path: Path, capsys: Any) -> None:
    import io

    from PIL import Image

    data = of(task, bars(14, 3))
    rows = ["file,target"]
    for i in range(len(data)):
        Image.fromarray(np.load(io.BytesIO(data.content(i)))).save(tmp_path / f"{i}.png")
        rows.append(f"{i}.png,{data.said(i) or '[]'}")
    (tmp_path / "t.csv").write_text("\n".join(rows) + "\n")

    def run(*arguments: str | Path) -> str:
        with pytest.raises(SystemExit) as end:
            app([*map(str, arguments)], prog_name="headstart")
        assert not end.value.code
        return str(capsys.readouterr().out)

    out, picture = tmp_path / "out", tmp_path / "4.png"
    found = json.loads(run("fit", tmp_path / "t.csv", "--out", out, "--json"))
    assert found["task"] == task
    (answer,) = json.loads(run("predict", out, picture, "--json"))["predictions"]
    keys = {"classes": "probability", "labels": "labels", "number": "interval"}
    assert keys[task] in answer
    assert len(run("predict", out, picture).strip().split("\t")) == 3
    measured = json.loads(run("evaluate", out, tmp_path / "t.csv", "--json"))
    assert measured[KEYS[task][0]] > 0.85 and measured["n"] == len(data)
    assert "95 %" in run("evaluate", out, tmp_path / "t.csv")
    assert run("show", out, "embedding", "--data", tmp_path / "t.csv")
    forced = run("fit", tmp_path / "t.csv", "--task", "classes")
    assert forced.startswith("accuracy")


def test_a_bundle_from_before_tasks_is_of_classes(glyph_graph: Path, tmp_path: Path) -> None:
    headstart.fit(bars(), out=tmp_path / "out")
    path = tmp_path / "out" / "bundle.json"
    facts = json.loads(path.read_text(encoding="utf-8"))
    for name in ("task", "task_facts", "digest"):
        del facts[name]
    path.write_text(json.dumps(facts | {"format": 1}), encoding="utf-8")
    assert bundle.load(tmp_path / "out").model.task == find("classes").saved(("bar 0", "bar 1"), {})
    with pytest.raises(UsageError, match="unknown task 'shapes'"):
        restored({"task": "shapes", "classes": []})


def test_items_without_targets(glyph_graph: Path, tmp_path: Path) -> None:
    from conftest import save_bars

    save_bars(tmp_path / "new")
    data = headstart.read(tmp_path / "new", labelled=False)
    assert data.targets is None and len(data) == 24 and data.classes == ()
    assert data.take([3, 1]).targets is None and data.said(3) == ""
    found = headstart.audit(data)
    assert len(found.usable) == 24 and found.conflicts == ()
    table = headstart.features(data, out=tmp_path / "f.parquet", backbone="glyphs")
    assert table["n"] == 24
    from_two = replace(data, domains=np.array(["a", "b"] * 12))
    assert from_two.take([3, 2]).domains.tolist() == ["b", "a"]  # type: ignore[union-attr]
    for use in (
        lambda: headstart.fit(data),
        lambda: headstart.compare(data, strategies=["frozen"]),
        lambda: headstart.split(data, found.usable),
    ):
        with pytest.raises(DataError, match="have no labels; to learn from them"):
            use()


SOURCES = [
    path for path in Path(headstart.__file__).parent.rglob("*.py") if "tasks" not in path.parts
]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_only_the_tasks_know_which_task_it_is(path: Path) -> None:
    kinds = {kind.__name__ for kind in TASKS.values()}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Compare):
            sides = {ast.unparse(side) for side in [node.left, *node.comparators]}
            names = {side.rpartition(".")[2] for side in sides if "task" in side}
            literal = sides & {repr(name) for name in TASKS}
            assert not (literal and names), ast.unparse(node)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance":
            assert not kinds & {ast.unparse(node.args[1])}, ast.unparse(node)
