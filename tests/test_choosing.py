"""What to take: the price of choosing taken off, races, room for costly strategies, sentences."""

from __future__ import annotations

import numpy as np
import pytest

from conftest import answers, truth
from headstart.evaluation.advice import Floor
from headstart.evaluation.bias import corrected
from headstart.evaluation.choosing import advise, choose, held_out_needed
from headstart.evaluation.luck import Sample
from headstart.evaluation.racing import hopeless, room
from headstart.evaluation.runs import Run

CLASSES = truth([0, 1]).task


def run(name: str, right: np.ndarray, draw: int = 0, seconds: float = 1.0) -> Run:
    return Run("net", name, "all", draw, seconds, answers(right))


@pytest.mark.slow
@pytest.mark.parametrize("candidates", [1, 5, 40])
def test_the_price_of_choosing_is_taken_off(candidates: int) -> None:
    """On null data, where all are right half of the time, the estimate is unbiased."""
    rng, off, raw = np.random.default_rng(candidates), [], []
    for _ in range(120):
        found = [Sample((rng.random((1, 100)) < 0.5).astype(float), 99) for _ in range(candidates)]
        best = max(range(candidates), key=lambda k: found[k].mean)
        one = corrected(found, best)
        off.append(one.estimate - 0.5)
        raw.append(one.uncorrected - 0.5)
    error = np.std(off) / np.sqrt(len(off))
    assert abs(np.mean(off)) < 3 * error + 0.01
    assert candidates == 1 or np.mean(raw) > 5 * error


def test_the_estimate_is_that_of_the_source() -> None:
    """BBC-CV by its algorithm: the mean over choices of the winner's score on what was left out."""
    rng = np.random.default_rng(4)
    right = (rng.random((6, 80)) < np.linspace(0.6, 0.7, 6)[:, None]).astype(float)
    judged = []
    for _ in range(3000):
        drawn = rng.integers(0, 80, 80)
        left = np.setdiff1d(np.arange(80), drawn)
        judged.append(right[right[:, drawn].mean(axis=1).argmax(), left].mean())
    best = int(right.mean(axis=1).argmax())
    rows = [Sample(row[None], 60) for row in right]
    found = [corrected(rows, best, seed=seed).estimate for seed in range(6)]
    assert np.mean(found) == pytest.approx(np.mean(judged), abs=0.006)


def test_a_single_item_is_never_left_out() -> None:
    right, wrong = (Sample(np.full((2, 1), share), 5) for share in (1.0, 0.0))
    assert corrected([right, wrong], 0).estimate == 1.0


def test_races_drop_what_is_far_behind_and_nothing_else() -> None:
    n = np.arange(200)
    table = {
        name: Sample(np.stack([(n < c).astype(float)] * 3), 50)
        for name, c in {"best": 180, "near": 174, "far": 100}.items()
    }
    cells = {("net", name, "all"): one for name, one in table.items()}
    assert hopeless(cells) == {("net", "far", "all")}  # type: ignore[arg-type]
    few = {cell: Sample(one.scores[:2], 50) for cell, one in cells.items()}
    assert hopeless(few) == frozenset(), "two draws are no reason to drop anything"


def test_costly_strategies_need_room_above_the_best() -> None:
    n = np.arange(100)

    def best(right: int) -> dict:
        return {("net", "frozen", "all"): Sample((n < right).astype(float)[None], 50)}

    assert room({}) and room(best(90))
    assert not room(best(100))


def test_the_cheaper_one_is_taken_where_it_is_hardly_behind() -> None:
    n = np.arange(200)
    runs = [run("warm", n < 181, seconds=100.0), run("frozen", n < 180, seconds=1.0)]
    assert choose(runs, CLASSES).cell[1] == "frozen"
    runs = [run("warm", n < 190, seconds=100.0), run("frozen", n < 150, seconds=1.0)]
    choice = choose(runs, CLASSES)
    assert choice.cell[1] == "warm"
    assert choice.cheap is not None and choice.cheap[0][1] == "frozen"


def test_advice_is_two_sentences() -> None:
    n = np.arange(200)
    runs = [run("warm", n < 190, seconds=100.0), run("frozen", n < 150, seconds=1.0)]
    found = advise(runs, CLASSES)
    assert found.sentence.startswith("Take warm on net: expect accuracy 9")
    assert "at 2 min a fit; frozen on net costs 1.0 s and reaches 75.0 %." in found.sentence
    assert "--shots" in found.more
    beaten = advise(runs, CLASSES, floors=[Floor("constant answer", "all", 0.95, 0.9, 0.98, 0.1)])
    assert "not clearly above what needs no backbone: constant answer (95.0 %)" in beaten.sentence


def test_how_many_held_out_items_would_tell_them_apart() -> None:
    n = np.arange(100)
    cells = {
        ("net", name, "all"): Sample((n < right).astype(float)[None], 10**6)
        for name, right in {"a": 92, "b": 90}.items()
    }
    needed = held_out_needed(cells)  # type: ignore[arg-type]
    assert needed is not None and 200 < needed < 1000
    same = dict.fromkeys(cells, cells["net", "a", "all"])
    assert held_out_needed(same) is None  # type: ignore[arg-type]
