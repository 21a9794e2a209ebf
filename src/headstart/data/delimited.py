"""CSV and TSV files: their delimiter and quotes, found by looking, and their rows."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

Rows = Sequence[Sequence[str | None]]

SAMPLE = 1000
"""So many rows are looked at before a table is read."""

# One row must fit into a block. Small blocks are for looking, large ones for cells of megabytes.
LOOK, BLOCK = 1 << 20, 1 << 24

_WIDEST = 10_000


class Delimited:
    """One CSV or TSV file, and how it is to be read.

    Attributes:
        path: the file.
        names: of its columns, once they are known.
        first_row: the number of the first row, as an editor counts; the header is not one of them.
        bad: fills while it is read: the numbers of the rows that are left out, and why.
    """

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
            first = next(self.read(None, LOOK))
        except pa.ArrowInvalid:
            first = next(self.read(None, BLOCK))
        cells = [column.to_pylist() for column in first.slice(0, SAMPLE + 1).columns]
        return list(zip(*cells, strict=True))

    def pieces(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield batches with ``columns``; a row that swallows the rest of the file is bad."""
        self.bad.clear()
        batches, count = self.read(columns, BLOCK), 0
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
