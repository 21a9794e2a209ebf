"""What a task says: the one seam between what is predicted and everything else. No torch here.

A task is a small frozen value. It makes targets from what a reader read, says how items are split
and drawn, which head stands on the features, what its loss, its solvers, its figures and its
answers are. A new task is one file, one line in `headstart.tasks.registry`, and the part of a
reader that finds its cells.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from headstart.errors import DataError, UsageError
from headstart.tasks.cells import Cells, as_cells
from headstart.tasks.head import Head
from headstart.tasks.head import Matrix as Matrix
from headstart.tasks.shown import Block, percent, span

if TYPE_CHECKING:
    from torch import Tensor

Indices = npt.NDArray[np.int64]
Values = npt.NDArray[Any]
"""Targets of N items: shape (N,), or (N, L) of a task with several outputs an item."""

Solver = Callable[[Matrix, Values, int, float], Head]
"""From features (N, D), targets, the number of outputs and C, to a head."""

Criterion = Callable[["Tensor", Values], "Tensor"]
"""From a batch's outputs, shape (N, K), and its targets to the mean loss."""

SELECTION = "selection_"
"""How the figures begin that `Task.judge` gives of the items that choose an epoch."""

LOSS = "selection_loss"

ERROR = "loss_error"
"""The standard error of `LOSS`, where it is a mean over items."""

Scores = npt.NDArray[np.float64]
"""One value an item, shape (N,), whose mean is a figure."""

Folds = list[tuple[Indices, Indices]]
"""Rows to solve on, and rows to judge by."""


def mean_loss(losses: Matrix, chance: float) -> dict[str, float]:
    """Return the mean of the losses of N items, and its standard error.

    A few items that are all answered alike say nothing of their spread, so the error is never
    below what one of them would add that is answered by chance and not surely.

    Args:
        losses: shape (N,).
        chance: the loss of an answer without looking.

    >>> mean_loss(np.array([1.0, 2.0, 3.0]), 0.0)
    {'selection_loss': 2.0, 'loss_error': 0.5773502691896258}
    """
    n = len(losses)
    spread = float(losses.std(ddof=1)) / n**0.5 if n > 1 else 0.0
    return {LOSS: float(losses.mean()), ERROR: float(np.hypot(spread, chance / n))}


@dataclass(frozen=True)
class Targets:
    """Right answers, and what they are answers to.

    Attributes:
        task: what is predicted.
        values: shape (N,) or (N, L); row i is item i's.
    """

    task: Task
    values: Values

    def __len__(self) -> int:
        return len(self.values)

    def take(self, indices: Indices) -> Targets:
        """Return the targets of the items at ``indices``, in that order."""
        return Targets(self.task, self.values[indices])

    def said(self, index: int) -> str:
        """Return the target of one item as a person would write it."""
        return self.task.said(self.values[index])


class Figures(Protocol):
    """What a task measures on held-out items."""

    @property
    def n(self) -> int:
        """Number of items."""

    @property
    def value(self) -> float:
        """The figure that stands for all; the greater, the better."""

    @property
    def interval(self) -> tuple[float, float]:
        """Its 95 % interval."""

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain values, each with its ``…_interval``."""

    def brief(self) -> dict[str, Any]:
        """Return the part of `to_json` that ``headstart fit --json`` prints."""


class Task(ABC):
    """What is predicted, and all that follows from it.

    Attributes:
        name: what it is called, in bundles and on the command line.
        score: the figure that stands for all in comparisons.
        own: name of the convex head that suits it.
        worst: what its `mistakes` are.
        shots: what is counted where few items are drawn, see `draw`.
        solvers: all of its convex heads.
        share: whether the score lies between 0 and 1.
        anchored: whether `anchor` says what temperature is to be expected.
        blank: what a row without a target says; None where it must have one.
        names: of its outputs; empty where they have none.
    """

    name: ClassVar[str]
    score: ClassVar[str]
    own: ClassVar[str] = "logistic"
    worst: ClassVar[str] = "Most confident mistakes"
    shots: ClassVar[str] = "labels a class"
    share: ClassVar[bool] = True
    blank: ClassVar[str | None] = None
    anchored: ClassVar[bool] = False
    solvers: ClassVar[Mapping[str, Solver]]
    names: tuple[str, ...]

    # -- targets ----------------------------------------------------------------------------------

    @classmethod
    def looks(cls, sample: Sequence[str]) -> bool:
        """Return whether a column that begins with ``sample`` may hold targets of this task."""
        full = [cell.strip() for cell in sample if cell.strip()]
        return bool(full) and cls.fits(as_cells(full))

    @classmethod
    def marked(cls, sample: Sequence[str]) -> bool:
        """Return whether such a column may be one of several that each mark one label."""
        return False

    @classmethod
    @abstractmethod
    def fits(cls, cells: Cells) -> bool:
        """Return whether ``cells`` look like targets of this task, where nobody says."""

    @classmethod
    @abstractmethod
    def read(cls, cells: Cells) -> tuple[Targets, dict[int, str]]:
        """Return the targets, and for rows whose cell is none the reason.

        Raises:
            DataError: no cell can be a target of this task.
        """

    @classmethod
    def of(cls, values: Sequence[Any]) -> Targets:
        """Return the targets from what Python holds: strings, numbers, lists of labels.

        Raises:
            DataError: a value is no target of this task.
        """
        targets, faults = cls.read(as_cells(values))
        if faults:
            row, why = next(iter(faults.items()))
            raise DataError(f"{len(faults)} of {len(values)} targets cannot be used: {row}: {why}")
        return targets

    @abstractmethod
    def said(self, target: Any) -> str:
        """Return one target as a person would write it."""

    @abstractmethod
    def counts(self, values: Values) -> dict[str, int]:
        """Return how many items there are of each name; empty without names."""

    @abstractmethod
    def unlearnable(self, values: Values, what: str) -> str:
        """Return why nothing can be learned from ``what`` has these targets; empty if it can."""

    def lost(self, values: Values, training: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Return which items no training item is like, so that measuring on them means nothing."""
        return np.zeros(len(values), np.bool_)

    def joined(self, values: Values) -> Values | None:
        """Return the one target of copies that lie in several places; None if they conflict."""
        return None

    def translated(self, targets: Targets) -> tuple[Values, npt.NDArray[np.bool_]]:
        """Return the values of ``targets`` of other data as this task's, and which of them it has.

        Raises:
            DataError: none of them.
        """
        return targets.values, np.ones(len(targets), np.bool_)

    # -- which items ------------------------------------------------------------------------------

    @abstractmethod
    def part(
        self, values: Values, items: Indices, share: float, seeds: list[int]
    ) -> tuple[Indices, Indices]:
        """Return ``items`` in two parts, alike in their targets; the second is a ``share``."""

    @abstractmethod
    def draw(self, values: Values, items: Indices, shots: int, seeds: list[int]) -> Indices:
        """Return some of ``items`` for ``shots`` labels; more shots hold those of fewer."""

    @abstractmethod
    def spares(self, values: Values) -> bool:
        """Return whether some training items may be set aside to choose the best epoch by."""

    @abstractmethod
    def folds(self, values: Values, seed: int) -> Folds:
        """Return inner folds of training items; none where there are too few."""

    @abstractmethod
    def outer(self, values: Values, n: int, seed: int) -> Indices:
        """Return the fold, 0..n-1, of each item, so that the folds are alike in their targets."""

    def groups(self, values: Values) -> Indices:
        """Return the one class of each item.

        Raises:
            UsageError: items of this task have none.
        """
        raise UsageError(
            f"this strategy draws items of one class together, but the task '{self.name}' has no "
            "classes; try 'frozen' or 'warm'."
        )

    # -- learning ---------------------------------------------------------------------------------

    @property
    @abstractmethod
    def n_outputs(self) -> int:
        """Number of outputs of the head."""

    def learned(self, values: Values) -> Task:
        """Return the task with what it must know of the training targets: their scale, say."""
        return self

    @abstractmethod
    def criterion(self, values: Values, *, smoothing: float, weighted: bool) -> Criterion:
        """Return the loss of training by steps on items with these targets.

        Raises:
            UsageError: the task knows no label smoothing, or no weights of classes.
        """

    @abstractmethod
    def judge(self, outputs: Matrix, values: Values) -> dict[str, float]:
        """Return the loss that chooses epochs, and one figure for people.

        They are called ``selection_loss`` (the less, the better) and ``selection_…``; with
        ``loss_error`` an epoch is only believed to be worse than another if its loss is higher by
        more than that.
        """

    @abstractmethod
    def loss(self, outputs: Matrix, values: Values) -> float:
        """Return the mean loss that chooses C; the less, the better."""

    @abstractmethod
    def settled(
        self, outputs: Matrix, values: Values, around: float | None = None
    ) -> tuple[float, Task]:
        """Return what items that were not trained on teach about answering.

        That is the temperature that outputs are divided by, and the task with its thresholds or
        the width of its intervals. ``around`` is what the temperature is expected to be.
        """

    def anchor(self, outputs: Matrix, expected: float) -> float | None:
        """Return the temperature that is to be expected; None unless the task is ``anchored``.

        Args:
            outputs: of items that were trained on.
            expected: the score of new items.
        """
        return None

    def finished(self, head: Head, values: Values) -> Head:
        """Return a solved ``head`` with what calibration must not have touched put right."""
        return head

    def notes(self) -> list[str]:
        """Return what the user should know of a task that has learned what it could."""
        return []

    # -- answering --------------------------------------------------------------------------------

    @abstractmethod
    def answers(self, outputs: Matrix) -> list[dict[str, Any]]:
        """Return an answer an item, as plain values."""

    @abstractmethod
    def line(self, answer: Mapping[str, Any]) -> tuple[str, str]:
        """Return an answer in two words: what, and how sure."""

    def flat(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """Return an answer as cells of a table, by column: its words and numbers."""
        plain = str | int | float | bool
        return {name: value for name, value in answer.items() if isinstance(value, plain)}

    @abstractmethod
    def evaluate(self, outputs: Matrix, values: Values) -> Figures:
        """Return the figures of ``outputs``, shape (N, K), against the targets."""

    def value(self, outputs: Matrix, values: Values) -> float:
        """Return the `score` alone, without its interval."""
        return self.evaluate(outputs, values).value

    @abstractmethod
    def said_of(self, outputs: Matrix) -> Values:
        """Return what outputs, shape (N, K), answer, as targets of this task."""

    @abstractmethod
    def losses(self, outputs: Matrix, values: Values) -> Matrix:
        """Return each item's loss, shape (N,); its mean is `loss`."""

    @abstractmethod
    def scores(self, said: Values, values: Values) -> dict[str, Scores]:
        """Return by name one value an item, whose mean is that figure; the `score` comes first.

        So figures of the same items can be compared item by item, see `headstart.tasks.scores`.
        """

    @abstractmethod
    def constant(self, values: Values) -> Any:
        """Return the one target that is best for all items, where nothing is looked at."""

    @abstractmethod
    def mistakes(self, outputs: Matrix, values: Values, most: int) -> list[tuple[int, Any]]:
        """Return (row, facts) of the ``most`` worst answers, the worst first."""

    # -- showing ----------------------------------------------------------------------------------

    @abstractmethod
    def headline(self, figures: Mapping[str, Any]) -> tuple[str, str]:
        """Return the figure that stands for all, and its interval, as text."""

    def unmeasured(self, figures: Mapping[str, Any]) -> list[str]:
        """Return the names that the headline says nothing of, for no item had them."""
        return []

    @abstractmethod
    def sentences(self, figures: Mapping[str, Any]) -> tuple[str, str]:
        """Return what the headline means, and what else is to be known, as sentences."""

    @abstractmethod
    def blocks(self, figures: Mapping[str, Any]) -> list[Block]:
        """Return the tables of a report."""

    @abstractmethod
    def coloured(self, values: Values) -> tuple[Indices, Sequence[str]]:
        """Return a colour an item, for plots, and what the colours mean."""

    @abstractmethod
    def mistake(self, row: Mapping[str, Any]) -> str:
        """Return one of `mistakes` as a line."""

    @classmethod
    def shown(cls, value: float) -> str:
        """Return a value of `score` as text."""
        return percent(value)

    @classmethod
    def shown_span(cls, low: float, high: float) -> str:
        """Return an interval of `score` as text."""
        return span(low, high)

    # -- saving -----------------------------------------------------------------------------------

    def facts(self) -> dict[str, Any]:
        """Return what a bundle must hold besides the names."""
        return {}

    @classmethod
    @abstractmethod
    def saved(cls, names: tuple[str, ...], facts: Mapping[str, Any]) -> Task:
        """Return the task from what a bundle holds.

        Raises:
            KeyError, TypeError, ValueError: it holds something else.
        """
