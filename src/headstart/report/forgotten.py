"""What was forgotten, in a terminal: of one fit, and of each strategy side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headstart.report.terminal import say, table
from headstart.tasks.registry import TASKS, find
from headstart.tasks.shown import named
from headstart.tasks.task import Task

if TYPE_CHECKING:
    from headstart.evaluation.runs import Comparison


def forgetting(lost: dict[str, Any] | None) -> None:
    """Print what was forgotten of the probe, and what spoilt pictures cost."""
    if lost is None:
        return
    task = find_score(lost["score"])
    shown, (low, high) = task.shown, lost["lost_interval"]
    say(
        f"forgetting: {named(lost['score'])} on {lost['probe']} ({lost['n']} held-out items) "
        f"before {shown(lost['before'])}, after {shown(lost['after'])}"
    )
    say(
        f"  lost {shown(lost['lost'])} (95 %: {task.shown_span(low, high)}); "
        f"with a head solved anew {shown(lost['relearned'])}"
    )
    if spoilt := lost["corruptions"]:
        worst = sorted(spoilt["each"].items(), key=lambda one: one[1])[:3]
        told = ", ".join(f"{name.replace('_', ' ')} {shown(value)}" for name, value in worst)
        say(
            f"  corrupted pictures: {shown(spoilt['mean'])} on average, clean "
            f"{shown(spoilt['clean'])}\n  worst: {told}"
        )


def losses(result: Comparison) -> None:
    """Print what each strategy forgot of the probe, a row each."""
    known = [(row, row.lost) for row in result.summary if row.lost]
    if not known:
        return
    task, first = find(result.task), known[0][1]
    say(f"lost on {first.probe} ({first.n} held-out items), where a head on the features")
    say("of the backbone as it was was right before:")
    rows = [
        [str(row.shots), row.backbone, row.strategy, task.shown(one.before), task.shown(one.lost),
         task.shown_span(one.low, one.high)]
        for row, one in known
    ]  # fmt: skip
    table(["shots", "backbone", "strategy", "before", "lost", "95 %"], rows, left=3)


def find_score(score: str) -> type[Task]:
    """Return the task whose score is called so."""
    return next(task for task in TASKS.values() if task.score == score)
