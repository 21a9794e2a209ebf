"""Tables as a stream of text columns: CSV, TSV, JSON lines, Parquet.

Every cell is read as text, so that ``007`` stays a label and a column does not change its type
halfway down. pyarrow is imported only when a table is read.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart.data import encoding
from headstart.errors import DataError, ItemError

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet

Rows = Sequence[Sequence[str | None]]

SUFFIXES = frozenset({".csv", ".tsv", ".jsonl", ".ndjson", ".parquet"})
"""The endings of the files that are read as tables."""

_SAMPLE = 1000
_FEW = 20
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
        is_header: says of the first rows of a CSV or TSV file whether the first names columns.

    Raises:
        DataError: it is empty, damaged, or in an unknown encoding; the message says where.
    """
    delimited = partial(_csv, is_header=is_header)
    formats: dict[str, Callable[[Path], Table]]
    formats = {".parquet": _parquet, ".csv": delimited, ".tsv": delimited}
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
    except (OSError, ValueError, NotImplementedError) as error:
        why = str(error)
        if "straddling" in why:
            why = f"a row is longer than {_BLOCK >> 20} MB; perhaps a quote is never closed"
        raise DataError(f"{path} cannot be read as a table: {why}") from error


def _csv(path: Path, is_header: Callable[[Rows], bool]) -> Table:
    name = encoding.of_file(path)
    with path.open(encoding=name, newline="") as file:
        start = file.read(1 << 16)
    if not start.strip():
        raise DataError(f"{path} is empty; a table with a label column is needed")
    if len(start) < 1 << 16 and not {"\n", "\r"} & set(start):
        raise DataError(f"{path} has no usable row: it is a single line that does not end")
    source = _Csv(path, name, start)
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


class _Csv:
    """One way to read one CSV file; ``bad`` fills while it is read."""

    def __init__(self, path: Path, encoding_: str, start: str) -> None:
        self.path = path
        self.encoding = "utf-8" if encoding_ == "utf-8-sig" else encoding_
        text = start.lstrip("\r\n")
        delimiter = _delimiter(path, text)
        self.layout = {"delimiter": delimiter, "quote_char": _quote(delimiter, text)}
        self.empty = len(start[: len(start) - len(text)].splitlines())
        self.first_row = 1 + self.empty
        self.names: tuple[str, ...] = ()
        self.bad: dict[int, str] = {}

    def look(self) -> Rows:
        """Return the first rows with all their columns, the header included."""
        import pyarrow as pa

        try:
            first = next(self.read(None, _LOOK))
        except pa.ArrowInvalid:
            first = next(self.read(None, _BLOCK))
        cells = [column.to_pylist() for column in first.slice(0, _SAMPLE + 1).columns]
        return list(zip(*cells, strict=True))

    def pieces(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield batches with ``columns``; a row that swallows the rest of the file is bad."""
        self.bad.clear()
        batches, count = self.read(columns, _BLOCK), 0
        batch = next(batches, None)
        while batch is not None:
            following = next(batches, None)
            count += len(batch)
            if following is None and (lines := self._left_open(batch)):
                last = self.first_row + count - 1 + len(self.bad)
                self.bad[last] = f"its quote is never closed, and takes in {lines} lines"
                batch = batch.slice(0, len(batch) - 1)
            yield batch
            batch = following

    def read(self, columns: Sequence[str] | None, block: int) -> Iterator[pa.RecordBatch]:
        """Yield batches of text; without ``columns`` all of them, the first row included."""
        import pyarrow as pa
        from pyarrow.csv import ConvertOptions, ParseOptions, ReadOptions, open_csv

        names = [f"f{i}" for i in range(_WIDEST)] if columns is None else self.names
        options = ReadOptions(
            use_threads=False,  # with threads, a bad row does not know its number
            block_size=block,
            column_names=None if columns is None else self.names,
            autogenerate_column_names=columns is None,
            skip_rows=self.empty,
            skip_rows_after_names=0 if columns is None else self.first_row - self.empty - 1,
            encoding=self.encoding,
        )
        parsing = ParseOptions(
            **self.layout,
            newlines_in_values=True,
            ignore_empty_lines=False,  # or the numbers of the rows below would be wrong
            invalid_row_handler=self._skip,
        )
        types = dict.fromkeys(names, pa.large_string())
        texts = ConvertOptions(column_types=types, include_columns=list(columns or []))
        return iter(open_csv(self.path, options, parsing, texts))

    def _skip(self, row: Any) -> str:
        lines = 1 + (row.text or "").count("\n")
        over = f", over {lines} lines" if lines > 1 else ""
        found = f"{row.actual_columns} columns instead of {row.expected_columns}{over}"
        self.bad[row.number] = found
        return "skip"

    def _left_open(self, batch: pa.RecordBatch) -> int:
        """Return how many lines the last cell of ``batch`` has if the file ends in its quotes."""
        if not len(batch) or self.names[-1] not in batch.schema.names:
            return 0
        cell = batch.column(self.names[-1])[-1].as_py() or ""
        with self.path.open("rb") as file:
            file.seek(-min(64, self.path.stat().st_size), io.SEEK_END)
            closed = file.read().rstrip(b"\r\n \0").endswith(b'"')
        return 0 if closed else cell.count("\n") or cell.count("\r")


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


def _delimiter(path: Path, start: str) -> str:
    """Return the sign of the first line that most of the rows agree on."""
    if path.suffix.lower() == ".tsv":
        return "\t"
    signs = [sign for sign in ",;\t|" if sign in start.splitlines()[0]]
    return max(signs, key=partial(_agreement, start), default=",")


def _agreement(start: str, sign: str) -> float:
    """Return the share of the rows that have as many cells as most, if these are several."""
    widths = Counter(map(len, csv.reader(io.StringIO(start, newline=""), delimiter=sign)))
    width, count = widths.most_common(1)[0]
    return count / widths.total() if width > 1 else 0.0


def _quote(delimiter: str, start: str) -> str | bool:
    """Many TSV files quote nothing and use the sign " as they like; then it must mean nothing."""
    whole = start[: start.rfind("\n") + 1] or start
    if delimiter != "\t" or _well_quoted(whole):
        return '"'
    same_width = len({line.count("\t") for line in whole.split("\n") if line.strip()}) == 1
    return False if same_width else '"'


def _well_quoted(text: str) -> bool:
    try:
        return bool(list(csv.reader(io.StringIO(text, newline=""), delimiter="\t", strict=True)))
    except csv.Error:
        return False


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

    # Otherwise a column of a row group, which may be all rows, is read at once.
    file = parquet.ParquetFile(path, pre_buffer=False, buffer_size=_LOOK)
    schema = file.schema_arrow
    if len(set(schema.names)) < len(schema):
        raise DataError(f"{path} has several columns of one name: {', '.join(schema.names)}")
    binary = frozenset(one.name for one in schema if _holds_images(file, one))
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
