"""What items without labels are worth: an autoencoder, pseudo-labels, masked tokens.

    python benchmarks/pretraining.py autoencoder mnist [--draws 5] [--epochs 40]
    python benchmarks/pretraining.py rest mnist [--draws 5]
    python benchmarks/pretraining.py masked ag_news [--draws 5] [--texts 4000] [--shots 8,64]

All draws are paired: the same labels with and without. The last line is the mean difference with
its 95 % interval by Student's t. Items measured on never take part in pre-training.
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

import headstart
from headstart.data.dataset import Dataset
from headstart.tasks.intervals import mean_interval
from headstart.verbs.pretrain import autoencoder, masked
from places import DATA, WEIGHTS
from texts import ag_news

os.environ.setdefault("HEADSTART_WEIGHTS", str(WEIGHTS))

Fits = Callable[[int], tuple[float, float]]
"""From a draw to the accuracy (without, with)."""


def paired(name: str, draws: int, fits: Fits) -> None:
    """Print each draw, and the mean difference with its interval."""
    found = []
    for draw in range(draws):
        start = time.perf_counter()
        without, having = fits(draw)
        found.append((without, having))
        seconds = time.perf_counter() - start
        print(
            f"{name} draw {draw}: without {100 * without:.1f}, with {100 * having:.1f} "
            f"({seconds:.0f} s)",
            flush=True,
        )
    mean, low, high = mean_interval([100 * (b - a) for a, b in found])
    without, having = (100 * np.mean(side) for side in zip(*found, strict=True))
    print(
        f"{name}: {without:.1f} without, {having:.1f} with; difference {mean:+.1f} points "
        f"(95 %: {low:+.1f} to {high:+.1f})",
        flush=True,
    )


def training(data: Dataset) -> Dataset:
    """Return the training items without their labels."""
    chosen = np.flatnonzero(np.isin(data.splits, ["train", ""]))
    return replace(data.take(chosen), targets=None)


def few(given: argparse.Namespace) -> int:
    """Return the labels a class."""
    return given.shots[0] if given.shots else 10


def encoded(name: str, folder: Path, given: argparse.Namespace) -> None:
    """Fine-tune the small network after an autoencoder, against from scratch."""
    data = headstart.read(DATA / name)
    start = time.perf_counter()
    made = autoencoder(
        training(data), backbone="random:glyphs", out=folder, name="own", epochs=given.epochs
    )
    print(
        f"pre-trained on {made['n_train']} pictures, {made['epochs']} epochs, "
        f"{time.perf_counter() - start:.0f} s; {made['check']}",
        flush=True,
    )

    def fits(draw: int) -> tuple[float, float]:
        how = {"shots": few(given), "seed": draw}
        scratch = headstart.fit(data, backbone="glyphs", strategy="scratch", **how)
        warm = headstart.fit(data, backbone=made["weights"], strategy="warm", **how,
                             body_rate=1e-3)  # fmt: skip
        return scratch.accuracy, warm.accuracy

    paired(f"{name}, scratch or warm after the autoencoder,", given.draws, fits)


def rest(name: str, folder: Path, given: argparse.Namespace) -> None:
    """Take what the labels of a draw leave over as items without labels."""
    data = headstart.read(DATA / name)

    def fits(draw: int) -> tuple[float, float]:
        how = {"shots": few(given), "seed": draw, "backbone": given.backbone}
        plain = headstart.fit(data, **how)
        having = headstart.fit(data, unlabelled="rest", **how)
        print(having.notes[-1], flush=True)
        return plain.accuracy, having.accuracy

    paired(f"{name}, frozen, the rest without labels,", given.draws, fits)


def filled(name: str, folder: Path, given: argparse.Namespace) -> None:
    """Tune MiniLM on masked tokens of other texts of the set, then learn from few labels."""
    data = headstart.read(ag_news(folder) if name == "ag_news" else DATA / name)
    texts = training(data)
    order = np.random.default_rng(0).permutation(len(texts))
    start = time.perf_counter()
    made = masked(
        texts.take(np.sort(order[: given.texts])), backbone="minilm", out=folder, name="own",
        epochs=given.epochs, max_length=128,
    )  # fmt: skip
    seconds = time.perf_counter() - start
    print(f"tuned on {made['n_train']} texts, {seconds:.0f} s; {made['check']}", flush=True)
    sizes = given.shots or [8]
    for strategy, shots in itertools.product(given.strategies.split(","), sizes):

        def fits(draw: int, strategy: str = strategy, shots: int = shots) -> tuple[float, float]:
            how = {"shots": shots, "seed": draw, "strategy": strategy}
            plain = headstart.fit(data, backbone="minilm", max_length=128, **how)
            return plain.accuracy, headstart.fit(data, backbone=made["weights"], **how).accuracy

        paired(f"{name}, {strategy}, {shots} a class, minilm or tuned,", given.draws, fits)


MODES = {"autoencoder": encoded, "rest": rest, "masked": filled}


def main() -> None:
    """Run one mode on one set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=MODES)
    parser.add_argument("data")
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--shots", type=lambda word: [int(n) for n in word.split(",")])
    parser.add_argument("--texts", type=int, default=4000)
    parser.add_argument("--backbone", default="glyphs")
    parser.add_argument("--strategies", default="frozen")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("HEADSTART_HOME", f"{folder}/home")
        MODES[given.mode](given.data, Path(folder), given)


if __name__ == "__main__":
    main()
