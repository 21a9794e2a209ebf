"""What is believed of a strategy: Bayes' rule, integrated numerically; and what it is for."""

from __future__ import annotations

import numpy as np
import pytest

from headstart.evaluation.belief import EXPECTED, SPREAD, Belief, belief
from headstart.evaluation.bias import corrected
from headstart.evaluation.luck import Sample, gap
from headstart.evaluation.runs import Cell

FROZEN: Cell = ("net", "frozen", "all")
LPFT: Cell = ("net", "lp-ft", "all")


def sample(right: np.ndarray, *, share: bool = True, trained: int = 100) -> Sample:
    return Sample(np.atleast_2d(right).astype(float), trained, share)


def test_it_is_the_posterior_mean_of_the_gap() -> None:
    n = np.arange(60)
    found = {FROZEN: sample(n < 42), LPFT: sample((n < 45) & (n > 3))}
    means = np.array([one.mean for one in found.values()])
    mean, low, high = gap(found[LPFT], found[FROZEN])
    error, errors = (high - low) / 3.92, 1 - means[0]
    grid = np.linspace(-1, 1, 200_001)
    density = np.exp(
        -0.5 * ((grid - mean) / error) ** 2
        - 0.5 * ((grid - EXPECTED["lp-ft"] * errors) / (SPREAD * errors)) ** 2
    )
    judged = means[0] + (grid * density).sum() / density.sum()
    assert belief(found)(means) == pytest.approx([means[0], judged], abs=1e-4)


def test_many_items_speak_for_themselves_and_few_do_not() -> None:
    rng = np.random.default_rng(0)
    for n, tells in ((12, False), (20_000, True)):
        shuffled = rng.permutation(n)
        found = {
            FROZEN: sample(shuffled < 0.8 * n, trained=n),
            LPFT: sample(shuffled < 0.75 * n, trained=n),
        }
        means = np.array([one.mean for one in found.values()])
        believed = belief(found)(means)
        assert bool(abs(believed[1] - means[1]) < 0.01) is tells
        assert bool(believed.argmax() == 0) is tells, "other data outweigh a few answers"


def test_without_the_base_or_an_upper_end_the_means_stand() -> None:
    right = np.arange(10) < 6
    alone = {LPFT: sample(right), ("other", "frozen", "all"): sample(~right)}
    assert belief(alone)(np.array([0.6, 0.4])).tolist() == [0.6, 0.4]
    numbers = {FROZEN: sample(right, share=False), LPFT: sample(~right, share=False)}
    assert belief(numbers)(np.array([0.2, -3.0])).tolist() == [0.2, -3.0]


def test_choosing_by_it_is_better_than_by_the_means() -> None:
    """Gaps as they are expected, 32 items to choose by: the truth of what is taken, on average."""
    rng, taken = np.random.default_rng(1), []
    for _ in range(300):
        gaps = 0.3 * rng.normal([EXPECTED["lp-ft"], 0.0], SPREAD)
        truth = 0.7 + np.array([0.0, *gaps])
        luck = rng.random(32)
        right = [np.where(rng.random(32) < 0.3, rng.random(32), luck) < p for p in truth]
        cells = [FROZEN, LPFT, ("net", "warm", "all")]
        found = dict(zip(cells, map(sample, right), strict=True))
        means = np.array([one.mean for one in found.values()])
        taken.append((truth[belief(found)(means).argmax()], truth[means.argmax()]))
    ours, plain = np.mean(taken, axis=0)
    assert ours > plain


def test_the_price_of_choosing_by_it_is_taken_off() -> None:
    rng, off = np.random.default_rng(2), []
    chooses = Belief(np.array([0, 0, 0]), np.array([1.0, 0.3, 0.3]), np.array([0.0, 0.1, 0.0]))
    for _ in range(40):
        found = [sample(rng.random(100) < 0.5) for _ in range(3)]
        best = int(chooses(np.array([one.mean for one in found])).argmax())
        off.append(corrected(found, best, believed=chooses).estimate - 0.5)
    assert abs(np.mean(off)) < 3 * np.std(off) / np.sqrt(len(off)) + 0.005
