"""What `--strategy auto` picks, against every single strategy on the same labels.

python benchmarks/auto.py OUT.jsonl [--sets NAME,...] [--shots 8,32,128] [--draws 2] [--ways W,...]
python benchmarks/auto.py OUT.jsonl --table

Six sets, 250 test items each, paired draws of labels. A row that is in OUT is not measured again,
so a run that was stopped goes on. `auto` sees the labels alone; the test part is opened once by
each fit. Its price is set against what `compare` with its five draws of each would take.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import headstart
from forecast import part
from places import DATA

PICTURES = "frozen", "partial:-2", "lp-ft", "discriminative", "l2-sp", "warm"
TEXTS = "frozen", "contrastive", "partial:-2", "lora", "lp-ft", "warm"
PHOTOS = {"backbone": "mobilenet_v2", "image_size": 128}
SETS: dict[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {
    "cats_dogs": ("cats_dogs", PHOTOS, PICTURES),
    "hotdog_food101_64": ("hotdog_food101_64", PHOTOS, PICTURES),
    "cifar10": ("cifar10", PHOTOS | {"image_size": 64}, PICTURES),
    "pacs/sketch": ("pacs/sketch", PHOTOS, PICTURES),
    "ag_news": ("ag_news/train_text.csv", {"backbone": "minilm", "max_length": 48}, TEXTS),
    "imdb": ("imdb", {"backbone": "minilm", "max_length": 128}, TEXTS),
}
DRAWS_OF_COMPARE = 5

QUARTER = 0.25
"""Of the price of everything: what `auto` may spend."""


def cells(sets: list[str], shots: list[int], draws: int) -> Iterator[tuple[str, int, int, str]]:
    """Each set, size, draw and strategy; `auto` last, for its budget depends on the others."""
    for name in sets:
        for size in shots:
            for draw in range(draws):
                yield from ((name, size, draw, way) for way in (*SETS[name][2], "auto"))


def budget(rows: list[dict[str, Any]], name: str, size: int) -> float:
    """Seconds: a quarter of what `compare` with all its draws of each single strategy takes."""
    mine = [r for r in rows if (r["set"], r["shots"]) == (name, size) and r["way"] != "auto"]
    draws = len({row["draw"] for row in mine})
    return QUARTER * DRAWS_OF_COMPARE * sum(row["seconds"] for row in mine) / draws


def measured(
    data: headstart.Dataset, name: str, size: int, draw: int, way: str, seconds: float
) -> dict[str, Any]:
    """One fit, as a row."""
    options = SETS[name][1] | ({"budget": seconds} if way == "auto" else {})
    one = headstart.fit(data, strategy=way, shots=size, seed=draw, **options).to_json()
    row = {"set": name, "shots": size, "draw": draw, "way": way, "accuracy": one["accuracy"]}
    if way == "auto":
        return row | {"picked": one["auto"]["strategy"], "seconds": one["auto"]["seconds"]}
    return row | {"seconds": one["seconds"]["total"]}


def table(rows: list[dict[str, Any]]) -> None:
    """Print `auto` beside the best single strategy of each set and size."""
    groups: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[row["set"], row["shots"]].append(row)
    print("| set | a class | `auto` | picked | best single | its accuracy | minus best | price |")
    print("|---|---|---|---|---|---|---|---|")
    gaps, prices, fair = [], [], []
    by_way: dict[str, list[float]] = defaultdict(list)
    for (name, size), found in groups.items():
        mean = {
            way: 100 * float(np.mean([r["accuracy"] for r in found if r["way"] == way]))
            for way in dict.fromkeys(r["way"] for r in found)
        }
        if not mean.keys() >= {"auto", *SETS[name][2]}:
            continue
        autos = [row for row in found if row["way"] == "auto"]
        singles = [row["seconds"] for row in found if row["way"] != "auto"]
        best = max(SETS[name][2], key=lambda way: mean[way])
        draws = len({row["draw"] for row in found if row["way"] != "auto"})
        everything = DRAWS_OF_COMPARE * sum(singles) / draws
        price = float(np.mean([row["seconds"] for row in autos])) / everything
        gaps.append(mean["auto"] - mean[best])
        fair += unseen(found)
        prices.append(price)
        for way in mean:
            by_way[way].append(mean["auto"] - mean[way])
        picked = ", ".join(row["picked"] for row in autos)
        print(
            f"| {name} | {size} | {mean['auto']:.1f} | {picked} | {best} | {mean[best]:.1f} "
            f"| {gaps[-1]:+.1f} | {price:.2f} |"
        )
    print(f"\nmean minus the best of each row {np.mean(gaps):+.2f}; price {np.mean(prices):.2f}")
    if fair:
        print(f"  minus what was best on the other draws: {np.mean(fair):+.2f} ({len(fair)} draws)")
    for way, one in by_way.items():
        print(f"  minus always {way}: {np.mean(one):+.2f} ({len(one)} rows)")


def unseen(found: list[dict[str, Any]]) -> list[float]:
    """Return what `auto` has more, in points, than the single strategy that led on other draws.

    The best of a row was picked by the very answers that it is judged by; this one was not, but
    for the 250 test items that all draws share. Strategies that led together count as their mean.
    """
    scores: dict[str, dict[int, float]] = defaultdict(dict)
    for row in found:
        scores[row["way"]][row["draw"]] = 100 * row["accuracy"]
    auto = scores.pop("auto")
    gaps = []
    for draw in auto:
        others = {
            way: np.mean([one[d] for d in one if d != draw])
            for way, one in scores.items()
            if one.keys() > {draw}
        }
        if others:
            led = [scores[way][draw] for way in others if others[way] == max(others.values())]
            gaps.append(auto[draw] - float(np.mean(led)))
    return gaps


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("out", type=Path)
    asked.add_argument("--sets", default=",".join(SETS))
    asked.add_argument("--shots", default="8,32,128")
    asked.add_argument("--draws", type=int, default=2)
    asked.add_argument("--ways", default="")
    asked.add_argument("--table", action="store_true")
    one = asked.parse_args()
    lines = one.out.read_text().splitlines() if one.out.exists() else []
    rows = [json.loads(line) for line in lines]
    if not one.table:
        have = {(row["set"], row["shots"], row["draw"], row["way"]) for row in rows}
        sizes = [int(size) for size in one.shots.split(",")]
        kept: dict[str, headstart.Dataset] = {}
        for cell in cells(one.sets.split(","), sizes, one.draws):
            if cell in have or one.ways and cell[3] not in one.ways.split(","):
                continue
            name = cell[0]
            if name not in kept:
                kept[name] = part(headstart.read(DATA / SETS[name][0]))
            seconds = budget(rows, name, cell[1]) if cell[3] == "auto" else 0.0
            rows.append(measured(kept[name], *cell, seconds))
            with one.out.open("a") as file:
                file.write(json.dumps(rows[-1]) + "\n")
    table(rows)


if __name__ == "__main__":
    main()
