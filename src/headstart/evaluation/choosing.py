"""What to take of all that was compared, in two sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from headstart.evaluation.advice import Advice, Floor, Forecast, Goal
from headstart.evaluation.belief import belief
from headstart.evaluation.bias import Corrected, corrected
from headstart.evaluation.luck import Sample, gap, paired
from headstart.evaluation.runs import Cell, Run, samples
from headstart.tasks.shown import named
from headstart.tasks.task import Task
from headstart.wording import Said, joined

CLOSE = 0.5
"""Level of the interval of a difference within which the cheaper one is taken."""

CHEAPER = 0.5
"""Share of the price from which on a cell is called cheaper."""

TENTH = 0.1


@dataclass(frozen=True)
class Choice:
    """The cell to take among those of the most labels.

    Attributes:
        cell: backbone, strategy, shots.
        estimate: what it should reach, with the luck of being chosen taken off.
        seconds: mean time of a run.
        cheap: the best of those that cost a tenth, its mean and its time; None without.
    """

    cell: Cell
    estimate: Corrected
    seconds: float
    cheap: tuple[Cell, float, float] | None


def choose(runs: Sequence[Run], task: Task, *, thrifty: bool = True) -> Choice:
    """Return the best cell of the most labels, or the cheapest that is hardly apart from it.

    Cells with fewer runs than half of the others' are not looked at.

    Args:
        runs: all of them.
        task: what was predicted.
        thrifty: take the cheapest of those that are hardly apart; without, the one that is
            believed to be best, whatever it costs, see `headstart.evaluation.belief`.
    """
    every = samples(runs, task.share)
    trained = max(one.trained for one in every.values())
    found = {cell: one for cell, one in every.items() if one.trained == trained}
    most = max(len(one.scores) for one in found.values())
    found = {cell: one for cell, one in found.items() if 2 * len(one.scores) >= min(most, 2)}
    price = {cell: _price(runs, cell) for cell in found}
    cells, believed = list(found), None if thrifty else belief(found)
    means = np.array([one.mean for one in found.values()])
    best = cells[int((means if believed is None else believed(means)).argmax())]
    cell = best
    if thrifty:
        near = [c for c in cells if _close(found[best], found[c], price[best], price[c])]
        cell = min([best, *near], key=lambda c: price[c])
    estimate = corrected(paired([*found.values()]), cells.index(cell), believed=believed)
    tenth = [c for c in found if price[c] <= TENTH * price[cell]]
    cheap = max(tenth, key=lambda c: found[c].mean, default=None)
    rest = (cheap, found[cheap].mean, price[cheap]) if cheap else None
    return Choice(cell, estimate, price[cell], rest)


def _close(best: Sample, mine: Sample, price: float, own: float) -> bool:
    ahead, behind = paired([best, mine])
    return own <= CHEAPER * price and gap(ahead, behind, level=CLOSE).low <= 0


def _price(runs: Sequence[Run], cell: Cell) -> float:
    return float(np.mean([run.seconds for run in runs if run.cell == cell]))


def advise(
    runs: Sequence[Run],
    task: Task,
    *,
    floors: Sequence[Floor] = (),
    forecast: Sequence[Forecast] = (),
    goal: Goal | None = None,
    skipped: bool = False,
) -> Advice:
    """Return what to take, and what would change the answer.

    Args:
        runs: all of them.
        task: what was predicted.
        floors: what it is held against.
        forecast: what more labels should bring.
        goal: what a wished score needs.
        skipped: whether costly strategies were left out because nobody could have told them apart.
    """
    choice = choose(runs, task)
    parts = [*_taken(choice, task), *_not_above(choice, task, floors)]
    more = _more(runs, task, choice, forecast, goal, skipped=skipped)
    return Advice(*choice.cell, joined(parts), more)


def _taken(choice: Choice, task: Task) -> Iterator[Said]:
    """Yield what to take, and what costs a tenth of it."""
    backbone, strategy, _ = choice.cell
    found = choice.estimate
    yield Said(
        "Take {strategy} on {backbone}: expect {score} {share} (95 %: {span}) at {time} a fit",
        strategy=strategy,
        backbone=backbone,
        score=named(task.score),
        share=task.shown(found.estimate),
        span=task.shown_span(found.low, found.high),
        time=_seconds(choice.seconds),
    )
    if choice.cheap:
        (other, way, _), mean, seconds = choice.cheap
        yield Said(
            "{way} on {other} costs {time} and reaches {share}",
            way=way,
            other=other,
            time=_seconds(seconds),
            share=task.shown(mean),
        )


def _not_above(choice: Choice, task: Task, floors: Sequence[Floor]) -> Iterator[Said]:
    """Yield the floors that the chosen cell is not clearly above."""
    low, shots = choice.estimate.low, choice.cell[2]
    beaten = [one for one in floors if one.shots in (shots, "all") and one.mean >= low]
    if beaten:
        names = ", ".join(f"{one.name} ({task.shown(one.mean)})" for one in beaten)
        yield Said("it is not clearly above what needs no backbone: {names}", names=names)
    nameless = [one for one in floors if one.shots == 0 and one.mean >= low]
    if nameless:
        best = max(nameless, key=lambda one: one.mean)
        yield Said(
            "it is not clearly above the names of the classes alone, which need no label "
            "({share} on {backbone})",
            share=task.shown(best.mean),
            backbone=best.backbone,
        )


def _more(
    runs: Sequence[Run],
    task: Task,
    choice: Choice,
    forecast: Sequence[Forecast],
    goal: Goal | None,
    *,
    skipped: bool,
) -> str:
    """Return the second sentence: more labels, or more held-out items, and how many."""
    every = samples(runs, task.share)
    found = {cell: one for cell, one in every.items() if cell[2] == choice.cell[2]}
    ahead = [row for row in forecast if (row.backbone, row.strategy) == choice.cell[:2]]
    said = [*_bigger(found), *_ahead(ahead[:1], task)]
    if goal:
        said.append(_goal(goal, task, min(one.trained for one in every.values())))
    if skipped:
        said.append(
            Said(
                "strategies that train were left out, for nothing could be ahead by more than the "
                "band; a bigger held-out set would make room for them"
            )
        )
    if not said:
        return Said(
            "Measure more numbers of labels (--shots 8,32,128) to see what more would bring."
        )
    return joined(said)


def _bigger(found: Mapping[Cell, Sample]) -> Iterator[Said]:
    """Yield how many held-out items would tell the next best apart."""
    needed = held_out_needed(found)
    if needed:
        yield Said(
            "to tell the next best apart it would take about {needed} held-out items instead "
            "of {mine}",
            needed=needed,
            mine=next(iter(found.values())).scores.shape[1],
        )


def _ahead(rows: Sequence[Forecast], task: Task) -> Iterator[Said]:
    """Yield what more labels should bring."""
    for row in rows:
        yield Said(
            "{labels} labels should bring {share} (80 %: {span})",
            labels=row.labels,
            share=task.shown(row.mean),
            span=task.shown_span(row.low, row.high),
        )


def _goal(goal: Goal, task: Task, fewest: int) -> Said:
    """Return what the ``goal`` needs; ``fewest`` labels were measured at least."""
    wanted = task.shown(goal.score)
    if goal.labels is not None and goal.labels <= fewest:
        return Said(
            "{wanted} is expected of the fewest labels that were measured already, {fewest} in all",
            wanted=wanted,
            fewest=fewest,
        )
    if goal.labels is None:
        return Said(
            "{wanted} is out of sight: ten times these labels are not expected to bring it",
            wanted=wanted,
        )
    most = "more than can be said" if goal.high is None else str(goal.high)
    return Said(
        "{wanted} needs about {labels} labels in all (80 %: {low} to {most})",
        wanted=wanted,
        labels=goal.labels,
        low=goal.low,
        most=most,
    )


def held_out_needed(found: Mapping[Cell, Sample]) -> int | None:
    """Return how many items would tell the best from the next one, were the gap as it seems.

    The width of the interval falls with the square root of their number. None where they are told
    apart already, are the same, or would need more than a hundred times the items.
    """
    if len(found) < 2:
        return None
    order = sorted(found.values(), key=lambda one: -one.mean)
    best, mine = paired(order[:2])
    mean, low, high = gap(best, mine)
    if low > 0 or mean <= 0:
        return None
    n = best.scores.shape[1]
    needed = n * ((high - low) / 2 / mean) ** 2
    return int(round(needed, -1)) if needed < 100 * n else None


def _seconds(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
