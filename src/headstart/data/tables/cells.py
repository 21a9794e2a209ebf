"""Cells of a table, found by row, without a Python object for each."""

from __future__ import annotations

import os
import tempfile
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from headstart.data.dataset import Names
from headstart.progress import log
from headstart.store import home

if TYPE_CHECKING:
    import pyarrow as pa

IN_MEMORY = 1 << 26
"""Up to this many bytes of a table are kept in memory; more are mapped from a file."""


class Cells:
    """Columns of a table, row by row, in memory or mapped from disk."""

    def __init__(self, batches: Iterable[pa.RecordBatch]) -> None:
        self._batches = list(batches)
        self._ends = np.cumsum([len(batch) for batch in self._batches]).tolist()

    def __len__(self) -> int:
        return int(self._ends[-1]) if self._ends else 0

    def row(self, index: int) -> list[str | bytes | None]:
        """Return the cells of one row; None for a missing one."""
        part = bisect_right(self._ends, index)
        at = index - (self._ends[part - 1] if part else 0)
        return [column[at].as_py() for column in self._batches[part].columns]


def keep(batches: Iterable[pa.RecordBatch]) -> Cells:
    """Return the cells of all ``batches``.

    What is large is written to a file that is unlinked at once: the system frees it when this
    process ends, however it ends.
    """
    first: deque[pa.RecordBatch] = deque()
    size, rest = 0, iter(batches)
    for batch in rest:
        first.append(batch)
        size += batch.nbytes
        if size > IN_MEMORY:
            return Cells(_mapped(chain(_taken(first), rest)))
    return Cells(first)


def _taken(first: deque[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield the batches and let go of each, so that its memory can be used again."""
    while first:
        yield first.popleft()


def _mapped(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    rest = iter(batches)
    path = _file()
    try:
        left = _write(path, rest)
        with suppress(pa.ArrowInvalid):  # of what ends in the middle, where the disk was full
            yield from pa.ipc.open_stream(pa.memory_map(str(path)))
    finally:
        with suppress(OSError):  # Windows keeps a mapped file; it is found in the cache folder
            path.unlink()
    yield from left
    yield from rest


def _write(path: Path, batches: Iterator[pa.RecordBatch]) -> list[pa.RecordBatch]:
    """Write ``batches``, and return the one that found no room; those behind it are not taken."""
    import pyarrow as pa

    writer = None
    with pa.OSFile(str(path), "wb") as sink:
        for batch in batches:
            try:
                writer = writer or pa.ipc.new_stream(sink, batch.schema)
                writer.write_batch(batch)
            except OSError as error:
                log.warning(
                    "no room for a table in %s (%s); going on in memory", path.parent, error
                )
                return [batch]
            pa.default_memory_pool().release_unused()  # or the pool grows with the table
        if writer:
            writer.close()
    pa.default_memory_pool().release_unused()
    return []


def _file() -> Path:
    folder = home() / "tables"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(".arrow", dir=folder)
    except OSError:
        handle, name = tempfile.mkstemp(".arrow")
    os.close(handle)
    return Path(name)


class RowNames(Names):
    """``table.csv:17`` for each kept row, made when asked for.

    Args:
        table: the name in front.
        first: the number of the first row.
        kept: N positions of the kept rows among the good ones.
        bad: the numbers of the rows that are not among the good ones.
    """

    def __init__(
        self, table: str, first: int, kept: npt.NDArray[np.int64] | range, bad: Mapping[int, str]
    ) -> None:
        self._table, self._first, self._kept = table, first, kept
        numbers = np.sort(np.array(list(bad), np.int64))
        self._shifts = numbers - first - np.arange(len(numbers))

    def __len__(self) -> int:
        return len(self._kept)

    def name(self, index: int) -> str:
        """Return the name of the kept row at ``index``."""
        return f"{self._table}:{self.number(int(self._kept[index]))}"

    def number(self, position: int) -> int:
        """Return the number, in the file, of the good row at ``position``."""
        return self._first + position + int(np.searchsorted(self._shifts, position, "right"))
