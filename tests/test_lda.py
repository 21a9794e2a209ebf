"""The head `lda`: scikit-learn judges its covariance, its logits, and how well it answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.base import BaseEstimator
from sklearn.covariance import ledoit_wolf
from sklearn.datasets import load_digits
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

import headstart
from conftest import bars, truth
from headstart.tasks import heads
from headstart.tasks.heads import Examples
from headstart.tasks.solvers import ABSENT, softmax
from headstart.tasks.solvers.lda import shrunk


def solve(name: str, examples: Examples) -> heads.Head:
    """Return the head alone."""
    return heads.solve(name, examples)[0]


def made(n: int, width: int, classes: int = 3, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    mixed = rng.normal(size=(n, width)) @ rng.normal(size=(width, width)) / 3
    return (mixed + 2 * rng.normal(size=(classes, width))[y]).astype(np.float32), y


@pytest.mark.parametrize(("n", "width"), [(200, 5), (30, 30), (9, 40), (12, 1)])
def test_the_covariance_is_that_of_ledoit_and_wolf(n: int, width: int) -> None:
    z = np.asarray(made(n, width)[0], np.float64)
    z -= z.mean(axis=0)
    expected = ledoit_wolf(z, assume_centered=True)[0]
    np.testing.assert_allclose(shrunk(z), expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


class Pooled(BaseEstimator):  # type: ignore[misc]
    """Gives scikit-learn's LDA one covariance, whatever class it asks for."""

    def __init__(self, covariance: npt.NDArray[np.float64] | None = None) -> None:
        self.covariance = covariance

    def fit(self, x: Any) -> Pooled:
        self.covariance_ = self.covariance
        return self


@pytest.mark.parametrize(("classes", "width"), [(2, 8), (3, 8), (5, 8), (2, 300), (5, 90), (3, 91)])
def test_the_logits_are_those_of_scikit_learn(classes: int, width: int) -> None:
    x, y = made(90, width, classes)
    y[y == classes - 1] = np.where(np.arange((y == classes - 1).sum()) % 2, classes - 1, 0)
    means = np.stack([x[y == k].mean(axis=0) for k in range(classes)])
    covariance = shrunk(np.asarray(x - means[y], np.float64))
    judge = LinearDiscriminantAnalysis(solver="lsqr", covariance_estimator=Pooled(covariance))
    head = solve("lda", Examples(x, truth(y, classes)))
    logits = head.logits(x) * head.temperature
    np.testing.assert_allclose(softmax(logits), judge.fit(x, y).predict_proba(x), atol=2e-4)


def test_it_answers_as_well_as_the_ready_made_one() -> None:
    data = load_digits()
    x, y = data.data.astype(np.float32), data.target
    order = np.random.default_rng(0).permutation(len(y))
    fit, test = order[:400], order[400:]
    ours = solve("lda", Examples(x[fit], truth(y[fit], 10))).logits(x[test]).argmax(axis=1)
    judge = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(x[fit], y[fit])
    theirs = judge.predict(x[test])
    assert (ours == theirs).mean() > 0.95
    assert (ours == y[test]).mean() > (theirs == y[test]).mean() - 0.01


def test_one_item_a_class_is_the_nearest_mean() -> None:
    x = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]], np.float32)
    found = solve("lda", Examples(x, truth(np.array([0, 1, 2]), 4)))
    near = found.logits(x + np.float32(0.5))
    np.testing.assert_array_equal(near.argmax(axis=1), [0, 1, 2])
    assert found.bias[3] == ABSENT


def test_features_that_never_fire_and_equal_rows_do_no_harm() -> None:
    x, y = made(24, 6)
    x[:, 2] = 7.0
    x[12:] = x[:12]
    assert np.isfinite(solve("lda", Examples(x, truth(y, 3))).logits(x)).all()
    flat = np.zeros((6, 4), np.float32)
    logits = solve("lda", Examples(flat, truth(np.arange(6) % 3, 3))).logits(flat)
    np.testing.assert_allclose(softmax(logits), 1 / 3, atol=1e-6)


def test_it_is_a_head_of_frozen(glyph_graph: Any) -> None:
    assert headstart.fit(bars(), head="lda").accuracy == 1.0
