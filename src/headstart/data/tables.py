"""Tables as a stream of text columns: CSV, TSV, JSON lines, Parquet.

Every cell is read as text, so that ``007`` stays a label and a column does not change its type
halfway down. pyarrow is imported only when a table is read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart.data import delimited, encoding
from headstart.data.delimited import LOOK, SAMPLE, Delimited, Rows
from headstart.errors import DataError, ItemError

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet

_FEW = 20
_ROWS = 4096
_LONGEST_NAME = 60


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
        lists: those columns whose cells are lists, as JSON.
    """

    path: Path
    names: tuple[str, ...]
    sample: Mapping[str, Sequence[str]]
    first_row: int
    pieces: Callable[[Sequence[str]], Iterator[pa.RecordBatch]]
    bad: dict[int, str] = field(default_factory=dict)
    binary: frozenset[str] = frozenset()
    meanings: Mapping[str, Sequence[str]] = field(default_factory=dict)
    lists: frozenset[str] = frozenset()


def looks_like_header(rows: Rows) -> bool:
    """Return whether the first of ``rows`` names columns rather than being data.

    Names are short, are no numbers, and do not come again below them. pandas leaves its column of
    row numbers without a name, and Excel empty columns.

    >>> looks_like_header([("", "label", "text"), ("0", "ham", "Hello there")])
    True
    >>> looks_like_header([("ham", "Go until"), ("spam", "Free entry"), ("ham", "See you")])
    False
    """
    names = [(name or "").strip() for name in rows[0]]
    if not any(names) or any(len(name) > _LONGEST_NAME or _is_number(name) for name in names):
        return False
    below = list(zip(*rows[1:], strict=True)) or [()] * len(names)
    return all(
        name not in column if name else _says_nothing(column)
        for name, column in zip(names, below, strict=True)
    )


def open_table(path: Path, is_header: Callable[[Rows], bool] = looks_like_header) -> Table:
    """Return the table at ``path`` with a look at its first rows.

    Args:
        path: the file.
        is_header: says of the first rows, where they need not, whether the first names columns.

    Raises:
        DataError: it is empty, damaged, or in an unknown encoding; the message says where.
    """
    with _naming(path):
        table = READERS[path.suffix.lower()](path, is_header)

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
    except (OSError, ValueError, NotImplementedError) as error:
        why = str(error)
        if "straddling" in why:
            why = (
                f"a row is longer than {delimited.BLOCK >> 20} MB; perhaps a quote is never closed"
            )
        raise DataError(f"{path} cannot be read as a table: {why}") from error


def _csv(path: Path, is_header: Callable[[Rows], bool]) -> Table:
    name = encoding.of_file(path)
    with path.open(encoding=name, newline="") as file:
        start = file.read(1 << 16)
    if not start.strip():
        raise DataError(f"{path} is empty; a table with a label column is needed")
    if len(start) < 1 << 16 and not {"\n", "\r"} & set(start):
        raise DataError(f"{path} has no usable row: it is a single line that does not end")
    source = Delimited(path, name, start)
    rows = source.look()
    header = is_header(rows)
    source.first_row += header
    source.names = distinct(rows[0] if header else [None] * len(rows[0]))
    columns = list(zip(*rows[header:], strict=True)) or [()] * len(source.names)
    sample = {
        name: tuple(cell or "" for cell in column)
        for name, column in zip(source.names, columns, strict=True)
    }
    return Table(path, source.names, sample, source.first_row, source.pieces, source.bad)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _says_nothing(column: Sequence[str | None]) -> bool:
    """Return whether all cells are blank, or numbers that each come once."""
    cells = [cell for cell in column if cell]
    return len(set(cells)) == len(cells) and all(map(_is_number, cells))


def distinct(names: Iterable[str | None]) -> tuple[str, ...]:
    """Return ``names``, each different from the others; one that is missing is its number.

    >>> distinct(["", "text", "text"])
    ('1', 'text', 'text.2')
    """
    kept: list[str] = []
    for number, one in enumerate(names, 1):
        name = (one or "").strip() or str(number)
        same = sum(other == name or other.startswith(f"{name}.") for other in kept)
        kept.append(f"{name}.{same + 1}" if name in kept else name)
    return tuple(kept)


def _jsonl(path: Path, is_header: Callable[[Rows], bool]) -> Table:
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

    first = list(islice(_json_rows(path, name, bad), SAMPLE))
    if not first:
        raise DataError(
            f"{path} holds no JSON objects, one a line; line 1 {bad.get(1, 'is missing')}"
        )
    names = tuple(dict.fromkeys(key for row in first for key in row))
    sample = {key: tuple(_json_text(row.get(key)) or "" for row in first) for key in names}
    lists = frozenset(key for key in names if any(isinstance(row.get(key), list) for row in first))
    return Table(path, names, sample, 1, pieces, bad, lists=lists)


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


def _parquet(path: Path, is_header: Callable[[Rows], bool]) -> Table:
    import pyarrow as pa
    from pyarrow import parquet

    # Otherwise a column of a row group, which may be all rows, is read at once.
    file = parquet.ParquetFile(path, pre_buffer=False, buffer_size=LOOK)
    schema = file.schema_arrow
    if len(set(schema.names)) < len(schema):
        raise DataError(f"{path} has several columns of one name: {', '.join(schema.names)}")
    binary = frozenset(one.name for one in schema if _holds_images(file, one))
    lists = frozenset(one.name for one in schema if _holds_names(one.type))
    textual = [one.name for one in schema if one.name not in binary | (_nested(schema) - lists)]

    def pieces(columns: Sequence[str], rows: int = _ROWS) -> Iterator[pa.RecordBatch]:
        for batch in file.iter_batches(rows, columns=list(columns)):
            cells = [_cells(batch.column(name), name in binary) for name in columns]
            yield pa.record_batch(cells, list(columns))

    first = next(pieces(textual, SAMPLE), None) if textual else None
    if first is None or not len(first):
        raise DataError(f"{path} has no rows with labels")
    looked = {name: first.column(name).to_pylist() for name in textual}
    sample = {name: tuple(cell or "" for cell in cells) for name, cells in looked.items()}
    names = (*textual, *sorted(binary))
    return Table(path, names, sample, 1, pieces, {}, binary, _meanings(schema), lists)


def _holds_images(file: parquet.ParquetFile, column: pa.Field) -> bool:
    """Return whether ``column`` is of bytes that are no text; old tools write texts as bytes."""
    if not _holds_bytes(column.type):
        return False
    batch = next(file.iter_batches(_FEW, columns=[column.name]), None)
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
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _nested(schema: pa.Schema) -> frozenset[str]:
    import pyarrow as pa

    return frozenset(one.name for one in schema if pa.types.is_nested(one.type))


def _holds_names(kind: pa.DataType) -> bool:
    """Return whether cells are lists of strings or of whole numbers: several labels."""
    import pyarrow as pa

    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        return False
    of = kind.value_type
    return bool(pa.types.is_string(of) or pa.types.is_large_string(of) or pa.types.is_integer(of))


def _cells(column: pa.Array, binary: bool) -> pa.Array:
    import pyarrow as pa
    from pyarrow import compute

    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        column = pa.array([_json_text(cell) for cell in column.to_pylist()], pa.large_string())

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


Reader = Callable[[Path, Callable[[Rows], bool]], Table]
"""From a file, and a judge of first rows, to its table."""


def _in(module: str) -> Reader:
    """Return the ``read`` of a module of this room, which is imported when such a file comes."""

    def read(path: Path, is_header: Callable[[Rows], bool]) -> Table:
        found: Reader = import_module(f"headstart.data.{module}").read
        return found(path, is_header)

    return read


READERS: dict[str, Reader] = {
    ".csv": _csv,
    ".tsv": _csv,
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".parquet": _parquet,
    ".xlsx": _in("workbook"),
}
"""Who reads which ending."""

SUFFIXES = frozenset(READERS)
"""The endings of the files that are read as tables."""
