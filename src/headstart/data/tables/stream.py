"""Tables as a stream of text columns: CSV, TSV, JSON lines, Parquet.

Every cell is read as text, so that ``007`` stays a label and a column does not change its type
halfway down. pyarrow is imported only when a table is read.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart.data.tables import delimited
from headstart.data.tables.delimited import SAMPLE, Delimited, Rows
from headstart.data.texts import encoding
from headstart.data.texts.encoding import is_float
from headstart.errors import DataError, ItemError

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 4096
"""Rows of a piece of a table."""

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
        folder: where the pictures are that it names; None where only their paths say.
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
    folder: Path | None = Path()


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
    if not any(names) or any(len(name) > _LONGEST_NAME or is_float(name) for name in names):
        return False
    below = list(zip(*rows[1:], strict=True)) or [()] * len(names)
    return all(
        name not in column if name else _says_nothing(column)
        for name, column in zip(names, below, strict=True)
    )


def open_table(
    path: Path,
    is_header: Callable[[Rows], bool] = looks_like_header,
    encoding_: str | None = None,
) -> Table:
    """Return the table at ``path`` with a look at its first rows.

    Args:
        path: the file.
        is_header: says of the first rows, where they need not, whether the first names columns.
        encoding_: of its text; None finds it by looking.

    Raises:
        DataError: it is empty, damaged, or in an unknown encoding; the message says where.
    """
    with _naming(path):
        table = READERS[path.suffix.lower()](path, is_header, encoding_)

    def pieces(columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        with _naming(path):
            yield from table.pieces(columns)

    return replace(table, pieces=pieces, folder=path.parent)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn what pyarrow and the system raise into errors that name the file."""
    import pyarrow as pa

    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise DataError(f"{path} is no regular file; copy what it gives to one.")
        yield
    except ItemError as error:
        raise DataError(f"{path}: {error}") from error
    except (DataError, MemoryError):
        raise
    except (OSError, ValueError, NotImplementedError, pa.ArrowException) as error:
        why = str(error)
        if "straddling" in why:
            most = delimited.LARGEST >> 20
            why = f"a row is longer than {most} MB; perhaps a quote is never closed"
        raise DataError(f"{path} cannot be read as a table: {why}") from error


def _csv(path: Path, is_header: Callable[[Rows], bool], encoding_: str | None) -> Table:
    name, whole = encoding.of_table(path, encoding_)
    with path.open(encoding=name, newline="", errors="strict" if whole else "replace") as file:
        start = file.read(1 << 16)
    if not start.strip():
        raise DataError(f"{path} is empty; a table with a label column is needed")
    if len(start) < 1 << 16 and not {"\n", "\r"} & set(start):
        raise DataError(f"{path} has no usable row: it is a single line that does not end")
    source = Delimited(path, name, start, whole=whole)
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


def _says_nothing(column: Sequence[str | None]) -> bool:
    """Return whether all cells are blank, or numbers that each come once."""
    cells = [cell for cell in column if cell]
    return len(set(cells)) == len(cells) and all(map(is_float, cells))


def distinct(names: Iterable[str | None]) -> tuple[str, ...]:
    """Return ``names``, each different from the others; one that is missing is its number.

    >>> distinct(["", "text", "text"])
    ('1', 'text', 'text.2')
    """
    kept: dict[str, int] = {}
    for number, one in enumerate(names, 1):
        name = made = (one or "").strip() or str(number)
        while made in kept:
            kept[name] += 1
            made = f"{name}.{kept[name]}"
        kept[made] = 1
    return tuple(kept)


def _jsonl(path: Path, is_header: Callable[[Rows], bool], encoding_: str | None) -> Table:
    name, _ = encoding.of_table(path, encoding_)
    bad: dict[int, str] = {}

    def pieces(columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        bad.clear()
        rows = _json_rows(path, name, bad)
        schema = pa.schema([(column, pa.large_string()) for column in columns])
        while block := list(islice(rows, ROWS)):
            cells = [[json_text(row.get(column)) for row in block] for column in columns]
            yield pa.record_batch([pa.array(cell, pa.large_string()) for cell in cells], schema)

    first = list(islice(_json_rows(path, name, bad), SAMPLE))
    if not first:
        raise DataError(
            f"{path} holds no JSON objects, one a line; line 1 {bad.get(1, 'is missing')}"
        )
    names = tuple(dict.fromkeys(key for row in first for key in row))
    sample = {key: tuple(json_text(row.get(key)) or "" for row in first) for key in names}
    lists = frozenset(key for key in names if any(isinstance(row.get(key), list) for row in first))
    return Table(path, names, sample, 1, pieces, bad, lists=lists)


def _json_rows(path: Path, name: str, bad: dict[int, str]) -> Iterator[dict[str, Any]]:
    if path.suffix.lower() == ".json":
        yield from _json_list(path, name, bad)
        return
    with path.open(encoding=name, errors="surrogateescape") as file:
        for number, line in enumerate(file, 1):
            if not _is_whole(line):
                bad[number] = delimited.NOT_UTF8
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                row = None
            if isinstance(row, dict):
                yield row
            else:
                # An empty line counts as well, or the numbers below it would be wrong.
                bad[number] = "is no JSON object" if line.strip() else "is empty"


def _is_whole(line: str) -> bool:
    """Return whether all bytes of ``line`` could be decoded."""
    try:
        return bool(line.encode()) or not line
    except UnicodeEncodeError:
        return False


def _json_list(path: Path, name: str, bad: dict[int, str]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file that is one list of objects, also below one key, ``data`` say."""
    try:
        whole = json.loads(path.read_text(encoding=name))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is no JSON: {error}") from error
    lists = [one for one in whole.values() if isinstance(one, list)] if _is_dict(whole) else []
    rows = lists[0] if len(lists) == 1 else whole
    if not isinstance(rows, list):
        raise DataError(f"{path} holds no list of objects; write one object a row, [{{...}}, ...]")
    for number, row in enumerate(rows, 1):
        if _is_dict(row):
            yield row
        else:
            bad[number] = "is no JSON object"


def _is_dict(value: Any) -> bool:
    return isinstance(value, dict)


def json_text(value: Any) -> str | None:
    """Return a value as a cell of text: a string as it is, anything else as JSON."""
    if value is None or isinstance(value, str):
        # A lone half of a surrogate pair is legal in JSON, but in no encoding.
        return value.encode("utf-8", "replace").decode() if value else value
    return json.dumps(value, ensure_ascii=False)


Reader = Callable[[Path, Callable[[Rows], bool], str | None], Table]
"""From a file, a judge of first rows, and the encoding if it is known, to its table."""


def _in(module: str) -> Reader:
    """Return the ``read`` of a module of this room, which is imported when such a file comes."""

    def read(path: Path, is_header: Callable[[Rows], bool], encoding_: str | None) -> Table:
        found: Callable[..., Table] = import_module(f"headstart.data.tables.{module}").read
        return found(path, is_header)

    return read


READERS: dict[str, Reader] = {
    ".csv": _csv,
    ".tsv": _csv,
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".json": _jsonl,
    ".parquet": _in("arrow"),
    ".xlsx": _in("workbook"),
}
"""Who reads which ending."""

SUFFIXES = frozenset(READERS)
"""The endings of the files that are read as tables."""
