"""The estimate of the best of several against simulated truth: its bias, and what it covers.

python benchmarks/simulated_choices.py [TIMES]

Candidates answer the same items, as in `fit --strategy auto`: fold by fold, three times over. They
are equally good ("tied", no skill to be had from choosing), or differ by three points (standard
deviation). An interval that is as much narrower as the best of a bootstrap varies less than the
chosen one stands beside ours: it holds the truth where all are tied, and not where they differ.
"""

from __future__ import annotations

import sys

import numpy as np
from scipy.special import ndtri

from headstart.evaluation.bias import corrected
from headstart.evaluation.luck import Sample

CANDIDATES, ITEMS, FOLDS, DRAWS = (2, 10, 40), (100, 400), 4, 3
LEVEL, APART = 0.8, 0.03
ALIKE, STEADY = 0.5, 0.8
"""Shares of what decides an answer: the item itself; of the rest, what no other draw changes."""


def samples(rng: np.random.Generator, n: int, true: np.ndarray) -> list[Sample]:
    """Return the scores of candidates whose ``true`` accuracies are so."""
    shape = (len(true), DRAWS, n)
    own = np.sqrt(STEADY) * rng.normal(size=(len(true), 1, n))
    own = own + np.sqrt(1 - STEADY) * rng.normal(size=shape)
    latent = np.sqrt(ALIKE) * rng.normal(size=n) + np.sqrt(1 - ALIKE) * own
    right = (latent < ndtri(true)[:, None, None]).astype(float)
    folds = np.stack([rng.permutation(np.arange(n) % FOLDS) for _ in range(DRAWS)])
    return [Sample(one, n - n // FOLDS, folds=folds) for one in right]


def steadier(found: list[Sample], best: int, rng: np.random.Generator) -> float:
    """Return how much less the best of a bootstrap varies than the chosen one."""
    means = np.stack([one.scores.mean(axis=0) for one in found])
    n = means.shape[1]
    drawn = rng.multinomial(n, np.full(n, 1 / n), size=300) @ means.T / n
    return float(min(1.0, drawn.max(axis=1).std() / drawn[:, best].std()))


def row(candidates: int, n: int, apart: float, times: int) -> list[float]:
    rng = np.random.default_rng([candidates, n, int(1000 * apart)])
    found = []
    for _ in range(times):
        true = np.clip(LEVEL + apart * rng.normal(size=candidates), 0.5, 0.98)
        scores = samples(rng, n, true)
        best = max(range(candidates), key=lambda k: scores[k].mean)
        one, truth = corrected(scores, best), true[best]
        share = steadier(scores, best, rng)
        low, high = (one.estimate + share * (end - one.estimate) for end in (one.low, one.high))
        found.append(
            (
                one.uncorrected - truth,
                one.estimate - truth,
                one.low <= truth <= one.high,
                one.high - one.low,
                low <= truth <= high,
            )
        )
    return (100 * np.mean(found, axis=0)).tolist()


def main() -> None:
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 150
    print("| candidates | items | | uncorrected | corrected | covered | width | narrowed covers |")
    print("|---|---|---|---|---|---|---|---|")
    for candidates in CANDIDATES:
        for n in ITEMS:
            for name, apart in (("tied", 0.0), ("apart", APART)):
                raw, off, held, width, other = row(candidates, n, apart, times)
                print(
                    f"| {candidates} | {n} | {name} | {raw:+.2f} | {off:+.2f} | {held:.1f} "
                    f"| {width:.1f} | {other:.1f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
