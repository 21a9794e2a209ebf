"""Progress and notices on stderr; tables on stdout. Plain lines where there is no terminal."""

from __future__ import annotations

import logging
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from headstart.progress import Watcher, log, reporting, watching
from headstart.tasks.task import Task
from headstart.visible import fitted, visible

_WIDE = 100
_NAME = 40

_EVERY = 5.0
"""Seconds between progress lines where there is no terminal."""


@contextmanager
def shown(*, verbose: bool = True) -> Iterator[None]:
    """Show progress and notices on stderr inside the ``with`` block."""
    handler: logging.Handler
    if sys.stderr.isatty():
        with (
            _bars() as (reporter, handler, watcher),
            _listening(handler, verbose),
            reporting(reporter),
            watching(watcher),
        ):
            yield
    else:
        handler = _Visible(sys.stderr)
        with _listening(handler, verbose), reporting(_Lines()):
            yield


@contextmanager
def _listening(handler: logging.Handler, verbose: bool) -> Iterator[None]:
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO if verbose else logging.WARNING)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


class _Visible(logging.StreamHandler):  # type: ignore[type-arg]
    """Notices as lines, in which nothing that others named can control a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return visible(super().format(record), "\n")


class _Lines:
    """A progress line every few seconds, and one at the end of what took longer than that."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._shown: set[str] = set()

    def __call__(self, label: str, done: int, total: int | None) -> None:
        now = time.monotonic()
        finished = done == total and label in self._shown
        if now - self._last > _EVERY or finished:
            self._last = now
            self._shown ^= {label} if finished else {label} - self._shown
            print(f"{label}: {done}/{total or '?'}", file=sys.stderr, flush=True)


@contextmanager
def _bars() -> Iterator[tuple[Any, logging.Handler, Watcher]]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    from headstart.report.board import Board

    console = Console(stderr=True, highlight=False)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    tasks: dict[str, Any] = {}

    class Print(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            console.print(visible(self.format(record), "\n"), markup=False)

    # Rich would draw what is printed above the bars, on stderr: also what goes to a file.
    drawn = sys.stdout.isatty()
    with Board(*columns, console=console, transient=True, redirect_stdout=drawn) as progress:

        def report(label: str, done: int, total: int | None) -> None:
            if label not in tasks:
                tasks[label] = progress.add_task(label, total=total)
            progress.update(tasks[label], completed=done, total=total)
            if done == total:
                progress.remove_task(tasks.pop(label))

        yield report, Print(), progress.show


def table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1, title: str = ""
) -> None:
    """Print a table on stdout; the first ``left`` columns are text, the rest numbers."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    made = Table(box=SIMPLE_HEAD, title=title or None, title_justify="left", pad_edge=False)
    for number, name in enumerate(columns):
        # A name that is cut cannot be typed; numbers go on in the next line first.
        whole = number < left and all(len(row[number]) <= _NAME for row in rows)
        side: Any = "left" if number < left else "right"
        made.add_column(name, justify=side, overflow="fold", no_wrap=whole)
    for row in rows:
        made.add_row(*map(_plain, row))
    # Without a terminal rich would cut everything at 80 columns, also in a file.
    width = None if sys.stdout.isatty() else 120
    Console(highlight=False, width=width).print(made)


def say(text: str, file: TextIO | None = None) -> None:
    """Print what may hold names that others gave; at a terminal lines break between words."""
    stream, text = file or sys.stdout, visible(text, "\n")
    if stream.isatty():
        text = fitted(text, shutil.get_terminal_size().columns)
    print(text, file=stream)


def narrow() -> bool:
    """Return whether stdout is a terminal too narrow for a table of seven columns."""
    return sys.stdout.isatty() and shutil.get_terminal_size().columns < _WIDE


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(visible(text))


def mistake(task: Task, row: dict[str, Any]) -> str:
    """Return one of the worst mistakes in a line; of a text also how it begins."""
    said = f"{row['item']}: {task.mistake(row)}"
    return f"{said}: {row['text']}" if row.get("text") else said


def clock(seconds: float) -> str:
    """Return seconds as ``0.41 s``, ``12 s`` or ``3 min 20 s``."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
