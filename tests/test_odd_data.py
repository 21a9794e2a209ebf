"""Data with hardly anything in them: a clear message at every door, and no false certainty."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import headstart
from headstart.errors import DataError
from headstart.evaluation.forecast import Curve, ahead

DOORS: dict[str, Callable[[Path], Any]] = {
    "fit": lambda data: headstart.fit(data, backbone="glyphs"),
    "auto": lambda data: headstart.fit(data, backbone="glyphs", strategy="auto", budget=0.0),
    "compare": lambda data: headstart.compare(
        data, backbones=["glyphs"], strategies=["frozen"], draws=1
    ),
    "rank": lambda data: headstart.rank(data, backbones=["glyphs"], draws=1),
}


def save(root: Path, counts: dict[str, int], *, alike: bool = False) -> Path:
    """Write pictures of bars, of one class all the same where they are to be ``alike``."""
    rng = np.random.default_rng(0)
    for number, (name, n) in enumerate(counts.items()):
        (root / name).mkdir(parents=True)
        for index in range(n):
            picture = np.full((8, 8), 30) if alike else rng.integers(0, 70, (8, 8))
            picture[:, 1 + 2 * number] += 150
            Image.fromarray(picture.astype(np.uint8)).save(root / name / f"{index}.png")
    return root


def codes(found: Any) -> set[str]:
    return {one.code for one in found.findings}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("counts", "alike", "said"),
    [
        ({"only": 20}, False, "only one class has usable items: 'only'"),
        ({"a": 20, "b": 20}, True, "2 of 40 that count .copies of the same content count once"),
    ],
)
def test_nothing_to_learn_is_one_clear_error(
    door: str, counts: dict[str, int], alike: bool, said: str, tmp_path: Path, glyph_graph: Any
) -> None:
    with pytest.raises(DataError, match=said):
        DOORS[door](save(tmp_path / "data", counts, alike=alike))


def test_a_class_of_one_in_five_hundred_is_not_lost(tmp_path: Path, glyph_graph: Any) -> None:
    data = save(tmp_path / "data", {"usual": 500, "rare": 1})
    assert {"HS003", "HS013"} <= codes(headstart.audit(data))
    for door in ("fit", "auto", "compare"):
        found = DOORS[door](data)
        assert {"HS002", "HS003", "HS013"} <= codes(found), door
    assert "not clearly above" in found.advice.sentence
    ranked = DOORS["rank"](data)
    assert ranked.rows[0].low <= ranked.floor <= ranked.rows[0].high, "no better than one answer"


def test_five_items_promise_next_to_nothing(tmp_path: Path, glyph_graph: Any) -> None:
    data = save(tmp_path / "data", {"a": 3, "b": 2})
    for door in ("fit", "auto", "compare"):
        found = DOORS[door](data)
        assert {"HS001", "HS003"} <= codes(found), door
    (row,) = found.summary
    assert row.high - row.low > 0.4
    (ranked,) = DOORS["rank"](data).rows
    assert ranked.high - ranked.low > 0.4


def test_a_class_with_one_label_is_named_as_not_measured(tmp_path: Path, glyph_graph: Any) -> None:
    data = save(tmp_path / "data", {"a": 12, "b": 12, "lone": 1})
    for door in ("fit", "auto", "compare"):
        found = DOORS[door](data)
        (said,) = [one for one in found.findings if one.code == "HS002"]
        assert said.facts["classes"] == ["lone"], door


def test_a_test_split_without_a_class(tmp_path: Path, glyph_graph: Any) -> None:
    save(tmp_path / "data/train", {"a": 8, "b": 8, "gone": 8})
    save(tmp_path / "data/test", {"a": 4, "b": 4})
    for door in ("fit", "auto", "compare", "audit"):
        found = DOORS.get(door, headstart.audit)(tmp_path / "data")
        (said,) = [one for one in found.findings if one.code == "HS002"]
        assert said.facts["classes"] == ["gone"], door


def test_a_goal_that_is_reached_already_is_called_that(tmp_path: Path, glyph_graph: Any) -> None:
    data = save(tmp_path / "data", {"a": 30, "b": 30})
    found = headstart.compare(
        data, backbones=["glyphs"], strategies=["frozen"], shots=[2, 4, 8], draws=2, goal=0.7
    )
    assert found.goal is not None
    assert re.search(r"70\.0 % is expected of the fewest labels .* already, 4", found.advice.more)


def test_a_forecast_without_an_error_is_not_without_a_band() -> None:
    right = [np.ones((3, 50)) for _ in range(3)]
    right[0][:, :2] = 0
    mean, low, high = ahead(Curve(np.array([4.0, 8.0, 16.0]), right, 2.0), [32.0])[0]
    assert mean > 0.97
    assert high - low > 0.02
