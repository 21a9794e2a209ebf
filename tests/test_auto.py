"""`fit --strategy auto`: chosen inside the training part, honest about it, and quick to refuse."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import headstart
from conftest import bars
from headstart.data.dataset import Dataset
from headstart.data.memory.arrays import from_items
from headstart.errors import UsageError
from headstart.evaluation import compare
from headstart.evaluation.runs import Comparison, HeldOut, Run
from headstart.report import tables
from headstart.settings.table import Fitting
from headstart.tasks.answers import Answers
from headstart.training.fitted import Fitted
from headstart.verbs import auto


@pytest.fixture
def trained_on(monkeypatch: pytest.MonkeyPatch) -> list[set[int]]:
    """The items that each run of the choice learned from."""
    seen: list[set[int]] = []
    real = compare.transfer

    def spy(dataset: Any, train: Any, entries: Any, run: Any, **how: Any) -> Fitted:
        seen.append({hash(dataset.content(int(i))) for i in train})
        return real(dataset, train, entries, run, **how)

    monkeypatch.setattr(compare, "transfer", spy)
    return seen


def noise(n: int = 40) -> Dataset:
    pictures = np.random.default_rng(0).integers(0, 255, (n, 8, 8)).astype(np.uint8)
    return from_items(pictures, ["a", "b"] * (n // 2))


def test_the_held_out_part_has_no_say(
    trained_on: list[set[int]], glyph_graph: Any, tmp_path: Path
) -> None:
    data = bars(per_class=12)
    found = headstart.fit(data, strategy="auto", budget=0.0, out=tmp_path / "m")
    said = found.to_json()["auto"]
    keys = {"backbone", "strategy", "estimate", "low", "high", "uncorrected", "seconds"}
    keys |= {"tried", "untried"}
    assert said.keys() == keys
    assert (said["backbone"], said["strategy"]) == ("glyphs", "frozen")
    assert 0 <= said["low"] <= said["estimate"] <= said["high"] <= 1
    held_out = {hash(found.dataset.content(int(i))) for i in found.parts.held_out}
    assert trained_on and not any(held_out & items for items in trained_on)
    assert found.fitted.strategy == "frozen"
    facts = json.loads((tmp_path / "m" / "bundle.json").read_text())
    assert facts["auto"]["strategy"] == "frozen"
    named = headstart.fit(data, strategy="frozen", backbone="glyphs")
    assert (named.model.head.weight == found.model.head.weight).all()
    assert named.to_json()["auto"] is None


def test_of_many_items_one_fold_is_measured(
    trained_on: list[set[int]], glyph_graph: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auto, "FEW", 18)
    monkeypatch.setattr(auto, "SMALL", 18)
    found = headstart.fit(bars(per_class=12), strategy="auto", budget=0.0)
    assert found.auto is not None and 0 <= found.auto.low <= found.auto.high <= 1
    assert len(trained_on) == 1, "where 18 items and fewer are held out fold by fold"


@pytest.mark.parametrize("time_left", [True, False])
def test_folds_are_gone_where_the_time_allows(
    time_left: bool,
    trained_on: list[set[int]],
    glyph_graph: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in (("FEW", 18), ("FOLDS", 2), ("DRAWS", 1)):
        monkeypatch.setattr(auto, name, value)
    monkeypatch.setattr(auto._Race, "_time_for", lambda *_: time_left)
    found = headstart.fit(noise(40), strategy="auto", budget=3600.0, epochs=1)
    assert found.auto is not None and not found.auto.untried
    # One fold of two for a look at frozen and lp-ft; then both folds of all three, or warm too.
    assert len(trained_on) == (2 + 6 if time_left else 3)


def test_one_fit_tells_whether_all_folds_would_end_in_time() -> None:
    answers = Answers(np.zeros(4, np.int64), np.zeros(4, np.float32), 4)
    runs = tuple(
        Run("glyphs", name, "all", 0, seconds, answers)
        for name, seconds in (("frozen", 500.0), ("lp-ft", 10.0))
    )
    for left, enough in ((85.0, True), (75.0, False), (-1.0, False)):
        race = auto._Race(noise(), [], Fitting(), "cpu", time.monotonic() + left)
        look = Comparison(runs, HeldOut([], noise().known))
        # Four folds of two that train, at ten seconds each.
        assert race._time_for(look, ("frozen", "lp-ft", "warm")) == enough
        nothing_trained = Comparison(runs[:1], look.held_out)
        assert race._time_for(nothing_trained, ("frozen", "lp-ft", "warm")) == (left > 0)


def test_several_backbones_are_measured(
    glyph_graph: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    found = headstart.fit(
        bars(classes=3), strategy="auto", backbone="random:glyphs, glyphs", budget=0.0
    )
    assert found.auto is not None and found.auto.tried == 1, "no time for more than one"
    assert "frozen on glyphs" in found.auto.untried and "frozen on random:glyphs" not in (
        found.auto.untried
    )
    tables.fit(found)
    assert "no time for frozen on glyphs; a longer" in capsys.readouterr().out
    found = headstart.fit(
        noise(), strategy="auto", backbone="random:glyphs, glyphs", budget=900.0, epochs=1
    )
    assert found.auto is not None and found.auto.tried > 2 and not found.auto.untried
    assert found.auto.estimate <= found.auto.uncorrected + 0.02


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"strategy": "frozen", "budget": 5.0}, "strategy='auto'"),
        ({"strategy": "auto", "rank": 4}, "rank: read by none"),
    ],
)
def test_what_nobody_reads_is_refused(wrong: dict[str, Any], said: str, glyph_graph: Any) -> None:
    with pytest.raises(UsageError, match=said):
        headstart.fit(bars(), **wrong)
