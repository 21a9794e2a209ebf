"""Checks of what the held-out items can carry, and of what the model says of itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from headstart.findings import Finding, finding
from headstart.tasks.intervals import wilson
from headstart.tasks.shown import named
from headstart.tasks.task import Task

WIDEST = 0.05
"""Half of the interval that a score may have before the held-out set is called too small."""

GAP = 0.1
"""By how much training items must surely be answered better than held-out ones to be said."""

OFF = 0.03
"""By how much stated probabilities must be off to be said."""


def small(n: int, interval: Sequence[float | None], task: Task | None = None) -> Finding | None:
    """Return that ``n`` held-out items do not tell a score well enough, and how many would.

    An interval narrows with the root of the number of items, so the number that is needed for
    half of it to be `WIDEST` is n (half / `WIDEST`)^2. Shares are told in points, other scores of
    a ``task`` as they are.

    >>> small(100, (0.81, 0.93)).facts["needed"]
    150
    >>> small(1000, (0.88, 0.92)) is None
    True
    """
    low, high = interval
    if low is None or high is None or not n:
        return None
    half = (high - low) / 2
    if half <= WIDEST:
        return None
    needed = math.ceil(n * (half / WIDEST) ** 2 / 10 - 1e-9) * 10
    if task is not None and not task.share:
        return finding(
            "HS001",
            "{n} held-out items tell {score} to within {half:.2f} only: what lies closer than that "
            "cannot be told apart. For {widest:.2f} about {needed} are needed.",
            n=n,
            score=named(task.score),
            half=half,
            widest=WIDEST,
            needed=needed,
        )
    return finding(
        "HS001",
        "{n} held-out items tell the score to within {half:.1f} points only: what lies closer than "
        "that cannot be told apart. For {widest:.0f} points about {needed} are needed.",
        n=n,
        half=100 * half,
        widest=100 * WIDEST,
        needed=needed,
    )


def by_heart(
    trained: float, n_train: int, value: float, interval: Sequence[float], task: Task | None = None
) -> Finding | None:
    """Return that training items are answered far better than others, beyond all luck."""
    if trained - interval[1] <= GAP:
        return None
    if task is not None and task.score != "accuracy":
        return finding(
            "HS009",
            "{score} is {trained} on the {n} training items, but {value} on the held-out ones "
            "({high} at most): much is learned by heart. More labels help most; else a strategy "
            "that trains less, or stronger --augment.",
            score=named(task.score),
            trained=task.shown(trained),
            n=n_train,
            value=task.shown(value),
            high=task.shown(interval[1]),
        )
    return finding(
        "HS009",
        "{trained:.1f} % of the {n} training items are answered right, but {value:.1f} % of the "
        "held-out ones ({high:.1f} % at most): much is learned by heart. More labels help most; "
        "else a strategy that trains less, or stronger --augment.",
        trained=100 * trained,
        n=n_train,
        value=100 * value,
        high=100 * interval[1],
    )


def turned(history: Sequence[Mapping[str, float]]) -> Finding | None:
    """Return that training went on to learn by heart after its best epoch.

    The loss on the inner part that chooses the epoch has risen by a quarter since, while the
    training loss went on to fall by half. What was kept is the best epoch.
    """
    rows = [row for row in history if "selection_loss" in row]
    if len(rows) < 3:
        return None
    best = min(range(len(rows)), key=lambda i: rows[i]["selection_loss"])
    rise = rows[-1]["selection_loss"] / max(rows[best]["selection_loss"], 1e-9)
    if rise < 1.25 or rows[-1]["loss"] > 0.5 * rows[best]["loss"]:
        return None
    return finding(
        "HS009",
        "after epoch {best} of {of} the loss on items that do not train rose again by {rise:.0f} % "
        "while the training loss went on falling: the rest was learned by heart. Epoch {best} was "
        "kept; fewer --epochs save time.",
        best=best + 1,
        of=len(rows),
        rise=100 * (rise - 1),
    )


def lying(bins: Sequence[Mapping[str, float]]) -> Finding | None:
    """Return that stated probabilities are off by more than luck and by more than `OFF`.

    Args:
        bins: of confidence, each with its number of items ``n``, their mean ``confidence``, and
            the share ``right`` that was answered right.

    >>> lying([{"n": 200, "confidence": 0.98, "right": 0.8}]).facts["stated"]
    98.0
    """
    n = sum(row["n"] for row in bins)
    if not n:
        return None
    stated = sum(row["n"] * row["confidence"] for row in bins) / n
    right = sum(row["n"] * row["right"] for row in bins) / n
    low, high = wilson(right * n, int(n))
    if low <= stated <= high or abs(stated - right) < OFF:
        return None
    template = (
        "the model states {stated:.1f} % on average and is right in {right:.1f} % ({low:.1f} to "
        "{high:.1f}): it promises too much. Do not decide by its probabilities alone."
        if stated > right
        else "the model states {stated:.1f} % on average and is right in {right:.1f} % ({low:.1f} "
        "to {high:.1f}): it promises too little. A threshold on its probabilities refuses too much."
    )
    stated, right, low, high = (100 * share for share in (stated, right, low, high))
    return finding("HS010", template, stated=stated, right=right, low=low, high=high)
