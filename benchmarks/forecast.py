"""Forecasts of learning curves against what then came out; which form forecasts best.

python benchmarks/forecast.py [--draws 6] [--parts 1] [SET@BACKBONE ...]

Without sets they are those on which the form was picked; others are the honest test. Curves of
`frozen` on random parts of real sets (250 test items, 2 to 64 labels a class); each forecast is
made from the smaller sizes alone, three or more, and held against 2, 4 and 8 times: on the same
test items, whose luck the smaller sizes shared, and on up to 1,500 others where a set has them,
whose luck is their own. A user who later labels more and tests anew meets the second.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np

import headstart
from headstart.backbones.choice import entries_for
from headstart.boundary.extract import extract
from headstart.data.split import draw, split
from headstart.evaluation import forecast
from headstart.evaluation.forecast import Curve, log_odds, power_law
from headstart.settings.table import Comparing
from headstart.tasks.heads import solve
from places import DATA

SETS = (
    ("hymenoptera", "mobilenet_v2"),
    ("pacs/sketch", "mobilenet_v2"),
    ("pacs/sketch", "mobilenetv1_100"),
    ("hotdog_food101_64", "mobilenet_v2"),
    ("hotdog_food101_64", "mobilenetv1_100"),
    ("hotdog", "mobilenet_v2"),
    ("cats_dogs", "mobilenet_v2"),
    ("cats_dogs", "mobilenetv1_100"),
    ("usps", "glyphs"),
    ("ag_news/train_text.csv", "minilm"),
)
SHOTS = (2, 4, 8, 16, 32, 64)
ITEMS, OTHERS = 250, 1500
"""Test items that the forecast knows, and most of those that it does not."""


def part(data: headstart.Dataset, number: int = 0, tested: int = ITEMS) -> headstart.Dataset:
    """Return 130 a class to draw from and ``tested`` to test on, from either side of a split."""
    parts = split(data, np.arange(len(data)), val=0.3, seed=0)
    train = draw(data.known, parts.train, 130, seed=5, draw=7 + number)
    test = np.random.default_rng(5 + number).permutation(parts.held_out)[:tested]
    own = np.array(["train"] * len(train) + ["test"] * len(test), "<U5")
    return replace(data.take(np.concatenate([train, test])), splits=own)


def curves(name: str, backbone: str, draws: int, number: int = 0) -> tuple[Curve, Curve]:
    """Return the curve on the items that forecasts know, and on all others, which may be none."""
    data = part(headstart.read(DATA / name), number, ITEMS + OTHERS)
    found, features = extract(data, entries_for(backbone, data, Comparing.of({}), 0, []))
    data = found.dataset
    parts = split(data, found.usable)
    least = min(data.known.task.counts(data.labels[parts.train]).values())
    rows, truth = features.rows(parts.held_out), data.labels[parts.held_out]
    sizes, tables = [], []
    for shots in [n for n in SHOTS if n <= 1.02 * least]:
        table = []
        for number in range(draws):
            train = draw(data.known, parts.train, shots, seed=0, draw=number)
            head, _ = solve("logistic", features.of(data).examples(train))
            table.append(head.logits(rows).argmax(1) == truth)
        sizes.append(shots * len(data.classes))
        tables.append(np.array(table, np.float64))
    both = [[t[:, :ITEMS] for t in tables], [t[:, ITEMS:] for t in tables]]
    known, others = (Curve(np.array(sizes, np.float64), one, float(SHOTS[0])) for one in both)
    return known, others


def forms(known: Curve, n: float) -> Iterator[tuple[str, float]]:
    """Yield what the forms that were tried say."""
    errors = 1 - np.array([[table.mean() for table in known.scores]])
    plain = float(power_law(known.sizes, errors, doubt=0).at(n)[0])
    eased = float(power_law(known.sizes, errors).at(n)[0])
    odds = float(log_odds(known.sizes, errors).at(n)[0])
    yield "plain power law", plain
    yield "log odds", odds
    yield "pooled, equal weights", 0.6 * eased + 0.4 * odds
    yield "last value", 1 - float(errors[0, -1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="*", default=["@".join(one) for one in SETS])
    parser.add_argument("--draws", type=int, default=6)
    parser.add_argument("--parts", type=int, default=1)
    given = parser.parse_args()
    same, fresh = Found({}, {}), Found({}, {})
    for name in given.sets:
        data, backbone = name.split("@")
        seen = set()
        for number in range(given.parts):
            whole, others = curves(data, backbone, given.draws, number)
            means = " ".join(f"{100 * table.mean():.1f}" for table in whole.scores)
            if means in seen:  # a small set is all of each part
                continue
            seen.add(means)
            print(f"{name}: {means}, {others.scores[0].shape[1]} others", flush=True)
            judge(whole, whole, same)
            if others.scores[0].shape[1] >= ITEMS:
                judge(whole, others, fresh)
    tell("on the same items", same)
    tell("on others", fresh)


class Found(NamedTuple):
    """What came out: how far each form is off by form and distance, and bands by distance."""

    off: dict[tuple[str, int], list[float]]
    band: dict[int, list[tuple[bool, float]]]


def judge(whole: Curve, later: Curve, found: Found) -> None:
    """Note how far each form is off what ``later`` shows, and whether the band holds that."""
    off, band = found
    for k in range(3, len(whole.sizes)):
        known = Curve(whole.sizes[:k], whole.scores[:k], whole.shots)
        for at in range(k, len(whole.sizes)):
            n, truth = float(whole.sizes[at]), float(later.scores[at].mean())
            times = round(n / known.sizes[-1])
            mean, low, high = forecast.ahead(known, [n])[0]
            band.setdefault(times, []).append((bool(low <= truth <= high), high - low))
            for form, value in [("ours", mean), *forms(known, n)]:
                off.setdefault((form, times), []).append(abs(value - truth))


def tell(where: str, found: Found) -> None:
    """Print a line for each distance, and our error as a share of the better of the two forms."""
    off, band = found
    for times, rows in sorted(band.items()):
        if times > 8:
            continue
        held, width = np.mean([row[0] for row in rows]), np.median([row[1] for row in rows])
        said = ", ".join(
            f"{form} {100 * np.mean(values):.2f}" for (form, t), values in off.items() if t == times
        )
        print(
            f"{where}, {times} times, {len(rows)} forecasts: {100 * held:.0f} % in the 80 % "
            f"interval, median width {100 * width:.1f}; mean error in points: {said}"
        )
    for times in (2, 4):
        if times not in band:
            continue
        best = min(
            np.mean(off[form, times]) for form in ("plain power law", "pooled, equal weights")
        )
        share = np.mean(off["ours", times]) / best
        print(f"{where}, {times} times: {share:.2f} of the better of the two")


if __name__ == "__main__":
    main()
