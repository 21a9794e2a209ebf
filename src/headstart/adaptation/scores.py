"""What the target's answers say of a model without one label of the target. No torch here."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from headstart.tasks.solvers import softmax
from headstart.tasks.task import Matrix

SHARE = 0.55
"""Of the nearer item in a mix of two: as little over a half as MixVal has it."""


class Scores(NamedTuple):
    """How a candidate answers target items.

    Attributes:
        entropy: the mean entropy of an answer, in nats; the less, the surer.
        spread: `nuclear_norm`, 0..1; sure and varied at once; the more, the better.
        mixval: `mixval`, 0..1; the more, the better.
    """

    entropy: float
    spread: float
    mixval: float


def scores(outputs: Matrix, seed: int = 0) -> Scores:
    """Return the scores of a model's ``outputs``, (N, K), for target items."""
    chance = softmax(outputs)
    return Scores(entropy(chance), nuclear_norm(chance), mixval(outputs, seed))


def entropy(chance: Matrix) -> float:
    """Return the mean entropy of probabilities, (N, K), in nats.

    Source: Morerio, Cavazza and Murino 2018, arXiv:1711.10288, section 3.3 (as a way to choose).

    >>> entropy(np.array([[1.0, 0.0], [0.0, 1.0]], np.float32))
    0.0
    """
    return float(entropies(chance).mean()) + 0.0


def entropies(chance: Matrix) -> Matrix:
    """Return the entropy of each row, (N,), in nats."""
    found: Matrix = -(chance * np.log(np.maximum(chance, 1e-12))).sum(axis=1)
    return found


def nuclear_norm(chance: Matrix) -> float:
    """Return the sum of the singular values of probabilities, (N, K), as a share of the largest.

    Answers that are unsure, or all of one class, have a small one; 1 is reached where each is sure
    and all classes are answered equally often. Source: Cui et al. 2020, arXiv:2003.12237, equations
    8 to 11 (batch nuclear-norm).

    >>> round(nuclear_norm(np.eye(4, dtype=np.float32)), 6)
    1.0
    >>> round(nuclear_norm(np.full((4, 4), 0.25, np.float32)), 6)
    0.25
    """
    n, k = chance.shape
    found = np.linalg.svd(chance.astype(np.float64), compute_uv=False).sum()
    return float(found / np.sqrt(n * min(n, k)))


def mixval(outputs: Matrix, seed: int = 0) -> float:
    """Return how often a mix of two items of different answers is answered as the larger part.

    The mix has `SHARE` of one item and the rest of another; of a linear head, a mix of features has
    the mix of the outputs. Where all answers are one class there is nothing to mix: 0.

    Args:
        outputs: logits, shape (N, K).
        seed: of the partners.

    Source: Hu et al. 2023, "Mixed Samples as Probes for Unsupervised Model Selection in Domain
    Adaptation" (NeurIPS), inter-cluster mixes.

    >>> mixval(np.array([[9.0, 0.0], [0.0, 9.0]], np.float32))
    1.0
    """
    answer = outputs.argmax(axis=1)
    partner = np.random.default_rng([seed, 17]).permutation(len(outputs))
    apart = answer != answer[partner]
    if not apart.any():
        return 0.0
    mixed = SHARE * outputs[apart] + (1 - SHARE) * outputs[partner[apart]]
    return float((mixed.argmax(axis=1) == answer[apart]).mean())


def expected(source: Matrix, labels: npt.NDArray[np.int64], target: Matrix) -> float:
    """Return the accuracy that a model seems to have in the target, 0..1, by its own doubt.

    A threshold on the negative entropy of an answer is set so that as many held-out source items
    lie above it as are right; the share of the target's items above it is the estimate. Only of a
    model that learned from the source alone: one that was asked for sure answers gives them.

    Args:
        source: logits of held-out source items, (N, K).
        labels: their classes, (N,).
        target: logits of target items, (M, K).

    Source: Garg et al. 2022, "Leveraging Unlabeled Data to Predict Out-of-Distribution
    Performance" (ATC), arXiv:2201.04234, equations 3 and 4.

    >>> sure, torn = [9.0, 0.0], [1.0, 0.0]
    >>> known, asked = (np.array(rows, np.float32) for rows in ([sure] * 3 + [torn], [sure, torn]))
    >>> expected(known, np.array([0, 0, 0, 1]), asked)
    0.5
    """
    wrong = int((source.argmax(axis=1) != labels).sum())
    if wrong == len(labels):
        return 0.0
    doubt, asked = (entropies(softmax(one)) for one in (source, target))
    return float((asked <= np.sort(doubt)[::-1][wrong]).mean())
