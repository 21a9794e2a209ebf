"""Strategies side by side, on paired draws, with a verdict on every difference."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from headstart.backbones.entry import Entry
from headstart.data.dataset import Dataset
from headstart.data.split import Split, draw
from headstart.evaluation.metrics import mean_interval
from headstart.features.extract import Features
from headstart.progress import log, track
from headstart.strategies.plan import Options
from headstart.training.transfer import transfer

Shots = int | Literal["all"]
Candidate = tuple[str, tuple[Entry, ...], Features | None]
"""A backbone's name, its entries, and their features if some strategy solves on features."""


@dataclass(frozen=True)
class Run:
    """One strategy fitted on one draw, measured on the held-out items."""

    backbone: str
    strategy: str
    shots: Shots
    draw: int
    accuracy: float
    seconds: float


@dataclass(frozen=True)
class Summary:
    """One strategy over its draws.

    Attributes:
        mean: accuracy over the draws.
        low: lower end of its 95 % interval.
        high: upper end.
        seconds: mean time of one fit with its evaluation.
        verdict: "best", "not distinguishable" from the best, or "lower" than it, at the 95 %
            level on the paired differences; "only one draw" where nothing can be said.
    """

    backbone: str
    strategy: str
    shots: Shots
    mean: float
    low: float
    high: float
    seconds: float
    verdict: str


@dataclass(frozen=True)
class Comparison:
    """All runs, and the summary of each backbone, strategy and number of shots."""

    runs: tuple[Run, ...]
    summary: tuple[Summary, ...]
    unfinished: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the object that `headstart compare --json` prints."""
        return {
            "runs": [asdict(run) for run in self.runs],
            "summary": [asdict(row) for row in self.summary],
            "unfinished": self.unfinished,
        }


def compare(
    dataset: Dataset,
    parts: Split,
    candidates: Sequence[Candidate],
    strategies: Sequence[str],
    *,
    shots: Sequence[Shots] = ("all",),
    draws: int = 5,
    options: Options | None = None,
    seed: int = 0,
    device: str = "cpu",
    budget: float | None = None,
) -> Comparison:
    """Fit every strategy on every draw and measure it on ``parts.held_out``.

    Draws are paired: all strategies see the same items in the same draw, so the differences
    between them are not blurred by the luck of the draw.

    Args:
        dataset: the items.
        parts: training items to draw from, and held-out items that no draw touches.
        candidates: the backbones.
        strategies: their names.
        shots: examples a class; "all" for the whole training part.
        draws: how many; "all" has draws that differ in their seeds only.
        options: for all strategies alike.
        seed: of the draws and of everything random in them.
        device: "cpu", "cuda" or "mps".
        budget: seconds after which no new run is begun; what is left out is counted.
    """
    start = time.perf_counter()
    # Draw by draw and not strategy by strategy: cut short by the budget, all have equal draws.
    jobs = [
        (number, n, candidate, name)
        for number in range(draws)
        for n in shots
        for candidate in candidates
        for name in strategies
    ]
    runs: list[Run] = []
    for number, n, candidate, name in track(jobs, "runs", len(jobs)):
        if budget is None or time.perf_counter() - start < budget or not runs:
            train = draw(dataset.labels, parts.train, n, seed=seed, draw=number)
            runs.append(
                _run(
                    dataset,
                    train,
                    parts.held_out,
                    candidate,
                    name,
                    n,
                    number,
                    options,
                    seed,
                    device,
                )
            )
    return Comparison(tuple(runs), tuple(summarise(runs)), len(jobs) - len(runs))


def _run(
    dataset: Dataset,
    train: npt.NDArray[np.int64],
    held_out: npt.NDArray[np.int64],
    candidate: Candidate,
    name: str,
    shots: Shots,
    number: int,
    options: Options | None,
    seed: int,
    device: str,
) -> Run:
    backbone, entries, features = candidate
    start = time.perf_counter()
    fitted = transfer(
        dataset,
        train,
        entries,
        name,
        options=options,
        seed=seed + number,
        device=device,
        features=features,
        say=log.debug,
    )
    logits = fitted.logits(dataset, held_out, features=features, device=device)
    accuracy = float((logits.argmax(axis=1) == dataset.labels[held_out]).mean())
    return Run(backbone, name, shots, number, accuracy, time.perf_counter() - start)


def summarise(runs: Sequence[Run]) -> Iterator[Summary]:
    """Yield one row for each number of shots, backbone and strategy, in the order of the runs."""
    for shots in dict.fromkeys(run.shots for run in runs):
        here = [run for run in runs if run.shots == shots]
        groups: dict[tuple[str, str], dict[int, Run]] = {}
        for run in here:
            groups.setdefault((run.backbone, run.strategy), {})[run.draw] = run
        means = {key: float(np.mean([r.accuracy for r in g.values()])) for key, g in groups.items()}
        best = max(means, key=lambda key: means[key])
        for key, group in groups.items():
            mean, low, high = mean_interval([run.accuracy for run in group.values()])
            seconds = float(np.mean([run.seconds for run in group.values()]))
            said = "best" if key == best else verdict(group, groups[best])
            yield Summary(*key, shots, mean, low, high, seconds, said)


def verdict(mine: dict[int, Run], best: dict[int, Run]) -> str:
    """Return whether ``mine`` is lower than ``best``, by the differences of paired draws."""
    both = sorted(mine.keys() & best.keys())
    if len(both) < 2:
        return "only one draw"
    _, low, _ = mean_interval([best[d].accuracy - mine[d].accuracy for d in both])
    return "lower" if low > 0 else "not distinguishable"
