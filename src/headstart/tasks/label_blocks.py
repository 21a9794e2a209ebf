"""What a report says of several labels an item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from headstart.tasks.shown import Block, percent, span


def blocks(figures: Mapping[str, Any]) -> list[Block]:
    """Return the figures with their intervals, and each label's."""
    titles = {"macro_f1": "macro F1", "micro_f1": "micro F1", "map": "mAP"}
    titles["exact"] = "all labels right"
    rows = [
        [title, share(figures[key]), ends(figures[f"{key}_interval"])]
        for key, title in titles.items()
    ]
    weakest = sorted(figures["per_label"], key=lambda row: row["f1"] or 0.0)
    each = [
        [row["label"], str(row["n"]), share(row["f1"]), share(row["average_precision"])]
        for row in weakest
    ]
    return [
        Block("Figures", ["figure", "value", "95 %"], rows, terse=True),
        Block("By label", ["label", "items", "F1", "average precision"], each, terse=True),
    ]


def share(value: float | None) -> str:
    """Return a share as text, also one that is not known."""
    return "unknown" if value is None else percent(value)


def ends(interval: Sequence[float | None]) -> str:
    """Return the ends of an interval as text."""
    low, high = interval
    return "unknown" if low is None or high is None else span(low, high)
