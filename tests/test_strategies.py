"""Strategies make plans, and plans are plain values that can be compared."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstart.errors import UsageError
from headstart.strategies.discriminative import Discriminative
from headstart.strategies.partial import Partial
from headstart.strategies.plan import HEAD, RATES, Group, Options, Plan, Stage
from headstart.strategies.registry import STRATEGIES, strategy
from headstart.strategies.warm import Warm

FIVE = Options(epochs=5, body_rate=0.1, head_rate=0.2)


def plan(name: str, options: Options = FIVE, *, n_blocks: int = 4, n_train: int = 64) -> Plan:
    return strategy(name).plan(n_blocks, n_train, options)


def test_frozen_solves_a_head() -> None:
    assert plan("frozen") == Plan(solver="logistic")
    assert plan("frozen", Options(head="svm")) == Plan(solver="svm")
    assert strategy("frozen").solves


def test_scratch_trains_everything_from_random_weights() -> None:
    made = plan("scratch")
    assert made.start == "random"
    assert made.batch_statistics
    (stage,) = made.stages
    assert stage == Stage((Group((0, 1, 2, 3, HEAD), 0.2),), 5)
    assert not strategy("scratch").solves


def test_warm_trains_everything_and_the_head_faster() -> None:
    made = plan("warm")
    assert made == Plan((Stage((Group((0, 1, 2, 3), 0.1), Group((HEAD,), 0.2)), 5),))
    assert made.stages[0].boundary(4) == 0
    assert made.start == "pretrained"
    assert not made.batch_statistics


def test_decay_slows_lower_blocks_down() -> None:
    made = plan("warm", Options(epochs=5, body_rate=1.0, head_rate=3.0, decay=0.5))
    groups = [Group((0,), 0.125), Group((1,), 0.25), Group((2,), 0.5), Group((3,), 1.0)]
    assert made.stages[0].groups == (*groups, Group((HEAD,), 3.0))
    # The rate of a block does not depend on whether those below it are frozen.
    assert plan("partial:2", Options(epochs=5, body_rate=1.0, decay=0.5)).stages[0].groups[:2] == (
        Group((2,), 0.5),
        Group((3,), 1.0),
    )


@pytest.mark.parametrize("optimiser", RATES)
def test_discriminative_has_a_head_ten_times_as_fast(optimiser: str) -> None:
    body, head = plan("discriminative", Options(optimiser=optimiser)).stages[0].groups
    assert head.rate == pytest.approx(10 * body.rate)
    assert body.blocks == (0, 1, 2, 3)
    body, head = plan("discriminative", Options(body_rate=0.5)).stages[0].groups
    assert (body.rate, head.rate) == (0.5, 5.0)
    assert plan("discriminative", FIVE).stages[0].groups[1].rate == 0.2


@pytest.mark.parametrize(
    ("k", "first"), [(0, 0), (1, 1), (3, 3), (4, 4), (-1, 3), (-3, 1), (-4, 0)]
)
def test_partial_puts_the_boundary_where_it_says(k: int, first: int) -> None:
    (stage,) = plan(f"partial:{k}").stages
    assert stage.boundary(4) == first
    assert stage.trained == set(range(first, 4))
    assert stage.groups[-1] == Group((HEAD,), 0.2)


@pytest.mark.parametrize("k", [5, -5, 99])
def test_partial_beyond_the_network_says_how_far_it_goes(k: int) -> None:
    with pytest.raises(UsageError, match="this backbone has 4 blocks; K goes from -4 to 4"):
        plan(f"partial:{k}")


def test_partial_0_is_warm() -> None:
    assert plan("partial:0") == plan("warm")


@given(st.integers(1, 10_000), st.integers(1, 256), st.integers(1, 50), st.integers(0, 200))
def test_epochs_are_enough_steps(n_train: int, batch: int, default: int, least: int) -> None:
    steps = -(-n_train // batch)
    found = Options(batch=batch).epochs_for(n_train, default=default, least_steps=least)
    assert found >= default
    assert found * steps >= least
    assert found == default or (found - 1) * steps < least
    assert Options(epochs=3).epochs_for(n_train, default=default, least_steps=least) == 3


def test_few_examples_get_more_epochs() -> None:
    assert plan("warm", Options(), n_train=8).stages[0].epochs > (
        plan("warm", Options(), n_train=10_000).stages[0].epochs
    )


def test_plans_and_strategies_are_values() -> None:
    assert plan("partial:-2") == plan("partial:-2")
    assert {strategy("warm"), Warm()} == {Warm()}
    assert strategy("partial:-3") == Partial(-3)
    assert strategy("discriminative") == Discriminative()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("frozn", "did you mean 'frozen'"),
        ("patial:2", "did you mean 'partial'"),
        ("", "Allowed: scratch"),
        ("partial", "write 'partial:-3'"),
        ("partial:", "'' is not a whole number"),
        ("partial:1.5", "'1.5' is not a whole number"),
        ("warm:3", "write 'warm'"),
    ],
)
def test_wrong_names(name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        strategy(name)


def test_every_strategy_says_when_to_use_it() -> None:
    for made in STRATEGIES.values():
        assert "When:" in (made.__doc__ or "")
        assert "When not:" in (made.__doc__ or "")


def test_options_tell_all_faults_at_once() -> None:
    wrong = {
        "epochs": 0,
        "batch": 0,
        "body_rate": 0.0,
        "head_rate": -1.0,
        "decay": 1.5,
        "weight_decay": -0.1,
        "smoothing": 1.0,
        "optimiser": "adam",
        "augment": "wild",
        "head": "forest",
    }
    with pytest.raises(UsageError) as raised:
        Options(**wrong)  # type: ignore[arg-type]
    for name, value in wrong.items():
        assert f"{name} is {value}, but must be" in str(raised.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, 0.0])
def test_rates_must_be_numbers_above_zero(value: float) -> None:
    with pytest.raises(UsageError, match="head_rate"):
        Options(head_rate=value)
