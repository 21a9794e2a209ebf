"""A comparison while it runs: the table so far, redrawn after each run above the bars."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from headstart.tasks.shown import named
from headstart.visible import visible

if TYPE_CHECKING:
    from headstart.evaluation.runs import Comparison, Summary

FRAME = 8
"""Lines of a terminal that the table leaves free: its head and its foot, bars, a notice."""

WIDE = 60
"""Columns from which on there is room for more than names and scores."""


class Board(Progress):
    """Bars, and above them what has come out so far; never more than fits on the terminal."""

    _table: Table | None = None

    def show(self, result: Comparison, left: float | None) -> None:
        """Draw ``result``, and that it takes about ``left`` seconds more."""
        width, height = self.console.size
        wide = width >= WIDE
        room = height - FRAME if wide else (height - FRAME) // 2  # where names are folded
        self._table = standing(result, left, wide=wide, most=max(1, room))
        self.refresh()

    def get_renderables(self) -> Iterable[RenderableType]:
        """Yield the table and the bars."""
        if self._table is not None:
            yield self._table
        yield from super().get_renderables()


def standing(result: Comparison, left: float | None, *, wide: bool, most: int) -> Table:
    """Return the table of what has come out so far, the best first among those of most labels.

    Args:
        result: so far.
        left: seconds that it should still take; None where nobody knows.
        wide: whether there is room for shots, draws and verdicts.
        most: rows; those that come after are counted.
    """
    rows = sorted(result.summary, key=lambda row: (-row.trained, -row.mean))
    several = len({row.backbone for row in rows}) > 1
    score = named(result.score)
    columns = {
        "shots": wide,
        "backbone": several,
        "strategy": True,
        score: True,
        "95 %": wide or not several,
        "draws": wide,
        "verdict": wide,
    }
    shown = [name for name, there in columns.items() if there]
    made = Table(
        box=None, padding=(0, 2, 0, 0), caption_justify="left", caption=_foot(result, left)
    )
    for name in shown:
        text = name in ("backbone", "strategy")  # folded where it is narrow; a figure never is
        made.add_column(
            name, justify="left" if text else "right", overflow="fold", no_wrap=not text
        )
    for row in rows[:most]:
        cells = _cells(result, row, score)
        made.add_row(*(escape(visible(cells[name])) for name in shown))
    if len(rows) > most:
        made.caption = f"and {len(rows) - most} more; {made.caption}"
    return made


def _cells(result: Comparison, row: Summary, score: str) -> dict[str, str]:
    """Return the row's cells by column; where it is open who is best nothing is said."""
    verdict = "" if row.verdict == "not distinguishable" else row.verdict
    return {
        "shots": str(row.shots),
        "backbone": row.backbone,
        "strategy": row.strategy,
        score: result.kind.shown(row.mean),
        "95 %": result.kind.shown_span(row.low, row.high),
        "draws": str(row.draws),
        "verdict": "stopped" if row.stopped else verdict,
    }


def _foot(result: Comparison, left: float | None) -> str:
    done = f"{len(result.runs)} of {len(result.runs) + result.unfinished} runs"
    if left is None:
        return done
    minutes, seconds = divmod(round(left), 60)
    return f"{done}, about {minutes}:{seconds:02d} left"
