"""Contrastive losses against numpy, and batches that are even, seeded and bounded."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from headstart.errors import UsageError
from headstart.training.contrastive import (
    contrastive_batches,
    supervised_contrastive,
)

RNG = np.random.default_rng(0)
Z = RNG.normal(size=(7, 5))
LABELS = np.array([0, 1, 0, 2, 1, 0, 3])  # classes 2 and 3 stand alone


def unit(z: np.ndarray) -> np.ndarray:
    return z / np.linalg.norm(z, axis=1, keepdims=True)


def khosla(z: np.ndarray, labels: np.ndarray, temperature: float) -> float:
    """Equation 2 of arXiv:2004.11362, word by word; the mean over anchors that have a positive."""
    z, terms = unit(z), []
    for i in range(len(z)):
        others = [a for a in range(len(z)) if a != i]
        positives = [p for p in others if labels[p] == labels[i]]
        total = sum(np.exp(z[i] @ z[a] / temperature) for a in others)
        logs = [np.log(np.exp(z[i] @ z[p] / temperature) / total) for p in positives]
        if positives:
            terms.append(-sum(logs) / len(positives))
    return float(np.mean(terms))


@pytest.mark.parametrize("temperature", [0.05, 0.1, 1.0])
def test_supervised_contrastive_against_the_paper(temperature: float) -> None:
    got = supervised_contrastive(torch.tensor(Z), torch.tensor(LABELS), temperature)
    assert float(got) == pytest.approx(khosla(Z, LABELS, temperature), rel=1e-9)


def test_the_loss_pulls_classes_together() -> None:
    z = torch.tensor(Z, requires_grad=True)
    labels = torch.tensor(LABELS)
    optimiser = torch.optim.Adam([z], 0.1)
    first = supervised_contrastive(z, labels).item()
    for _ in range(60):
        optimiser.zero_grad()
        supervised_contrastive(z, labels).backward()
        optimiser.step()
    assert torch.isfinite(z).all()
    assert supervised_contrastive(z, labels).item() < 0.6 * first
    cosine = torch.nn.functional.cosine_similarity(z[0], z[[1, 2]])
    assert cosine[1] > cosine[0]


def test_where_every_class_stands_alone_the_loss_is_zero() -> None:
    z = torch.tensor(Z, requires_grad=True)
    loss = supervised_contrastive(z, torch.arange(len(Z)))
    loss.backward()
    assert loss.item() == 0
    assert torch.isfinite(z.grad).all()


def test_batches_are_even_over_classes() -> None:
    labels = np.repeat([0, 1, 2, 3], [50, 9, 20, 3])
    for batch in itertools.islice(contrastive_batches(labels, batch=32, seed=0), 10):
        assert np.bincount(labels[batch]).tolist() == [8, 8, 8, 8]


def test_all_items_come_before_any_comes_again() -> None:
    labels = np.repeat([0, 1], [6, 4])
    batches = contrastive_batches(labels, batch=4, seed=0)
    seen = np.concatenate(list(itertools.islice(batches, 6)))
    assert np.bincount(seen, minlength=10).tolist() == [2] * 6 + [3] * 4


def test_many_classes_take_turns() -> None:
    labels = np.repeat(np.arange(10), 5)
    batches = list(itertools.islice(contrastive_batches(labels, batch=8, seed=0), 10))
    for batch in batches:
        counts = np.bincount(labels[batch])
        assert counts[counts > 0].min() >= 2
    assert set(labels[np.concatenate(batches)]) == set(range(10))


def test_the_seed_decides_the_batches() -> None:
    labels = np.repeat([0, 1], 20)

    def first(seed: int) -> list[list[int]]:
        batches = contrastive_batches(labels, batch=8, seed=seed)
        return [b.tolist() for b in itertools.islice(batches, 4)]

    assert first(0) == first(0)
    assert first(0) != first(1)


def test_what_cannot_be_contrasted_is_refused() -> None:
    for labels, batch in ((np.zeros(8, np.int64), 8), (np.array([0, 1]), 3)):
        with pytest.raises(UsageError, match="two classes and batches of 4"):
            next(contrastive_batches(labels, batch=batch, seed=0))
