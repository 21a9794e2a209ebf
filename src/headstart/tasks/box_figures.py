"""The figures of boxes: mAP by faster-coco-eval, with intervals over the pictures."""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart.errors import UsageError
from headstart.tasks.average_precision import Matches, Numbers, match, overlaps
from headstart.tasks.figures import Measured, measured
from headstart.tasks.label_blocks import ends, share
from headstart.tasks.shown import Block
from headstart.tasks.task import Indices, Matrix, Values

NUMBERS = 6
"""Of one thing, see `headstart.tasks.boxes`."""

Things = npt.NDArray[Any]

MISSING = "mAP needs the package faster-coco-eval; run: pip install 'headstart[detect]'"


def things(row: Matrix | Values) -> Things:
    """Return the things in one row of targets or of answers, shape (n, 6), a copy.

    >>> things(np.array([0.1, 0.1, 0.4, 0.2, 3, 1, 0, 0, 0, 0, 0, 0])).shape
    (1, 6)
    """
    found = np.asarray(row, np.float64).reshape(-1, NUMBERS)
    return found[found[:, 5] > 0]


def require() -> None:
    """Raise `UsageError` unless what measures is there: asked before the work, not after it."""
    try:
        import faster_coco_eval  # noqa: F401
    except ImportError as error:
        raise UsageError(f"{MISSING} ({error}).") from error


def matches(outputs: Matrix, values: Values, n_classes: int) -> list[Matches]:
    """Return of each class what was found and what is there, matched."""
    found, truth = [*map(things, outputs)], [*map(things, values)]

    def of(label: int) -> Matches:
        mine = [one[one[:, 4] == label] for one in truth]
        return match(
            [one[one[:, 4] == label][:, [0, 1, 2, 3, 5]] for one in found],
            [one[:, :4] for one in mine],
            [one[:, 5] > 1 for one in mine],
        )

    return [of(label) for label in range(n_classes)]


def precisions(outputs: Matrix, values: Values, n_classes: int) -> Numbers:
    """Return the average precision of each class at each overlap, shape (K, T)."""
    return np.array([one.precision() for one in matches(outputs, values, n_classes)])


def mean(found: Numbers) -> float:
    """Return the mean over the classes that there are; 0 without any."""
    known = found[~np.isnan(found).any(axis=1)]
    return float(known.mean()) if len(known) else 0.0


def coco(
    outputs: Matrix, values: Values, names: Sequence[str], ids: Sequence[int]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return targets and answers in the format of the COCO benchmark."""
    pictures = [{"id": i + 1, "width": 1, "height": 1} for i in range(len(values))]
    classes = [{"id": one, "name": name} for one, name in zip(ids, names, strict=True)]
    drawn: list[dict[str, Any]] = []
    for picture, row in enumerate(values):
        for one in things(row):
            left, top, right, bottom = one[:4].tolist()
            size = [right - left, bottom - top]
            facts = {"id": len(drawn) + 1, "image_id": picture + 1, "bbox": [left, top, *size]}
            facts |= {"category_id": ids[int(one[4])], "area": size[0] * size[1]}
            drawn.append(facts | {"iscrowd": int(one[5] > 1)})
    found = [
        {
            "image_id": picture + 1,
            "category_id": ids[int(one[4])],
            "bbox": [*one[:2].tolist(), float(one[2] - one[0]), float(one[3] - one[1])],
            "score": float(one[5]),
        }
        for picture, row in enumerate(outputs)
        for one in things(row)
    ]
    return {"info": {}, "images": pictures, "annotations": drawn, "categories": classes}, found


def official(outputs: Matrix, values: Values, names: Sequence[str], ids: Sequence[int]) -> Numbers:
    """Return the average precision of each class at each overlap, shape (K, T), nan without things.

    Raises:
        UsageError: faster-coco-eval is not there.
    """
    require()
    from faster_coco_eval import COCO, COCOeval_faster

    truth, found = coco(outputs, values, names, ids)
    if not found:
        return precisions(outputs, values, len(names))
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO()
        known.dataset = truth
        known.createIndex()
        judge = COCOeval_faster(known, known.loadRes(found), "bbox")
        judge.params.imgIds = [one["id"] for one in truth["images"]]
        judge.params.catIds = list(ids)
        judge.params.areaRng, judge.params.areaRngLbl = [[0, 1e10]], ["all"]
        judge.evaluate()
        judge.accumulate()
    per = np.asarray(judge.eval["precision"])[:, :, :, 0, -1]  # (T, R, K)
    return np.asarray(np.where(per < 0, np.nan, per).mean(axis=1).T, np.float64)


def evaluation(
    outputs: Matrix, values: Values, names: Sequence[str], ids: Sequence[int]
) -> Measured:
    """Return ``map50`` and ``map``, with intervals, and each class's figures."""
    each = matches(outputs, values, len(names))

    def figures(rows: Indices) -> dict[str, float]:
        weights = np.bincount(rows, minlength=len(values)).astype(np.float64)
        found = np.array([one.precision(weights) for one in each])
        return {"map50": mean(found[:, :1]), "map": mean(found)}

    found = official(outputs, values, names, ids)
    per_class = [
        {
            "label": name,
            "id": number,
            "n": int(one.things.sum()),
            "map50": _known(float(row[0])),
            "map": _known(float(row.mean())),
        }
        for name, number, one, row in zip(names, ids, each, found, strict=True)
    ]
    made = measured(
        "map50", "boxes", figures, len(values), {"per_class": per_class}, shares=["map50", "map"]
    )
    stated = {"map50": mean(found[:, :1]), "map": mean(found)}
    return Measured(made.n, made.score, made.task, stated, made.intervals, made.more)


def wrong(found: Things, truth: Things, sure: float) -> tuple[int, int]:
    """Return how many things of one picture were missed, and how many boxes are of nothing.

    Each box takes the thing of its class that it overlaps most, at least by half.
    """
    found, truth = found[found[:, 5] >= sure], truth[truth[:, 5] == 1]
    free = np.ones(len(truth), np.bool_)
    for one in found[np.argsort(-found[:, 5], kind="stable")]:
        fits = overlaps(one[None, :4], truth[:, :4], ~free)[0] * (free & (truth[:, 4] == one[4]))
        if len(fits) and fits.max() >= 0.5:
            free[fits.argmax()] = False
    return int(free.sum()), len(found) - int((~free).sum())


def blocks(figures: Mapping[str, Any]) -> list[Block]:
    """Return what a report says of boxes: the figures, and each class's, the weakest first."""
    titles = {"map50": "mAP at half an overlap", "map": "mAP over overlaps of 50 to 95 %"}
    rows = [
        [title, share(figures[key]), ends(figures[f"{key}_interval"])]
        for key, title in titles.items()
    ]
    weakest = sorted(figures["per_class"], key=lambda row: row["map50"] or 0.0)
    each = [
        [row["label"], str(row["id"]), str(row["n"]), share(row["map50"]), share(row["map"])]
        for row in weakest
    ]
    head = ["class", "id", "boxes", "at half an overlap", "over all"]
    return [
        Block("Figures", ["figure", "value", "95 %"], rows, terse=True),
        Block("By class", head, each, terse=True),
    ]


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
