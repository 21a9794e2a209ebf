"""How long work tells how far it is, without knowing who listens.

A library call is silent. A door (the command line) installs a reporter with `reporting`; everything
below only wraps its loops in `track`.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from typing import Any, TypeVar

T = TypeVar("T")

log = logging.getLogger("headstart")
"""Notices that a user should see go here; the command line shows them on stderr."""

Reporter = Callable[[str, int, int | None], None]
"""Called with (what is being done, how many are done, how many there are if known)."""


def _silent(label: str, done: int, total: int | None) -> None:
    pass


_reporter: ContextVar[Reporter] = ContextVar("headstart_reporter", default=_silent)


@contextmanager
def reporting(reporter: Reporter) -> Iterator[None]:
    """Send progress to ``reporter`` inside the ``with`` block."""
    token = _reporter.set(reporter)
    try:
        yield
    finally:
        _reporter.reset(token)


Watcher = Callable[[Any, float | None], None]
"""Called with what has come out so far, and with the seconds that the rest should take."""


def _unseen(found: Any, left: float | None) -> None:
    pass


_watcher: ContextVar[Watcher] = ContextVar("headstart_watcher", default=_unseen)


@contextmanager
def watching(watcher: Watcher) -> Iterator[None]:
    """Show what comes out to ``watcher`` inside the ``with`` block."""
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)


def watched() -> Watcher | None:
    """Return who watches what comes out; None for nobody, for whom nothing need be worked out."""
    found = _watcher.get()
    return None if found is _unseen else found


class OutOfTimeError(Exception):
    """What is done took longer than it may, see `until`."""


@contextmanager
def until(moment: float) -> Iterator[None]:
    """Let whatever is tracked inside the ``with`` block end at ``moment`` of the monotonic clock.

    Raises:
        OutOfTimeError: from within `track`, after the item that was passed on last.
    """
    outer = _reporter.get()

    def report(label: str, done: int, total: int | None) -> None:
        outer(label, done, total)
        if time.monotonic() > moment:
            raise OutOfTimeError(label)

    with reporting(report):
        yield


def _is_notebook() -> bool:
    """Return whether a kernel runs this; other libraries import one without running in it."""
    running = sys.modules.get("IPython")
    shell = running.get_ipython() if running is not None else None
    return getattr(shell, "kernel", None) is not None


def _in_notebook(label: str) -> Reporter:
    """Return a reporter that draws a bar below the cell once work has taken a moment."""
    notebook: Any = import_module("IPython.display")

    shown: list[Any] = []
    last = time.monotonic()

    def report(label: str, done: int, total: int | None) -> None:
        nonlocal last
        now = time.monotonic()
        finished = done == total
        if now - last < (_EVERY if shown else _PATIENCE) and not (finished and shown):
            return
        last = now
        bar = f'<progress value="{done}" max="{total}"></progress>' if total else ""
        page = notebook.HTML(f"{label} {bar} {done}/{total or '?'}")
        if shown:
            shown[0].update(page)
        else:
            shown.append(notebook.display(page, display_id=True))

    return report


_PATIENCE, _EVERY = 0.5, 0.2
"""Seconds until a bar is drawn in a notebook, and between two drawings."""


def track(items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
    """Pass ``items`` on, one by one, and report how many have gone by.

    >>> list(track([1, 2], "counting"))
    [1, 2]
    """
    report = _reporter.get()
    if report is _silent and _is_notebook():
        report = _in_notebook(label)
    done = 0
    for done, item in enumerate(items, 1):
        yield item
        report(label, done, total)
    report(label, done, done)
