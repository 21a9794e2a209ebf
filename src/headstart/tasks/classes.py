"""The task `classes`: one label an item."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from headstart.errors import DataError, meant
from headstart.progress import log
from headstart.tasks import class_figures, drawing, scores
from headstart.tasks.cells import Cells
from headstart.tasks.class_blocks import blocks
from headstart.tasks.class_figures import Evaluation
from headstart.tasks.head import Head
from headstart.tasks.shown import Block, percent, span
from headstart.tasks.solvers import ABSENT, SOLVERS, softmax
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
    mean_loss,
)
from headstart.tasks.temperature import NEAR, Prior, as_sure_as_right, fit_temperature, softened
from headstart.wording import Said

if TYPE_CHECKING:
    from torch import Tensor

LEAST_TO_SELECT = 16
"""Examples of the smallest class from which an inner part is set aside to choose the best epoch;
with fewer, every example is worth more in training."""

MOST_ROWS_TO_CHOOSE = 4000
"""Rows that choosing C looks at; the final head is solved on all of them."""

_FEW = 20
"""So many different numbers can always be classes."""

_SHORT = 40

_LONGEST = 40
"""Characters of a class's name, where nobody says which column holds them."""


@dataclass(frozen=True)
class Classes(Task):
    """Each item is of one of several classes; a target is an index into their ``names``."""

    names: tuple[str, ...] = ()
    name: ClassVar[str] = "classes"
    score: ClassVar[str] = "accuracy"
    anchored: ClassVar[bool] = True
    solvers: ClassVar[Mapping[str, Solver]] = SOLVERS

    # -- targets ----------------------------------------------------------------------------------

    @classmethod
    def looks(cls, sample: Sequence[str]) -> bool:
        """Few different short cells in many rows are classes."""
        several = 2 <= len(set(sample)) <= max(2, len(sample) // 2)
        return several and max(map(len, sample), default=0) <= _LONGEST

    @classmethod
    def fits(cls, cells: Cells) -> bool:
        """Anything may be the name of a class."""
        return True

    @classmethod
    def read(cls, cells: Cells) -> tuple[Targets, dict[int, str]]:
        """Number the cells in the order of `in_order`; numbers of a measurement are refused."""
        names = in_order(cells.values)
        _refuse_numbers(cells, names)
        _tell_look_alikes(cells, names)
        _say_alike(cells, names)
        index = {name: i for i, name in enumerate(names)}
        numbers = np.array([index[value] for value in cells.values], np.int64)
        return Targets(cls(names), numbers[cells.codes]), {}

    @classmethod
    def of(cls, values: Sequence[Any]) -> Targets:
        """Return the targets with the classes in NumPy's order of the ``values``."""
        names, codes = np.unique(np.asarray(values), return_inverse=True)
        return Targets(cls(tuple(map(str, names))), codes.astype(np.int64))

    def said(self, target: Any) -> str:
        """Return the name of the class."""
        return self.names[int(target)]

    def counts(self, values: Values) -> dict[str, int]:
        """Return how many items each class has."""
        counts = np.bincount(values, minlength=len(self.names)).tolist()
        return dict(zip(self.names, counts, strict=True))

    def unlearnable(self, values: Values, what: str) -> str:
        """One class alone teaches nothing."""
        present = np.unique(values)
        if len(present) != 1:
            return ""
        return f"only one class has {what}: '{self.said(present[0])}'; at least two are needed"

    def lost(self, values: Values, training: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Return the items whose class has no training item."""
        return ~np.isin(values, values[training])

    def translated(self, targets: Targets) -> tuple[Values, npt.NDArray[np.bool_]]:
        """Match classes by name."""
        others = targets.task.names
        number = {name: i for i, name in enumerate(self.names)}
        mapped = np.array([number.get(name, -1) for name in others], np.int64)[targets.values]
        if not (mapped >= 0).any():
            raise DataError(
                f"no class ({', '.join(others[:5])}) is one of the bundle's: "
                f"{', '.join(self.names[:10])}.{meant(others[:5], self.names)}"
            )
        return mapped, mapped >= 0

    # -- which items ------------------------------------------------------------------------------

    def part(
        self, values: Values, items: Indices, share: float, seeds: list[int]
    ) -> tuple[Indices, Indices]:
        """Return a share of each class; the only item of a class trains."""
        return drawing.stratified(values, items, share, seeds)

    def draw(self, values: Values, items: Indices, shots: int, seeds: list[int]) -> Indices:
        """Return ``shots`` of each class, whatever the other classes."""
        return drawing.drawn(values, items, shots, seeds)

    def spares(self, values: Values) -> bool:
        """Return whether the smallest class has enough items."""
        return bool(np.bincount(values)[np.unique(values)].min() >= LEAST_TO_SELECT)

    def folds(self, values: Values, seed: int) -> Folds:
        """Return up to five folds; none where fewer than two classes have two examples."""
        rows = np.random.default_rng(seed).permutation(len(values))[:MOST_ROWS_TO_CHOOSE]
        counts = np.bincount(values[rows], minlength=len(self.names))
        # A class must be in the training part of every fold, or its items would only be in the way.
        rows = rows[counts[values[rows]] >= 2]
        if len(np.unique(values[rows])) < 2:
            return []
        n = min(5, int(counts[counts >= 2].min()))
        found = drawing.even_folds(values[rows], n, seed)
        return [(rows[train], rows[test]) for train, test in found]

    def outer(self, values: Values, n: int, seed: int) -> Indices:
        """Return folds that hold equal shares of each class."""
        return drawing.spread(values, n, seed)

    def groups(self, values: Values) -> Indices:
        """Return the class of each item."""
        return values

    # -- learning ---------------------------------------------------------------------------------

    @property
    def n_outputs(self) -> int:
        """One logit a class."""
        return len(self.names)

    def criterion(self, values: Values, *, smoothing: float, weighted: bool) -> Criterion:
        """Return the mean cross-entropy; ``weighted`` by the inverse of the classes' counts."""
        import torch
        from torch.nn import functional as F  # noqa: N812 - the field's own name for it

        weights = torch.from_numpy(class_weights(values, len(self.names))) if weighted else None

        def loss(outputs: Tensor, truth: Values) -> Tensor:
            target = torch.from_numpy(truth).to(outputs.device)
            scale = None if weights is None else weights.to(outputs.device)
            return F.cross_entropy(outputs, target, weight=scale, label_smoothing=smoothing)

        return loss

    def judge(self, outputs: Matrix, values: Values) -> dict[str, float]:
        """Return the log loss, softened, and the accuracy."""
        temperature, n = fit_temperature(outputs, values), len(self.names)
        return {
            **mean_loss(self.losses(softened(outputs, temperature), values), np.log(n)),
            "selection_accuracy": float((outputs.argmax(axis=1) == values).mean()),
        }

    def loss(self, outputs: Matrix, values: Values) -> float:
        """Return the mean log loss, in nats."""
        return float(self.losses(outputs, values).mean())

    def settled(
        self, outputs: Matrix, values: Values, around: float | None = None
    ) -> tuple[float, Task]:
        """Return the most probable temperature."""
        prior = Prior(around, NEAR) if around else Prior()
        return fit_temperature(outputs, values, prior), self

    def anchor(self, outputs: Matrix, expected: float) -> float | None:
        """Return the temperature at which new items are answered as surely as they are right."""
        return as_sure_as_right(outputs, expected)

    def finished(self, head: Head, values: Values) -> Head:
        """Keep absent classes out: the temperature is not theirs, their logit stays under any."""
        absent = np.bincount(values, minlength=len(self.names)) == 0
        kept = np.float32(ABSENT * head.temperature)
        return replace(head, bias=np.where(absent, kept, head.bias))

    # -- answering --------------------------------------------------------------------------------

    def answers(self, outputs: Matrix) -> list[dict[str, Any]]:
        """Return ``{label, probability, probabilities}`` an item."""
        return [self._answer(row) for row in softmax(outputs)] if len(outputs) else []

    def _answer(self, row: Matrix) -> dict[str, Any]:
        best = int(row.argmax())
        return {
            "label": self.names[best],
            "probability": float(row[best]),
            "probabilities": dict(zip(self.names, map(float, row), strict=True)),
        }

    def line(self, answer: Mapping[str, Any]) -> tuple[str, str]:
        """Return the label and its probability."""
        return answer["label"], f"{answer['probability']:.3f}"

    def evaluate(self, outputs: Matrix, values: Values) -> Evaluation:
        """Return accuracy, calibration and the confusion of the classes."""
        return class_figures.evaluate(_chances(outputs), values, self.names)

    def value(self, outputs: Matrix, values: Values) -> float:
        """Return the accuracy."""
        return float((outputs.argmax(axis=1) == values).mean())

    def said_of(self, outputs: Matrix) -> Values:
        """Return the likeliest class of each item."""
        return outputs.argmax(axis=1) if len(outputs) else np.empty(0, np.int64)

    def losses(self, outputs: Matrix, values: Values) -> Matrix:
        """Return the log loss of each item, in nats."""
        chance = softmax(outputs)[np.arange(len(outputs)), values]
        return np.asarray(-np.log(chance + 1e-12), np.float32)

    def scores(self, said: Values, values: Values) -> dict[str, Scores]:
        """Return whether each is right, and its parts of macro-F1 and balanced accuracy."""
        answer, truth = scores.rows(said, len(self.names)), scores.rows(values, len(self.names))
        return {
            "accuracy": (said == values).astype(np.float64),
            "macro_f1": scores.macro_f1(answer, truth),
            "balanced_accuracy": scores.balanced_accuracy(answer, truth),
        }

    def constant(self, values: Values) -> int:
        """Return the class with the most items."""
        return int(np.bincount(values, minlength=len(self.names)).argmax())

    def mistakes(self, outputs: Matrix, values: Values, most: int) -> list[tuple[int, Any]]:
        """Return the most confident mistakes: ``{label, predicted, probability}``."""
        chances = _chances(outputs)
        return [
            (
                row,
                {
                    "label": self.names[int(values[row])],
                    "predicted": self.names[answer],
                    "probability": float(chances[row, answer]),
                },
            )
            for row, answer in class_figures.worst(chances, values, most)
        ]

    # -- showing ----------------------------------------------------------------------------------

    def headline(self, figures: Mapping[str, Any]) -> tuple[str, str]:
        """Return the accuracy."""
        return percent(figures["accuracy"]), span(*figures["interval"])

    def unmeasured(self, figures: Mapping[str, Any]) -> list[str]:
        """Return the classes of which there was no item."""
        return [row["class"] for row in figures["per_class"] if not row["n"]]

    def sentences(self, figures: Mapping[str, Any]) -> tuple[str, str]:
        """Return what the accuracy is of, and how far the probabilities are off."""
        low, high = figures["interval"]
        absent = self.unmeasured(figures)
        facts = {"n": figures["n"], "low": 100 * low, "high": 100 * high}
        right = Said(
            "of {n} items that it was not trained on are answered right; the 95 % interval "
            "goes from {low:.1f} to {high:.1f} %.",
            **facts,
        )
        lacking = Said(
            "of {n} items that it was not trained on are answered right; the 95 % interval "
            "goes from {low:.1f} to {high:.1f} %. Not measured, for no such item was held out: "
            "{absent}.",
            **facts,
            absent=", ".join(absent),
        )
        return (
            lacking if absent else right,
            Said(
                "The probabilities that it states are off by {off:.1f} points on average.",
                off=100 * figures["calibration_error"],
            ),
        )

    def blocks(self, figures: Mapping[str, Any]) -> list[Block]:
        """Return recall and precision by class, and the confusion."""
        return blocks(self.names, figures)

    def coloured(self, values: Values) -> tuple[Indices, tuple[str, ...]]:
        """Return a colour a class."""
        return values, self.names

    def mistake(self, row: Mapping[str, Any]) -> str:
        """Return what an item was taken for, and what it is."""
        return Said(
            "taken for {predicted} ({sure}), is {label}",
            predicted=row["predicted"],
            sure=percent(row["probability"]),
            label=row["label"],
        )

    # -- saving -----------------------------------------------------------------------------------

    @classmethod
    def saved(cls, names: tuple[str, ...], facts: Mapping[str, Any]) -> Classes:
        """Return the task of the classes called ``names``."""
        return cls(names)


def _chances(outputs: Matrix) -> Matrix:
    return softmax(outputs) if len(outputs) else outputs


def class_weights(labels: Indices, n_classes: int) -> Matrix:
    """Return weights inversely proportional to class counts, with mean 1 over the examples."""
    counts = np.bincount(labels, minlength=n_classes)
    weights = len(labels) / (np.maximum(counts, 1) * max(1, (counts > 0).sum()))
    return np.asarray(weights, np.float32)


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Return class ``names``, each once, sorted; by value if all are numbers.

    >>> in_order(["10", "9", "9"]), in_order(["10", "9", "b"])
    (('9', '10'), ('10', '9', 'b'))
    """
    names = set(names)
    try:
        return tuple(sorted(names, key=lambda name: (_value(name), name)))
    except ValueError:
        return tuple(sorted(names))


def _value(name: str) -> float:
    if math.isnan(value := float(name)):
        raise ValueError("what is not a number has no place among numbers")
    return value


def _tell_look_alikes(cells: Cells, names: tuple[str, ...]) -> None:
    """Say which names a reader takes for one: they stay apart, for nobody knows better."""
    alike: dict[str, list[str]] = {}
    for name in names:
        if not name.isascii():
            alike.setdefault(_as_read(name), []).append(name)
    plain = {name for name in names if name.isascii()}
    for shown, written in alike.items():
        several = [*written, *({shown} & plain)]
        if len(several) > 1:
            said = ", ".join(ascii(name) for name in several)
            log.warning("%s: %s look alike, and are taken for different classes", cells.where, said)


def _as_read(name: str) -> str:
    """Return ``name`` in the one form of those that look so, without what cannot be seen."""
    whole = unicodedata.normalize("NFKC", name)
    return "".join(sign for sign in whole if unicodedata.category(sign) != "Cf").strip()


def _refuse_numbers(cells: Cells, names: tuple[str, ...]) -> None:
    numbers = [float(name) for name in names if is_number(name)]
    if len(names) <= _FEW or len(numbers) < len(names):
        return
    if len(names) > cells.rows / 2 or not all(number.is_integer() for number in numbers):
        what = f"{len(names)} different numbers in {cells.rows} rows"
        raise no_classes(cells.where, names, what)


def _say_alike(cells: Cells, names: tuple[str, ...]) -> None:
    """Say which classes differ in case, spaces or leading zeros alone: other readers join them."""
    groups: dict[str, list[str]] = {}
    for name in names:
        plain = " ".join(name.casefold().split())
        groups.setdefault(f"{float(plain):g}" if is_number(plain) else plain, []).append(name)
    alike = [" and ".join(map(repr, group)) for group in groups.values() if len(group) > 1]
    if alike:
        few = "; ".join(alike[:3]) + "; ..." * (len(alike) > 3)
        log.warning("%s: taken for different classes: %s", cells.where, few)


def no_classes(where: str, values: Iterable[str], what: str) -> DataError:
    """Return the error for a column whose ``values`` are no classes."""
    few = ", ".join(value[:_SHORT] for value in islice(values, 3))
    return DataError(
        f"{where} holds {what}, such as {few}; that is something to measure or to"
        " read, not a class. Name the column with the classes with label_column (--label-column),"
        " or say task='number' (--task number)"
    )


def is_number(value: str) -> bool:
    """Return whether ``value`` is written as a finite number."""
    try:
        return math.isfinite(float(value))
    except ValueError:
        return False
