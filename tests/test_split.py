"""Splits and draws keep their promises for any labels and any seed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import truth
from headstart.data.dataset import Dataset
from headstart.data.split import draw, inner, split
from headstart.errors import UsageError

LABELS = st.lists(st.integers(0, 4), min_size=1, max_size=60).map(lambda x: np.array(x, np.int64))
SEEDS = st.integers(0, 2**32)


def data(labels: np.ndarray, splits: list[str] | None = None) -> Dataset:
    n = len(labels)
    return Dataset(
        kind="text",
        root=Path("memory"),
        names=[str(i) for i in range(n)],
        targets=truth(labels, 5),
        splits=np.array(splits or [""] * n, "U5"),
        content=lambda i: b"",
    )


@given(LABELS, st.floats(0.01, 0.99), SEEDS, st.data())
def test_a_partition_that_keeps_the_shares(labels, val, seed, more):
    keep = st.lists(st.booleans(), min_size=len(labels), max_size=len(labels))
    usable = np.flatnonzero(more.draw(keep))
    train, held_out = split(data(labels), usable, val=val, seed=seed)
    assert sorted([*train, *held_out]) == usable.tolist()
    assert (np.diff(train) > 0).all() and (np.diff(held_out) > 0).all()
    out = Counter(labels[held_out].tolist())
    for label, n in Counter(labels[usable].tolist()).items():
        assert out[label] == (min(max(1, round(val * n)), n - 1) if n > 1 else 0)
    again = split(data(labels), usable[::-1], val=val, seed=seed)
    assert np.array_equal(again.train, train) and np.array_equal(again.held_out, held_out)


@given(LABELS, st.integers(1, 9), st.integers(1, 9), SEEDS, st.integers(0, 5))
def test_draws_are_nested_and_complete(labels, few, more, seed, number):
    train = np.arange(len(labels))
    small = draw(truth(labels), train, few, seed=seed, draw=number)
    large = draw(truth(labels), train, few + more, seed=seed, draw=number)
    assert set(small) <= set(large) <= set(train)
    sizes = Counter(labels.tolist())
    assert Counter(labels[small].tolist()) == {k: min(few, n) for k, n in sizes.items()}
    assert np.array_equal(draw(truth(labels), train[::-1], few, seed=seed, draw=number), small)


@given(LABELS, SEEDS)
def test_a_class_is_drawn_independently_of_the_others(labels, seed):
    train = np.arange(len(labels))
    together = draw(truth(labels), train, 2, seed=seed)
    for label in np.unique(labels):
        alone = draw(truth(labels), train[labels == label], 2, seed=seed)
        assert np.array_equal(alone, together[labels[together] == label])


@given(LABELS, st.floats(0.05, 0.95), SEEDS)
def test_the_inner_split_stays_in_training(labels, fraction, seed):
    train = np.arange(0, len(labels), 2)
    fit, choose = inner(truth(labels), train, fraction=fraction, seed=seed)
    assert sorted([*fit, *choose]) == train.tolist()
    assert set(labels[fit]) == set(labels[train])


def test_seeds_and_draws_differ():
    labels = np.zeros(200, np.int64)
    train = np.arange(200)
    draws = {
        tuple(draw(truth(labels), train, 5, seed=s, draw=d)) for s in range(4) for d in range(4)
    }
    assert len(draws) == 16
    assert not np.array_equal(
        split(data(labels), train, seed=0).held_out, split(data(labels), train, seed=1).held_out
    )


def test_all_shots():
    labels, train = np.array([0, 0, 1]), np.array([2, 0])
    for shots in (None, "all"):
        assert draw(truth(labels), train, shots, seed=0).tolist() == [0, 2]


@pytest.mark.parametrize(
    ("splits", "train", "held_out"),
    [
        (["train", "train", "val", "test"], [0, 1], [2]),
        (["train", "train", "test", "test"], [0, 1], [2, 3]),
        (["train", "", "test", "test"], [0, 1], [2, 3]),
    ],
)
def test_a_given_split_is_used(splits, train, held_out):
    found = split(data(np.array([0, 1, 0, 1]), splits), np.arange(4))
    assert (found.train.tolist(), found.held_out.tolist()) == (train, held_out)


def test_half_a_given_split_is_not_used():
    for only in ("train", "test"):
        found = split(data(np.array([0, 0, 1, 1]), [only] * 4), np.arange(4))
        assert len(found.train) == len(found.held_out) == 2


@pytest.mark.parametrize("val", [0, 1, -0.1, 1.5, float("nan")])
def test_a_share_lies_between_0_and_1(val):
    with pytest.raises(UsageError, match="between 0 and 1"):
        split(data(np.array([0, 1])), np.arange(2), val=val)
    with pytest.raises(UsageError, match="shots must be at least 1"):
        draw(truth([0]), np.array([0]), 0)
    with pytest.raises(UsageError, match="0 or more"):
        draw(truth([0]), np.array([0]), 1, seed=-1)
