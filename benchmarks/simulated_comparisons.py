"""Verdicts and intervals of comparisons against simulated truth.

python benchmarks/simulated_comparisons.py [--times 1000] [--strategies 2] [--seed 0] [--law usual]

Equally good strategies answer the same items after the same draws. Whether an answer is right is a
normal variable above a threshold, made of how easy the item is, how it suits the strategy, how
lucky the draw is (for all, and for this strategy), and noise; so the true accuracy, over all draws
and items, is known. It lies between 60 and 99 %. The spread of draws follows the number of labels
(8 to 512) as it does on real data, give or take a factor: exp(N(0, 0.5)).

That is the law "usual", which the constants of `headstart.evaluation.luck` were set on. The others
break one of its assumptions each: draws that are skewed, have heavy tails, or are now and then a
mishap; a spread of draws half or twice as large as usual; items most of which are easy and some
hopeless; items that come in fours which are alike (that no interval over items can know of).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from scipy import stats
from scipy.special import ndtr, ndtri

from headstart.evaluation.luck import (
    Sample,
    Spread,
    gap,
    interval,
    lower,
    spread_of,
    told,
    told_apart,
)

DRAWS, ITEMS = (1, 2, 5, 10), (16, 150, 2000)
EASE, SUITS = 1.4, 0.7
LABELS = (8, 512)
PROBIT = 1.7
"""A logit in units of a normal threshold."""

GRID = (np.arange(80) + 0.5) / 80
"""Where the law of a draw's luck is cut for the true accuracy."""


class Found(NamedTuple):
    """Shares: of comparisons with a "lower", of accuracies and differences in their intervals."""

    lower: float
    accuracy: float
    difference: float
    width: float


@dataclass(frozen=True)
class Law:
    """What a simulation is made of.

    Attributes:
        luck: from probabilities to the quantiles of a draw's luck, of mean 0 and variance 1.
        spread: of draws, in units of the usual one.
        hopeless: the share of items that are much harder than the others.
        alike: so many items share how easy they are.
    """

    luck: Callable[[np.ndarray], np.ndarray] = ndtri
    spread: float = 1.0
    hopeless: float = 0.0
    alike: int = 1

    def drawn(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return self.luck(rng.random(shape))

    def ease(self, rng: np.random.Generator, items: int) -> np.ndarray:
        """Return how easy each item is: normal, or of two kinds, the mean 0 all the same."""
        groups = -(-items // self.alike)
        found = np.repeat(rng.normal(0, EASE, groups), self.alike)[:items]
        return found + self._apart(rng.random(items) < self.hopeless)

    def _apart(self, hard: np.ndarray) -> np.ndarray:
        return HARDER * (self.hopeless - hard) if self.hopeless else np.zeros(hard.shape)

    def right(self, threshold: float, luck: np.ndarray, still: float) -> float:
        """Return the true accuracy, over all items and draws."""
        easy, hard = self._apart(np.array([0.0])), self._apart(np.array([1.0]))
        shares = [ndtr((threshold + luck + one) / still).mean() for one in (easy, hard)]
        return float(shares[0] * (1 - self.hopeless) + shares[1] * self.hopeless)


HARDER = 5.0
"""How much harder the hopeless items are, where the noise of one answer is 1."""


def _mishaps(share: np.ndarray) -> np.ndarray:
    """Quantiles of draws of which one in ten is a mishap, three spreads below."""
    grid = np.linspace(-12, 6, 4001)
    whole = 0.9 * stats.norm.cdf(grid, 0.3, 0.6) + 0.1 * stats.norm.cdf(grid, -2.7, 0.6)
    return np.interp(share, whole, grid) / np.sqrt(0.36 + 0.81)


@cache
def laws() -> dict[str, Law]:
    skewed, heavy = stats.gamma(1.5), stats.t(3)
    return {
        "usual": Law(),
        "skewed": Law(lambda p: -(skewed.ppf(p) - 1.5) / np.sqrt(1.5)),
        "heavy": Law(lambda p: heavy.ppf(p) / np.sqrt(3)),
        "mishaps": Law(_mishaps),
        "half": Law(spread=0.5),
        "twice": Law(spread=2.0),
        "hopeless": Law(hopeless=0.2),
        "alike": Law(alike=4),
    }


def answers(
    rng: np.random.Generator, accuracy: float, trained: int, shape: tuple[int, int, int], law: Law
) -> np.ndarray:
    """Return whether each of (strategies, draws, items) is right."""
    strategies, draws, items = shape
    spread = law.spread * np.exp(rng.normal(0, 0.5)) * 0.9 / np.sqrt(trained) / PROBIT
    common = rng.uniform(0, 0.9)
    still = np.sqrt(EASE**2 + SUITS**2 + 1)
    parts = still * spread * np.sqrt([common, 1 - common])
    latent = law.ease(rng, items) + rng.normal(0, SUITS, (strategies, 1, items))
    latent = latent + parts[0] * law.drawn(rng, (1, draws, 1))
    latent = latent + parts[1] * law.drawn(rng, (strategies, draws, 1))
    return (latent + rng.normal(size=shape) + _threshold(law, accuracy, parts, still) > 0) * 1.0


def _threshold(law: Law, accuracy: float, parts: np.ndarray, still: float) -> float:
    """Return above what an answer is right, so that the true accuracy is the one wanted."""
    if law.luck is ndtri and not law.hopeless:
        return float(ndtri(accuracy) * np.sqrt(still**2 + (parts**2).sum()))
    luck = np.add.outer(*(part * law.luck(GRID) for part in parts)).ravel()
    low, high = -20.0, 20.0
    for _ in range(24):
        middle = (low + high) / 2
        low, high = (middle, high) if law.right(middle, luck, still) < accuracy else (low, middle)
    return low


def beside(every: list[Sample], mine: Sample) -> Spread:
    """Return what the draws of the other strategies say of theirs."""
    return spread_of(told(one) for one in every if one is not mine)


def apart(every: list[Sample], best: Sample, mine: Sample) -> Spread:
    """Return what the others say of how far differences from the best spread."""
    others = [one for one in every if one is not best and one is not mine]
    return spread_of(told_apart(best, one) for one in others)


def covered(
    draws: int, items: int, times: int, strategies: int = 2, *, seed: int = 0, law: str = "usual"
) -> Found:
    rng = np.random.default_rng([draws, items, strategies, *([seed] if seed else [])])
    found = np.zeros(4)
    for _ in range(times):
        accuracy = rng.uniform(0.6, 0.99 - laws()[law].hopeless)
        trained = int(np.exp(rng.uniform(*np.log(LABELS))))
        right = answers(rng, accuracy, trained, (strategies, draws, items), laws()[law])
        all_ = [Sample(one, trained) for one in right]
        best = max(all_, key=lambda one: one.mean)
        others = strategies - 1
        rest = [one for one in all_ if one is not best]
        found[0] += any(lower(best, one, others, apart(all_, best, one)) for one in rest)
        spans = [interval(one, spread=beside(all_, one)) for one in all_]
        found[1] += np.mean([low <= accuracy <= high for _, low, high in spans])
        _, low, high = gap(*all_[:2], spread=apart(all_, *all_[:2]))
        found[2] += low <= 0 <= high
        found[3] += np.mean([high - low for _, low, high in spans])
    return Found(*(found / times))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=1000)
    parser.add_argument("--strategies", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--law", choices=sorted(laws()), default="usual")
    given = parser.parse_args()
    print(f"law {given.law}, seed {given.seed}, {given.times} comparisons of each size\n")
    print("| draws | items | lower | accuracy covered | difference covered | width |")
    print("|---|---|---|---|---|---|")
    for draws in DRAWS:
        for items in ITEMS:
            how = {"seed": given.seed, "law": given.law}
            row = covered(draws, items, given.times, given.strategies, **how)
            cells = " | ".join(f"{100 * share:.1f}" for share in row)
            print(f"| {draws} | {items} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
