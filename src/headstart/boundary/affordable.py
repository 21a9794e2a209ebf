"""As many items as there is time for, drawn at random and not the first ones of the folder."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from headstart.backbones.entry import Entry
from headstart.boundary.extract import vectors
from headstart.data.dataset import Dataset
from headstart.errors import UsageError
from headstart.progress import OutOfTimeError, log, until

CHUNK = 64
"""Items that are read, by all backbones, before the next ones are."""

SPARED = 2
"""Items of each class that are read first: one to learn from, one to measure."""

_ORDER = 6


def affordable(
    dataset: Dataset,
    groups: Sequence[Sequence[Entry]],
    moment: float,
    *,
    device: str = "cpu",
    seed: int = 0,
) -> Dataset:
    """Return the items whose features could be computed, and kept, until ``moment``.

    All of them where there was time; else a random part, in the order of the data set, that begins
    with `SPARED` items of each class, so that no rare one is lost. The first chunk is computed
    whatever the time.

    Args:
        dataset: what to read.
        groups: backbones, as in `headstart.boundary.extract.look`; those that learn their words
            from training texts first are left out.
        moment: of the monotonic clock.
        device: "cpu", "cuda" or "mps".
        seed: of the order.
    """
    ready = [entries for entries in groups if all(entry.ready for entry in entries)]
    order = _order(dataset, np.random.default_rng([seed, _ORDER]))
    done = 0
    while done < len(order) and ready:
        chunk = dataset.take(order[done : done + CHUNK])
        try:
            with until(np.inf if not done else moment):
                for entries in ready:
                    vectors(chunk, entries, device=device, seed=seed, keep=True)
        except OutOfTimeError:
            break
        done += CHUNK
        if time.monotonic() > moment:
            break
    if done >= len(order) or not ready:
        return dataset
    log.info("there was time to read %d of %d items, drawn at random", done, len(order))
    return dataset.take(np.sort(order[:done]))


def _order(dataset: Dataset, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return all indices in random order, some of each class first where there are classes."""
    order = rng.permutation(len(dataset))
    try:
        groups = dataset.known.task.groups(dataset.known.values[order])
    except UsageError:
        return order
    together = np.argsort(groups, kind="stable")
    counts = np.unique(groups, return_counts=True)[1]
    nth = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    first = np.zeros(len(order), np.bool_)
    first[together[nth < SPARED]] = True
    return np.concatenate([order[first], order[~first]])
