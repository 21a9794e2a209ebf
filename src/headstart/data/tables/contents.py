"""From the cells of a row to what its item holds: words, grey values, bytes, or a named file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from headstart.data import folders
from headstart.data.dataset import Kind
from headstart.data.items import packed
from headstart.data.pictures.named import Pictures
from headstart.data.tables.cells import Cells as Kept
from headstart.data.tables.stream import Table
from headstart.errors import ItemError

MISSING = frozenset({"", "nan", "<na>"})
"""What a cell says, in any case, that says nothing."""


class Contents(NamedTuple):
    """What the rows hold: ``why`` tells, for some positions, that nothing is there."""

    content: Callable[[int], bytes]
    paths: Sequence[str] | None
    why: dict[int, str]


def contents(
    table: Table, kind: Kind, content: Sequence[str], cells: Kept, pictures: Callable[[], Pictures]
) -> Contents:
    """Return what the kept rows of ``table`` hold in the columns ``content``."""
    if kind == "text":
        return Contents(partial(_joined, cells), None, {})
    if len(content) > 1:
        return Contents(partial(_pixels, cells, _top(table, content)), None, {})
    if content[0] in table.binary:
        return Contents(partial(_bytes, cells), None, {})
    places = pictures()
    places.prefer(table.sample[content[0]])
    named = [str(cells.row(i)[0] or "") for i in range(len(cells))]
    paths = [places.find(cell) or "" for cell in named]
    why = {i: places.fault(named[i]) for i, path in enumerate(paths) if not path}
    return Contents(partial(_picture, paths), paths, why)


def _joined(cells: Kept, index: int) -> bytes:
    row = cells.row(index)
    words = (cell for cell in row if isinstance(cell, str) and cell.casefold() not in MISSING)
    return " ".join(words).encode()


def _top(table: Table, content: Sequence[str]) -> int:
    """Return what is white among the grey values: 1 or 255, the same for all rows."""
    return 255 if any(float(cell) > 1 for name in content for cell in table.sample[name]) else 1


def _pixels(cells: Kept, top: int, index: int) -> bytes:
    """Return a row of grey values as a square picture."""
    row = cells.row(index)
    try:
        values = np.array([float(str(cell)) for cell in row])
    except ValueError as error:
        raise ItemError(f"a row of pixels holds something else: {error}") from error
    if not (np.isfinite(values) & (values >= 0) & (values <= top)).all():
        low, high = values.min(), values.max()
        raise ItemError(f"a row of pixels from {low:g} to {high:g}; the others lie in 0 to {top}")
    side = int(len(values) ** 0.5)
    grey = values.reshape(side, side)
    return packed(grey.astype(np.uint8) if top > 1 else grey.astype(np.float32))


def _bytes(cells: Kept, index: int) -> bytes:
    cell = cells.row(index)[0]
    return cell if isinstance(cell, bytes) else b""


def _picture(paths: Sequence[str], index: int) -> bytes:
    return folders.file_content(paths[index], "image")
