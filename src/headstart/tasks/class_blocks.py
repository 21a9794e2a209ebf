"""The tables of a report on classes: by class, and which are taken for which."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from headstart.tasks.shown import Block, named, percent, span

MOST_CLASSES = 30
"""Classes up to which the confusion table is shown whole."""


def blocks(names: Sequence[str], figures: Mapping[str, Any]) -> list[Block]:
    """Return the tables for the figures of a classifier."""
    found = [*_beside(figures), _per_class(figures["per_class"])]
    if len(names) <= MOST_CLASSES:
        return [*found, _confusion(names, figures["confusion"])]
    pairs = _confused_pairs(names, figures["confusion"])
    return [*found, pairs] if pairs.rows else found


def _beside(figures: Mapping[str, Any]) -> list[Block]:
    """Return the figures in which each class counts alike; none for bundles from before them."""
    rows = [
        [named(name), percent(figures[name]), span(*figures[f"{name}_interval"])]
        for name in ("macro_f1", "balanced_accuracy")
        if name in figures
    ]
    return (
        [Block("Each class alike", ["figure", "value", "95 %"], rows, terse=True)] if rows else []
    )


def _per_class(rows: list[dict[str, Any]]) -> Block:
    worst_first = sorted(rows, key=lambda row: (row["recall"] is None, row["recall"]))
    cells = [
        [
            row["class"],
            str(row["n"]),
            *_measured(row),
        ]
        for row in worst_first
    ]
    head = ["class", "items", "recall", "95 %", "precision"]
    return Block("By class", head, cells, terse=True)


def _measured(row: Mapping[str, Any]) -> tuple[str, str, str]:
    if row["recall"] is None:
        return "not measured", "", ""
    return percent(row["recall"]), span(*row["interval"]), percent(row["precision"])


def _confusion(names: Sequence[str], counts: list[list[int]]) -> Block:
    rows = [[names[c], *(str(n) if n else "·" for n in line)] for c, line in enumerate(counts)]
    tones = [
        [0.0, *(_tone(n, sum(line), good=c == other) for other, n in enumerate(line))]
        for c, line in enumerate(counts)
    ]
    note = "Rows: what an item is. Columns: what it was taken for."
    return Block("Confusion", ["", *names], rows, note, tones)


def _tone(n: int, of: int, *, good: bool) -> float:
    share = n / max(1, of)
    return share if good else -share


def _confused_pairs(names: Sequence[str], counts: Any) -> Block:
    found = sorted(((n, c, other) for c, other, n in pairs(counts) if c != other), reverse=True)
    rows = [[names[c], names[other], str(n)] for n, c, other in found[:20]]
    return Block("Most confused", ["is", "taken for", "times"], rows)


def pairs(counts: Any) -> Iterator[tuple[int, int, int]]:
    """Yield true class, answered class and how often, of the confusion in either of its forms."""
    if isinstance(counts, dict):
        yield from counts["pairs"]
        return
    for c, line in enumerate(counts):
        yield from ((c, other, n) for other, n in enumerate(line) if n)
