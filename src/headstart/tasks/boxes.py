"""The task `boxes`: where in a picture things of several classes are.

A thing is six numbers: left, top, right, bottom, class, and last how sure it is (of an answer, a
probability) or what it is (of a target, `THING` or `CROWD`). Distances are shares of the picture's
longer side, so they stay right whatever a picture is scaled to. The things of one picture are one
row, filled up with zeros: targets and answers are plain matrices like those of every other task.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from headstart.errors import DataError, UsageError, meant
from headstart.tasks import box_figures, drawing
from headstart.tasks.box_figures import NUMBERS, Things, things
from headstart.tasks.cells import Cells
from headstart.tasks.figures import Measured
from headstart.tasks.iterative import iterative
from headstart.tasks.shown import Block, percent, span
from headstart.tasks.task import (
    Criterion,
    Folds,
    Indices,
    Matrix,
    Scores,
    Solver,
    Targets,
    Task,
    Values,
)

THING, CROWD = 1.0, 2.0
"""What a target is: one thing, or many that nobody has told apart."""

MOST = 100
"""Things that an answer names at most."""

SURE = 0.5
"""Probability from which a thing is shown to people."""

LEAST_TO_SELECT = 40
"""Training pictures from which some are set aside to choose the best epoch."""


def packed(pictures: Sequence[Things], most: int | None = None) -> Values:
    """Return the things of N pictures, each of shape (n, 6), as a matrix (N, 6 L).

    Args:
        pictures: the things of each.
        most: L; None for as many as the fullest picture has.

    >>> packed([np.zeros((0, 6)), np.array([[0.1, 0.1, 0.4, 0.2, 3, 1]])]).tolist()
    [[0.0, 0.0, 0.0, 0.0, 0.0, 0.0], [0.1, 0.1, 0.4, 0.2, 3.0, 1.0]]
    """
    most = most or max([1, *map(len, pictures)])
    rows = np.zeros((len(pictures), most, NUMBERS))
    for row, one in zip(rows, pictures, strict=True):
        row[: len(one)] = one[:most]
    return rows.reshape(len(pictures), most * NUMBERS)


@dataclass(frozen=True)
class Boxes(Task):
    """Each picture shows things of several classes, each in a box.

    Attributes:
        names: of the classes.
        ids: of the classes, in the data that the model learned from; answers name them again.
        sure: probability from which a line names a thing.
    """

    names: tuple[str, ...] = ()
    ids: tuple[int, ...] = ()
    sure: float = field(default=SURE, compare=False)
    name: ClassVar[str] = "boxes"
    score: ClassVar[str] = "map50"
    worst: ClassVar[str] = "Pictures with most mistakes"
    shots: ClassVar[str] = "pictures a class"
    solvers: ClassVar[Mapping[str, Solver]] = {}

    # -- targets ----------------------------------------------------------------------------------

    @classmethod
    def fits(cls, cells: Cells) -> bool:
        """Boxes do not stand in cells."""
        return False

    @classmethod
    def read(cls, cells: Cells) -> tuple[Targets, dict[int, str]]:
        """Refuse: boxes are read by `headstart.detection`."""
        raise DataError(
            f"{cells.where}: boxes are read from COCO, Pascal VOC or YOLO files; "
            "see headstart detect fit --help."
        )

    def said(self, target: Any) -> str:
        """Return how many things of each class there are: ``2 cat, 1 dog``."""
        counts = Counter(int(label) for label in things(target)[:, 4])
        return ", ".join(f"{n} {self.names[label]}" for label, n in sorted(counts.items()))

    def counts(self, values: Values) -> dict[str, int]:
        """Return how many pictures show each class."""
        return dict(zip(self.names, self._shows(values).sum(axis=0).tolist(), strict=True))

    def _shows(self, values: Values) -> npt.NDArray[np.bool_]:
        """Return which picture shows which class, shape (N, K)."""
        shown = np.zeros((len(values), len(self.names)), np.bool_)
        for row, one in zip(shown, values, strict=True):
            row[things(one)[:, 4].astype(np.int64)] = True
        return shown

    def unlearnable(self, values: Values, what: str) -> str:
        """Pictures without a thing teach nothing."""
        rows = values.reshape(len(values), -1, NUMBERS)
        return "" if (rows[..., 5] == THING).any() else f"no box is drawn on the {what}"

    def translated(self, targets: Targets) -> tuple[Values, npt.NDArray[np.bool_]]:
        """Return the values with this task's classes, found by name; things of others go."""
        theirs = targets.task.names
        mine = np.array([self.names.index(n) if n in self.names else -1 for n in theirs])
        counts = targets.task.counts(targets.values)
        drawn = [name for name, n in counts.items() if n] or list(theirs)
        if not set(drawn) & set(self.names):
            raise DataError(
                f"none of the classes {', '.join(drawn[:5])} is known; the model learned "
                f"{', '.join(self.names[:10])}.{meant(drawn[:5], self.names)}"
            )
        kept = []
        for row in targets.values:
            one = things(row)
            one[:, 4] = mine[one[:, 4].astype(np.int64)]
            kept.append(one[one[:, 4] >= 0])
        return packed(kept), np.ones(len(kept), np.bool_)

    # -- which items ------------------------------------------------------------------------------

    def part(
        self, values: Values, items: Indices, share: float, seeds: list[int]
    ) -> tuple[Indices, Indices]:
        """Return a share of the pictures that show each class, by iterative stratification."""
        drawing.check(seeds)
        rng = np.random.default_rng(seeds)
        parts = iterative(self._shows(values[items]), [1 - share, share], rng)
        return items[parts == 0], items[parts == 1]

    def draw(self, values: Values, items: Indices, shots: int, seeds: list[int]) -> Indices:
        """Return ``shots`` pictures that show each class."""
        drawing.check(seeds)
        drawn = [
            np.random.default_rng([*seeds, k]).permutation(items[has])[:shots]
            for k, has in enumerate(self._shows(values[items]).T)
        ]
        return np.unique(np.concatenate(drawn))

    def spares(self, values: Values) -> bool:
        """Return whether there are enough pictures."""
        return len(values) >= LEAST_TO_SELECT

    def folds(self, values: Values, seed: int) -> Folds:
        """None: nothing is solved."""
        return []

    def outer(self, values: Values, n: int, seed: int) -> Indices:
        """Return folds by iterative stratification of the classes that pictures show."""
        return iterative(self._shows(values), [1 / n] * n, np.random.default_rng([seed, 5]))

    # -- learning ---------------------------------------------------------------------------------

    @property
    def n_outputs(self) -> int:
        """Numbers of a full answer."""
        return MOST * NUMBERS

    def criterion(self, values: Values, *, smoothing: float, weighted: bool) -> Criterion:
        """Refuse: a detector has a loss of its own, see `headstart.detection.objective`."""
        raise UsageError("boxes are learned by a detector on maps: headstart detect fit.")

    def judge(self, outputs: Matrix, values: Values) -> dict[str, float]:
        """Return one less mAP, and mAP at half an overlap."""
        found = box_figures.precisions(outputs, values, len(self.names))
        return {
            "selection_loss": 1 - box_figures.mean(found),
            "selection_map50": box_figures.mean(found[:, :1]),
        }

    def loss(self, outputs: Matrix, values: Values) -> float:
        """Return the mean of `losses`."""
        return float(self.losses(outputs, values).mean())

    def losses(self, outputs: Matrix, values: Values) -> Matrix:
        """Return of each picture the share of mistakes among its things and its likely boxes."""
        out = np.zeros(len(values), np.float32)
        for row, (found, truth) in enumerate(zip(outputs, values, strict=True)):
            missed, wrong = box_figures.wrong(things(found), things(truth), SURE)
            out[row] = (missed + wrong) / max(1, len(things(truth)) + wrong)
        return out

    def settled(
        self, outputs: Matrix, values: Values, around: float | None = None
    ) -> tuple[float, Task]:
        """Nothing is to be learned from them."""
        return 1.0, self

    # -- answering --------------------------------------------------------------------------------

    def answers(self, outputs: Matrix) -> list[dict[str, Any]]:
        """Return ``{boxes}`` a picture: each with label, id, probability and box, the best first.

        A box is [left, top, right, bottom], in shares of the picture's longer side.
        """
        return [{"boxes": [*map(self._answer, things(row))]} for row in outputs]

    def _answer(self, thing: Matrix) -> dict[str, Any]:
        label = int(thing[4])
        return {
            "label": self.names[label],
            "id": self.ids[label],
            "probability": float(thing[5]),
            "box": [float(number) for number in thing[:4]],
        }

    def line(self, answer: Mapping[str, Any]) -> tuple[str, str]:
        """Return how many there are of each label, of those that are likely, and how likely."""
        sure = [one for one in answer["boxes"] if one["probability"] >= self.sure]
        counts = Counter(one["label"] for one in sure)
        chances = " ".join(f"{one['probability']:.3f}" for one in sure)
        return ", ".join(f"{n} {name}" for name, n in counts.items()) or "nothing", chances

    def evaluate(self, outputs: Matrix, values: Values) -> Measured:
        """Return mAP at half an overlap and over all overlaps, and each class's."""
        return box_figures.evaluation(outputs, values, self.names, self.ids)

    def value(self, outputs: Matrix, values: Values) -> float:
        """Return mAP at half an overlap."""
        found = box_figures.precisions(outputs, values, len(self.names))
        return box_figures.mean(found[:, :1])

    def said_of(self, outputs: Matrix) -> Values:
        """Return the likely boxes as things."""
        rows = [things(row) for row in outputs]
        sure = [row[row[:, 5] >= SURE] for row in rows]
        for row in sure:
            row[:, 5] = THING
        return packed(sure)

    def scores(self, said: Values, values: Values) -> dict[str, Scores]:
        """Refuse: mAP ranks the boxes of all pictures together, so no picture has a part of it."""
        raise UsageError("mAP is of all pictures together; they cannot be compared one by one.")

    def constant(self, values: Values) -> Values:
        """Return a picture without a thing."""
        return np.zeros(NUMBERS)

    def mistakes(self, outputs: Matrix, values: Values, most: int) -> list[tuple[int, Any]]:
        """Return the pictures with most things missed or found where there are none."""
        counted = [
            box_figures.wrong(things(found), things(truth), SURE)
            for found, truth in zip(outputs, values, strict=True)
        ]
        order = sorted(range(len(counted)), key=lambda i: -sum(counted[i]))[:most]
        said = [self.said(row) or "nothing" for row in self.said_of(outputs[order])]
        return [
            (
                i,
                {"missed": counted[i][0], "wrong": counted[i][1], "predicted": found}
                | {"label": self.said(values[i]) or "nothing"},
            )
            for i, found in zip(order, said, strict=True)
            if sum(counted[i])
        ]

    # -- showing ----------------------------------------------------------------------------------

    def headline(self, figures: Mapping[str, Any]) -> tuple[str, str]:
        """Return mAP at half an overlap."""
        return percent(figures["map50"]), span(*figures["map50_interval"])

    def sentences(self, figures: Mapping[str, Any]) -> tuple[str, str]:
        """Return what mAP at half an overlap is, and how strictly the boxes fit."""
        what = (
            f"is the mean average precision on {figures['n']} pictures that it was not trained "
            "on, where a box counts as found that shares half of its area with the true one."
        )
        return what, f"Over stricter and stricter overlaps, to 95 %: {percent(figures['map'])}."

    def blocks(self, figures: Mapping[str, Any]) -> list[Block]:
        """Return the figures with their intervals, and each class's."""
        return box_figures.blocks(figures)

    def mistake(self, row: Mapping[str, Any]) -> str:
        """Return how many were missed and how many are wrong."""
        said = [f"{row[key]} {key}" for key in ("missed", "wrong") if row[key]]
        return f"{', '.join(said)}; shows {row['label']}"

    def coloured(self, values: Values) -> tuple[Indices, Sequence[str]]:
        """Return the class that a picture shows most, as its colour."""
        labels = [things(row)[:, 4].astype(np.int64) for row in values]
        most = [int(np.bincount(one).argmax()) if len(one) else len(self.names) for one in labels]
        return np.array(most, np.int64), [*self.names, "nothing"]

    # -- saving -----------------------------------------------------------------------------------

    def facts(self) -> dict[str, Any]:
        """Return the classes' ids."""
        return {"ids": list(self.ids)}

    @classmethod
    def saved(cls, names: tuple[str, ...], facts: Mapping[str, Any]) -> Boxes:
        """Return the task with its classes and their ids."""
        ids = tuple(int(one) for one in facts["ids"])
        if len(ids) != len(names):
            raise ValueError(f"{len(ids)} ids for {len(names)} classes")
        return cls(names, ids)

    def learned(self, values: Values) -> Boxes:
        """Return the task itself, with ids where nobody gave any."""
        return self if self.ids else replace(self, ids=tuple(range(1, len(self.names) + 1)))
