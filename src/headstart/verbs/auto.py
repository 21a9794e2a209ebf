"""`fit --strategy auto`: what is best is measured inside the training part, then fitted."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from headstart.backbones.choice import entries_for
from headstart.boundary.affordable import affordable
from headstart.boundary.extract import look
from headstart.compute.device import pick
from headstart.data.audit import Audit
from headstart.data.dataset import Dataset
from headstart.data.split import Split
from headstart.errors import UsageError
from headstart.evaluation.choosing import choose
from headstart.evaluation.compare import Candidate, compare
from headstart.evaluation.design import SMALL, Design, Indices, folded, held_once
from headstart.evaluation.runs import Comparison, Run
from headstart.settings.groups import Options
from headstart.settings.option import table
from headstart.settings.table import Comparing, Fitting
from headstart.settings.written import words
from headstart.strategies.registry import STRATEGIES, strategy
from headstart.tasks.task import Targets

AUTO = "auto"

CANDIDATES = ("frozen", "lp-ft", "warm", "contrastive")
"""Ways that are far enough apart to be worth measuring, cheap ones first."""

FOLDS, DRAWS = 4, 3

FEW = 300
"""Items below which one fold of them says too little."""

BUDGET = 300.0
"""Seconds to choose, where nobody says."""

READING = 0.5


@dataclass(frozen=True)
class Auto:
    """What was chosen, and what it should reach.

    Attributes:
        backbone: the chosen one.
        strategy: the chosen one.
        estimate: its score inside the training part, the luck of being chosen taken off.
        low: lower end of the 95 % interval.
        high: upper end.
        uncorrected: the score that it was chosen for.
        seconds: that choosing took.
        tried: how many backbones and strategies were measured.
        untried: those for which there was no time.
    """

    backbone: str
    strategy: str
    estimate: float
    low: float
    high: float
    uncorrected: float
    seconds: float
    tried: int
    untried: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the choice as plain values."""
        return asdict(self)


def decided(
    dataset: Dataset, run: Fitting, parts_of: Callable[[Audit], Split]
) -> tuple[Fitting, Auto]:
    """Return the settings with the strategy and backbone that were best, and why.

    Fold by fold of the training part alone, or on one fold where that takes too long; what is held
    out is not looked at. The figure is corrected for the choosing, see `headstart.evaluation.bias`.

    Args:
        dataset: all items.
        run: the settings; ``backbone`` may name several, with commas.
        parts_of: from the audit to what trains and what is held out.

    Raises:
        UsageError: an option is given that no candidate reads.
    """
    start, device = time.monotonic(), pick(run.device)
    names = candidates(dataset, run)
    wanted: list[str | None] = [*words(run.backbone or "")] or [None]
    groups = [entries_for(name, dataset, run, run.seed, []) for name in wanted]
    moment = start + (BUDGET if run.budget is None else run.budget)
    some = affordable(
        dataset, groups, start + READING * (moment - start), device=device, seed=run.seed
    )
    found, features = look(some, groups, solves=True, device=device, seed=run.seed)
    called = ["+".join(entry.name for entry in group) for group in groups]
    cells = list(zip(called, groups, features, strict=True))
    race = _Race(found.dataset, cells, replace(run, out=None, resume=False), device, moment)
    result = race.run(names, parts_of(found).train)
    choice = choose(result.runs, result.kind, thrifty=False)
    backbone, way, _ = choice.cell
    one = choice.estimate
    spent, tried = time.monotonic() - start, {row.cell for row in result.runs}
    every = [(net, name, "all") for net in called for name in names]
    left = tuple(f"{cell[1]} on {cell[0]}" for cell in every if cell not in tried | result.stopped)
    figures = one.estimate, one.low, one.high, one.uncorrected
    auto = Auto(backbone, way, *figures, spent, len(tried), left)
    named = wanted[called.index(backbone)]
    return replace(run, strategy=way, backbone=named, given=_read(run, way)), auto


@dataclass(frozen=True)
class _Race:
    """What is compared inside the training part, and until when."""

    dataset: Dataset
    cells: Sequence[Candidate]
    settings: Fitting
    device: str
    moment: float

    def run(self, names: tuple[str, ...], train: Indices) -> Comparison:
        """Return the comparison of ``names``: fold by fold where time allows, else on one fold.

        Four models of each strategy say more than one, but only if all strategies get theirs; what
        they take is told by one fit of the first that trains.
        """
        seed = self.settings.seed
        folds = folded(self.dataset, train, FOLDS, DRAWS, seed)
        if len(train) < FEW:
            return self._compared(folds, names, DRAWS)
        once = held_once(self.dataset, train, FOLDS, seed)
        first = next((k for k, name in enumerate(names, 1) if not strategy(name).solves), None)
        look = self._compared(once, names[:first], 1)
        if len(train) < SMALL and self._time_for(look, names):
            return self._compared(folds, names, DRAWS)
        return self._compared(once, names, DRAWS, look.runs)

    def _compared(
        self, design: Design, names: tuple[str, ...], draws: int, done: Sequence[Run] = ()
    ) -> Comparison:
        asked = {"strategies": names, "shots": ("all",), "draws": draws}
        comparing = Comparing.of(asked | {"budget": 0.0, "resume": False}, self.settings)
        how: dict[str, Any] = {"device": self.device, "workers": 1, "moment": self.moment}
        return compare(self.dataset, design, self.cells, comparing, done=done, **how)

    def _time_for(self, look: Comparison, names: tuple[str, ...]) -> bool:
        """Return whether a fit of every strategy on each fold should end in time."""
        seconds = [one.seconds for one in look.runs if not strategy(one.strategy).solves]
        trained = sum(not strategy(name).solves for name in names)
        return FOLDS * trained * sum(seconds) < self.moment - time.monotonic()


def candidates(dataset: Dataset, run: Fitting) -> tuple[str, ...]:
    """Return the strategies that are for such items and such targets.

    Raises:
        UsageError: an option is given that none of them reads.
    """
    found = tuple(name for name in CANDIDATES if _suits(name, dataset.kind, dataset.known))
    rows = table(Options)
    unread = [
        name
        for name in run.given & rows.keys()
        if not any(type(strategy(way)).reads(rows[name]) for way in found)
    ]
    if unread:
        raise UsageError(f"{', '.join(sorted(unread))}: read by none of {', '.join(found)}.")
    return found


def _suits(name: str, kind: str, targets: Targets) -> bool:
    one = STRATEGIES[name.partition(":")[0]]
    if kind not in one.kinds:
        return False
    try:
        return not one.needs_classes or targets.task.groups(targets.values) is not None
    except UsageError:
        return False


def _read(run: Fitting, way: str) -> frozenset[str]:
    """Return the options that were given and that the chosen strategy reads."""
    rows, kind = table(Fitting), type(strategy(way))
    return frozenset(name for name in run.given if kind.reads(rows[name]))
