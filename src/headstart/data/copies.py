"""Items that are the same, and items that are nearly the same."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from headstart.data.dataset import Dataset
from headstart.tasks.task import Values

Indices = npt.NDArray[np.int64]
Fingerprints = npt.NDArray[np.uint64]

_NEAR = 3
"""How many of 64 bits may differ; four bands of 16 bits then have one that is equal."""

# Within a band, an item is compared with so many that follow it: a bound on the time, at the price
# of missing pairs where thousands of items share a band.
_REACH = 64


class Copies(NamedTuple):
    """What follows from exact copies. Groups hold indices in ascending order.

    Attributes:
        reasons: index of each item that must go, and why.
        joined: index of each item whose copies lie in several places, and the target of all.
        duplicates: groups of one target within one split; all but the first go.
        conflicts: groups of several targets that the task cannot join; all go, for nobody knows
            which is right.
        leaks: groups in training and in evaluation; the training copies go.
    """

    reasons: dict[int, str]
    duplicates: list[Indices]
    conflicts: list[Indices]
    leaks: list[Indices]
    joined: dict[int, Values]


def exact(dataset: Dataset, items: Indices, digests: npt.NDArray[np.bytes_]) -> Copies:
    """Sort out the exact copies among ``items``; ``digests`` is of shape (N,), for all items."""
    found = Copies({}, [], [], [], {})
    for group in _equal(items, digests[items]):
        if dataset.targets and _differ(dataset.labels[group]):
            one = dataset.targets.task.joined(dataset.labels[group])
            if one is None:
                found.conflicts.append(group)
                found.reasons.update(_disputed(dataset, group))
                continue
            found.joined.update((int(index), one) for index in group)
        _same_class(dataset, group, found)
    return found


def _equal(items: Indices, keys: npt.NDArray[np.generic]) -> Iterator[Indices]:
    """Yield the groups of two and more ``items`` with equal ``keys``, by their first item."""
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    edges = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1], [True]]))
    starts = edges[:-1][np.diff(edges) > 1]
    sizes = np.diff(edges)[np.diff(edges) > 1]
    groups = [items[order[s : s + n]] for s, n in zip(starts, sizes, strict=True)]
    yield from sorted(groups, key=lambda group: int(group[0]))


def _differ(values: Values) -> bool:
    return bool((values != values[0]).any())


def _disputed(dataset: Dataset, group: Indices) -> Iterator[tuple[int, str]]:
    values = dataset.labels[group].reshape(len(group), -1)
    for index, value in zip(group, values, strict=True):
        other = int(group[(values != value).any(axis=1)][0])
        name, known_as = dataset.names[other], dataset.said(other)
        yield int(index), f"same content as {name}, which is labelled '{known_as}'"


def _same_class(dataset: Dataset, group: Indices, found: Copies) -> None:
    splits = dataset.splits[group]
    evaluating = np.isin(splits, ["val", "test"])
    if evaluating.any() and not evaluating.all():
        found.leaks.append(group)
        judge = int(group[evaluating][0])
        why = f"same content as {dataset.names[judge]}, which is kept for evaluation"
        found.reasons.update((int(index), why) for index in group[~evaluating])
        group, splits = group[evaluating], splits[evaluating]
    for name in np.unique(splits):
        _keep_first(dataset, group[splits == name], found)


def _keep_first(dataset: Dataset, group: Indices, found: Copies) -> None:
    if len(group) < 2:
        return
    found.duplicates.append(group)
    why = f"same content as {dataset.names[int(group[0])]}"
    found.reasons.update((int(index), why) for index in group[1:])


def near(dataset: Dataset, items: Indices, prints: Fingerprints, most: int) -> list[Indices]:
    """Return at most ``most`` pairs of ``items`` that look or read alike.

    Texts are alike if their ``prints`` (shape (N,), for all items) are equal, images if no more
    than three bits differ. Flat images (0) are left out.
    """
    mine = prints[items]
    if dataset.kind == "text":
        pairs = (group[[0, k]] for group in _equal(items, mine) for k in range(1, len(group)))
        return list(islice(pairs, most))
    items, mine = items[mine != 0], mine[mine != 0]
    found = np.concatenate([_in_band(mine, band) for band in range(4)])
    return list(np.unique(np.sort(items[found], axis=1), axis=0)[:most])


def _in_band(prints: Fingerprints, band: int) -> Indices:
    """Return the pairs, shape (P, 2), of near ``prints`` that share one band of 16 bits."""
    keys = (prints >> np.uint64(16 * band)) & np.uint64(0xFFFF)
    # Sorted by the whole print within a band, so that equal ones lie side by side.
    order = np.lexsort((prints, keys))
    keys, prints = keys[order], prints[order]
    pairs = [np.empty((0, 2), np.int64)]
    for step in range(1, min(_REACH, len(order))):
        same = np.flatnonzero(keys[step:] == keys[:-step])
        if not len(same):
            break
        close = same[_bits(prints[same] ^ prints[same + step]) <= _NEAR]
        pairs.append(np.stack([order[close], order[close + step]], axis=1))
    return np.concatenate(pairs)


def _bits(values: Fingerprints) -> Indices:
    """Return how many bits are set in each of ``values``, shape (N,)."""
    pieces = np.ascontiguousarray(values).view(np.uint8).reshape(-1, 8)
    return np.asarray(np.unpackbits(pieces, axis=1).sum(axis=1), np.int64)
