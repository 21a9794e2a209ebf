"""Figures as text, for the tables that a task hands to the report."""

from __future__ import annotations

from typing import NamedTuple


class Block(NamedTuple):
    """A table of a report, as plain text.

    Attributes:
        title: what it is about.
        head: names of the columns.
        rows: cells.
        note: a line below it.
        tones: of each cell how good (above 0) or bad (below 0), -1..1, for its colour; None for
            no colour.
        terse: whether a terminal, which has less room, shows it too.
    """

    title: str
    head: list[str]
    rows: list[list[str]]
    note: str = ""
    tones: list[list[float]] | None = None
    terse: bool = False


def named(figure: str) -> str:
    """Return the name of a figure for people: ``macro_f1`` as ``macro F1``."""
    return figure.replace("_f1", " F1").replace("r2", "R²").replace("map", "mAP").replace("_", " ")


def percent(share: float) -> str:
    """Return ``0.9412`` as ``94.1 %``."""
    return f"{100 * share:.1f} %"


def span(low: float, high: float) -> str:
    """Return an interval of shares as ``88.9 to 97.0``; cut to what a share can be."""
    return f"{100 * max(0.0, low):.1f} to {100 * min(1.0, high):.1f}"
