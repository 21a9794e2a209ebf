"""Tables that are Arrow's: Parquet files, and what pandas, polars and others hold in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart.data.tables.delimited import LOOK, SAMPLE, Rows
from headstart.data.tables.stream import ROWS, Table, json_text
from headstart.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

Batches = Callable[[int, Sequence[str]], Iterator["pa.RecordBatch"]]
"""From how many rows at most, and column names, to pieces of a table."""

_FEW = 20


def read(path: Path, is_header: Callable[[Rows], bool]) -> Table:
    """Return the table in the Parquet file at ``path``, which is streamed.

    Raises:
        DataError: it has no rows, or several columns of one name.
    """
    from pyarrow import parquet

    # Otherwise a column of a row group, which may be all rows, is read at once.
    file = parquet.ParquetFile(path, pre_buffer=False, buffer_size=LOOK)

    def batches(rows: int, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        yield from file.iter_batches(rows, columns=list(columns))

    return _of_batches(path, file.schema_arrow, batches, first_row=1)


def in_memory(table: pa.Table, name: Path) -> Table:
    """Return an Arrow table as one that is read like a file called ``name``; rows count from 0.

    Raises:
        DataError: it has no rows, or several columns of one name.
    """

    def batches(rows: int, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        yield from table.select(list(columns)).to_batches(rows)

    return _of_batches(name, table.schema, batches, first_row=0, folder=None)


def _of_batches(
    path: Path, schema: pa.Schema, batches: Batches, *, first_row: int, **more: Any
) -> Table:
    import pyarrow as pa

    if len(set(schema.names)) < len(schema):
        raise DataError(f"{path} has several columns of one name: {', '.join(schema.names)}")
    binary = frozenset(one.name for one in schema if _holds_images(batches, one))
    lists = frozenset(one.name for one in schema if _holds_names(one.type))
    textual = [one.name for one in schema if one.name not in binary | (_nested(schema) - lists)]

    def pieces(columns: Sequence[str], rows: int = ROWS) -> Iterator[pa.RecordBatch]:
        for batch in batches(rows, columns):
            cells = [_cells(batch.column(name), name in binary) for name in columns]
            yield pa.record_batch(cells, list(columns))

    sample = _sample(pieces, textual)
    if not sample and not binary:
        raise DataError(f"{path} has no rows with labels")
    names = (*textual, *sorted(binary))
    meanings = _meanings(schema)
    return Table(path, names, sample, first_row, pieces, {}, binary, meanings, lists, **more)


def _sample(pieces: Callable[..., Iterator[pa.RecordBatch]], names: list[str]) -> dict[str, Any]:
    """Return the first cells of the columns; empty where there is no row."""
    first = next(pieces(names, SAMPLE), None) if names else None
    if first is None or not len(first):
        return {}
    cells = {name: first.column(name).to_pylist() for name in names}
    return {name: tuple(cell or "" for cell in column) for name, column in cells.items()}


def _holds_images(batches: Batches, column: pa.Field) -> bool:
    """Return whether ``column`` is of bytes that are no text; old tools write texts as bytes."""
    if not _holds_bytes(column.type):
        return False
    batch = next(batches(_FEW, [column.name]), None)
    cells = [cell for cell in batch.column(0).to_pylist() if cell] if batch else []
    return not cells or not all(map(_is_text, cells))


def _is_text(cell: Any) -> bool:
    try:
        return isinstance(cell, bytes) and "\0" not in cell.decode()
    except UnicodeDecodeError:
        return False


def _holds_bytes(kind: pa.DataType) -> bool:
    """Image columns of the Hugging Face hub are structs of bytes and path."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return bool(kind.get_field_index("bytes") >= 0)
    return bool(
        pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)
    )


def _nested(schema: pa.Schema) -> frozenset[str]:
    import pyarrow as pa

    return frozenset(one.name for one in schema if pa.types.is_nested(one.type))


def _holds_names(kind: pa.DataType) -> bool:
    """Return whether cells are lists of strings or of whole numbers: several labels."""
    import pyarrow as pa

    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        return False
    of = kind.value_type
    return bool(
        pa.types.is_string(of)
        or pa.types.is_large_string(of)
        or pa.types.is_string_view(of)
        or pa.types.is_integer(of)
    )


def _cells(column: pa.Array, binary: bool) -> pa.Array:
    import pyarrow as pa
    from pyarrow import compute

    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        return pa.array([json_text(cell) for cell in column.to_pylist()], pa.large_string())
    if pa.types.is_dictionary(column.type):  # pandas' and polars' categories
        column = column.dictionary_decode()
    if pa.types.is_struct(column.type):
        column = compute.struct_field(column, "bytes")
    return column.cast(pa.large_binary() if binary else pa.large_string())


def _meanings(schema: pa.Schema) -> dict[str, list[str]]:
    """Class names as the Hugging Face library writes them beside their numbers."""
    try:
        facts = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {name: one["names"] for name, one in facts.items() if one.get("names")}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}
