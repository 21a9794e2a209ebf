"""Intervals and verdicts of repeated cross-validation against simulated truth.

python benchmarks/simulated_folds.py [--times 1000] [--repeats 5] [--seed 0]

Two classes are Gaussian clouds, and two learners, ridge classifiers, see different but equally good
halves of the measurements: in expectation they are equal. `compare --folds 5` speaks of models that
learned from four fifths of the items; their true accuracy, over all training sets of that size, is
known in closed form for one model, and so as a mean over 4,000 of them.
"""

from __future__ import annotations

import argparse
from functools import cache
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

from headstart.evaluation.luck import Sample, gap, interval, lower
from headstart.tasks.drawing import spread

ITEMS, FOLDS, SIDES = (40, 100, 300, 900), 5, 12
RIDGE = 1.0


class Found(NamedTuple):
    """Shares: of comparisons with a "lower", of accuracies and differences in their intervals."""

    lower: float
    accuracy: float
    difference: float
    width: float


def cloud(rng: np.random.Generator, n: int, apart: float) -> tuple[np.ndarray, np.ndarray]:
    """Return items, (n, 2 * SIDES), whose classes are ``apart`` in each half, and their signs."""
    signs = np.where(np.arange(n) % 2, 1.0, -1.0)
    middle = np.full(2 * SIDES, apart / 2 / np.sqrt(SIDES))
    return rng.normal(size=(n, 2 * SIDES)) + signs[:, None] * middle, signs


def solved(x: np.ndarray, signs: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the weights and the offset of ridge regression on the signs."""
    mean, level = x.mean(0), signs.mean()
    gram = (x - mean).T @ (x - mean) + RIDGE * np.eye(x.shape[1])
    weights = np.linalg.solve(gram, (x - mean).T @ (signs - level))
    return weights, float(level - mean @ weights)


def exactly(weights: np.ndarray, offset: float, apart: float) -> float:
    """Return the accuracy of one model on all items that there could be."""
    shift, length = apart / 2 / np.sqrt(SIDES) * weights.sum(), np.linalg.norm(weights)
    return float((ndtr((shift + offset) / length) + ndtr((shift - offset) / length)) / 2)


@cache
def truth(items: int, apart: float) -> float:
    """Return the mean accuracy of models that learn from four fifths of so many items."""
    rng = np.random.default_rng([items, 7])
    n = items - items // FOLDS
    pairs = (cloud(rng, n, apart) for _ in range(4000))
    return float(np.mean([exactly(*solved(x[:, :SIDES], y), apart) for x, y in pairs]))


def covered(items: int, times: int, repeats: int, seed: int) -> Found:
    rng = np.random.default_rng([items, repeats, seed])
    aparts = (0.7, 1.4, 2.1, 2.8, 3.5)
    known = {apart: truth(items, apart) for apart in aparts}
    found = np.zeros(4)
    for number in range(times):
        apart = aparts[number % len(aparts)]
        x, signs = cloud(rng, items, apart)
        folds = np.stack(
            [spread((signs > 0) * 1, FOLDS, int(rng.integers(1 << 30))) for _ in range(repeats)]
        )
        scores = np.zeros((2, repeats, items))
        for half, r, k in np.ndindex(2, repeats, FOLDS):
            mine, held = x[:, half * SIDES :][:, :SIDES], folds[r] == k
            weights, offset = solved(mine[~held], signs[~held])
            scores[half, r, held] = (mine[held] @ weights + offset) * signs[held] > 0
        trained = items - items // FOLDS
        both = [Sample(one, trained, folds=folds) for one in scores]
        best, other = sorted(both, key=lambda one: -one.mean)
        found[0] += lower(best, other, 1)
        spans = [interval(one) for one in both]
        found[1] += np.mean([low <= known[apart] <= high for _, low, high in spans])
        _, low, high = gap(*both)
        found[2] += low <= 0 <= high
        found[3] += np.mean([high - low for _, low, high in spans])
    return Found(*(found / times))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=1000)
    parser.add_argument("--repeats", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print("| repeats | items | lower | accuracy covered | difference covered | width |")
    print("|---|---|---|---|---|---|")
    for repeats in given.repeats:
        for items in ITEMS:
            row = covered(items, given.times, repeats, given.seed)
            cells = " | ".join(f"{100 * share:.1f}" for share in row)
            print(f"| {repeats} | {items} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
