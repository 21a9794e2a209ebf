"""Wrong labels put in on purpose, and how many of them stand among the first that HS006 lists.

    python benchmarks/wrong_labels.py hotdog_food101_64 [--a-class 480] [--wrong 48] [--first 96]
        [--draws 10] [--backbone mobilenet_v2]

Items and labels are drawn anew each time. What the data themselves have wrong counts against us.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np

from headstart.backbones.registry import resolve
from headstart.boundary.extract import extract
from headstart.checks.run import doubts
from headstart.data.reading import read
from headstart.data.split import draw, split
from headstart.tasks.intervals import mean_interval
from headstart.tasks.task import Targets
from places import DATA


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="+")
    parser.add_argument("--a-class", type=int, default=480)
    parser.add_argument("--wrong", type=int, default=48)
    parser.add_argument("--first", type=int, default=96)
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--backbone", default="mobilenet_v2")
    given = parser.parse_args()
    for name in given.sets:
        entries = [resolve(one) for one in given.backbone.split("+")]
        found, features = extract(read(DATA / name), entries)
        data = found.dataset
        train = split(data, found.usable).train
        shares = []
        for number in range(given.draws):
            rng = np.random.default_rng([number, 11])
            mine = draw(data.known, train, given.a_class, draw=number)
            wrong = rng.choice(mine, given.wrong, replace=False)
            labels, n = data.labels.copy(), len(data.classes)
            labels[wrong] = (labels[wrong] + rng.integers(1, n, len(wrong))) % n
            noisy = replace(data, targets=Targets(data.known.task, labels))
            said = doubts(noisy, mine, features)
            listed = [row["item"] for row in said.items[: given.first]] if said else []
            shares.append(len({data.names[int(i)] for i in wrong} & set(listed)) / given.wrong)
        mean, low, high = mean_interval(shares)
        print(
            f"{name}: {given.wrong} wrong of {given.a_class * len(data.classes)}, "
            f"{100 * mean:.1f} % ({100 * low:.1f} to {100 * high:.1f}) in the first {given.first}"
        )


if __name__ == "__main__":
    main()
