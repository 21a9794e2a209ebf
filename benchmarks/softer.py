"""What `lp-ft` gains or loses where its solved head starts softer: training rows alone.

    python benchmarks/softer.py hotdog,imdb [--shots 8,20] [--by 1,3,10] [--draws 2]

Half of the training items of a set, 250 at most, are its test items here; the test part of the set
is not opened. Draws are paired: the same labels and test items with each divisor.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from unittest import mock

import numpy as np

import headstart
from headstart.strategies import lp_ft
from places import DATA
from sureness import of

MOST = 1500
"""Items that labels are drawn from, at most."""


def halves(data: headstart.Dataset, draw: int) -> headstart.Dataset:
    """Return training items alone, some of them as the test part."""
    data = data.take(np.flatnonzero(np.isin(data.splits, ["train", ""])))
    order = np.random.default_rng([draw, 99]).permutation(len(data))
    n_test = min(250, len(data) // 2)
    splits = np.full(len(data), "train")
    splits[order[:n_test]] = "test"
    return replace(data, splits=splits).take(np.sort(order[: n_test + MOST]))


def main() -> None:
    """Print each fit, and the mean of each set, size and divisor."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("sets")
    asked.add_argument("--shots", default="8,20")
    asked.add_argument("--by", default="1,3,10")
    asked.add_argument("--draws", type=int, default=2)
    one = asked.parse_args()
    for name in one.sets.split(","):
        data = headstart.read(DATA / name)
        for shots in map(int, one.shots.split(",")):
            for by in map(float, one.by.split(",")):
                rows = []
                for draw in range(one.draws):
                    with mock.patch.object(lp_ft, "SOFTER", by):
                        how = {"strategy": "lp-ft", "shots": shots, "seed": draw}
                        made = headstart.fit(halves(data, draw), **of(name), **how)
                    rows.append((100 * made.accuracy, made.evaluation.log_loss))
                each = " ".join(f"{accuracy:.1f}" for accuracy, _ in rows)
                accuracy, loss = np.mean(rows, axis=0)
                print(f"{name}, {shots} a class, divided by {by:g}: accuracy {accuracy:.1f} "
                      f"({each}), log loss {loss:.2f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
