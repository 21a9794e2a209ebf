"""Which epoch a stage ends with: the latest that is not worse than the best as far as one knows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import truth
from headstart.tasks.task import ERROR, LOSS
from headstart.training.best import Best


def ended(losses: list[float], errors: list[float], most: int = 0) -> tuple[int, Best]:
    best = Best(most)
    for epoch, (loss, error) in enumerate(zip(losses, errors, strict=True)):
        best.add(loss, error, lambda e=epoch: e)
    return best.states[0], best


@given(st.lists(st.tuples(st.floats(0, 9), st.floats(0, 2)), min_size=1, max_size=12))
def test_it_is_the_latest_within_one_error_of_the_least_so_far(
    rows: list[tuple[float, float]],
) -> None:
    losses, errors = map(list, zip(*rows, strict=True))
    taken, best = ended(losses, errors)
    for k in range(len(rows)):
        least = int(np.argmin(losses[: k + 1]))
        if least == k or losses[k] < losses[least] + errors[least]:
            last = k
    assert (taken, best.since) == (last, len(rows) - 1 - last)


def test_without_an_error_it_is_the_least_loss_and_the_first_of_equals() -> None:
    assert ended([3.0, 1.0, 2.0, 1.0], [0.0] * 4)[0] == 1


def test_several_are_those_of_the_least_losses() -> None:
    _, best = ended([3.0, 1.0, 2.0, 1.5], [9.0] * 4, most=2)
    assert (best.states, best.losses) == ([1, 3], [1.0, 1.5])


def test_it_goes_on_from_its_facts() -> None:
    rows = [(0.9, 0.1), (0.5, 0.1), (0.58, 0.3), (0.59, 0.0), (0.61, 0.0)]
    straight = Best(0)
    for k, (loss, error) in enumerate(rows):
        straight.add(loss, error, lambda k=k: k)
    halves = Best(0)
    for k, (loss, error) in enumerate(rows):
        halves = Best(0, states=halves.states, **halves.facts())
        halves.add(loss, error, lambda k=k: k)
    assert (halves.states, halves.facts()) == (straight.states, straight.facts())
    assert halves.states == [3]


def test_ten_right_answers_do_not_tell_epochs_apart() -> None:
    labels = np.arange(10) % 2
    task = truth(labels, 2).task
    sure, surer = (times * np.eye(2, dtype=np.float32)[labels] for times in (5, 6))
    found, better = task.judge(sure, labels), task.judge(surer, labels)
    assert better[LOSS] < found[LOSS] < better[LOSS] + better[ERROR]


@pytest.mark.parametrize("n", [20, 400])
def test_the_error_is_the_spread_of_such_parts(n: int) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4000, 3)).astype(np.float32) * 2
    chance = np.exp(logits.astype(float))
    labels = (chance.cumsum(1) < rng.random((4000, 1)) * chance.sum(1, keepdims=True)).sum(1)
    task = truth(labels, 3).task
    parts = [rng.integers(0, 4000, n) for _ in range(300)]
    found = [task.judge(logits[part], labels[part]) for part in parts]
    spread = np.std([row[LOSS] for row in found])
    errors = np.array([row[ERROR] for row in found])
    assert np.sqrt(np.mean(errors**2)) == pytest.approx(spread, rel=0.2)
