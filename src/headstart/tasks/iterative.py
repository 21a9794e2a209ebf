"""Items with several labels each in parts that are alike: iterative stratification."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from headstart.tasks.task import Indices, Values


def iterative(values: Values, shares: Sequence[float], rng: np.random.Generator) -> Indices:
    """Return the part of each item, so that every part has its share of every label.

    The rarest label that is left goes first: each of its items goes to the part that still wants
    most of that label, among equals to the one that wants most items, among equals at random.
    Items without any label go where most are wanted.

    Args:
        values: shape (N, L), which item has which label.
        shares: of the parts; they add up to 1.
        rng: decides among equals.

    Source: Sechidis et al. 2011, ECML PKDD, LNCS 6913, 145-158, algorithm 1.

    >>> truth = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], bool)
    >>> parts = iterative(truth, [0.5, 0.5], np.random.default_rng(0))
    >>> sorted(parts[:2].tolist()), sorted(parts[2:].tolist())
    ([0, 1], [0, 1])
    """
    truth = np.asarray(values, np.bool_)
    wanted = np.array(shares) * len(truth)
    by_label = np.array(shares)[:, None] * truth.sum(axis=0)
    part = np.full(len(truth), -1, np.int64)
    while (label := _rarest(truth, part)) is not None:
        for item in rng.permutation(np.flatnonzero(truth[:, label] & (part < 0))):
            part[item] = chosen = _neediest(by_label[:, label], wanted, rng)
            by_label[chosen, truth[item]] -= 1
            wanted[chosen] -= 1
    for item in rng.permutation(np.flatnonzero(part < 0)):
        part[item] = chosen = _neediest(wanted, wanted, rng)
        wanted[chosen] -= 1
    return part


def _rarest(truth: Values, part: Indices) -> int | None:
    """Return the label with the fewest items that have no part yet; None where all have one."""
    counts = truth[part < 0].sum(axis=0)
    if not counts.any():
        return None
    return int(np.where(counts > 0, counts, len(truth) + 1).argmin())


def _neediest(first: Values, second: Values, rng: np.random.Generator) -> int:
    best = np.flatnonzero(first >= first.max() - 1e-9)
    best = best[second[best] >= second[best].max() - 1e-9]
    return int(best[0] if len(best) == 1 else rng.choice(best))
