"""mAP against both reference implementations, and against figures worked out by hand."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from headstart.tasks import box_figures
from headstart.tasks.average_precision import match, overlaps
from headstart.tasks.boxes import CROWD, THING, Boxes, packed

K = 4


def made(seed: int, n: int = 25, *, crowds: bool = True, ties: bool = False) -> tuple[Any, Any]:
    """Return answers and targets of ``n`` pictures, some of them empty, one class never found."""
    rng = np.random.default_rng(seed)
    truth, found = [], []
    for _ in range(n):
        corner, size = rng.random((5, 2)) * 0.7, 0.05 + rng.random((5, 2)) * 0.25
        kind = np.where(rng.random((5, 1)) < 0.15 * crowds, CROWD, THING)
        labels = rng.integers(0, K - 1, (5, 1)).astype(float)
        things = np.concatenate([corner, corner + size, labels, kind], 1)[: rng.integers(0, 6)]
        near = np.repeat(things, 3, 0)
        near[:, :4] += rng.normal(0, 0.02, (len(near), 4))
        near[:, 2:4] = np.maximum(near[:, 2:4], near[:, :2] + 0.01)
        near[:, 4] = np.where(rng.random(len(near)) < 0.85, near[:, 4], rng.integers(0, K))
        chance = rng.random(len(near))
        near[:, 5] = (np.ceil(chance * 4) / 4) if ties else chance
        truth.append(things)
        found.append(near)
    return packed(found, 20).astype(np.float32), packed(truth)


def judged(api: Callable[[], Any], judge: Callable[..., Any], outputs: Any, values: Any) -> Any:
    """Return the average precision of each class at each overlap by a reference implementation."""
    truth, found = box_figures.coco(outputs, values, list("abcd"), [1, 3, 7, 9])
    with contextlib.redirect_stdout(io.StringIO()):
        known = api()
        known.dataset = truth
        known.createIndex()
        one = judge(known, known.loadRes(found), "bbox")
        one.params.areaRng, one.params.areaRngLbl = [[0, 1e10]], ["all"]
        one.evaluate()
        one.accumulate()
    per = np.asarray(one.eval["precision"])[:, :, :, 0, -1]
    return np.where(per < 0, np.nan, per).mean(axis=1).T


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("how", [{}, {"crowds": False}, {"ties": True}], ids=str)
def test_three_ways_to_measure_agree(seed: int, how: dict[str, Any]) -> None:
    coco, cocoeval = pytest.importorskip("pycocotools.coco"), "pycocotools.cocoeval"
    judge = pytest.importorskip(cocoeval).COCOeval
    pytest.importorskip("faster_coco_eval")
    outputs, values = made(seed, **how)
    want = judged(coco.COCO, judge, outputs, values)
    official = box_figures.official(outputs, values, list("abcd"), [1, 3, 7, 9])
    own = box_figures.precisions(outputs, values, K)
    np.testing.assert_allclose(official, want, atol=1e-6)
    np.testing.assert_allclose(own, want, atol=1e-6)
    assert np.isnan(want[3]).all() and 0.05 < np.nanmean(want) < 0.95
    figures = Boxes(tuple("abcd"), (1, 3, 7, 9)).evaluate(outputs, values).to_json()
    assert figures["map"] == pytest.approx(np.nanmean(want), abs=1e-6)
    assert figures["map50"] == pytest.approx(np.nanmean(want[:, 0]), abs=1e-6)
    assert figures["map50_interval"][0] < figures["map50"] < figures["map50_interval"][1]
    assert [row["id"] for row in figures["per_class"]] == [1, 3, 7, 9]
    assert figures["per_class"][3]["map50"] is None


def test_weights_are_pictures_seen_again() -> None:
    outputs, values = made(5)
    rows = np.random.default_rng(0).integers(0, len(values), len(values))
    weights = np.bincount(rows, minlength=len(values)).astype(float)
    for one, again in zip(
        box_figures.matches(outputs, values, 3),
        box_figures.matches(outputs[rows], values[rows], 3),
        strict=True,
    ):
        np.testing.assert_allclose(one.precision(weights), again.precision(), atol=1e-12)


def test_by_hand() -> None:
    box = np.array([[0.0, 0.0, 0.4, 0.4]])
    # Two of three things found, after one box of nothing: recall 1/3 at precision 1/2, then 2/3
    # at 2/3, so 67 of the 101 recalls see a best precision of 2/3 and the others none.
    truth = [box, box, box]
    miss, hit = np.array([[0.6, 0.6, 0.9, 0.9, 0.9]]), np.array([[0.0, 0.0, 0.4, 0.4, 0.8]])
    none = np.zeros((0, 5))
    found = match([np.concatenate([miss, hit]), hit * [1, 1, 1, 1, 0.5], none], truth,
                  [np.zeros(1, bool)] * 3)  # fmt: skip
    np.testing.assert_allclose(found.precision(), 67 / 101 * 2 / 3)
    assert np.isnan(match([none], [box[:0]], [np.zeros(0, bool)]).precision()).all()


def test_what_lies_in_a_crowd_is_free() -> None:
    inside = np.array([[0.1, 0.1, 0.2, 0.2]])
    crowd = np.array([[0.0, 0.0, 1.0, 1.0]])
    assert overlaps(inside, crowd, np.array([True]))[0, 0] == pytest.approx(1.0)
    assert overlaps(inside, crowd, np.array([False]))[0, 0] == pytest.approx(0.01)
    thing = np.array([[0.5, 0.5, 0.9, 0.9]])
    both = [np.concatenate([crowd, thing])]
    answers = [np.array([[0.1, 0.1, 0.2, 0.2, 0.9], [0.5, 0.5, 0.9, 0.9, 0.8]])]
    assert match(answers, both, [np.array([True, False])]).precision()[0] == pytest.approx(1.0)


def test_nothing_found_is_nothing_worth() -> None:
    _, values = made(1)
    figures = Boxes(tuple("abcd"), (1, 2, 3, 4)).evaluate(packed([np.zeros((0, 6))] * 25), values)
    assert figures.value == 0.0 and figures.interval[0] == pytest.approx(0.0)


def test_the_mistakes_of_a_picture() -> None:
    truth = np.array([[0.0, 0.0, 0.4, 0.4, 0, 1], [0.5, 0.5, 0.9, 0.9, 1, 1]])
    found = np.array([[0.0, 0.0, 0.4, 0.4, 0, 0.9], [0.5, 0.5, 0.9, 0.9, 2, 0.9]])
    assert box_figures.wrong(found, truth, 0.5) == (1, 1)
    assert box_figures.wrong(truth, truth, 0.5) == (0, 0)
    assert box_figures.wrong(found, truth, 0.95) == (2, 0)
    task = Boxes(("a", "b", "c"), (1, 2, 3))
    ((row, facts),) = task.mistakes(packed([truth, found]), packed([truth, truth]), 5)
    assert (row, facts["missed"], facts["wrong"]) == (1, 1, 1)
    assert task.mistake(facts) == "1 missed, 1 wrong; shows 1 a, 1 b"
