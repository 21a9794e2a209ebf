"""Figures, each against the closed form or scikit-learn."""

from __future__ import annotations

import json

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, log_loss, precision_recall_fscore_support

from headstart.tasks import scores
from headstart.tasks.class_figures import calibration_error, evaluate
from headstart.tasks.classes import Classes
from headstart.tasks.intervals import Z95, mean_interval, of_parts, wilson


def answers(n: int = 200, classes: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    logits = rng.normal(size=(n, classes)) + 1.5 * np.eye(classes)[labels]
    chances = np.exp(logits)
    return (chances / chances.sum(1, keepdims=True)).astype(np.float32), labels


@given(st.integers(0, 500), st.integers(1, 500))
def test_wilson_solves_its_equation(correct: int, n: int) -> None:
    correct = min(correct, n)
    low, high = wilson(correct, n)
    # Its ends are the shares p for which (share - p)^2 = z^2 p (1 - p) / n.
    for end, at in ((low, 0.0), (high, 1.0)):
        gap = (correct / n - end) ** 2 - Z95**2 * end * (1 - end) / n
        assert gap == pytest.approx(0, abs=1e-9) or end == pytest.approx(at)
    assert 0 <= low <= correct / n + 1e-12 <= high + 2e-12 <= 1 + 2e-12


def test_z_is_the_normal_quantile() -> None:
    assert pytest.approx(scipy.stats.norm.ppf(0.975)) == Z95


@given(st.lists(st.floats(0, 1), min_size=2, max_size=20))
def test_mean_interval(values: list[float]) -> None:
    mean, low, high = mean_interval(values)
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    expected = mean + error * scipy.stats.t.ppf([0.025, 0.975], len(values) - 1)
    np.testing.assert_allclose([low, high], expected, rtol=1e-6, atol=1e-9)
    assert mean == pytest.approx(np.mean(values))


def test_confusion_and_classes() -> None:
    chances, labels = answers()
    found = evaluate(chances, labels, ("a", "b", "c", "d"))
    said = chances.argmax(axis=1)
    np.testing.assert_array_equal(found.confusion, confusion_matrix(labels, said))
    assert found.accuracy == pytest.approx((said == labels).mean())
    assert found.interval == wilson(found.correct, 200)
    expected = precision_recall_fscore_support(labels, said)
    rows = found.per_class()
    for name, values in zip(("precision", "recall", "f1", "n"), expected, strict=True):
        np.testing.assert_allclose([row[name] for row in rows], values)
    exact = chances.astype(float) / chances.astype(float).sum(axis=1, keepdims=True)
    assert found.log_loss == pytest.approx(log_loss(labels, exact), rel=1e-4)


def test_classes_that_are_absent_or_never_answered() -> None:
    chances = np.array([[0.9, 0.1, 0.0], [0.8, 0.2, 0.0]], np.float32)
    rows = evaluate(chances, np.array([0, 1]), ("a", "b", "c")).per_class()
    assert [row["recall"] for row in rows] == [1.0, 0.0, None]
    assert [row["precision"] for row in rows] == [0.5, 0.0, None]
    assert [row["f1"] for row in rows] == [pytest.approx(2 / 3), 0.0, None]
    assert rows[2]["interval"] is None, "it was not measured"


def test_nothing_measured() -> None:
    found = evaluate(np.empty((0, 2), np.float32), np.empty(0, np.int64), ("a", "b"))
    assert (found.n, found.accuracy, found.interval) == (0, 0.0, (0.0, 1.0))
    assert json.loads(json.dumps(found.to_json()))["log_loss"] == 0.0


def test_calibration_error_by_hand() -> None:
    # Nine of ten right at 90 %, and five of ten right at 70 %: 0 and 0.2 off.
    sure = np.tile([[0.9, 0.1]], (10, 1))
    less = np.tile([[0.3, 0.7]], (10, 1))
    labels = np.array([0] * 9 + [1] + [1] * 5 + [0] * 5)
    chances = np.concatenate([sure, less]).astype(np.float32)
    assert calibration_error(chances, labels) == pytest.approx(0.1, abs=1e-6)


def test_calibration_error_of_honest_answers_is_small() -> None:
    rng = np.random.default_rng(0)
    chances = rng.dirichlet([1, 1, 1], 20_000).astype(np.float32)
    honest = (chances.cumsum(axis=1) > rng.random((20_000, 1))).argmax(axis=1)
    assert calibration_error(chances, honest) < 0.02
    assert calibration_error(chances, chances.argmin(axis=1)) > 0.5


def test_certainty_falls_into_the_last_bin() -> None:
    assert calibration_error(np.array([[1.0, 0.0]], np.float32), np.array([0])) == 0.0
    assert calibration_error(np.array([[1.0, 0.0]], np.float32), np.array([1])) == 1.0


def test_worst_are_the_most_confident_mistakes() -> None:
    chances = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.7, 0.3]], np.float32)
    labels = np.array([1, 0, 1, 1])
    rows = Classes(("a", "b")).mistakes(np.log(chances), labels, 2)
    assert [(at, row["label"], row["predicted"]) for at, row in rows] == [
        (0, "b", "a"),
        (3, "b", "a"),
    ]
    assert rows[0][1]["probability"] == pytest.approx(0.9)


def test_json_has_the_promised_keys() -> None:
    chances, labels = answers()
    found = json.loads(json.dumps(evaluate(chances, labels, ("a", "b", "c", "d")).to_json()))
    assert {"accuracy", "interval", "n", "per_class", "confusion"} <= found.keys()
    keys = {"class", "n", "precision", "recall", "interval", "f1"}
    assert all(row.keys() == keys for row in found["per_class"])


@pytest.mark.parametrize("most", [1, 2, 40])
def test_figures_over_small_classes_are_as_unsure_as_they_are(most: int) -> None:
    rng, hits, times, classes = np.random.default_rng(most), 0, 300, 60 if most < 9 else 5
    for _ in range(times):
        truth = np.repeat(np.arange(classes), rng.integers(1, most + 1, classes))
        said = np.where(rng.random(len(truth)) < 0.7, truth, classes)
        rows = scores.rows(said, classes), scores.rows(truth, classes)
        low, high = of_parts(scores.balanced_accuracy(*rows))
        hits += low <= 0.7 <= high
    # Three standard errors of 300 tries; it was 31 % where every class has a single item.
    assert 0.90 <= hits / times <= 0.99


def test_one_item_of_each_class_is_plain_accuracy() -> None:
    right = np.arange(100) < 70
    said = np.where(right, np.arange(100), 100)
    parts = scores.balanced_accuracy(scores.rows(said, 100), scores.rows(np.arange(100), 100))
    assert parts.mean() == pytest.approx(0.7)
    assert of_parts(parts) == pytest.approx(wilson(70, 100), abs=0.01)
