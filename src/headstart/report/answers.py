"""Answers as a table: CSV, JSON lines or Parquet, beside the columns of the user's own table."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

from headstart.errors import UsageError
from headstart.store import written_aside
from headstart.tasks.task import Task

Row = dict[str, Any]
Write = Callable[[Sequence[Row]], None]

ROWS = 1024
"""Rows that are written at once."""


def require_writable(path: Path, *, overwrite: bool) -> None:
    """Raise `UsageError` unless answers can be written to ``path``; call it before the work."""
    if path.suffix.lower() not in WRITERS:
        raise UsageError(f"out is {path}, but must end in {', '.join(WRITERS)}.")
    if path.is_dir():
        raise UsageError(f"out is {path}, which is a folder; name a file.")
    if path.exists() and not overwrite:
        raise UsageError(f"{path} is there already; name another file, or say --overwrite.")


def written(
    path: Path, task: Task, own: Sequence[str], answers: Iterator[tuple[Mapping[str, Any], Row]]
) -> Iterator[Row]:
    """Pass the answers on, while each is written to ``path``; memory does not grow with them.

    Args:
        path: see `require_writable`; it is in place once all answers have gone by.
        task: says what of an answer is a cell.
        own: the user's own columns, which come first.
        answers: the user's own cells, or ``{item}`` for what comes from no table, and the answer.
    """
    with written_aside(path) as aside, WRITERS[path.suffix.lower()](aside) as write:
        rows: list[Row] = []
        for cells, answer in answers:
            rows.append(_row(task, own, cells, answer))
            yield answer
            if len(rows) == ROWS:
                write(rows)
                rows = []
        write(rows)


def _row(task: Task, own: Sequence[str], cells: Mapping[str, Any], answer: Row) -> Row:
    row = {name: cells.get(name) for name in own}
    return row | {_free(name, own): value for name, value in _cells(task, answer).items()}


def _free(name: str, own: Sequence[str]) -> str:
    """Return what an answer's column is called where the user's table has one of its name."""
    while name in own:
        name = f"predicted_{name}"
    return name


def _cells(task: Task, answer: Row) -> Row:
    if "error" in answer:
        return {"error": answer["error"]}
    plain = {k: v for k, v in answer.items() if k not in ("item", "top")}
    more = enumerate(answer.get("top", [])[1:], 2)
    return task.flat(plain) | {f"{k}_{n}": v for n, one in more for k, v in one.items()}


class _Columns:
    """The columns of a table whose rows come in pieces: those of the first piece, and ``error``."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def of(self, rows: Sequence[Row]) -> list[str]:
        if not self.names:
            seen = dict.fromkeys(chain.from_iterable(rows))
            self.names = [*(name for name in seen if name != "error"), "error"]
        return self.names


@contextmanager
def _csv(path: Path) -> Iterator[Write]:
    columns = _Columns()
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)

        def write(rows: Sequence[Row]) -> None:
            first = not columns.names
            names = columns.of(rows)
            if first:
                writer.writerow(names)
            writer.writerows([row.get(name) for name in names] for row in rows)

        yield write


@contextmanager
def _jsonl(path: Path) -> Iterator[Write]:
    with path.open("w", encoding="utf-8") as file:

        def write(rows: Sequence[Row]) -> None:
            _lines(file, rows)

        yield write


def _lines(file: TextIO, rows: Sequence[Row]) -> None:
    file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


@contextmanager
def _parquet(path: Path) -> Iterator[Write]:
    import pyarrow as pa
    from pyarrow import parquet

    columns = _Columns()
    writers: list[Any] = []

    def write(rows: Sequence[Row]) -> None:
        names = columns.of(rows)
        if not writers:
            numbers = {k for row in rows for k, v in row.items() if isinstance(v, float)}
            kinds = [pa.float64() if name in numbers else pa.string() for name in names]
            schema = pa.schema(list(zip(names, kinds, strict=True)))
            writers.append(parquet.ParquetWriter(path, schema))
        schema = writers[0].schema
        cells = [[row.get(name) for row in rows] for name in names]
        arrays = [pa.array(c, f.type) for c, f in zip(cells, schema, strict=True)]
        writers[0].write_table(pa.table(arrays, schema=schema))

    try:
        yield write
    finally:
        for writer in writers:
            writer.close()


WRITERS = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}
"""Who writes which ending."""
