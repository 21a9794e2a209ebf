"""What trains and what is measured: folds, the default for small data, fits of all items."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import headstart
from conftest import bars, truth
from headstart.data.memory.arrays import from_items
from headstart.data.split import Split
from headstart.errors import DataError, UsageError
from headstart.evaluation.design import fixed, folded, held_once


def test_each_item_is_held_out_once_in_each_draw() -> None:
    data = bars(per_class=10, classes=3)
    made = folded(data, np.arange(30), 5, draws=3, seed=0)
    for number in range(3):
        parts = list(made.parts(data.known, "all", number))
        assert sorted(np.concatenate([part.rows for part in parts])) == list(range(30))
        for part in parts:
            held_out = made.held_out[part.rows]
            assert not set(part.train) & set(held_out)
            assert len(part.train) + len(held_out) == 30
            assert np.bincount(data.labels[held_out]).tolist() == [2, 2, 2]
    assert (made.folds[0] != made.folds[1]).any()  # type: ignore[index]


def test_shots_are_drawn_in_each_fold() -> None:
    data = bars(per_class=10)
    made = folded(data, np.arange(20), 5, draws=1, seed=0)
    assert [len(part.train) for part in made.parts(data.known, 3, 0)] == [6] * 5


def test_the_only_item_of_a_class_trains_and_is_never_measured() -> None:
    pictures = np.random.default_rng(0).integers(0, 255, (11, 8, 8)).astype(np.uint8)
    data = from_items(pictures, ["a"] * 5 + ["b"] * 5 + ["c"])
    made = folded(data, np.arange(11), 5, draws=2, seed=0)
    assert made.held_out.tolist() == list(range(10))
    assert all(10 in part.train for part in made.parts(data.known, "all", 1) if len(part.train) > 8)
    with pytest.raises(DataError, match="nothing is left to measure on"):
        folded(from_items(pictures[:2], ["a", "b"]), np.arange(2), 2, draws=1, seed=0)


def test_one_fold_of_many_is_held_out_from_every_draw() -> None:
    pictures = np.random.default_rng(0).integers(0, 255, (43, 8, 8)).astype(np.uint8)
    data = from_items(pictures, ["a"] * 20 + ["b"] * 22 + ["c"])
    for seed in range(5):  # in some the only one of its class is in that fold
        made = held_once(data, np.arange(2, 43), 4, seed=seed)
        parts = [part for draw in range(3) for part in made.parts(data.known, "all", draw)]
        assert len(parts) == 3 and 9 <= len(made.held_out) <= 11 and 42 not in made.held_out
        assert np.bincount(data.labels[made.held_out]).min() >= 4
        for part in parts:
            assert (made.held_out[part.rows] == made.held_out).all()
            assert not set(part.train) & set(made.held_out)
            assert set(part.train) | set(made.held_out) >= set(range(2, 42))


def test_a_held_out_part_never_trains() -> None:
    made = fixed(Split(np.arange(6), np.arange(6, 10)), 0)
    (part,) = made.parts(truth([0, 1] * 5), "all", 3)
    assert (part.train.tolist(), part.rows.tolist()) == ([0, 1, 2, 3, 4, 5], [0, 1, 2, 3])


def test_small_data_are_measured_in_folds(glyph_graph: Any, caplog: Any) -> None:
    data = bars(per_class=10)
    with caplog.at_level("INFO", "headstart"):
        found = headstart.compare(data, strategies=["frozen"], draws=2)
    assert "in 5 folds" in caplog.text
    assert len(found.held_out.targets) == 20
    assert [run.answers.trained for run in found.runs] == [16, 16]
    assert len(headstart.compare(data, strategies=["frozen"], draws=1, val=0.2).runs[0].scores) == 4
    assert len(headstart.compare(data, strategies=["frozen"], draws=1, folds=0).runs[0].scores) == 4


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"folds": 1}, "one fold"), ({"folds": 5, "val": 0.5}, "val holds out")],
)
def test_folds_that_cannot_be(wrong: dict[str, Any], said: str, glyph_graph: Any) -> None:
    with pytest.raises(UsageError, match=said):
        headstart.compare(bars(), strategies=["frozen"], **wrong)


def test_folds_are_another_comparison(tmp_path: Path, glyph_graph: Any) -> None:
    how: dict[str, Any] = {"strategies": ["frozen"], "draws": 1, "out": tmp_path}
    headstart.compare(bars(), **how)
    again = headstart.compare(bars(), **how | {"draws": 2}, resume=True)
    assert [run.draw for run in again.runs] == [0, 1]
    assert again.runs[0].answers.folds is not None
    with pytest.raises(UsageError, match="folds: was 5, is 0"):
        headstart.compare(bars(), **how, resume=True, folds=0)


def test_a_fit_of_all_items_keeps_what_was_measured(glyph_graph: Any, tmp_path: Path) -> None:
    data = bars(per_class=10)
    once = headstart.fit(data)
    found = headstart.fit(data, refit=True, out=tmp_path / "all")
    assert found.to_json()["refit"] and not once.to_json()["refit"]
    assert found.evaluation.to_json() == once.evaluation.to_json()
    assert (len(found.parts.train), len(found.parts.held_out)) == (16, 4)
    assert "all 20 items" in " ".join(found.notes)
    assert (found.model.head.weight != once.model.head.weight).any()
    facts = json.loads((tmp_path / "all" / "bundle.json").read_text())
    assert facts["data"]["refit"] is True


def test_a_refit_by_steps_goes_on_from_checkpoints_of_its_own(
    glyph_graph: Any, tmp_path: Path
) -> None:
    how: dict[str, Any] = {"strategy": "partial:-1", "epochs": 1, "refit": True}
    plain = headstart.fit(bars(), **how)
    kept = headstart.fit(bars(), **how, out=tmp_path / "m", checkpoint_every=0)
    assert (plain.model.head.weight == kept.model.head.weight).all()
    assert not (tmp_path / "m" / "checkpoints").exists()
