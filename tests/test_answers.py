"""What a run keeps of its answers: figures as means of one value an item, small and safe."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from sklearn import metrics

from conftest import truth
from headstart.tasks.answers import Answers, answered, joined
from headstart.tasks.labels import Labels
from headstart.tasks.number import Number
from headstart.tasks.task import Targets


@pytest.fixture
def classes() -> tuple[Targets, np.ndarray]:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 3, 60)
    return truth(values, 4), rng.normal(size=(60, 4)).astype(np.float32) + 2 * np.eye(4)[values]


def test_figures_are_the_means_of_their_parts(classes: Any) -> None:
    known, outputs = classes
    found = answered(known.task, outputs.astype(np.float32), known.values, trained=9)
    said = outputs.argmax(1)
    assert found.scores["accuracy"].mean() == metrics.accuracy_score(known.values, said)
    wanted = metrics.f1_score(known.values, said, average="macro")
    assert found.scores["macro_f1"].mean() == pytest.approx(wanted)
    recall = metrics.recall_score(known.values, said, average="macro", labels=[0, 1, 2])
    assert found.scores["balanced_accuracy"].mean() == pytest.approx(recall)
    losses = metrics.log_loss(known.values, _chances(outputs), labels=range(4))
    assert float(found.losses.mean()) == pytest.approx(losses, rel=1e-4)


def _chances(outputs: np.ndarray) -> np.ndarray:
    shifted = np.exp(outputs.astype(np.float32) - outputs.max(1, keepdims=True))
    return shifted / shifted.sum(1, keepdims=True)


@pytest.mark.parametrize("name", ["macro_f1", "balanced_accuracy"])
def test_parts_vary_as_the_figure_does(name: str, classes: Any) -> None:
    """The spread of the parts is the bootstrap's standard error of the figure."""
    known, outputs = truth(classes[0].values, 3), classes[1][:, :3]
    said, values, rng = outputs.argmax(1), known.values, np.random.default_rng(3)
    parts = known.task.scores(said, values)[name]
    drawn = []
    for _ in range(800):
        rows = rng.integers(0, 60, 60)
        drawn.append(known.task.scores(said[rows], values[rows])[name].mean())
    assert parts.std(ddof=1) / np.sqrt(60) == pytest.approx(np.std(drawn), rel=0.15)


def test_other_tasks_have_parts_too() -> None:
    rng = np.random.default_rng(0)
    has, said = rng.random((50, 3)) < 0.4, rng.random((50, 3)) < 0.5
    parts = Labels(("a", "b", "c")).scores(said, has)["macro_f1"]
    assert parts.mean() == pytest.approx(metrics.f1_score(has, said, average="macro"))
    values = rng.normal(size=50)
    guess = values + rng.normal(size=50)
    wanted = metrics.r2_score(values, guess)
    assert Number().scores(guess, values)["r2"].mean() == pytest.approx(wanted)
    assert np.isnan(Number().scores(guess, np.ones(50))["r2"]).all()


@pytest.mark.parametrize("folds", [None, np.arange(60) % 5])
def test_answers_come_back_from_json(folds: Any, classes: Any) -> None:
    known, outputs = classes
    made = answered(known.task, outputs.astype(np.float32), known.values, trained=9)
    row = json.loads(json.dumps(Answers(made.said, made.losses, 9, folds, made.scores).to_json()))
    back = Answers.of(row, known)
    assert back.said.tolist() == made.said.tolist()
    assert back.losses == pytest.approx(made.losses, rel=2e-3)
    assert back.scores["accuracy"].tolist() == made.scores["accuracy"].tolist()
    assert (back.folds is None) == (folds is None)
    with pytest.raises(ValueError, match="60 items, not 59"):
        Answers.of(row, known.take(np.arange(59)))
    for broken in ({"type": "O"}, {"content": "AAAA"}, {"shape": [7]}):
        with pytest.raises(ValueError, match="."):
            Answers.of(row | {"said": row["said"] | broken}, known)


def test_folds_are_joined_into_one_answer_an_item(classes: Any) -> None:
    known, outputs = classes
    outputs = outputs.astype(np.float32)
    whole = answered(known.task, outputs, known.values, trained=40)
    parts = {}
    for k in range(3):
        rows = np.flatnonzero(np.arange(60) % 3 == k)
        one = answered(known.task, outputs[rows], known.values[rows], trained=39 + k)
        parts[k] = rows, one
    found = joined(parts, known)
    assert found.said.tolist() == whole.said.tolist()
    assert found.losses == pytest.approx(whole.losses)
    assert (found.trained, found.folds is not None) == (40, True)
