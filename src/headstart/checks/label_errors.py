"""Likely label errors: items whose label the others of its class do not bear out.

Confident learning (Northcutt, Jiang and Chuang 2021, JAIR 70, arXiv:1911.00068) on answers that
have not seen the item, see `headstart.checks.left_out`, from features that are kept anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from headstart.data.dataset import Dataset
from headstart.findings import Finding, finding
from headstart.tasks.task import Indices, Matrix

SURE = 0.5
"""By how much another label must be more probable for an item to be worth a word."""

LEAST = 1e-4
"""Probability below which nothing is told apart: no head is that well calibrated."""

ABLE = 0.7
"""Share of the items that must be answered as labelled: who cannot do that cannot doubt."""

MOST = 0.2
"""Share of the labels beyond which it is the answers that are wrong, and not the labels."""

SPARE = 4
"""Items that are listed beyond twice the estimated number of wrong labels."""


class Suspect(NamedTuple):
    """An item whose label is doubted.

    Attributes:
        row: of the item.
        label: the one it has.
        other: the one that is most probable.
        margin: by how much it is more probable, 0..1.
        confident: whether the other reaches what is usual for its class.
    """

    row: int
    label: int
    other: int
    margin: float
    confident: bool


def suspects(chances: Matrix, labels: Indices) -> list[Suspect]:
    """Return the items that are answered otherwise than labelled, the most suspicious first.

    Their order is that of the log odds of the other class against the label: of several classes
    that an item may be, one that it can hardly be is doubted more than one that is as likely as the
    rest, whatever the margin. A class's threshold is
    the mean probability of it among its own items (equation 2 of the source); those that reach the
    threshold of another class, and most of all that one's, are off the diagonal of the confident
    joint (equation 1): their number is the source's estimate of how many labels are wrong.

    Args:
        chances: shape (N, C), probabilities from models that have not seen the item.
        labels: shape (N,).

    >>> chances = np.array([[0.9, 0.1], [0.8, 0.2], [0.2, 0.8], [0.9, 0.1]], np.float32)
    >>> [(one.row, one.confident) for one in suspects(chances, np.array([0, 0, 1, 1]))]
    [(3, True)]
    """
    own = chances[np.arange(len(labels)), labels]
    counts = np.bincount(labels, minlength=chances.shape[1])
    totals = np.bincount(labels, weights=own, minlength=chances.shape[1])
    thresholds = np.where(counts, totals / np.maximum(counts, 1), np.inf)
    reached = np.where(chances >= thresholds, chances, -np.inf)
    confident = np.isfinite(reached.max(axis=1)) & (reached.argmax(axis=1) != labels)
    answers = chances.argmax(axis=1)
    rows = np.flatnonzero(answers != labels)
    odds = np.log(chances[rows, answers[rows]] + LEAST) - np.log(own[rows] + LEAST)
    order = rows[np.argsort(-odds, kind="stable")]
    return [
        Suspect(
            int(i),
            int(labels[i]),
            int(answers[i]),
            float(chances[i, answers[i]] - own[i]),
            bool(confident[i]),
        )
        for i in order
    ]


def label_errors(
    dataset: Dataset, items: Indices, chances: Matrix, labels: Indices, names: Sequence[str]
) -> Finding | None:
    """Return the likely label errors among ``items``; nothing where the doubt is no good.

    That is, where no other label is more probable by `SURE`, or where the answers are too often
    not the labels for that to be the labels' fault.

    Args:
        dataset: whose items they are.
        items: shape (N,), indices into it.
        chances: see `suspects`.
        labels: see `suspects`.
        names: of the classes.
    """
    found = suspects(chances, labels)
    n, right = sum(one.confident for one in found), 1 - len(found) / max(1, len(labels))
    if not n or max(one.margin for one in found) < SURE or right < ABLE or n > MOST * len(labels):
        return None
    rows = [
        {
            "item": dataset.names[int(items[one.row])],
            "label": names[one.label],
            "likely": names[one.other],
            "margin": round(one.margin, 3),
        }
        for one in found[: 2 * n + SPARE]
    ]
    return finding(
        "HS006",
        "about {n} of {of} training items seem to have a wrong label: models that have not seen "
        "them are sure of another one. Look at those first; a wrong label costs more than a "
        "missing one.",
        items=rows,
        n=n,
        of=len(items),
    )
