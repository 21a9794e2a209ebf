"""Contrastive losses for few labels, and the batches that they read.

Where SetFit (Tunstall et al. 2022, arXiv:2209.11055) draws pairs of sentences, a batch here holds
all its pairs at once: B texts make B (B - 1) / 2 pairs for the price of B passes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the field's own name for it

from headstart.errors import UsageError

Indices = npt.NDArray[np.int64]


def supervised_contrastive(z: Tensor, labels: Tensor, temperature: float = 0.1) -> Tensor:
    """Return how far texts of one class are from each other, against all others of the batch.

    The mean over anchors i of -1/|P(i)| sum over p in P(i) of log softmax over a != i of
    (z_i . z_a / temperature) at p; P(i) are the others of i's class. An anchor that is alone in
    its class is left out; where all are, the loss is 0.

    Args:
        z: shape (N, D), of any length; is brought to length 1.
        labels: shape (N,), of any integer type.
        temperature: above 0; the smaller, the more the nearest others count.

    Source: Khosla et al. 2020, arXiv:2004.11362, equation 2, divided by N.

    >>> z = torch.tensor([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    >>> round(float(supervised_contrastive(z, torch.tensor([0, 0, 1]), 1.0)), 4)
    0.1269
    """
    z = F.normalize(z, dim=1)
    own = torch.eye(len(z), dtype=torch.bool, device=z.device)
    logits = (z @ z.T / temperature).masked_fill(own, -torch.inf)
    log_chance = logits.log_softmax(1).masked_fill(own, 0.0)
    positive = (labels[:, None] == labels[None, :]) & ~own
    count = positive.sum(1)
    anchor = -(log_chance * positive).sum(1) / count.clamp(min=1)
    return anchor.sum() / (count > 0).sum().clamp(min=1)


def contrastive_batches(
    labels: npt.NDArray[np.int64], *, batch: int, seed: int
) -> Iterator[Indices]:
    """Yield, without end, batches that hold each class equally often, and none only once.

    A class goes through its items in a random order, all before any comes again; where there are
    more classes than a batch has room for pairs, the classes take turns. No pair is ever stored.

    Args:
        labels: shape (N,), at least two classes.
        batch: about how many items; rounded so that every class has the same number, at least 2.
        seed: of the orders.

    Raises:
        UsageError: fewer than two classes, or room for fewer than two items of two classes.

    >>> y = np.array([0, 0, 0, 0, 1, 1])
    >>> y[next(contrastive_batches(y, batch=4, seed=0))].tolist()
    [0, 0, 1, 1]
    """
    present = np.unique(labels)
    if len(present) < 2 or batch < 4:
        raise UsageError(
            f"contrastive tuning needs two classes and batches of 4 or more; got {len(present)} "
            f"classes and batches of {batch}."
        )
    rng = np.random.default_rng([seed, 11])
    turns = _turns(present, rng)
    items = {c: _turns(np.flatnonzero(labels == c), rng) for c in present}
    n_classes = min(len(present), batch // 2)
    while True:
        chosen = sorted({next(turns) for _ in range(n_classes)})
        each = max(2, batch // len(chosen))
        yield np.array([next(items[c]) for c in chosen for _ in range(each)], np.int64)


def _turns(values: npt.NDArray[np.int64], rng: np.random.Generator) -> Iterator[int]:
    """Yield ``values`` without end, in a new random order each time round."""
    while True:
        yield from rng.permutation(values)
