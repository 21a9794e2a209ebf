"""Which items train and which are held out: by class, seeded, and nested."""

from __future__ import annotations

import numpy as np

from headstart.errors import UsageError
from headstart.tasks.task import Folds, Indices


def stratified(
    labels: Indices, items: Indices, share: float, seeds: list[int]
) -> tuple[Indices, Indices]:
    """Return ``items`` in two parts, the second a ``share`` of each class, both sorted.

    Of a class with two items both parts have one; the only item of a class is in the first.
    """
    kept, out = [], []
    for members in _shuffled(labels, items, seeds):
        count = held_out(len(members), share)
        out.append(members[:count])
        kept.append(members[count:])
    return together(kept), together(out)


def held_out(members: int, share: float) -> int:
    """Return how many of a class are held out; both sides get one where there are two."""
    return min(max(1, round(share * members)), members - 1) if members > 1 else 0


def drawn(labels: Indices, items: Indices, shots: int, seeds: list[int]) -> Indices:
    """Return ``shots`` random items of each class, sorted; more shots hold those of fewer."""
    return together([members[:shots] for members in _shuffled(labels, items, seeds)])


def _shuffled(labels: Indices, items: Indices, seeds: list[int]) -> list[Indices]:
    check(seeds)
    by_label = items[np.argsort(labels[items], kind="stable")]
    present, starts = np.unique(labels[by_label], return_index=True)
    return [
        np.random.default_rng([*seeds, int(label)]).permutation(members)
        for label, members in zip(present, np.split(by_label, starts[1:]), strict=False)
    ]


def check(seeds: list[int]) -> None:
    """Raise `UsageError` for a negative seed."""
    if min(seeds) < 0:
        raise UsageError(f"seed and draw must be 0 or more; got {seeds[0]} and {seeds[-1]}")


def together(parts: list[Indices]) -> Indices:
    """Return the items of all ``parts``, sorted."""
    return np.sort(np.concatenate(parts)) if parts else np.empty(0, np.int64)


def even_folds(labels: Indices, n: int, seed: int) -> Folds:
    """Return (train, test) rows of ``n`` folds with the classes spread evenly over them."""
    fold = spread(labels, n, seed)
    return [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(n)]


def spread(labels: Indices, n: int, seed: int) -> Indices:
    """Return the fold of each item, the classes spread evenly over ``n`` of them."""
    order = np.random.default_rng([seed, 4]).permutation(len(labels))
    by_class = order[np.argsort(labels[order], kind="stable")]
    fold = np.empty(len(labels), np.int64)
    fold[by_class] = np.arange(len(labels)) % n
    return fold
