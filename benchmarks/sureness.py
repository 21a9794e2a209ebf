"""How sure answers are with few labels: with the temperature as it is, and by the likelihood alone.

    python benchmarks/sureness.py hotdog,usps [--shots 8,16] [--ways frozen,lp-ft,warm] [--draws 1]

Log loss and expected calibration error of held-out items. "Before": nothing is believed before the
items set aside have spoken, and the temperature is 1 where there are none. "Least": the log loss
under the temperature that fits the held-out items best, which nobody can know.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np

import headstart
from forecast import part
from headstart.tasks import classes
from headstart.tasks.class_figures import calibration_error
from headstart.tasks.solvers import softmax
from headstart.tasks.temperature import Prior, fit_temperature
from places import DATA

PHOTOS = {"backbone": "mobilenet_v2", "image_size": 128}
DIGITS = {"backbone": "glyphs"}
TEXTS = {"backbone": "minilm", "max_length": 48}


def of(name: str) -> dict[str, Any]:
    """Return the options for a set."""
    if name == "imdb":
        return TEXTS | {"max_length": 128}
    return DIGITS if name in ("usps", "mnist") else TEXTS if "ag_news" in name else PHOTOS


@contextmanager
def by_likelihood_alone() -> Iterator[None]:
    """Set temperatures as they were before anything was believed of them."""

    def plain(logits: Any, labels: Any, prior: Prior | None = None) -> float:
        return fit_temperature(logits, labels)

    with (
        mock.patch.object(classes, "fit_temperature", plain),
        mock.patch.object(classes.Classes, "anchor", lambda *_: None),
    ):
        yield


def measured(data: headstart.Dataset, name: str, **how: Any) -> tuple[float, ...]:
    """Return accuracy, calibration error, log loss, and the least log loss, of one fit."""
    made = headstart.fit(data, **of(name), **how)
    test = made.parts.held_out
    outputs, labels = made.model.outputs(made.dataset, test), made.dataset.labels[test]
    task = made.model.task
    best = outputs / fit_temperature(outputs, labels)
    error = calibration_error(softmax(outputs), labels)
    return made.accuracy, error, task.loss(outputs, labels), task.loss(best, labels)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("sets")
    asked.add_argument("--shots", default="8,16")
    asked.add_argument("--ways", default="frozen,partial:-2,lp-ft,warm,adapt-refit")
    asked.add_argument("--draws", type=int, default=1)
    one = asked.parse_args()
    print("| set | a class | strategy | accuracy | before: error, loss | now | least loss |")
    print("|---|---|---|---|---|---|---|")
    found = defaultdict(list)
    for name in one.sets.split(","):
        data = part(headstart.read(DATA / name))
        for shots in map(int, one.shots.split(",")):
            for way in one.ways.split(","):
                rows = []
                for draw in range(one.draws):
                    how = {"strategy": way, "shots": shots, "seed": draw}
                    with by_likelihood_alone():
                        before = measured(data, name, **how)
                    rows.append((*before[1:3], *measured(data, name, **how)))
                was, lost, accuracy, error, loss, least = np.mean(rows, axis=0)
                found[name].append((lost, loss, least))
                print(
                    f"| {name} | {shots} | `{way}` | {100 * accuracy:.1f} | {was:.3f}, {lost:.2f} "
                    f"| {error:.3f}, {loss:.2f} | {least:.2f} |",
                    flush=True,
                )
    for name, rows in found.items():
        print(name, "mean log loss before, now, least:", np.mean(rows, axis=0).round(3))


if __name__ == "__main__":
    main()
