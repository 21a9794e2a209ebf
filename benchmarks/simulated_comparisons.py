"""Verdicts and intervals of comparisons against simulated truth.

python benchmarks/simulated_comparisons.py [TIMES] [STRATEGIES]

Equally good strategies answer the same items after the same draws. Whether an answer is right is a
normal variable above a threshold, made of how easy the item is, how it suits the strategy, how
lucky the draw is (for all, and for this strategy), and noise; so the true accuracy, over all draws
and items, is known. It lies between 60 and 99 %. The spread of draws follows the number of labels
(8 to 512) as it does on real data, give or take a factor: exp(N(0, 0.5)).
"""

from __future__ import annotations

import sys
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from headstart.evaluation.luck import Sample, gap, interval, lower

DRAWS, ITEMS = (1, 2, 5, 10), (16, 150, 2000)
EASE, SUITS = 1.4, 0.7
LABELS = (8, 512)
PROBIT = 1.7
"""A logit in units of a normal threshold."""


class Found(NamedTuple):
    """Shares: of comparisons with a "lower", of accuracies and differences in their intervals."""

    lower: float
    accuracy: float
    difference: float
    width: float


def answers(rng: np.random.Generator, accuracy: float, trained: int, shape: tuple[int, int, int]):
    """Return whether each of (strategies, draws, items) is right."""
    strategies, draws, items = shape
    spread = np.exp(rng.normal(0, 0.5)) * 0.9 / np.sqrt(trained) / PROBIT
    common = rng.uniform(0, 0.9)
    still = np.sqrt(EASE**2 + SUITS**2 + 1)
    latent = rng.normal(0, EASE, items) + rng.normal(0, SUITS, (strategies, 1, items))
    latent = latent + rng.normal(0, still * spread * np.sqrt(common), (1, draws, 1))
    latent = latent + rng.normal(0, still * spread * np.sqrt(1 - common), (strategies, draws, 1))
    threshold = ndtri(accuracy) * still * np.sqrt(1 + spread**2)
    return (latent + rng.normal(size=shape) + threshold > 0).astype(float)


def covered(draws: int, items: int, times: int, strategies: int = 2) -> Found:
    rng = np.random.default_rng([draws, items, strategies])
    found = np.zeros(4)
    for _ in range(times):
        accuracy = rng.uniform(0.6, 0.99)
        trained = int(np.exp(rng.uniform(*np.log(LABELS))))
        right = answers(rng, accuracy, trained, (strategies, draws, items))
        all_ = [Sample(one, trained) for one in right]
        best = max(all_, key=lambda one: one.mean)
        others = strategies - 1
        found[0] += any(lower(best, one, others) for one in all_ if one is not best)
        spans = [interval(one) for one in all_]
        found[1] += np.mean([low <= accuracy <= high for _, low, high in spans])
        _, low, high = gap(all_[0], all_[1])
        found[2] += low <= 0 <= high
        found[3] += np.mean([high - low for _, low, high in spans])
    return Found(*(found / times))


def main() -> None:
    given = [int(word) for word in sys.argv[1:]]
    times, strategies = (*given, *(1000, 2)[len(given) :])
    print("| draws | items | lower | accuracy covered | difference covered | width |")
    print("|---|---|---|---|---|---|")
    for draws in DRAWS:
        for items in ITEMS:
            row = covered(draws, items, times, strategies)
            cells = " | ".join(f"{100 * share:.1f}" for share in row)
            print(f"| {draws} | {items} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
