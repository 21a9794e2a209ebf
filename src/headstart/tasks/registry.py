"""From a name such as ``labels`` to a task, and from cells to the task that they are for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headstart.errors import unknown
from headstart.progress import log
from headstart.tasks.boxes import Boxes
from headstart.tasks.cells import Cells, as_cells
from headstart.tasks.classes import Classes
from headstart.tasks.labels import Labels
from headstart.tasks.number import Number
from headstart.tasks.task import Targets, Task

TASKS: dict[str, type[Task]] = {
    "classes": Classes,
    "number": Number,
    "labels": Labels,
    "boxes": Boxes,
}
"""The tasks; where nobody says which, the last one that the cells look like."""


def find(name: str) -> type[Task]:
    """Return the task called ``name``.

    Raises:
        UsageError: there is none.

    >>> find("classes").score
    'accuracy'
    """
    if name not in TASKS:
        raise unknown("task", name, TASKS)
    return TASKS[name]


def read(cells: Cells, name: str | None = None) -> tuple[Targets, dict[int, str]]:
    """Return the targets that ``cells`` hold, and for rows whose cell is none the reason.

    Args:
        cells: what a reader found.
        name: of the task; None lets the cells decide.

    Raises:
        UsageError: there is no such task.
        DataError: the cells are no targets of that task.
    """
    kind = find(name) if name else _fitting(cells)
    if name is None and kind is not Classes:
        few = ", ".join(cells.values[:3])
        log.info("%s (%s ...) is taken for the task '%s'", cells.where, few, kind.name)
    return kind.read(cells)


def of_values(values: Sequence[Any], name: str | None = None) -> Targets:
    """Return the targets from what Python holds, see `read`.

    >>> of_values(["cat", "dog", "cat"]).values.tolist()
    [0, 1, 0]
    """
    return (find(name) if name else _fitting(as_cells(values))).of(values)


def _fitting(cells: Cells) -> type[Task]:
    return [task for task in TASKS.values() if task.fits(cells)][-1]


def restored(facts: dict[str, Any]) -> Task:
    """Return the task of a bundle; one from before there were tasks is of classes."""
    kind, names = find(facts.get("task", Classes.name)), tuple(facts["classes"])
    return kind.saved(names, facts.get("task_facts", {}))
