"""Blocks that stand still are frozen from the bottom up, for good, and alike after a restart."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import Tensor

from headstart.strategies.plan import Freeze
from headstart.training.freezing import Watch, relative_update

RULE = Freeze(threshold=0.1, patience=2)
Blocks = dict[int, list[Tensor]]


def blocks(*values: float) -> Blocks:
    """One block a value, of two parameters that all have it."""
    return {
        k: [torch.full((2, 3), float(v)), torch.full((4,), float(v))] for k, v in enumerate(values)
    }


def boundaries(watch: Watch, *steps: tuple[float, ...]) -> list[int]:
    return [watch.check(blocks(*values)) for values in steps]


def test_relative_update_against_numpy() -> None:
    rng = np.random.default_rng(0)
    shapes = [(3, 4), (5,), ()]
    now, last = ([rng.normal(size=shape) for shape in shapes] for _ in range(2))
    joined = [np.concatenate([a.ravel() for a in arrays]) for arrays in (now, last)]
    expected = np.linalg.norm(joined[0] - joined[1]) / np.linalg.norm(joined[1])
    got = relative_update(*([torch.tensor(a) for a in arrays] for arrays in (now, last)))
    assert got == pytest.approx(expected, rel=1e-9)
    assert relative_update([], []) == 0
    assert relative_update([torch.ones(2)], [torch.zeros(2)]) > 1e9


def test_a_block_at_rest_is_frozen_after_its_patience() -> None:
    assert boundaries(Watch(RULE), (1, 1), (1, 2), (1.005, 3), (1, 4)) == [0, 0, 1, 1]


def test_a_block_waits_for_those_below_it() -> None:
    steps = [(1, 1), (2, 1), (3, 1), (4, 1), (4, 1), (4, 1)]
    assert boundaries(Watch(RULE), *steps) == [0, 0, 0, 0, 0, 2]


def test_one_large_update_begins_the_count_anew() -> None:
    steps = [(1, 1), (1, 2), (2, 2), (2, 2), (2, 2)]
    assert boundaries(Watch(RULE), *steps) == [0, 0, 0, 0, 2]


def test_updates_are_measured_from_check_to_check() -> None:
    # A slow drift is far from its start in the end, and still never moved much at once.
    drifting = [(1 + 0.09 * i, 2.0**i) for i in range(4)]
    assert boundaries(Watch(RULE), *drifting)[-1] == 1
    faster = [(1 + 0.2 * i, 2.0**i) for i in range(4)]
    assert boundaries(Watch(RULE), *faster)[-1] == 0


def test_updates_are_shares_of_the_largest_so_far() -> None:
    # All move less and less, as rates fall: those that once moved far come to rest as well.
    slower = [(1 + 0.05 * (1 - 0.1**i), 1 + 0.5 * (1 - 0.1**i)) for i in range(5)]
    assert boundaries(Watch(RULE), *slower) == [0, 0, 1, 2, 2]


@pytest.mark.parametrize("scale", [1e-4, 1e-2, 1])
def test_the_rate_does_not_matter(scale: float) -> None:
    steps = [(1 + 0.01 * scale * i, 1 + scale * i) for i in range(4)]
    assert boundaries(Watch(RULE), *steps) == [0, 0, 1, 1]


def test_what_is_frozen_stays_frozen() -> None:
    watch = Watch(RULE)
    assert boundaries(watch, (1, 1), (1, 2), (1, 3)) == [0, 0, 1]
    # The loop no longer asks about block 0, or does: both ways it is frozen.
    assert [watch.check({1: blocks(0, v)[1]}) for v in (4.0, 5.0)] == [1, 1]
    assert boundaries(watch, (9, 6), (1, 6), (9, 6)) == [1, 1, 2]


def test_a_block_without_parameters_stands_still() -> None:
    watch = Watch(RULE)
    assert [watch.check({0: [], 1: [torch.full((2,), float(i))]}) for i in range(1, 4)] == [0, 0, 1]


def test_parameters_are_copied_and_not_held() -> None:
    watch, weight = Watch(RULE), torch.nn.Parameter(torch.ones(3))
    for _ in range(4):
        assert watch.check({0: [weight]}) == 0
        with torch.no_grad():
            weight.mul_(2)


@pytest.mark.parametrize("stop", range(1, 7))
def test_a_restored_watch_decides_alike(stop: int) -> None:
    steps = [(1, 1, 1), (2, 1, 1.5), (2, 1, 2), (2, 1, 2), (2, 1, 3), (2, 1, 3), (2, 1, 3)]
    whole = boundaries(Watch(RULE), *steps)
    assert whole == [0, 0, 0, 2, 2, 2, 3]
    first = Watch(RULE)
    before = boundaries(first, *steps[:stop])
    tensors, values = first.state()
    again = Watch.restore(RULE, tensors, json.loads(json.dumps(values)))
    assert before + boundaries(again, *steps[stop:]) == whole
