"""Tables as a stream of text columns: CSV, TSV, JSON lines, Parquet.

Every cell is read as text, so that ``007`` stays a label and a column does not change its type
halfway down. pyarrow is imported only when a table is read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart.data import encoding
from headstart.errors import DataError, ItemError

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES = frozenset({".csv", ".tsv", ".jsonl", ".ndjson", ".parquet"})
"""The endings of the files that are read as tables."""

_SAMPLE = 1000
_ROWS = 4096
_LONGEST_NAME = 60
_WIDEST = 10_000

# One row must fit into a block. Small blocks are for looking, large ones for cells of megabytes.
_LOOK, _BLOCK = 1 << 20, 1 << 24


@dataclass(frozen=True)
class Table:
    """A table that is not read yet.

    Attributes:
        path: the file.
        names: of the columns; "1", "2", ... without a header.
        sample: the first cells of each column, at most 1,000; missing ones are "".
        first_row: the number of the first row in reports, as a spreadsheet or an editor counts.
        pieces: from column names to batches with these columns, as text or (images) as bytes.
        bad: filled by ``pieces``: the numbers of the rows that were left out, and why.
        binary: those columns that hold the images themselves.
        meanings: what the numbers of a column stand for, where the file says so.
    """

    path: Path
    names: tuple[str, ...]
    sample: Mapping[str, Sequence[str]]
    first_row: int
    pieces: Callable[[Sequence[str]], Iterator[pa.RecordBatch]]
    bad: dict[int, str] = field(default_factory=dict)
    binary: frozenset[str] = frozenset()
    meanings: Mapping[str, Sequence[str]] = field(default_factory=dict)


def open_table(path: Path) -> Table:
    """Return the table at ``path`` with a look at its first rows.

    Raises:
        DataError: it is empty, damaged, or in an unknown encoding; the message says where.
    """
    formats = {".parquet": _parquet, ".csv": _csv, ".tsv": _csv}
    with _naming(path):
        table = formats.get(path.suffix.lower(), _jsonl)(path)

    def pieces(columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        with _naming(path):
            yield from table.pieces(columns)

    return replace(table, pieces=pieces)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn what pyarrow and the system raise into errors that name the file."""
    try:
        yield
    except ItemError as error:
        raise DataError(f"{path}: {error}") from error
    except DataError:
        raise
    except (OSError, ValueError) as error:
        long = f": a row is longer than {_BLOCK >> 20} MB" if "straddling" in str(error) else ""
        raise DataError(f"{path} cannot be read as a table{long or f': {error}'}") from error


def _csv(path: Path) -> Table:
    import pyarrow as pa

    name = encoding.of_file(path)
    with path.open(encoding=name, newline="") as file:
        start = file.read(1 << 16)
    if not start.strip():
        raise DataError(f"{path} is empty; a table with a label column is needed")
    layout = {"delimiter": _delimiter(path, start), "quote_char": _quote(path, start)}
    source = _Csv(path, name, layout)
    try:
        first = next(source.read(None, _LOOK))
    except pa.ArrowInvalid:
        first = next(source.read(None, _BLOCK))
    source.bad.clear()
    rows = list(zip(*(column.to_pylist()[: _SAMPLE + 1] for column in first.columns), strict=True))
    source.header = looks_like_header(rows)
    source.names = _distinct(rows[0]) if source.header else _numbered(len(first.columns))
    columns = zip(*rows[source.header :], strict=True) if rows[source.header :] else ()
    sample = dict.fromkeys(source.names, ()) | dict(zip(source.names, columns, strict=False))
    return Table(path, source.names, sample, 1 + source.header, source.pieces, source.bad)


class _Csv:
    """One way to read one CSV file; ``bad`` fills while it is read."""

    def __init__(self, path: Path, encoding_: str, layout: dict[str, Any]) -> None:
        self.path, self.encoding, self.layout = path, encoding_, layout
        self.names: tuple[str, ...] = ()
        self.header = False
        self.bad: dict[int, str] = {}

    def pieces(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield batches with ``columns``."""
        self.bad.clear()
        return self.read(columns, _BLOCK)

    def read(self, columns: Sequence[str] | None, block: int) -> Iterator[pa.RecordBatch]:
        """Yield batches of text; without ``columns`` all of them, the first row included."""
        import pyarrow as pa
        from pyarrow import csv

        names = [f"f{i}" for i in range(_WIDEST)] if columns is None else self.names
        options = csv.ReadOptions(
            use_threads=False,  # with threads, a bad row does not know its number
            block_size=block,
            column_names=None if columns is None else self.names,
            autogenerate_column_names=columns is None,
            skip_rows_after_names=int(self.header and columns is not None),
            encoding="utf-8" if self.encoding == "utf-8-sig" else self.encoding,
        )
        parsing = csv.ParseOptions(
            **self.layout, newlines_in_values=True, invalid_row_handler=self._skip
        )
        types = dict.fromkeys(names, pa.large_string())
        texts = csv.ConvertOptions(column_types=types, include_columns=list(columns or []))
        return iter(csv.open_csv(self.path, options, parsing, texts))

    def _skip(self, row: Any) -> str:
        self.bad[row.number] = f"{row.actual_columns} columns instead of {row.expected_columns}"
        return "skip"


def looks_like_header(rows: Sequence[Sequence[str | None]]) -> bool:
    """Return whether the first of ``rows`` names columns rather than being data.

    Names are short, are no numbers, and do not come again below them.

    >>> looks_like_header([("label", "text"), ("ham", "Hello there")])
    True
    >>> looks_like_header([("ham", "Go until"), ("spam", "Free entry"), ("ham", "See you")])
    False
    """
    if any(not name or len(name) > _LONGEST_NAME or _is_number(name) for name in rows[0]):
        return False
    below = zip(*rows[1:], strict=True) if len(rows) > 1 else ()
    return not any(name in column for name, column in zip(rows[0], below, strict=False))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _delimiter(path: Path, start: str) -> str:
    line = start.splitlines()[0]
    if path.suffix.lower() == ".tsv":
        return "\t"
    return "," if "," in line else max(",;\t|", key=line.count)


def _quote(path: Path, start: str) -> str | bool:
    """Many TSV files quote nothing and use the sign " as they like; then it must mean nothing."""
    if path.suffix.lower() != ".tsv":
        return '"'
    lines = start.splitlines()[:-1] or start.splitlines()
    same_width = len({line.count("\t") for line in lines}) == 1
    cells = (cell for line in lines for cell in line.split("\t"))
    loose = any(cell.startswith('"') and (cell.count('"') % 2) for cell in cells)
    return False if same_width and loose else '"'


def _distinct(names: Iterable[str | None]) -> tuple[str, ...]:
    kept: list[str] = []
    for name in (str(one).strip() for one in names):
        same = sum(other == name or other.startswith(f"{name}.") for other in kept)
        kept.append(f"{name}.{same + 1}" if name in kept else name)
    return tuple(kept)


def _numbered(count: int) -> tuple[str, ...]:
    return tuple(str(number) for number in range(1, count + 1))


def _jsonl(path: Path) -> Table:
    name = encoding.of_file(path)
    bad: dict[int, str] = {}

    def pieces(columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        bad.clear()
        rows = _json_rows(path, name, bad)
        schema = pa.schema([(column, pa.large_string()) for column in columns])
        while block := list(islice(rows, _ROWS)):
            cells = [[_json_text(row.get(column)) for row in block] for column in columns]
            yield pa.record_batch([pa.array(cell, pa.large_string()) for cell in cells], schema)

    first = list(islice(_json_rows(path, name, bad), _SAMPLE))
    if not first:
        raise DataError(
            f"{path} holds no JSON objects, one a line; line 1 {bad.get(1, 'is missing')}"
        )
    names = tuple(dict.fromkeys(key for row in first for key in row))
    sample = {key: tuple(_json_text(row.get(key)) or "" for row in first) for key in names}
    return Table(path, names, sample, 1, pieces, bad)


def _json_rows(path: Path, name: str, bad: dict[int, str]) -> Iterator[dict[str, Any]]:
    with path.open(encoding=name) as file:
        for number, line in enumerate(file, 1):
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                row = None
            if isinstance(row, dict):
                yield row
            else:
                # An empty line counts as well, or the numbers below it would be wrong.
                bad[number] = "is no JSON object" if line.strip() else "is empty"


def _json_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        # A lone half of a surrogate pair is legal in JSON, but in no encoding.
        return value.encode("utf-8", "replace").decode() if value else value
    return json.dumps(value, ensure_ascii=False)


def _parquet(path: Path) -> Table:
    import pyarrow as pa
    from pyarrow import parquet

    file = parquet.ParquetFile(path)
    schema = file.schema_arrow
    binary = frozenset(one.name for one in schema if _holds_bytes(one.type))
    textual = [one.name for one in schema if one.name not in binary | _nested(schema)]

    def pieces(columns: Sequence[str], rows: int = _ROWS) -> Iterator[pa.RecordBatch]:
        for batch in file.iter_batches(rows, columns=list(columns)):
            cells = [_cells(batch.column(name), name in binary) for name in columns]
            yield pa.record_batch(cells, list(columns))

    first = next(pieces(textual, _SAMPLE), None) if textual else None
    if first is None or not len(first):
        raise DataError(f"{path} has no rows with labels")
    looked = {name: first.column(name).to_pylist() for name in textual}
    sample = {name: tuple(cell or "" for cell in cells) for name, cells in looked.items()}
    names = (*textual, *sorted(binary))
    return Table(path, names, sample, 1, pieces, {}, binary, _meanings(schema))


def _holds_bytes(kind: pa.DataType) -> bool:
    """Image columns of the Hugging Face hub are structs of bytes and path."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return bool(kind.get_field_index("bytes") >= 0)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _nested(schema: pa.Schema) -> frozenset[str]:
    import pyarrow as pa

    return frozenset(one.name for one in schema if pa.types.is_nested(one.type))


def _cells(column: pa.Array, binary: bool) -> pa.Array:
    import pyarrow as pa
    from pyarrow import compute

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
