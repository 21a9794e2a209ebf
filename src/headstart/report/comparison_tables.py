"""A comparison in the terminal and in its folder: rows of runs, sweeps, floors, the page."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart.report.comparison_page import page
from headstart.report.forgotten import losses
from headstart.report.tables import checks
from headstart.report.terminal import clock, narrow, say, table
from headstart.report.words import Words, language
from headstart.store import written_aside
from headstart.tasks.registry import find
from headstart.tasks.shown import named

if TYPE_CHECKING:
    from headstart.evaluation.runs import Comparison


def comparison(result: Comparison) -> None:
    """Print one row for each backbone, strategy and number of shots; of a sweep, one for each K."""
    if result.sweep():
        sweep(result)
        return
    task = find(result.task)
    rows = [
        [
            str(r.shots),
            r.backbone,
            r.strategy,
            task.shown(r.mean),
            task.shown_span(r.low, r.high),
            clock(r.seconds),
            r.verdict,
        ]
        for r in result.summary
    ]
    columns = [
        "shots",
        "backbone",
        "strategy",
        named(task.score),
        "95 %",
        "a fit",
        "against the best",
    ]
    columns, rows, same = fitting(columns, rows) if narrow() else (columns, rows, [])
    for line in same:
        say(line)
    table(columns, rows, left=3 - len(same))
    losses(result)
    _left_out(result)


def fitting(
    columns: Sequence[str], rows: Sequence[Sequence[str]]
) -> tuple[list[str], list[list[str]], list[str]]:
    """Return a table without those of its first two columns that say the same in every row.

    Beside it come the lines that say it once instead.

    >>> fitting(["shots", "backbone", "strategy"], [["8", "x", "a"], ["8", "y", "b"]])
    (['backbone', 'strategy'], [['x', 'a'], ['y', 'b']], ['shots: 8'])
    """
    alike = [i for i in (0, 1) if len({row[i] for row in rows}) == 1]
    kept = [i for i in range(len(columns)) if i not in alike]
    said = [f"{columns[i]}: {rows[0][i]}" for i in alike]
    return [columns[i] for i in kept], [[row[i] for i in kept] for row in rows], said


def sweep(result: Comparison) -> None:
    """Print one row for each number of frozen blocks, with columns for each number of shots."""
    by_k, task = result.sweep(), find(result.task)
    several = len({r.backbone for r in result.summary}) > 1
    cells = {
        (k, r.backbone, r.shots): [
            task.shown(r.mean),
            task.shown_span(r.low, r.high),
            clock(r.seconds),
        ]
        for k, rows in by_k.items()
        for r in rows
    }
    columns = list(dict.fromkeys((r.backbone, r.shots) for r in result.summary))
    labels = ["all" if n == "all" else f"{n} a class" for _, n in columns]
    names = [f"{b} {n}" if several else n for (b, _), n in zip(columns, labels, strict=True)]
    table(
        ["frozen", *(c for name in names for c in (name, "95 %", "a fit"))],
        [
            [str(k), *(cell for c in columns for cell in cells.get((k, *c), ["", "", ""]))]
            for k in by_k
        ],
    )
    _left_out(result)


def _left_out(result: Comparison) -> None:
    checks(result.findings)
    for floor in result.floors:
        span = result.kind.shown_span(floor.low, floor.high)
        name = f"{floor.name} on {floor.backbone}" if floor.backbone else floor.name
        labels = "all labels" if floor.shots == "all" else f"{floor.shots} {result.kind.shots}"
        say(f"floor with {labels}: {name} {result.kind.shown(floor.mean)} ({span})")
    ran = {run.cell for run in result.runs}
    _cells("stopped, could hardly be the best any more", result.stopped & ran)
    _cells("left out, could not be told from the best", result.stopped - ran)
    if result.unfinished:
        say(f"{result.unfinished} runs were left out: the budget was spent")
    if result.advice:
        say(f"\n{result.advice.sentence}\n{result.advice.more}")


def _cells(why: str, cells: Iterable[tuple[object, ...]]) -> None:
    names = sorted(" ".join(map(str, cell)) for cell in cells)
    if names:
        say(f"{why}: {', '.join(names)}")


def save(
    result: Comparison,
    folder: Path,
    more: dict[str, Any] | None = None,
    lang: str | None = None,
) -> None:
    """Write ``runs.csv``, ``curves.png`` and ``report.html`` to ``folder``.

    Args:
        result: the comparison; of a sweep the picture is over the frozen blocks.
        folder: where to.
        more: what the page shows besides, see `headstart.verbs.gathering`.
        lang: of the page.
    """
    from headstart.report.pictures import curves, sweep

    rows = [run.to_json(result.score) for run in result.runs]
    with (
        written_aside(folder / "runs.csv") as aside,
        aside.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    if result.sweep():
        sweep(result, folder / "curves.png")
    else:
        curves(result, folder / "curves.png", str((more or {}).get("title", "")))
    with written_aside(folder / "report.html") as aside:
        shown = page(result.to_json(), more, Words(language(lang)))
        aside.write_text(shown, encoding="utf-8")
