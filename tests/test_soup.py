"""Greedy soup against numpy's mean, and the promise that it is never worse than the best."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from headstart.training.soup import State, average, greedy


def states(*values: float) -> list[State]:
    return [{"w": torch.full((2, 3), float(v)), "n": torch.tensor(int(v))} for v in values]


def near(target: float) -> Callable[[State], float]:
    return lambda state: -abs(float(state["w"].mean()) - target)


def test_average_against_numpy() -> None:
    rng = np.random.default_rng(0)
    arrays = rng.normal(size=(5, 3, 4)).astype(np.float32)
    got = average([{"w": torch.from_numpy(a)} for a in arrays])["w"]
    assert got.dtype == torch.float32
    np.testing.assert_allclose(got.numpy(), arrays.mean(0), atol=1e-6)


def test_equal_weights_stay_what_they_are() -> None:
    weight = torch.randn(50, generator=torch.Generator().manual_seed(0))
    assert torch.equal(average([{"w": weight}] * 3)["w"], weight)


def test_integers_are_those_of_the_best() -> None:
    soup, kept = greedy(states(4, 2), near(3.0))
    assert kept == [0, 1]
    assert soup["n"] == 4
    assert soup["n"].dtype == torch.int64


def test_only_what_helps_is_added() -> None:
    soup, kept = greedy(states(1, 6, 3, 2), near(2.0))
    # 1 and 6 would be farther off, 1 and 3 hit, and 2 keeps it there.
    assert kept == [0, 2, 3]
    assert torch.equal(soup["w"], torch.full((2, 3), 2.0))


def test_a_single_state_is_itself() -> None:
    (only,) = states(1)
    soup, kept = greedy([only], near(0.0))
    assert (soup, kept) == (only, [0])


def test_states_are_left_as_they_were() -> None:
    given_states = states(1, 3)
    greedy(given_states, near(2.0))
    assert [float(state["w"].mean()) for state in given_states] == [1, 3]


def test_each_state_costs_one_score() -> None:
    asked = []

    def score(state: State) -> float:
        asked.append(float(state["w"].mean()))
        return 0.0

    greedy(states(1, 3, 5), score)
    assert asked == [1, 2, 3]


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=6), st.floats(-5, 5))
def test_the_soup_is_never_worse_than_the_best(values: list[float], target: float) -> None:
    score = near(target)
    ordered = sorted(states(*values), key=score, reverse=True)
    soup, kept = greedy(ordered, score)
    assert score(soup) >= score(ordered[0])
    mean = np.mean([float(ordered[i]["w"][0, 0]) for i in kept])
    assert float(soup["w"][0, 0]) == pytest.approx(mean, abs=1e-5)
