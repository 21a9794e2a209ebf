"""Both kinds of luck: parts of variance in closed form, intervals against simulated truth."""

from __future__ import annotations

import numpy as np
import pytest

from headstart.evaluation import luck
from headstart.evaluation.luck import Sample, gap, interval, lower
from headstart.tasks.intervals import wilson
from simulated_comparisons import covered


def test_one_draw_of_many_labels_is_wilsons_interval() -> None:
    right = (np.arange(300) < 240).astype(float)[None]
    found = interval(Sample(right, trained=10**9))
    assert found[1:] == pytest.approx(wilson(240, 300), abs=2e-3)


def test_equal_answers_of_all_draws_are_no_more_items() -> None:
    right = np.tile((np.arange(200) < 150).astype(float), (10, 1))
    many = interval(Sample(right, trained=10**9))
    assert many[1:] == pytest.approx(wilson(150, 200), abs=2e-3)


def test_the_spread_of_draws_is_the_one_of_the_analysis_of_variance() -> None:
    rng = np.random.default_rng(0)
    draws = rng.normal(0, 2.0, 40)
    table = draws[:, None] + rng.normal(0, 1.0, 300) + rng.normal(0, 0.5, (40, 300))
    rest = table - table.mean(0) - table.mean(1)[:, None] + table.mean()
    within = (rest**2).sum() / (39 * 299)
    between, noise = luck._between(table)
    assert noise == pytest.approx(within / 300)
    assert between == pytest.approx(table.mean(1).var(ddof=1) - within / 300)
    assert between == pytest.approx(draws.var(ddof=1), rel=0.1)


def test_draws_that_differ_widen_the_interval() -> None:
    n = np.arange(2000)
    steady = Sample(np.stack([n < 1600.0] * 5).astype(float), 500)
    moving = Sample(np.stack([n < 1600 + 100.0 * d for d in range(-2, 3)]).astype(float), 500)
    wide, narrow = interval(moving), interval(steady)
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_folds_are_corrected_as_nadeau_and_bengio_do() -> None:
    rng = np.random.default_rng(1)
    folds = np.stack([rng.permutation(np.arange(100) % 5) for _ in range(3)])
    right = (rng.random((3, 100)) < 0.8).astype(float)
    means = np.array([right[r][folds[r] == k].mean() for r in range(3) for k in range(5)])
    wanted = (1 / 15 + 20 / 80) * means.var(ddof=1)
    variance, freedom = luck._folded(Sample(right, 80, folds=folds), 0.0)
    assert (variance, freedom) == (pytest.approx(wanted), 14)


def test_a_score_that_is_no_share_may_be_below_zero() -> None:
    parts = np.random.default_rng(0).normal(-0.2, 1.0, (3, 50))
    found = interval(Sample(parts, 100, share=False))
    assert found.low < found.mean < found.high
    assert found.mean == pytest.approx(parts.mean())


def test_the_more_are_compared_the_more_must_lie_between() -> None:
    n = np.arange(300)
    best, other = (Sample((n < c).astype(float)[None], 10**6) for c in (200, 193))
    assert lower(best, other, 1)
    assert not lower(best, other, 9)


def test_other_items_are_refused() -> None:
    with pytest.raises(ValueError, match="beside"):
        gap(Sample(np.ones((2, 5)), 9), Sample(np.ones((2, 6)), 9))


@pytest.mark.parametrize(("draws", "items"), [(1, 16), (1, 150), (2, 150), (5, 16), (10, 150)])
def test_intervals_hold_against_simulated_truth(draws: int, items: int) -> None:
    found = covered(draws, items, times=400)
    # Three standard errors of 400 simulations around the promise.
    assert found.lower <= 0.05 + 0.033
    assert 0.93 - 0.033 <= found.accuracy <= 0.97 + 0.03
    assert 0.93 - 0.033 <= found.difference <= 1


def drawn(spread: float, seed: int, draws: int = 6, items: int = 4000) -> Sample:
    """A sample of 64 labels whose draws spread so many times as usual about 80 %."""
    rng = np.random.default_rng(seed)
    share = 0.8 + spread * luck.USUAL * 0.16 / 8 * rng.standard_normal(draws)
    return Sample((rng.random((draws, items)) < share[:, None]).astype(float), trained=64)


def test_the_draws_of_others_tell_how_far_draws_spread() -> None:
    wide = luck.spread_of(luck.told(drawn(3.0, seed)) for seed in range(30))
    usual = luck.spread_of(luck.told(drawn(1.0, seed)) for seed in range(30))
    assert wide.ratio == pytest.approx(9.0, rel=0.35)
    assert usual.ratio == pytest.approx(1.0, rel=0.35)
    assert usual.freedom > 40
    mine = drawn(1.0, 99, draws=2)
    alone, known = interval(mine), interval(mine, spread=wide)
    assert known.high - known.low > 1.5 * (alone.high - alone.low)


def test_what_is_lucky_for_both_is_no_luck_of_the_difference() -> None:
    n = np.arange(2000)
    share = np.array([0.5, 0.6, 0.7, 0.8, 0.9])[:, None]
    good, worse = ((n < 2000 * (share - less)) * 1.0 for less in (0.0, 0.05))
    alone, both = luck.told(Sample(good, 64)), luck.told_apart(Sample(good, 64), Sample(worse, 64))
    assert alone is not None and both is not None
    assert alone.ratio > 20 and abs(both.ratio) < 1


def test_those_say_nothing_of_draws_that_cannot_know() -> None:
    few = drawn(3.0, 0, items=16)
    assert luck.told(drawn(3.0, 0, draws=1)) is None
    assert luck.told(Sample(few.scores, 64, folds=few.scores.astype(np.int64))) is None
    told = luck.told(few)
    assert told is not None and told.freedom < 0.5, "the items' noise hides the draws"
    same = luck.told(Sample(np.ones((6, 16)), 64))
    assert same is not None and same.freedom < 0.5
    assert luck.spread_of([None]) == luck.ALONE
    assert luck.spread_of([luck.Spread(-50.0, 1000.0)]).ratio == luck.LEAST


@pytest.mark.slow
def test_four_strategies_hold_against_simulated_truth() -> None:
    found = covered(2, 2000, times=300, strategies=4)
    twice = covered(5, 2000, times=300, strategies=4, law="twice")
    assert found.lower <= 0.05 + 0.038 and 0.93 - 0.038 <= found.accuracy <= 1
    assert twice.lower <= 0.114, "what it was while each strategy was judged alone"
