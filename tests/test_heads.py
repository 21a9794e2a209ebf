"""The convex heads, each against an outside judge: scikit-learn, SciPy, or the closed form."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.metrics import log_loss
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import NearestCentroid
from sklearn.svm import LinearSVC

from conftest import truth
from headstart.errors import UsageError
from headstart.tasks import classes as task
from headstart.tasks import drawing, heads
from headstart.tasks.head import Head
from headstart.tasks.heads import Examples
from headstart.tasks.solvers import SOLVERS, softmax
from headstart.tasks.task import Indices
from headstart.tasks.temperature import fit_temperature

CONVEX = ["logistic", "svm", "ridge"]


def blobs(
    n: int = 60, width: int = 8, classes: int = 3, *, spread: float = 1.5, seed: int = 0
) -> tuple[heads.Matrix, Indices]:
    """Return overlapping clouds, one a class."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    centres = rng.normal(size=(classes, width))
    return (centres[labels] + spread * rng.normal(size=(n, width))).astype(np.float32), labels


def scaled(x: heads.Matrix) -> heads.Matrix:
    """Return what `solve` solves on: centred, with a mean square length of 10."""
    centred = x - x.mean(axis=0)
    return centred * np.sqrt(10 / (centred**2).sum(axis=1).mean())


def solve(name: str, examples: Examples) -> Head:
    """Return the head alone."""
    return heads.solve(name, examples)[0]


def chosen(monkeypatch: pytest.MonkeyPatch, strength: float) -> None:
    """Let `solve` choose from one C only."""
    monkeypatch.setattr(heads, "STRENGTHS", (strength,))


def raw(head: Head, x: heads.Matrix) -> heads.Matrix:
    """Return the logits as they were before the temperature."""
    return head.logits(x) * head.temperature


@pytest.mark.parametrize("shape", [(60, 8), (40, 100)], ids=["tall", "wide: rotated"])
@pytest.mark.parametrize("strength", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("classes", [2, 3, 5])
def test_logistic(
    classes: int, strength: float, shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = blobs(*shape, classes)
    chosen(monkeypatch, strength)
    head = solve("logistic", Examples(x, truth(y, classes)))
    judge = LogisticRegression(C=strength, tol=1e-8, max_iter=10_000).fit(scaled(x), y)
    got = softmax(raw(head, x))
    np.testing.assert_allclose(got, judge.predict_proba(scaled(x)), atol=2e-3)


@pytest.mark.parametrize("shape", [(60, 8), (40, 100)], ids=["tall", "wide: rotated"])
@pytest.mark.parametrize("classes", [2, 3])
def test_svm(classes: int, shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = blobs(*shape, classes)
    chosen(monkeypatch, 0.1)
    logits = raw(solve("svm", Examples(x, truth(y, classes))), x)
    judge = LinearSVC(C=0.1, max_iter=100_000, random_state=1).fit(scaled(x), y)
    expected = judge.decision_function(scaled(x))
    if classes == 2:
        np.testing.assert_allclose(logits[:, 1] - logits[:, 0], expected, atol=5e-3)
    else:
        np.testing.assert_allclose(logits, expected, atol=5e-3)


@pytest.mark.parametrize("shape", [(60, 8), (40, 100)], ids=["tall", "wide: rotated"])
@pytest.mark.parametrize("classes", [2, 3])
def test_ridge(classes: int, shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = blobs(*shape, classes)
    chosen(monkeypatch, 2.0)
    logits = raw(solve("ridge", Examples(x, truth(y, classes))), x)
    expected = RidgeClassifier(alpha=0.5).fit(scaled(x), y).decision_function(scaled(x))
    if classes == 2:
        np.testing.assert_allclose(logits[:, 1] - logits[:, 0], expected, atol=1e-3)
    else:
        np.testing.assert_allclose(logits, expected, atol=1e-3)


@pytest.mark.parametrize("offset", [0.0, 30.0])
@pytest.mark.parametrize("shape", [(60, 8), (40, 300)])
@pytest.mark.parametrize("classes", [2, 5])
def test_bayes(classes: int, shape: tuple[int, int], offset: float) -> None:
    x, y = blobs(*shape, classes)
    head = solve("bayes", Examples(x + np.float32(offset), truth(y, classes)))
    judge = GaussianNB(var_smoothing=1e-2).fit(scaled(x), y)
    got = raw(head, x + np.float32(offset))
    expected = judge.predict_joint_log_proba(scaled(x))
    # Only differences between classes count.
    got, expected = got - got[:, :1], expected - expected[:, :1]
    np.testing.assert_allclose(got, expected, atol=1e-3 * np.abs(expected).max())


@pytest.mark.parametrize("shape", [(60, 8), (20, 100)])
def test_centroid(shape: tuple[int, int]) -> None:
    x, y = blobs(*shape, 3)
    new, _ = blobs(*shape, 3, seed=1)
    judge = NearestCentroid().fit(x, y)
    head = solve("centroid", Examples(x, truth(y, 3)))
    np.testing.assert_array_equal(head.logits(new).argmax(axis=1), judge.predict(new))


@given(st.integers(0, 10_000), st.floats(0.1, 8.0))
@settings(max_examples=10, deadline=None)
def test_temperature(seed: int, sharpness: float) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(50, 4)).astype(np.float32)
    labels = np.array([rng.choice(4, p=row / row.sum()) for row in softmax(logits).astype(float)])
    logits *= np.float32(sharpness)

    def loss(log_t: float) -> float:
        chances = softmax(logits / np.float32(np.exp(log_t))).astype(float)
        return float(log_loss(labels, chances / chances.sum(1, keepdims=True), labels=range(4)))

    bounds = (np.log(0.05), np.log(20))
    best = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-8})
    assert loss(np.log(fit_temperature(logits, labels))) <= best.fun + 1e-6


def test_temperature_undoes_overconfidence() -> None:
    x, y = blobs(400, 2, 2, spread=1.0)
    judge = LogisticRegression(C=1e4).fit(x, y)
    logits = np.stack([0 * y, judge.decision_function(x)], axis=1).astype(np.float32)
    assert fit_temperature(5 * logits, y) == pytest.approx(5 * fit_temperature(logits, y), rel=1e-3)


@given(
    st.lists(st.lists(st.floats(-1e4, 1e4, width=32), min_size=3, max_size=3), min_size=1),
    st.floats(-100, 100, width=32),
)
def test_softmax(rows: list[list[float]], shift: float) -> None:
    logits = np.array(rows, np.float32)
    got = softmax(logits)
    np.testing.assert_allclose(got.sum(axis=1), 1, atol=1e-6)
    assert (got >= 0).all()
    # Shifting all logits of a row changes nothing, as far as 32 bits hold the sum.
    np.testing.assert_allclose(softmax(logits + np.float32(shift)), got, atol=5e-3)
    plain = np.exp(np.clip(logits, -20, 20).astype(float))
    np.testing.assert_allclose(
        softmax(np.clip(logits, -20, 20)), plain / plain.sum(axis=1, keepdims=True), atol=1e-5
    )


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("shape", [(60, 8), (20, 100)], ids=["tall", "wide"])
def test_a_class_without_examples_is_never_answered(name: str, shape: tuple[int, int]) -> None:
    x, y = blobs(*shape, 2)
    y = np.array([1, 4])[y]  # of six classes
    head = solve(name, Examples(x, truth(y, 6)))
    new = 100 * blobs(200, shape[1], 2, seed=5)[0]
    assert head.weight.shape == (6, shape[1])
    assert set(head.logits(new).argmax(axis=1)) <= {1, 4}
    assert softmax(head.logits(x))[:, [0, 2, 3, 5]].max() < 1e-6
    assert (head.logits(x).argmax(axis=1) == y).mean() > 0.8


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("classes", [2, 5])
def test_one_shot_a_class(name: str, classes: int) -> None:
    x, y = blobs(classes, 30, classes)
    head = solve(name, Examples(x, truth(y, classes)))
    np.testing.assert_array_equal(head.logits(x).argmax(axis=1), y)
    assert head.temperature == 1.0
    assert np.isfinite(head.logits(x)).all()


@pytest.mark.parametrize("name", SOLVERS)
@settings(max_examples=4, deadline=None)
@given(factor=st.floats(1e-3, 1e3), offset=st.floats(-3, 3))
def test_answers_do_not_depend_on_the_scale_of_the_features(
    name: str, factor: float, offset: float
) -> None:
    x, y = blobs(30, 6, 3)
    expected = softmax(solve(name, Examples(x, truth(y, 3))).logits(x))
    moved = (factor * (x + offset)).astype(np.float32)
    got = softmax(solve(name, Examples(moved, truth(y, 3))).logits(moved))
    np.testing.assert_allclose(got, expected, atol=0.01)


@pytest.mark.parametrize("name", SOLVERS)
def test_equal_rows_give_a_finite_head(name: str) -> None:
    x = np.ones((6, 4), np.float32)
    head = solve(name, Examples(x, truth(np.array([0, 1] * 3), 2)))
    assert np.isfinite(head.logits(x)).all()


@pytest.mark.parametrize("name", SOLVERS)
def test_repeats_bit_for_bit_whatever_the_global_state(name: str) -> None:
    x, y = blobs(20, 100, 3)
    found = []
    for state in (1, 2):
        np.random.seed(state)  # noqa: NPY002 - the point: it must not count
        before = np.random.get_state()[1].copy()
        found.append(solve(name, Examples(x, truth(y, 3))))
        np.testing.assert_array_equal(np.random.get_state()[1], before)
    np.testing.assert_array_equal(found[0].weight, found[1].weight)
    np.testing.assert_array_equal(found[0].bias, found[1].bias)
    assert found[0].temperature == found[1].temperature


def test_inner_folds_choose_the_strength_that_generalises() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(400, 2)).astype(np.float32), np.arange(400) % 2
    unsure = softmax(solve("logistic", Examples(x, truth(y, 2))).logits(x))
    np.testing.assert_allclose(unsure, 0.5, atol=0.2)
    x[:, 0] *= 10  # a loud feature that says nothing beside a quiet one that says all
    x[:, 1] = 0.3 * y + 0.1 * x[:, 1]
    assert float(solve("logistic", Examples(x, truth(y, 2))).chosen.removeprefix("C=")) > 1


def test_a_class_with_a_single_example_does_not_spoil_the_choice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, y = blobs(60, 8, 2)
    alone = np.concatenate([x, x[:1] + 9]), np.append(y, 2)
    head = solve("logistic", Examples(alone[0], truth(alone[1])))
    assert head.temperature != 1.0
    assert head.logits(alone[0])[-1].argmax() == 2
    # Of very many rows only some are looked at, and a rare class may have a single one of these.
    monkeypatch.setattr(task, "MOST_ROWS_TO_CHOOSE", 40)
    looked_at = np.random.default_rng(0).permutation(60)
    x, y = blobs(60, 8, 3)
    y[y == 2] = 0
    y[looked_at[[5, 50, 55]]] = 2
    assert solve("logistic", Examples(x, truth(y, 3))).temperature < 10


def test_folds_are_stratified_and_cover_everything_once() -> None:
    y = np.array([0] * 10 + [1] * 5)
    tests = []
    for train, test in drawing.even_folds(y, 5, seed=0):
        assert not set(train) & set(test)
        assert np.bincount(y[test]).tolist() == [2, 1]
        tests += test.tolist()
    assert sorted(tests) == list(range(15))


def test_unknown_head_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'logistic'"):
        solve("logstic", Examples(np.zeros((2, 2), np.float32), truth(np.array([0, 1]), 2)))
