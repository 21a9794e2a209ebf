"""The task `labels`: heads, thresholds, figures against scikit-learn; how labels are read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, f1_score
from sklearn.multiclass import OneVsRestClassifier

from conftest import save_bars
from headstart.data.audit import audit
from headstart.data.dataset import Dataset
from headstart.data.reading import read
from headstart.errors import DataError
from headstart.tasks import heads
from headstart.tasks.heads import Examples, solve
from headstart.tasks.intervals import wilson
from headstart.tasks.label_figures import Ranked, best_threshold, f1
from headstart.tasks.labels import Labels, sigmoid
from headstart.tasks.registry import of_values
from headstart.tasks.task import Targets

NAMES = ("dot", "left", "top")


def overlapping(n: int = 200, width: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return features, and three labels that each show in some of them."""
    rng = np.random.default_rng(seed)
    truth = rng.random((n, 3)) < [0.5, 0.3, 0.15]
    return (truth @ rng.normal(size=(3, width)) + rng.normal(size=(n, width))).astype(
        np.float32
    ), truth


def named(dataset: Dataset) -> list[str]:
    return [dataset.said(i) for i in range(len(dataset))]


def test_one_head_against_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    x, truth = overlapping()
    monkeypatch.setattr(heads, "STRENGTHS", (1.0,))
    head, task = solve("own", Examples(x, Targets(Labels(NAMES), truth)))
    centred = x - x.mean(axis=0)
    scaled = centred * np.sqrt(10 / (centred**2).sum(axis=1).mean())
    judge = OneVsRestClassifier(LogisticRegression(C=1.0, tol=1e-8)).fit(scaled, truth)
    got = sigmoid(head.logits(x) * head.temperature)
    np.testing.assert_allclose(got, judge.predict_proba(scaled), atol=2e-3)
    assert isinstance(task, Labels)
    assert all(0 < limit < 1 for limit in task.thresholds)


@pytest.mark.parametrize("name", ["svm", "ridge", "centroid", "bayes"])
def test_every_head_of_classes_is_one_of_labels(name: str) -> None:
    x, truth = overlapping()
    truth[:, 2] = False  # a label that no item has
    head, task = solve(name, Examples(x, Targets(Labels(NAMES), truth)))
    assert np.isfinite(head.logits(x)).all()
    assert not task.has(head.logits(x))[:, 2].any()  # type: ignore[attr-defined]
    assert task.value(head.logits(x), truth) > 0.5


def test_figures() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random((150, 3)) < [0.5, 0.3, 0.1]
    outputs = (rng.normal(size=(150, 3)) + 1.5 * truth - 0.7).round(1).astype(np.float32)
    task = Labels(NAMES, (0.4, 0.5, 0.6))
    said = task.has(outputs)
    found = task.evaluate(outputs, truth).to_json()
    assert found["macro_f1"] == pytest.approx(f1_score(truth, said, average="macro"))
    assert found["micro_f1"] == pytest.approx(f1_score(truth, said, average="micro"))
    assert found["map"] == pytest.approx(average_precision_score(truth, outputs, average="macro"))
    assert found["exact"] == pytest.approx((said == truth).all(axis=1).mean())
    for name in ("macro_f1", "micro_f1", "map", "exact"):
        low, high = found[f"{name}_interval"]
        assert 0 <= low < found[name] < high <= 1
    assert [row["label"] for row in found["per_label"]] == list(NAMES)
    assert json.loads(json.dumps(found)) == found


def test_nothing_wrong_among_few_items_is_not_certain() -> None:
    truth = np.tile(np.eye(3, dtype=bool), (4, 1))
    found = Labels(NAMES).evaluate(np.where(truth, 9.0, -9.0).astype(np.float32), truth).to_json()
    for name in ("macro_f1", "micro_f1", "map", "exact"):
        assert found[name] == 1.0
        assert found[f"{name}_interval"] == pytest.approx(wilson(12, 12))
        assert found[f"{name}_interval"][0] < 0.8


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40))
@settings(max_examples=50, deadline=None)
def test_average_precision_with_ties_and_repeats(pairs: list[tuple[int, bool]]) -> None:
    outputs = np.array([[o] for o, _ in pairs], np.float32)
    truth = np.array([[t] for _, t in pairs])
    rows = np.random.default_rng(0).integers(0, len(pairs), len(pairs))
    if truth[rows].any():
        expected = average_precision_score(truth[rows, 0], outputs[rows, 0])
        assert Ranked(outputs, truth).mean_precision(rows) == pytest.approx(expected)


def test_f1_of_a_label_that_nobody_has_is_left_out() -> None:
    none = np.zeros((4, 2), bool)
    some = none.copy()
    some[:2, 0] = True
    np.testing.assert_array_equal(f1(some, some), [1.0, np.nan])
    outputs = np.where(some, 3.0, -3.0).astype(np.float32)
    assert Labels(("a", "b")).value(outputs, some) == 1.0
    assert Labels(("a", "b")).evaluate(outputs, some).to_json()["per_label"][1]["f1"] is None
    empty = Labels(("a", "b")).evaluate(outputs[:0], some[:0]).to_json()
    assert (empty["n"], empty["macro_f1"], empty["exact"]) == (0, None, None)


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=30))
@settings(max_examples=30, deadline=None)
def test_no_threshold_is_better_than_the_best(pairs: list[tuple[int, bool]]) -> None:
    chances = np.array([c / 10 + 0.05 for c, _ in pairs])
    truth = np.array([t for _, t in pairs])
    best = best_threshold(chances, truth)
    tried = [f1_score(truth, chances >= t, zero_division=0.0) for t in np.linspace(0, 0.99, 100)]
    reached = f1_score(truth, chances >= best, zero_division=0.0)
    assert reached == pytest.approx(max(tried))


def test_answers() -> None:
    task = Labels(("a", "b"), (0.3, 0.5))
    first, second = task.answers(np.array([[-0.5, 3.0], [-2.0, -2.0]], np.float32))
    assert first["labels"] == ["a", "b"] and second["labels"] == []
    assert task.line(second) == ("no label", "")
    assert task.saved(task.names, json.loads(json.dumps(task.facts()))) == task
    with pytest.raises(ValueError, match="1 thresholds for 2 labels"):
        Labels.saved(("a", "b"), {"thresholds": [0.5]})


# -- reading --------------------------------------------------------------------------------------

ROWS = [("top;left", "one thing"), ("left", "another"), ("[]", "a third"), ("top", "a fourth")]


def test_a_column_with_separators(tmp_path: Path) -> None:
    text = "\n".join(["labels,text", *(f"{a},{b}" for a, b in ROWS), ",no cell"])
    (tmp_path / "t.csv").write_text(text + "\n")
    found = read(tmp_path / "t.csv")
    assert found.known.task == Labels(("left", "top"))
    assert named(found) == ["left;top", "left", "", "top"]
    assert found.rejected == (("t.csv:6", "no label"),)
    assert read(tmp_path / "t.csv", task="classes").classes == ("[]", "left", "top", "top;left")


def test_names_that_only_look_like_it_are_classes(tmp_path: Path) -> None:
    rows = ["cats; big ones,one text", "dogs; small ones,another", "birds,a third"]
    (tmp_path / "t.csv").write_text("\n".join(["label,text", *rows]) + "\n")
    assert read(tmp_path / "t.csv").known.task.name == "classes"
    assert named(read(tmp_path / "t.csv", task="labels"))[0] == "big ones;cats"


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_lists(kind: str, tmp_path: Path) -> None:
    cells = [["top", "left"], ["left"], [], ["top"]]
    texts = [text for _, text in ROWS]
    path = tmp_path / f"t.{kind}"
    if kind == "jsonl":
        lines = (json.dumps({"text": t, "tags": c}) for t, c in zip(texts, cells, strict=True))
        path.write_text("\n".join(lines) + "\n")
    else:
        parquet.write_table(pa.table({"text": texts, "tags": cells}), path)
    found = read(path, label_column="tags")
    assert named(found) == ["left;top", "left", "", "top"]


def test_one_column_a_label(tmp_path: Path) -> None:
    rows = ["one long text,1,0,0", "another text,0,1,0", "a third text,1,1,0", "a fourth text,,0,1"]
    (tmp_path / "t.csv").write_text("\n".join(["text,toxic,rude,rare", *rows]) + "\n")
    found = read(tmp_path / "t.csv")
    assert found.classes == ("rare", "rude", "toxic")
    assert named(found) == ["toxic", "rude", "rude;toxic", "rare"]
    two = read(tmp_path / "t.csv", label_column=["toxic", "rude"])
    assert named(two) == ["toxic", "rude", "rude;toxic", ""]


def test_the_same_file_in_several_class_folders(tmp_path: Path) -> None:
    save_bars(tmp_path)
    again = sorted((tmp_path / "bar 0").iterdir())[:3]
    for path in again:
        shutil.copy(path, tmp_path / "bar 1" / f"again {path.name}")
    assert len(audit(read(tmp_path)).conflicts) == 3, "of classes nobody knows which is right"
    found = audit(read(tmp_path, task="labels"))
    assert (len(found.usable), found.conflicts) == (24, ())
    both = [i for i in found.usable if found.dataset.labels[i].all()]
    assert [found.dataset.names[i] for i in both] == [f"bar 0/{path.name}" for path in again]
    assert found.classes == {"bar 0": 12, "bar 1": 15}


def test_what_python_holds() -> None:
    assert of_values([["a", "b"], {"b"}, []]).values.tolist() == [[1, 1], [0, 1], [0, 0]]
    marks = of_values(np.array([[1, 0], [0, 1], [1, 1]]), "labels")
    assert marks.task.names == ("0", "1")
    assert marks.values.tolist() == [[1, 0], [0, 1], [1, 1]]
    with pytest.raises(DataError, match="holds no label"):
        of_values([[], []])


def test_other_data_are_matched_by_name() -> None:
    mine, theirs = Labels(("a", "b")), of_values([["b", "c"], ["a"], []])
    values, known = mine.translated(theirs)
    assert values.tolist() == [[0, 1], [1, 0], [0, 0]] and known.all()
    with pytest.raises(DataError, match="no label"):
        Labels(("x",)).translated(theirs)
