"""What a comparison holds: runs with what they answered, a summary, and what follows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from math import inf
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from headstart.cards import Card, Line, Record, Shown
from headstart.data.dataset import Dataset
from headstart.evaluation.advice import Advice, Floor, Forecast, Goal
from headstart.evaluation.forgetting import Lost
from headstart.evaluation.luck import (
    ALONE,
    Interval,
    Sample,
    Spread,
    interval,
    lower,
    paired,
    spread_of,
    told,
    told_apart,
)
from headstart.findings import Finding
from headstart.tasks.answers import Answers
from headstart.tasks.task import Targets, Task

Shots = int | Literal["all"]
Cell = tuple[str, str, Shots]
"""Backbone, strategy and shots."""


@dataclass(frozen=True)
class Run:
    """One strategy fitted on one draw, and what it answered on the held-out items.

    With folds, ``draw`` is a repetition: one model a fold, which together answer every item.
    """

    backbone: str
    strategy: str
    shots: Shots
    draw: int
    seconds: float
    answers: Answers = field(compare=False, repr=False)
    lost: Lost | None = None

    @property
    def value(self) -> float:
        """The task's score, the accuracy of classes; the greater, the better."""
        return float(self.scores.mean())

    @property
    def scores(self) -> npt.NDArray[np.float64]:
        """One value an item, shape (N,), whose mean is the score; of classes 1.0 where right."""
        return next(iter(self.answers.scores.values()))

    @property
    def cell(self) -> Cell:
        """What it is a run of."""
        return self.backbone, self.strategy, self.shots

    def to_json(self, score: str) -> dict[str, Any]:
        """Return the run as plain values, its value called by what it is; without its answers."""
        return {
            "backbone": self.backbone,
            "strategy": self.strategy,
            "shots": self.shots,
            "draw": self.draw,
            score: self.value,
            "seconds": self.seconds,
            **({"lost": asdict(self.lost)} if self.lost else {}),
        }

    @classmethod
    def of(cls, row: Mapping[str, Any], answers: Answers) -> Run:
        """Return the run from what `to_json` made of it.

        Raises:
            KeyError: the row is of no run.
        """
        keys = ("backbone", "strategy", "shots", "draw", "seconds")
        lost = Lost(**row["lost"]) if "lost" in row else None
        return cls(**{key: row[key] for key in keys}, answers=answers, lost=lost)


@dataclass(frozen=True)
class HeldOut:
    """The items that all runs are measured on.

    Attributes:
        names: shape (N,), how an item is called in reports.
        targets: shape (N,), what is right.
    """

    names: Sequence[str]
    targets: Targets

    @classmethod
    def of(cls, dataset: Dataset, held_out: npt.NDArray[np.int64]) -> HeldOut:
        """Return those of the items at ``held_out``."""
        return cls(dataset.take(held_out).names, dataset.known.take(held_out))


@dataclass(frozen=True)
class Summary:
    """One strategy over its draws.

    Attributes:
        mean: score over the draws.
        low: lower end of its 95 % interval, which holds the luck of draws and of held-out items.
        high: upper end.
        seconds: mean time of one run with its evaluation.
        verdict: "best", "not distinguishable" from the best, or "lower" than it, at the 95 %
            level on the same draws and items, see `headstart.evaluation.luck`.
        draws: number of runs.
        trained: number of items that a model learned from.
        figures: other figures by name, macro-F1 and balanced accuracy of classes, each with its
            interval.
        stopped: whether its runs were broken off since it could hardly be the best any more.
        lost: what it forgot of a probe; None without one.
    """

    backbone: str
    strategy: str
    shots: Shots
    mean: float
    low: float
    high: float
    seconds: float
    verdict: str
    draws: int = 1
    trained: int = 0
    figures: Mapping[str, Interval] | None = None
    stopped: bool = False
    lost: Lost | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the row as plain values."""
        figures = {name: one._asdict() for name, one in (self.figures or {}).items()}
        found = asdict(self) | {"figures": figures}
        return {name: value for name, value in found.items() if name != "lost" or value}


_NESTED = ("figures", "lost")
"""What a row of a card has no place for."""


@dataclass(frozen=True, repr=False)
class Comparison(Shown):
    """All runs, and what follows from them.

    Attributes:
        runs: in the order in which they were done.
        held_out: the items that they answer.
        unfinished: runs that were asked for, and left out for want of time.
        stopped: cells that could hardly be the best any more, and were broken off.
        floors: what needs no backbone: the majority class, say.
        advice: what to take.
        forecast: what more labels should bring, an 80 % interval a row.
        backtest: forecasts of sizes that were measured, made from the smaller ones.
        goal: how many labels a wished score needs.
        findings: what checks have found, by code.
    """

    runs: tuple[Run, ...]
    held_out: HeldOut
    unfinished: int = 0
    stopped: frozenset[Cell] = frozenset()
    floors: tuple[Floor, ...] = ()
    advice: Advice | None = None
    forecast: tuple[Forecast, ...] = ()
    backtest: tuple[Forecast, ...] = ()
    goal: Goal | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def kind(self) -> Task:
        """What was predicted."""
        return self.held_out.targets.task

    @property
    def task(self) -> str:
        """The name of what was predicted."""
        return self.kind.name

    @property
    def score(self) -> str:
        """The name of what is compared."""
        return self.kind.score

    @cached_property
    def summary(self) -> tuple[Summary, ...]:
        """A row for each number of shots, backbone and strategy."""
        return tuple(summarise(self.runs, self.kind, self.stopped))

    def card(self) -> Card:
        """Return what came out best at the most labels, what to take, and what checks found."""
        runs = f"{len(self.runs)} runs on {len(self.held_out.targets)} held-out items"
        best = [row for row in self.summary if row.verdict == "best"]
        lines = [self.advice.sentence, self.advice.more] if self.advice else []
        lines += [f"{one.code} {one.title}: {one.message}" for one in self.findings]
        if not best:
            return Card("comparison", "", tuple(lines))
        top = max(best, key=lambda row: inf if row.shots == "all" else row.shots)
        shown, ends = self.kind.shown(top.mean), self.kind.shown_span(top.low, top.high)
        name = f"best of {runs}: {top.strategy} on {top.backbone}, {top.shots} labels a class"
        return Card(name, shown, (f"95 %: {ends}", *lines))

    def records(self) -> list[Record]:
        """Return the summary: a row for each backbone, strategy and number of labels."""
        return [
            {name: value for name, value in row.to_json().items() if name not in _NESTED}
            for row in self.summary
        ]

    def lines(self) -> list[Line]:
        """Return the score over the number of labels, a line a backbone and strategy."""
        rows = [row for row in self.summary if row.shots != "all"]
        if len({row.shots for row in rows}) < 2:
            return []
        found: dict[str, list[Summary]] = {}
        for row in rows:
            found.setdefault(f"{row.backbone} {row.strategy}", []).append(row)
        return [
            Line(
                name,
                [float(row.shots) for row in mine],
                [row.mean for row in mine],
                [row.low for row in mine],
                [row.high for row in mine],
            )
            for name, mine in found.items()
        ]

    def sweep(self) -> dict[int, list[Summary]]:
        """Return the rows by how many blocks were frozen; empty unless all strategies say that.

        That is, where each is ``partial:K`` with K of 0 or more, and there are three or more K.
        """
        found: dict[int, list[Summary]] = {}
        for row in self.summary:
            name, _, k = row.strategy.partition(":")
            if name != "partial" or not k.isdecimal():
                return {}
            found.setdefault(int(k), []).append(row)
        return dict(sorted(found.items())) if len(found) > 2 else {}

    def to_json(self) -> dict[str, Any]:
        """Return the object that `headstart compare --json` prints."""
        return {
            "task": self.task,
            "score": self.score,
            "n": len(self.held_out.targets),
            "runs": [run.to_json(self.score) for run in self.runs],
            "summary": [row.to_json() for row in self.summary],
            "unfinished": self.unfinished,
            "floors": [asdict(one) for one in self.floors],
            "advice": asdict(self.advice) if self.advice else None,
            "forecast": [one.to_json() for one in self.forecast],
            "backtest": [one.to_json() for one in self.backtest],
            "goal": asdict(self.goal) if self.goal else None,
            "checks": [one.to_json() for one in self.findings],
        }


def samples(runs: Sequence[Run], share: bool = True, figure: str = "") -> dict[Cell, Sample]:
    """Return the scores of each cell, its draws in order; of another ``figure`` where one is named.

    Raises:
        KeyError: the answers have no such figure.
    """
    groups: dict[Cell, dict[int, Run]] = {}
    for run in runs:
        groups.setdefault(run.cell, {})[run.draw] = run
    return {cell: _sample([g[d] for d in sorted(g)], share, figure) for cell, g in groups.items()}


def _sample(runs: Sequence[Run], share: bool, figure: str) -> Sample:
    scores = [run.answers.scores[figure] if figure else run.scores for run in runs]
    folds = [run.answers.folds for run in runs if run.answers.folds is not None]
    together = np.stack(folds) if len(folds) == len(runs) else None
    return Sample(np.stack(scores), runs[0].answers.trained, share, together)


def summarise(
    runs: Sequence[Run], task: Task, stopped: frozenset[Cell] = frozenset()
) -> Iterator[Summary]:
    """Yield one row for each number of shots, backbone and strategy, in the order of the runs."""
    share = task.share
    found = samples(runs, share)

    # All labels are one choice: such runs differ in their seeds alone, and say nothing of draws.
    draws = {cell: told(one) for cell, one in found.items() if cell[2] != "all"}

    others = {
        name: samples(runs, share, name)
        for name in (list(runs[0].answers.scores)[1:] if runs else [])
    }
    for shots in dict.fromkeys(run.shots for run in runs):
        here = {cell: one for cell, one in found.items() if cell[2] == shots}
        best = max(here, key=lambda cell: here[cell].mean)
        apart = {
            cell: told_apart(here[best], one)
            for cell, one in here.items()
            if shots != "all" and cell != best
        }
        for cell, one in here.items():
            mine = [run for run in runs if run.cell == cell]
            seconds = float(np.mean([run.seconds for run in mine]))
            lost = [run.lost for run in mine if run.lost]
            figures = {name: interval(group[cell]) for name, group in others.items()}
            about = _but(cell, apart)
            said = "best" if cell == best else verdict(here[best], one, len(here) - 1, about)
            yield Summary(
                *cell,
                *interval(one, spread=_but(cell, draws)),
                seconds,
                said,
                draws=len(one.scores),
                trained=one.trained,
                figures=figures,
                stopped=cell in stopped,
                lost=Lost.together(lost) if lost else None,
            )


def _but(mine: Cell, known: Mapping[Cell, Spread | None]) -> Spread:
    """Return what all others say of draws; nothing where those of ``mine`` are one choice."""
    if mine[2] == "all":
        return ALONE
    return spread_of(one for cell, one in known.items() if cell != mine)


def verdict(
    best: Sample,
    mine: Sample,
    others: int = 1,
    spread: Spread = ALONE,
) -> str:
    """Return whether ``mine`` is lower than ``best``, by the same draws and items.

    Args:
        best: scores of the best of ``others`` + 1 strategies.
        mine: scores of one of the others.
        others: how many they are, see `headstart.evaluation.luck.lower`.
        spread: what others say of how far such differences spread.
    """
    first, second = paired([best, mine])
    return "lower" if lower(first, second, others, spread) else "not distinguishable"
