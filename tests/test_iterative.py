"""Iterative stratification: what it promises for any labels, and that it beats chance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headstart.tasks.iterative import iterative
from headstart.tasks.labels import Labels

ROWS = st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=60)


def truth(n: int = 300, labels: int = 6, seed: int = 0) -> np.ndarray:
    """Return labels of very different frequencies, some together."""
    rng = np.random.default_rng(seed)
    found = rng.random((n, labels)) < np.geomspace(0.4, 0.02, labels)
    found[:, 1] |= found[:, 0] & (rng.random(n) < 0.5)
    return found


@given(ROWS, st.floats(0.05, 0.45), st.integers(0, 1000))
@example([[False, True, True], [False, False, False], [True, True, False]], 0.25, 0)
@settings(max_examples=40, deadline=None)
def test_a_partition_of_about_the_size(rows: list[list[bool]], share: float, seed: int) -> None:
    values, task = np.array(rows, bool), Labels(("a", "b", "c"))
    items = np.arange(len(rows))[::2]
    kept, out = task.part(values, items, share, [seed, 1])
    assert sorted([*kept, *out]) == items.tolist()
    again = task.part(values, items, share, [seed, 1])
    assert all(np.array_equal(a, b) for a, b in zip(again, (kept, out), strict=True))
    # Each label may round by one, and so many labels may pull the size.
    assert abs(len(out) - share * len(items)) <= 4
    for label in range(3):
        if values[items, label].sum():
            assert values[kept, label].any(), "what is held out can be learned"


@given(ROWS, st.integers(0, 20))
@settings(max_examples=40, deadline=None)
def test_one_label_an_item_is_plain_stratification(rows: list[list[bool]], seed: int) -> None:
    labels = np.array([sum(row) % 3 for row in rows])
    parts = iterative(np.eye(3, dtype=bool)[labels], [0.75, 0.25], np.random.default_rng(seed))
    for label in range(3):
        n = int((labels == label).sum())
        assert abs((parts[labels == label] == 1).sum() - n / 4) <= 1


@pytest.mark.parametrize("k", [2, 5])
def test_parts_are_more_alike_than_random_ones(k: int) -> None:
    values = truth()
    wanted = values.sum(axis=0) / k

    def unlike(parts: np.ndarray) -> float:
        counts = np.stack([values[parts == j].sum(axis=0) for j in range(k)])
        return float(np.abs(counts - wanted).mean())

    rng = np.random.default_rng(0)
    mine = [unlike(iterative(values, [1 / k] * k, np.random.default_rng(s))) for s in range(5)]
    chance = [unlike(rng.permutation(np.arange(len(values)) % k)) for _ in range(50)]
    assert max(mine) < min(chance)
    assert max(mine) < 1.0


def test_draws_are_nested_and_hold_each_label() -> None:
    values, task = truth(), Labels(tuple("abcdef"))
    items = np.arange(len(values))
    few, more = (task.draw(values, items, n, [0, 3, 1]) for n in (4, 8))
    assert set(few) < set(more)
    counts = values.sum(axis=0)
    assert (values[few].sum(axis=0) >= np.minimum(counts, 4)).all()
    assert (~values[few].any(axis=1)).sum() == 4


def test_folds_cover_everything_once() -> None:
    values = truth(60)
    folds = Labels(tuple("abcdef")).folds(values, 0)
    assert sorted(np.concatenate([test for _, test in folds])) == list(range(60))
    assert all(len(fit) + len(test) == 60 for fit, test in folds)
    assert Labels(("a",)).folds(values[:9, :1], 0) == []
