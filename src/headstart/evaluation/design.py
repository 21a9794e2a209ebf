"""What is trained on and what is measured in each draw: a held-out part, or folds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from headstart.data.dataset import Dataset
from headstart.data.split import Split, draw, has_own, nothing_left
from headstart.errors import UsageError
from headstart.settings.table import Comparing
from headstart.settings.written import Shots
from headstart.tasks.task import Targets

Indices = npt.NDArray[np.int64]

SMALL = 1000
"""Items below which all are held out once, fold by fold, unless something else is asked for."""

FOLDS = 5


class Part(NamedTuple):
    """One model of a run: what it learns from, and which of the held-out items it answers.

    Attributes:
        train: indices of items.
        rows: rows of `Design.held_out`.
    """

    train: Indices
    rows: Indices


@dataclass(frozen=True)
class Design:
    """Which items each draw trains on, and which it is measured on; all strategies alike.

    Attributes:
        train: indices of all items that may train.
        held_out: indices of the items that every draw answers.
        folds: shape (draws, len(train)), the fold of each item of ``train``, which are then all
            usable items; None where ``held_out`` never trains.
        seed: of the draws.
    """

    train: Indices
    held_out: Indices
    folds: Indices | None = None
    seed: int = 0

    def used(self, targets: Targets, shots: Sequence[Shots], draws: int) -> Indices:
        """Return the items that any of so many draws learns from or is measured on, ascending."""
        drawn = [
            part.train for n in shots for d in range(draws) for part in self.parts(targets, n, d)
        ]
        return np.unique(np.concatenate([self.held_out, *drawn]))

    def parts(self, targets: Targets, shots: Shots, number: int) -> Iterator[Part]:
        """Yield the models of draw ``number`` with so many shots."""
        if self.folds is None:
            chosen = draw(targets, self.train, shots, seed=self.seed, draw=number)
            yield Part(chosen, np.arange(len(self.held_out)))
            return
        fold = self.folds[number]
        of_measured = fold[np.searchsorted(self.train, self.held_out)]
        for k in np.unique(fold):
            others = self.train[fold != k]
            chosen = draw(targets, others, shots, seed=self.seed, draw=number)
            yield Part(chosen, np.flatnonzero(of_measured == k))


def folds_for(dataset: Dataset, usable: Indices, run: Comparing) -> int:
    """Return the number of folds: the user's, else 5 for small data without a split; 0 for none.

    Raises:
        UsageError: one fold; folds of data that bring a split; or folds and a held-out share.
    """
    own = has_own(dataset, usable)
    if run.folds is None:
        return 0 if own or "val" in run.given or len(usable) >= SMALL else FOLDS
    faults = {
        "one fold holds out everything": run.folds == 1,
        "the data bring a split of their own": run.folds > 0 and own,
        "val holds out a share instead": run.folds > 0 and "val" in run.given,
    }
    for why in (fault for fault, wrong in faults.items() if wrong):
        raise UsageError(f"folds is {run.folds}, but {why}; try 5, or 0 for none.")
    return run.folds


def folded(dataset: Dataset, usable: Indices, n: int, draws: int, seed: int) -> Design:
    """Return the design in which each of the ``usable`` items is held out once in every draw.

    Items that nothing else is like, the only one of a class say, train and are never measured.

    Raises:
        DataError: there is nothing to measure.
    """
    usable = np.sort(np.asarray(usable, np.int64))
    targets = dataset.known.take(usable)
    task, values = targets.task, targets.values
    folds = np.stack([task.outer(values, n, seed + number) for number in range(draws)])
    lost = np.zeros(len(usable), np.bool_)
    for fold in folds:
        for k in np.unique(fold):
            lost |= task.lost(values, fold != k) & (fold == k)
    if lost.all():
        raise nothing_left(dataset, len(usable))
    return Design(usable, usable[~lost], folds, seed)


def held_once(dataset: Dataset, usable: Indices, n: int, seed: int) -> Design:
    """Return the design in which every draw is measured on the same one of ``n`` folds.

    Raises:
        DataError: there is nothing to measure.
    """
    every = folded(dataset, usable, n, 1, seed)
    assert every.folds is not None
    first = every.train[every.folds[0] == 0]
    return Design(
        np.setdiff1d(every.train, first), np.intersect1d(first, every.held_out), None, seed
    )


def fixed(parts: Split, seed: int) -> Design:
    """Return the design in which every draw is measured on ``parts.held_out``."""
    return Design(parts.train, parts.held_out, None, seed)
