"""CSV and TSV files: their delimiter and quotes, found by looking, and their rows."""

from __future__ import annotations

import csv
import io
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial, reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

Rows = Sequence[Sequence[str | None]]

SAMPLE = 1000
"""So many rows are looked at before a table is read."""

# One row must fit into a block. Small blocks are for looking, large ones for cells of megabytes.
LOOK, BLOCK, LARGEST = 1 << 20, 1 << 24, 1 << 28

_HEADER = 1 << 22

# Means nothing in any text, and stands for bytes that are none.
_BAD = "\ufdd0"
_UNDECODED = re.compile("[\udc80-\udcff]+")

NOT_UTF8 = "holds bytes that are not in UTF-8"


class Delimited:
    """One CSV or TSV file, and how it is to be read.

    Attributes:
        path: the file.
        names: of its columns, once they are known.
        first_row: the number of the first row, as an editor counts; the header is not one of them.
        bad: fills while it is read: the numbers of the rows that are left out, and why.
    """

    def __init__(self, path: Path, encoding_: str, start: str, *, whole: bool = True) -> None:
        self.path = path
        self._whole = whole
        self.encoding = "utf-8" if encoding_ == "utf-8-sig" else encoding_
        text = start.lstrip("\r\n")
        delimiter = _delimiter(path, text)
        self._width = _first_line(path, self.encoding).count(delimiter) + 1
        self.layout = {"delimiter": delimiter, "quote_char": _quote(delimiter, text)}
        self.empty = len(start[: len(start) - len(text)].splitlines())
        self.first_row = 1 + self.empty
        self.names: tuple[str, ...] = ()
        self.bad: dict[int, str] = {}

    def look(self) -> Rows:
        """Return the first rows with all their columns, the header included."""
        import pyarrow as pa

        for block in (LOOK, BLOCK, LARGEST):
            try:
                first = next(self.read(None, block))
                break
            except pa.ArrowInvalid as error:
                if block == LARGEST or "straddling" not in str(error):
                    raise
        cells = [column.to_pylist() for column in first.slice(0, SAMPLE + 1).columns]
        return list(zip(*cells, strict=True))

    def pieces(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield batches with ``columns``; a row that swallows the rest of the file is bad."""
        self.bad.clear()
        batches, count, broken = self._batches(columns), 0, list[int]()
        batch = next(batches, None)
        while batch is not None:
            following = next(batches, None)
            before, count = count, count + len(batch)
            if following is None and (lines := self._left_open(batch)):
                last = self.first_row + count - 1 + len(self.bad)
                self.bad[last] = f"its quote is never closed, and takes in {lines} lines"
                batch = batch.slice(0, len(batch) - 1)
            yield batch if self._whole else _readable(batch, before, broken)
            batch = following
        self._note(broken)

    def _note(self, broken: list[int]) -> None:
        """Note rows that could not be decoded by their numbers; the other bad ones are known."""
        shifts = sorted(self.bad)
        shifts = [number - self.first_row - i for i, number in enumerate(shifts)]
        for position in broken:
            number = self.first_row + position + bisect_right(shifts, position)
            self.bad[number] = NOT_UTF8

    def _batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield what `read` does, from blocks as large as the longest row needs."""
        import pyarrow as pa

        done = 0
        try:
            for batch in self.read(columns, BLOCK):
                done += len(batch)
                yield batch
            return
        except pa.ArrowInvalid as error:
            if "straddling" not in str(error):
                raise
        for batch in self.read(columns, LARGEST):
            new = batch.slice(min(done, len(batch)))
            done -= len(batch) - len(new)
            if len(new):
                yield new

    def read(self, columns: Sequence[str] | None, block: int) -> Iterator[pa.RecordBatch]:
        """Yield batches of text; without ``columns`` all of them, the first row included."""
        import pyarrow as pa
        from pyarrow.csv import ConvertOptions, ParseOptions, ReadOptions, open_csv

        names = [f"f{i}" for i in range(self._width)] if columns is None else self.names
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
        source = self.path if self._whole else io.BufferedReader(_Mended(self.path))
        return iter(open_csv(source, options, parsing, texts))

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


def _readable(batch: pa.RecordBatch, start: int, broken: list[int]) -> pa.RecordBatch:
    """Return the rows that could be decoded; the positions of others are noted, from start."""
    import pyarrow as pa
    from pyarrow import compute

    marked = [compute.match_substring(one, _BAD).fill_null(False) for one in batch.columns]
    bad = reduce(compute.or_, marked) if marked else pa.array([False] * len(batch))
    broken += [start + i for i, one in enumerate(bad.to_pylist()) if one]
    return batch.filter(compute.invert(bad))


class _Mended(io.RawIOBase):
    """A file that is in UTF-8 but for a few bytes, with a mark in place of these."""

    def __init__(self, path: Path) -> None:
        self._text = path.open(encoding="utf-8", errors="surrogateescape", newline="")
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, room: Any) -> int:
        """Fill ``room`` and return how much of it."""
        if not self._rest:
            self._rest = _UNDECODED.sub(_BAD, self._text.read(len(room))).encode()
        piece, self._rest = self._rest[: len(room)], self._rest[len(room) :]
        room[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        self._text.close()
        super().close()


def _first_line(path: Path, encoding: str) -> str:
    """Return the first line that holds something, as far as it is read."""
    with path.open(encoding=encoding, errors="replace") as file:
        return next(
            (line for line in iter(partial(file.readline, _HEADER), "") if line.strip()), ""
        )


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
