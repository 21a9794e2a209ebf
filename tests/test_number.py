"""The task `number`: ridge, figures and intervals, each against a closed form or scikit-learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from headstart.data.reading import read
from headstart.errors import DataError, UsageError
from headstart.tasks.cells import as_cells
from headstart.tasks.heads import Examples, solve
from headstart.tasks.number import COVERAGE, Number, r2, ridge
from headstart.tasks.registry import of_values
from headstart.tasks.task import Targets


def line(n: int = 80, width: int = 6, noise: float = 0.5, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Return features, and numbers that are linear in them up to noise."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, width)).astype(np.float32)
    return x, 100 + 20 * (x @ np.arange(1.0, width + 1) + noise * rng.normal(size=n))


@pytest.mark.parametrize("strength", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("shape", [(80, 6), (20, 50)], ids=["tall", "wide"])
def test_ridge(shape: tuple[int, int], strength: float) -> None:
    x, y = line(*shape)
    judge = Ridge(alpha=1 / strength).fit(x, y)
    head = ridge(x, y, 1, strength)
    np.testing.assert_allclose(head.logits(x)[:, 0], judge.predict(x), rtol=1e-3)


@pytest.mark.parametrize("shape", [(80, 6), (20, 50)], ids=["tall", "wide: rotated"])
def test_the_head_says_numbers_on_their_own_scale(shape: tuple[int, int]) -> None:
    x, y = line(*shape, noise=0.01)
    head, task = solve("own", Examples(x, Targets(Number(), y)))
    assert isinstance(task, Number)
    assert task.value(head.logits(x), y) > 0.98
    assert (task.mean, task.spread) == (pytest.approx(y.mean()), pytest.approx(y.std()))
    answers = task.answers(head.logits(x))
    assert [row["interval"][0] < row["value"] < row["interval"][1] for row in answers]
    with pytest.raises(UsageError, match="unknown head of number 'logistic'"):
        solve("logistic", Examples(x, Targets(Number(), y)))


def test_figures() -> None:
    rng = np.random.default_rng(0)
    truth, off = rng.normal(5, 2, 200), rng.normal(0, 1, 200)
    task = Number(mean=5.0, spread=2.0, half=1.5)
    outputs = ((truth + off - 5) / 2)[:, None].astype(np.float32)
    found = task.evaluate(outputs, truth).to_json()
    assert found["r2"] == pytest.approx(r2_score(truth, truth + off), rel=1e-4)
    assert found["mae"] == pytest.approx(mean_absolute_error(truth, truth + off), rel=1e-4)
    assert found["rmse"] == pytest.approx(root_mean_squared_error(truth, truth + off), rel=1e-4)
    assert found["coverage"] == pytest.approx((np.abs(off) <= 1.5).mean())
    assert found["coverage_stated"] == COVERAGE
    for name in ("r2", "mae", "rmse", "coverage"):
        low, high = found[f"{name}_interval"]
        assert low < found[name] < high
    assert found["n"] == 200


def test_a_bootstrap_interval_is_about_the_normal_one() -> None:
    rng = np.random.default_rng(1)
    truth = rng.normal(size=2000)
    off = rng.normal(0, 0.5, 2000)
    found = Number(0.0, 1.0).evaluate((truth + off)[:, None].astype(np.float32), truth)
    low, high = found.intervals["mae"]
    half = 1.96 * np.abs(off).std() / np.sqrt(2000)
    assert (high - low) / 2 == pytest.approx(half, rel=0.15)


@given(st.integers(9, 60), st.integers(0, 100))
@settings(max_examples=25, deadline=None)
def test_the_interval_holds_as_many_as_the_theorem_says(n: int, seed: int) -> None:
    residuals = np.random.default_rng(seed).normal(size=(n, 1)).astype(np.float32)
    _, task = Number(0.0, 1.0).settled(residuals, np.zeros(n))
    within = int((np.abs(residuals) <= task.half).sum())
    assert within - 1 < (n + 1) * COVERAGE <= within  # the smallest rank that is enough


def test_new_items_are_covered() -> None:
    rng = np.random.default_rng(0)
    held = []
    for _ in range(300):
        seen = rng.standard_t(3, size=(40, 1)).astype(np.float32)
        _, task = Number(0.0, 1.0).settled(seen, np.zeros(40))
        held.append(np.abs(rng.standard_t(3, size=50)) <= task.half)
    share = float(np.mean(held))
    assert COVERAGE - 0.01 < share < COVERAGE + 0.04


def test_too_few_items_give_no_interval() -> None:
    _, task = Number(0.0, 1.0).settled(np.zeros((8, 1), np.float32), np.arange(8.0))
    (answer,) = task.answers(np.zeros((1, 1), np.float32))
    assert answer == {"value": 0.0, "interval": None}
    assert task.saved((), task.facts()).facts() == task.facts()


@given(
    st.lists(st.floats(-1e3, 1e3, width=32), min_size=2, max_size=80),
    st.floats(0.05, 0.5),
    st.integers(0, 50),
)
@settings(deadline=None)
def test_parts_by_quantiles(numbers: list[float], share: float, seed: int) -> None:
    values, task = np.array(numbers), Number()
    items = np.arange(len(values))
    kept, out = task.part(values, items, share, [seed, 1])
    assert sorted([*kept, *out]) == items.tolist()
    assert len(kept) > 0
    again = task.part(values, items, share, [seed, 1])
    assert all(np.array_equal(a, b) for a, b in zip(again, (kept, out), strict=True))
    few, more = (task.draw(values, items, n, [seed, 3, 0]) for n in (3, 7))
    assert set(few) <= set(more) and len(more) == min(7, len(values))


def test_parts_hold_small_and_large_numbers() -> None:
    values = np.arange(100.0)
    _, out = Number().part(values, np.arange(100), 0.2, [0, 1])
    assert np.histogram(values[out], bins=10, range=(0, 100))[0].tolist() == [2] * 10


def test_r2_of_no_variance_is_not_defined() -> None:
    assert np.isnan(r2(np.ones(3), np.ones(3)))
    assert np.isnan(r2(np.empty(0), np.empty(0)))


@pytest.mark.parametrize(
    ("cells", "number"),
    [
        (["0.5", "1.25", "-3"], True),
        (["1e-3", "2.5E4"], True),
        (["1", "2", "3"], False),
        (["1.0", "2.0"], False),
        (["0.5", "high"], False),
        (["0.5", "inf"], False),
    ],
)
def test_floats_are_never_taken_for_classes(cells: list[str], number: bool) -> None:
    assert Number.fits(as_cells(cells)) == number
    assert (of_values(cells).task.name == "number") == number


def test_reading_numbers(tmp_path: Path) -> None:
    rows = [f"text number {i},{i / 7:.3f}" for i in range(20)] + ["one more,unknown", "and,"]
    (tmp_path / "t.csv").write_text("\n".join(["text,price", *rows]) + "\n")
    found = read(tmp_path / "t.csv", task="number")
    assert found.labels.tolist() == [float(f"{i / 7:.3f}") for i in range(20)]
    assert {one.reason for one in found.rejected} == {"'unknown' is no number", "no label"}
    assert found.take([3]).said(0) == "0.429"
    (tmp_path / "w.csv").write_text("text,label\nsome words,a\nmore words,b\n")
    with pytest.raises(DataError, match="holds no numbers but a, b"):
        read(tmp_path / "w.csv", task="number")
    with pytest.raises(UsageError, match="numbr.*did you mean 'number'"):
        read(tmp_path / "t.csv", task="numbr")


def test_whole_numbers_are_numbers_when_asked(tmp_path: Path) -> None:
    rows = [f"text {i},{i % 5 + 1}" for i in range(30)]
    (tmp_path / "t.csv").write_text("\n".join(["text,stars", *rows]) + "\n")
    assert read(tmp_path / "t.csv").classes == ("1", "2", "3", "4", "5")
    assert read(tmp_path / "t.csv", task="number").labels.max() == 5.0


def test_what_is_about_classes_is_refused() -> None:
    values = np.arange(5.0)
    with pytest.raises(UsageError, match="the task 'number' has none"):
        Number().criterion(values, smoothing=0.1, weighted=False)
    with pytest.raises(UsageError, match="the task 'number' has no classes"):
        Number().groups(values)
    assert "the same number, 2" in Number().unlearnable(np.full(4, 2.0), "items")
