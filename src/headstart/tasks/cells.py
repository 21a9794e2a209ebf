"""Cells of targets as a reader finds them, whatever the task will make of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt


class Cells(NamedTuple):
    """What a reader found where the targets stand.

    Attributes:
        values: the distinct cells, as text.
        codes: shape (N,), index into ``values``.
        where: what was read, for messages: ``t.csv: column 'price'``.
        rows: how many rows there were, also those that cannot be used.
    """

    values: Sequence[str]
    codes: npt.NDArray[np.int64]
    where: str
    rows: int


def marks(names: Sequence[str], cells: Sequence[Sequence[str | None]]) -> list[str]:
    """Return the names that each row of ``cells``, a column a name, marks, as a JSON list.

    >>> marks(["red", "round"], [["1", "0"], ["true", None]])
    ['["red", "round"]', '[]']
    """
    rows = zip(*cells, strict=True)
    return [
        json.dumps([n for n, c in zip(names, row, strict=True) if _is_mark(c)], ensure_ascii=False)
        for row in rows
    ]


def _is_mark(cell: str | None) -> bool:
    return (cell or "").strip().casefold() in ("1", "1.0", "true")


def as_cells(values: Sequence[Any]) -> Cells:
    """Return Python's values as cells; lists, sets and rows of an indicator array as JSON."""
    texts = [_cell(value) for value in values]
    found, codes = np.unique(texts, return_inverse=True)
    return Cells(found.tolist(), codes.astype(np.int64), "the targets", len(texts))


def _cell(value: Any) -> str:
    if isinstance(value, np.ndarray):
        value = np.flatnonzero(value).tolist()
    if isinstance(value, list | tuple | set | frozenset):
        return json.dumps(sorted(map(str, value)), ensure_ascii=False)
    return str(value)
