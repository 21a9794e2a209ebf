"""Strategies make plans, and plans are plain values that can be compared."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstart.backbones import pooling
from headstart.errors import UsageError
from headstart.settings.groups import POOLINGS, RATES, Options
from headstart.strategies.discriminative import Discriminative
from headstart.strategies.first import First
from headstart.strategies.lp_ft import SOFTER
from headstart.strategies.partial import Partial
from headstart.strategies.plan import ADAPTERS, HEAD, Adapters, Freeze, Group, Plan, Stage
from headstart.strategies.registry import STRATEGIES, strategy
from headstart.strategies.warm import Warm

FIVE = Options(epochs=5, body_rate=0.1, head_rate=0.2)


def plan(name: str, options: Options = FIVE, *, n_blocks: int = 4, n_train: int = 64) -> Plan:
    return strategy(name, options).plan(n_blocks, n_train, options)


def test_frozen_solves_a_head() -> None:
    assert plan("frozen") == Plan(solver="own")
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


@pytest.mark.parametrize("k", [1, 3, 4])
def test_first_trains_the_lowest_blocks_and_the_head(k: int) -> None:
    (stage,) = plan(f"first:{k}").stages
    assert stage == Stage((Group(tuple(range(k)), 0.1), Group((HEAD,), 0.2)), 5)
    assert stage.trained == set(range(k))
    assert stage.boundary(4) == 0


def test_first_of_all_blocks_is_warm() -> None:
    for options in (FIVE, Options(decay=0.5)):
        assert plan("first:4", options) == plan("warm", options)
    groups = plan("first:1", Options(body_rate=1.0, decay=0.5)).stages[0].groups
    assert groups == (Group((0,), 0.125), Group((HEAD,), RATES["adamw"][1]))


@pytest.mark.parametrize("k", [0, -1, 5])
def test_first_beyond_the_network_says_how_far_it_goes(k: int) -> None:
    with pytest.raises(UsageError, match="this backbone has 4 blocks; K goes from 1 to 4"):
        plan(f"first:{k}")


def test_gradual_moves_the_boundary_down() -> None:
    stages = plan("gradual", Options(epochs=10, body_rate=0.1, head_rate=0.2)).stages
    assert [stage.boundary(4) for stage in stages] == [2, 1, 0]
    assert [stage.epochs for stage in stages] == [3, 3, 4]
    assert stages[0].groups == (Group((2, 3), 0.1), Group((HEAD,), 0.2))
    assert stages[-1].groups == plan("warm").stages[0].groups


def test_gradual_starts_from_a_solved_head_as_gently_as_lp_ft() -> None:
    gradual, once = plan("gradual", Options()), plan("lp-ft", Options())
    assert gradual.probe == once.probe == "own"
    assert gradual.stages[-1].groups == once.stages[0].groups


@given(st.integers(1, 60), st.integers(1, 40))
def test_gradual_takes_the_epochs_it_is_given(n_blocks: int, epochs: int) -> None:
    stages = plan("gradual", Options(epochs=epochs), n_blocks=n_blocks).stages
    assert sum(stage.epochs for stage in stages) == epochs
    assert len(stages) == min(3, n_blocks, epochs)
    boundaries = [stage.boundary(n_blocks) for stage in stages]
    assert boundaries == sorted(set(boundaries), reverse=True)
    assert boundaries[-1] == 0
    assert all(HEAD in stage.groups[-1].blocks for stage in stages)


def test_lp_ft_starts_from_a_probe_at_a_small_rate() -> None:
    made = plan("lp-ft", Options(epochs=5))
    rate = RATES["adamw"][0] / 2
    stage = Stage((Group((0, 1, 2, 3), rate), Group((HEAD,), rate)), 5)
    assert made == Plan((stage,), probe="own", softer=SOFTER)
    assert plan("lp-ft").stages == plan("warm").stages


def test_l2_sp_is_warm_with_a_pull() -> None:
    (stage,) = plan("l2-sp", Options(epochs=5, pull=0.3)).stages
    (warm,) = plan("warm", Options(epochs=5)).stages
    assert stage == Stage(warm.groups, 5, pull=0.3)
    assert warm.pull == 0


def test_auto_freeze_is_warm_with_a_rule() -> None:
    options = Options(epochs=5, freeze_threshold=0.1, freeze_patience=3)
    (stage,) = plan("auto-freeze", options).stages
    (warm,) = plan("warm", options).stages
    assert stage == Stage(warm.groups, 5, freeze=Freeze(0.1, 3))
    assert warm.freeze is None


def test_lora_trains_adapters_and_the_head() -> None:
    made = plan("lora", Options(epochs=5, rank=4))
    body, head = RATES["adamw"]
    (stage,) = made.stages
    assert stage == Stage((Group((ADAPTERS,), 10 * body), Group((HEAD,), head)), 5)
    assert made.adapters == Adapters(rank=4, alpha=4)
    assert not stage.trained
    # Adapters stand in every block, so nothing can be computed once.
    assert stage.boundary(4) == 0
    assert plan("lora").stages[0].groups[0].rate == 0.1


def test_contrastive_tunes_the_upper_half_and_solves_a_head() -> None:
    made = plan("contrastive", Options(head="svm"), n_blocks=7, n_train=256)
    assert made.solver == "svm"
    (stage,) = made.stages
    assert stage.objective == "contrastive"
    assert stage.groups == (Group((3, 4, 5, 6), 1e-4),)
    assert (stage.boundary(7), stage.batch) == (3, 64)
    assert stage.n_steps(-(-256 // 64)) == 40
    assert plan("contrastive", n_blocks=1).stages[0].boundary(1) == 0
    assert strategy("contrastive").kinds == ("text",)
    assert not strategy("contrastive").solves


@pytest.mark.parametrize(
    ("n_train", "steps"), [(8, 40), (100, 40), (256, 40), (500, 80), (1000, 100), (120_000, 100)]
)
def test_contrastive_steps_have_two_limits(n_train: int, steps: int) -> None:
    (stage,) = plan("contrastive", Options(), n_train=n_train).stages
    assert stage.n_steps(-(-n_train // stage.batch)) == steps
    (stage,) = plan("contrastive", Options(epochs=2, batch=8), n_train=n_train).stages
    assert stage.n_steps(-(-n_train // 16)) == 2 * -(-n_train // 16)


def test_steps_of_a_stage() -> None:
    stage = plan("warm").stages[0]
    assert stage.n_steps(3) == 5 * 3
    assert replace(stage, most_steps=7).n_steps(3) == 7
    assert replace(stage, most_steps=20).n_steps(3) == 5 * 3


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
    assert strategy("first:2") == First(2) != Partial(2)
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
        ("first", "write 'first:2'"),
        ("first:all", "'all' is not a whole number; write for example 'first:2'"),
        ("lp_ft", "did you mean 'lp-ft'"),
        ("frozen:ldaa", "did you mean 'lda'"),
    ],
)
def test_wrong_names(name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        strategy(name)


def test_the_head_may_stand_in_the_name() -> None:
    assert strategy("frozen:lda").plan(4, 9, Options(head="svm")).solver == "lda"
    assert strategy("frozen").plan(4, 9, Options(head="svm")).solver == "svm"


def test_every_strategy_says_when_to_use_it() -> None:
    for made in STRATEGIES.values():
        assert "When:" in (made.__doc__ or "")
        assert "When not:" in (made.__doc__ or "")


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_makes_a_plan_that_can_be_run(name: str) -> None:
    made = strategy(STRATEGIES[name].example or name)
    assert set(made.kinds) <= {"image", "text"}
    for n_train in (2, 1000):
        found = made.plan(4, n_train, Options())
        assert found.stages or found.solver
        for stage in found.stages:  # pairs of one class need no head
            assert (HEAD in stage.groups[-1].blocks) == (stage.objective != "contrastive")
        for stage in found.stages:
            assert stage.n_steps(1) >= 1
            blocks = [block for group in stage.groups for block in group.blocks]
            assert len(blocks) == len(set(blocks))
            assert set(blocks) <= {ADAPTERS, HEAD, *range(4)}
            assert (ADAPTERS in blocks) == (found.adapters is not None)


def test_poolings_are_those_of_the_encoders() -> None:
    assert set(POOLINGS) == {*pooling.POOLINGS, "attention"}


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
        "views": 0,
        "cache_limit": -1.0,
        "pull": -0.1,
        "freeze_threshold": 0.0,
        "freeze_patience": 0,
        "rank": 0,
        "soup": -1,
        "max_seconds": 0.0,
        "pooling": "maen",
        "min_frequency": 0,
        "image_size": 7,
        "max_length": 0,
    }
    with pytest.raises(UsageError) as raised:
        Options(**wrong)  # type: ignore[arg-type]
    for name, value in wrong.items():
        assert f"{name} is {value}, but must be" in str(raised.value)


@pytest.mark.parametrize("name", ["head_rate", "body_rate", "max_seconds"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, 0.0])
def test_rates_must_be_numbers_above_zero(name: str, value: float) -> None:
    with pytest.raises(UsageError, match=name):
        Options(**{name: value})
