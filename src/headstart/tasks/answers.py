"""What a model answered on held-out items, item by item, as small as it can be kept."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from headstart.tasks.task import Matrix, Scores, Targets, Task, Values


@dataclass(frozen=True, eq=False)
class Answers:
    """The answers of one run on N held-out items.

    Attributes:
        said: shape (N,) or (N, L): class numbers, rows of labels, numbers; see `Task.said_of`.
        losses: shape (N,): each item's loss; of classes the log loss in nats.
        trained: number of items that the model learned from; of folds, the mean.
        folds: shape (N,): the fold in which an item was held out; None where one model answered.
        scores: by name, the task's score first: one value an item, see `Task.scores`.
    """

    said: Values
    losses: Matrix
    trained: int
    folds: Values | None = None
    scores: Mapping[str, Scores] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the answers as plain values; `of` makes them of it again."""
        return {
            "said": _packed(_narrow(self.said)),
            "losses": _packed(self.losses.astype("<f2")),
            "trained": self.trained,
            "folds": None if self.folds is None else _packed(_narrow(self.folds)),
        }

    @classmethod
    def of(cls, row: Mapping[str, Any], truth: Targets) -> Answers:
        """Return the answers from what `to_json` made of them, about items with these targets.

        Raises:
            KeyError, TypeError, ValueError: it is something else, or about other items.
        """
        said, losses = _unpacked(row["said"]), _unpacked(row["losses"]).astype(np.float32)
        folds = None if row["folds"] is None else _unpacked(row["folds"])
        if len(said) != len(truth) or len(losses) != len(truth):
            raise ValueError(f"answers about {len(said)} items, not {len(truth)}")
        scores = truth.task.scores(said, truth.values)
        return cls(said, losses, int(row["trained"]), folds, scores)


def answered(task: Task, outputs: Matrix, values: Values, *, trained: int) -> Answers:
    """Return what ``outputs``, shape (N, K), say about items whose targets are ``values``."""
    said = task.said_of(outputs)
    return Answers(said, task.losses(outputs, values), trained, None, task.scores(said, values))


def joined(parts: Mapping[int, tuple[Values, Answers]], truth: Targets) -> Answers:
    """Return the answers of all folds as one run's.

    Args:
        parts: by fold, the rows that were held out there, and what was answered.
        truth: of all N items; each is a row of exactly one fold.
    """
    first = next(iter(parts.values()))[1]
    said = np.empty((len(truth), *first.said.shape[1:]), first.said.dtype)
    losses, folds = np.empty(len(truth), np.float32), np.empty(len(truth), np.int16)
    for number, (rows, one) in parts.items():
        said[rows], losses[rows], folds[rows] = one.said, one.losses, number
    trained = round(float(np.mean([one.trained for _, one in parts.values()])))
    return Answers(said, losses, trained, folds, truth.task.scores(said, truth.values))


def _narrow(values: Values) -> Values:
    """Return whole numbers in as few bytes as they need, numbers as 32-bit floats."""
    if values.dtype.kind == "f":
        return values.astype("<f4")
    if values.dtype.kind == "b":
        return values
    return values.astype(np.min_scalar_type(int(values.max(initial=0))))


def _packed(values: Values) -> dict[str, Any]:
    content = base64.b64encode(zlib.compress(np.ascontiguousarray(values).tobytes())).decode()
    return {"type": values.dtype.str, "shape": list(values.shape), "content": content}


def _unpacked(row: Mapping[str, Any]) -> Values:
    kind = np.dtype(row["type"])
    if kind.kind not in "biuf":
        raise ValueError(f"{kind} is no type of answers")
    try:
        content = zlib.decompress(base64.b64decode(row["content"]))
    except zlib.error as error:
        raise ValueError(str(error)) from error
    found = np.frombuffer(content, kind).reshape(row["shape"])
    return found.astype(np.int64) if kind.kind in "iu" else found
