"""Which items train and which are held out, as their task divides them: seeded, and nested."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from headstart.data.dataset import Dataset
from headstart.errors import DataError, UsageError
from headstart.tasks.task import Targets

Indices = npt.NDArray[np.int64]

# Each use of a seed has its own stream, so that equal seeds do not mean equal permutations.
_SPLIT, _DRAW, _INNER, _ENOUGH = 1, 2, 3, 23

MOST_HELD_OUT = 10_000
"""Held-out items, at most, that few shots are measured on: of a share they tell 1.0 points, which
is little beside the luck of the draw."""


class Split(NamedTuple):
    """Indices into a data set, sorted, without a common one."""

    train: Indices
    held_out: Indices


def split(dataset: Dataset, usable: Indices, *, val: float = 0.2, seed: int = 0) -> Split:
    """Return which of the ``usable`` items train and which are held out for evaluation.

    Where the data bring both, their own split is used: train and val, or else train and test; items
    that are in neither train with the rest. Otherwise a share ``val`` is held out, of each
    class, rounded, at least one item of a class that has two; the only item of a class trains.
    Other tasks divide otherwise, see `headstart.tasks`.

    Raises:
        UsageError: ``val`` is not between 0 and 1, or ``seed`` is negative.
    """
    check_share("val", val)
    usable = np.sort(np.asarray(usable, np.int64))
    own = _own(dataset.splits[usable])
    if own is not None:
        train, held_out = own
        return Split(usable[train], usable[held_out])
    return _parted(dataset.known, usable, val, [seed, _SPLIT])


def enough(held_out: Indices, *, seed: int = 0) -> Indices:
    """Return ``held_out``, or `MOST_HELD_OUT` of it, drawn at random: the same seed, the same ones.

    To learn from few labels takes seconds; to measure it on all that is there could take hours.
    """
    if len(held_out) <= MOST_HELD_OUT:
        return held_out
    chance = np.random.default_rng([seed, _ENOUGH])
    return np.sort(chance.choice(held_out, MOST_HELD_OUT, replace=False))


def has_own(dataset: Dataset, usable: Indices) -> bool:
    """Return whether the data bring a split of their own among the ``usable`` items."""
    return _own(dataset.splits[usable]) is not None


def inner(targets: Targets, train: Indices, *, fraction: float = 0.2, seed: int = 0) -> Split:
    """Return ``train`` in two parts, to fit on and to choose by; nothing else is touched.

    Args:
        targets: of the whole data set.
        train: indices into them.
        fraction: the share of each class to choose by; the only item of a class is for fitting.
        seed: the same seed gives the same parts.
    """
    check_share("fraction", fraction)
    return _parted(targets, np.sort(np.asarray(train, np.int64)), fraction, [seed, _INNER])


def draw(
    targets: Targets,
    train: Indices,
    shots: int | Literal["all"] | None,
    *,
    seed: int = 0,
    draw: int = 0,
) -> Indices:
    """Return ``shots`` random training items of each class or label (of numbers: in all), sorted.

    Draws are nested: with 8 shots come the items that the same draw with 4 shots has, and more. A
    class with fewer items gives all it has. A class's items do not depend on the other classes.

    Args:
        targets: of the whole data set.
        train: indices into them.
        shots: how many of each class; None or "all" for every one.
        seed: with ``draw``, fixes the choice.
        draw: which of several random choices.

    >>> from headstart.tasks.classes import Classes
    >>> draw(Targets(Classes(("a", "b")), np.array([0, 0, 1, 1])), np.array([0, 1, 2]), 1).size
    2
    """
    train = np.sort(np.asarray(train, np.int64))
    if shots is None or shots == "all":
        return train
    if shots < 1:
        raise UsageError(f"shots must be at least 1, or 'all'; got {shots}")
    return targets.task.draw(targets.values, train, shots, [seed, _DRAW, draw])


def _parted(targets: Targets, items: Indices, share: float, seeds: list[int]) -> Split:
    return Split(*targets.task.part(targets.values, items, share, seeds))


def _own(splits: npt.NDArray[np.str_]) -> tuple[npt.NDArray[np.bool_], ...] | None:
    if not (splits == "train").any():
        return None
    train = np.isin(splits, ["train", ""])
    for name in ("val", "test"):
        if (splits == name).any():
            return train, splits == name
    return None


def check_share(name: str, share: float) -> None:
    """Raise `UsageError` unless ``share`` lies between 0 and 1, both left out."""
    if not 0 < share < 1:
        raise UsageError(f"{name} must lie between 0 and 1; got {share}. Try {name}=0.2")


def require_held_out(dataset: Dataset, parts: Split) -> None:
    """Raise `DataError` where nothing is left to measure on."""
    if not len(parts.held_out):
        raise nothing_left(dataset, len(parts.train))


def nothing_left(dataset: Dataset, usable: int) -> DataError:
    """Return the error that nothing can be measured, with so many ``usable`` items."""
    return DataError(
        f"{dataset.root}: nothing is left to measure on, for every class has a single item among "
        f"the {usable} of {len(dataset)} that count (copies of the same content count once); add "
        "items, or a val folder."
    )
