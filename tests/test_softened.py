"""Epochs are compared by what a temperature cannot mend: judged by scipy and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from sklearn.metrics import log_loss

from conftest import truth
from headstart.tasks.labels import Labels


def drawn(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from the softmax of logits: as sure as they should be."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(400, 3)).astype(np.float32) * 2
    chance = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return logits, np.array([rng.choice(3, p=row / row.sum()) for row in chance.astype(float)])


def judged(logits: np.ndarray, labels: np.ndarray) -> float:
    return truth(labels, 3).task.judge(logits.astype(np.float32), labels)["selection_loss"]


@pytest.mark.parametrize("times", [0.3, 1.0, 4.0, 15.0])
def test_it_is_the_least_log_loss_over_temperatures_of_one_and_more(times: float) -> None:
    logits, labels = drawn()

    def loss(temperature: float) -> float:
        scaled = times * logits.astype(float) / temperature
        chance = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        return log_loss(labels, chance / chance.sum(axis=1, keepdims=True))

    best = minimize_scalar(loss, bounds=(1.0, 100.0), method="bounded").fun
    assert judged(times * logits, labels) == pytest.approx(min(best, loss(1.0)), rel=1e-3)


def test_getting_surer_is_no_harm_and_no_gain() -> None:
    logits, labels = drawn()
    sure = [judged(times * logits, labels) for times in (2, 5, 10)]
    assert sure == pytest.approx([sure[0]] * 3, rel=1e-3)
    right = np.eye(3, dtype=np.float32)[labels]
    assert judged(5 * right, labels) < judged(2 * right, labels), "few items, all of them right"


def test_several_labels_alike() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(300, 2)).astype(np.float32)
    values = (rng.random((300, 2)) < 1 / (1 + np.exp(-logits))).astype(np.int64)
    task = Labels(("a", "b"))
    losses = [task.judge(times * logits, values)["selection_loss"] for times in (2, 5, 10)]
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-2)
    assert task.loss(10 * logits, values) > 2 * losses[0]
