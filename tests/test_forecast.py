"""Forecasts of more labels: the law in closed form, bands, goals, and when there is none."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import curve_fit

from headstart.evaluation.forecast import (
    Curve,
    ahead,
    backtest,
    curve_of,
    forecasts,
    goal,
    log_odds,
    power_law,
    rises,
)
from headstart.evaluation.luck import Sample

SIZES = np.array([16.0, 32, 64, 128, 256])


def law(n: np.ndarray | float) -> np.ndarray:
    return np.asarray(0.97 - 1.2 * np.asarray(n) ** -0.5)


def simulated(seed: int = 0, draws: int = 8, items: int = 600, sizes: np.ndarray = SIZES) -> Curve:
    """Return a curve of the law, with items that stay easy or hard and draws that are lucky."""
    rng = np.random.default_rng(seed)
    ease, tables = rng.random(items), []
    for n in sizes:
        luck = rng.normal(0, 0.25 / np.sqrt(n), (draws, 1))
        # A third of the answers are luck; either way an answer is right with the law's probability.
        mine = np.where(rng.random((draws, items)) < 1 / 3, rng.random((draws, items)), ease)
        tables.append((mine < law(n) + luck) * 1.0)
    return Curve(sizes, tables, 8.0)


def test_an_exact_law_is_found() -> None:
    found = power_law(SIZES, (0.03 + 1.2 * SIZES**-0.5)[None], doubt=0)
    assert float(found.at(1024.0)[0]) == pytest.approx(law(1024), abs=0.002)


def test_the_fit_is_the_one_of_scipy() -> None:
    errors = 1 - law(SIZES) + np.array([0.01, -0.01, 0.005, 0.0, -0.003])
    start, ends = (0.05, 1.0, 0.5), ([0, 0, 0.05], [1, 9, 1.5])
    wanted, _ = curve_fit(lambda n, a, b, c: a + b * n**-c, SIZES, errors, start, bounds=ends)
    found = power_law(SIZES, errors[None], doubt=0)
    for n in (300.0, 800.0):
        expected = 1 - wanted[0] - wanted[1] * n ** -wanted[2]
        assert float(found.at(n)[0]) == pytest.approx(expected, abs=0.003)


def test_log_odds_are_those_of_numpy() -> None:
    score = 1 / (1 + np.exp(-(-1.0 + 0.6 * np.log(SIZES)))) + np.array([0.01, 0, -0.01, 0, 0.005])
    v, u = np.polyfit(np.log(SIZES), np.log(score / (1 - score)), 1, w=np.sqrt(SIZES))
    found = log_odds(SIZES, (1 - score)[None], SIZES)
    assert (float(found.u[0]), float(found.v[0])) == (pytest.approx(u), pytest.approx(v))


def test_a_weak_preference_gives_way_to_what_is_plain() -> None:
    steep = (0.02 + 30 * SIZES**-1.2)[None]
    assert float(power_law(SIZES, steep).c[0]) == pytest.approx(1.2, abs=0.15)
    flat = np.full((1, 5), 0.2)
    assert float(power_law(SIZES, flat, doubt=1e-4).c[0]) == pytest.approx(0.45, abs=0.03)


def test_nothing_is_promised_above_all_or_below_what_falls() -> None:
    found = power_law(SIZES, np.array([[0.3, 0.2, 0.1, 0.0, 0.0], [0.1, 0.2, 0.3, 0.3, 0.4]]))
    assert (found.a >= 0).all() and (found.b >= 0).all()
    assert (found.at(1e6) <= 1).all()


def test_bands_hold_the_truth_about_as_often_as_they_say() -> None:
    held = []
    for seed in range(60):
        _, low, high = ahead(simulated(seed), [512.0])[0]
        held.append(low <= law(512) <= high)
    assert 0.65 <= np.mean(held) <= 0.95


def test_rows_say_shots_labels_and_a_band() -> None:
    rows = forecasts(("net", "frozen"), simulated())
    assert [(row.shots, row.labels) for row in rows][:2] == [(256, 512), (512, 1024)]
    assert all(row.low <= row.mean <= row.high for row in rows)
    assert "measured" not in rows[0].to_json()


def test_a_curve_that_does_not_rise_has_no_forecast() -> None:
    flat = Curve(SIZES, [np.tile(np.arange(200) % 2 == 0, (4, 1)) * 1.0 for _ in SIZES], 8.0)
    assert not rises(flat)
    assert forecasts(("net", "frozen"), flat) == [] == backtest(("net", "frozen"), flat)


def test_each_forecast_is_held_against_what_was_measured() -> None:
    curve = simulated()
    rows = backtest(("net", "frozen"), curve)
    assert [row.labels for row in rows] == [128, 256, 256]
    assert [row.measured for row in rows] == [curve.scores[k].mean() for k in (3, 4, 4)]
    assert all(abs(row.mean - row.measured) < 0.06 for row in rows)  # type: ignore[operator]


def test_how_many_labels_a_goal_needs() -> None:
    found = goal(simulated(items=4000), 0.92)
    assert found.labels == pytest.approx(576, rel=0.5)
    assert found.low is not None and found.low <= found.labels
    assert goal(simulated(), 0.995).labels is None


def test_a_curve_needs_three_sizes_and_two_draws() -> None:
    table = np.ones((3, 20))
    three = {n: Sample(table, 2 * n) for n in (4, 8, 16)}
    found = curve_of(three)
    assert found is not None and found.sizes.tolist() == [8, 16, 32]
    assert curve_of({n: three[n] for n in (4, 8)}) is None
    assert curve_of({n: Sample(table[:1], 2 * n) for n in (4, 8, 16)}) is None
