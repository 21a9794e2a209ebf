"""How sure answers are: judged by scipy and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar
from scipy.special import softmax
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss

import headstart
from conftest import truth
from headstart.tasks.labels import Labels
from headstart.tasks.temperature import SHRINK, Prior, as_sure_as_right, fit_temperature
from headstart.training import selection


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


@pytest.mark.parametrize(("around", "spread"), [(1.0, 1.0), (0.3, 0.5), (4.0, 0.5)])
@pytest.mark.parametrize("n", [5, 40, 400])
def test_a_prior_is_one_answer_more(n: int, around: float, spread: float) -> None:
    logits, labels = (part[:n] for part in drawn())

    def loss(log_t: float) -> float:
        told = log_loss(
            labels, softmax(logits.astype(float) / np.exp(log_t), axis=1), labels=range(3)
        )
        return n * told + (log_t - np.log(around)) ** 2 / (2 * spread**2)

    best = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20)), method="bounded").x
    found = fit_temperature(logits, labels, Prior(around, spread))
    assert np.log(found) == pytest.approx(best, abs=1e-3)


def test_a_few_answers_that_are_all_right_are_no_certainty() -> None:
    labels = np.arange(20) % 4
    logits = np.eye(4, dtype=np.float32)[labels]
    assert fit_temperature(logits, labels) == pytest.approx(0.05, rel=1e-3)
    found, task = truth(labels, 4).task.settled(logits, labels)
    assert 0.15 < found < 1 and task.names == truth(labels, 4).task.names
    nearer, _ = truth(labels, 4).task.settled(logits, labels, 3.0)
    assert found < nearer < 3.0
    several = np.eye(4, dtype=np.int64)[labels]
    assert 0.15 < Labels(tuple("abcd")).settled(4 * logits - 2, several)[0] < 1


@pytest.mark.parametrize("accuracy", [0.4, 0.7, 0.95])
@pytest.mark.parametrize("times", [0.5, 5.0])
def test_new_items_are_to_be_answered_as_surely_as_they_are_right(
    times: float, accuracy: float
) -> None:
    logits = times * drawn()[0]

    def off(temperature: float) -> float:
        return (
            softmax(SHRINK * logits.astype(float) / temperature, axis=1).max(axis=1).mean()
            - accuracy
        )

    expected = np.clip(brentq(off, 0.01, 30), 0.05, 20)
    assert as_sure_as_right(logits, accuracy) == pytest.approx(expected, rel=6e-3)
    assert as_sure_as_right(logits, 0.0) == pytest.approx(20, rel=1e-3)
    assert as_sure_as_right(logits, 1.0) == pytest.approx(0.05, rel=0.2)


def calibration_error(outputs: np.ndarray, labels: np.ndarray) -> float:
    """The mean gap of sureness and accuracy over tenths of sureness, weighed by their items."""
    chances = softmax(outputs.astype(float), axis=1)
    sure, right = chances.max(axis=1), chances.argmax(axis=1) == labels
    tenth = np.minimum((10 * sure).astype(int), 9)
    return sum(abs((sure - right)[tenth == k].sum()) for k in range(10)) / len(labels)


@pytest.mark.slow
@pytest.mark.parametrize(("strategy", "shots"), [("warm", 4), ("partial:-2", 8), ("warm", 16)])
def test_few_labels_do_not_make_probabilities_that_lie(
    strategy: str, shots: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Below the threshold of an inner part and above it; without what is expected it is worse."""
    found = load_digits()
    pictures, names = np.uint8(15.9 * found.images), found.target.astype(str)
    order = np.random.default_rng(3).permutation(len(names))[:900]

    def off() -> float:
        made = headstart.fit(
            pictures[order], names[order], backbone="glyphs", strategy=strategy, shots=shots
        )
        test = made.parts.held_out
        outputs = made.model.outputs(made.dataset, test)
        return calibration_error(outputs, made.dataset.labels[test])

    now = off()
    monkeypatch.setattr(selection, "ENOUGH", 0)
    assert now < 0.1
    assert now < off() + 0.02
