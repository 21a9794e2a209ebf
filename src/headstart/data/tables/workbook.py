"""Spreadsheets, `.xlsx`: the first sheet, each cell as the text that saving as CSV would give."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

from headstart.data.tables.delimited import SAMPLE, Rows
from headstart.data.tables.stream import Table, distinct
from headstart.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS = 4096

Row = tuple[str | None, ...]


def read(path: Path, is_header: Callable[[Rows], bool]) -> Table:
    """Return the table on the first sheet of the workbook at ``path``, which is streamed.

    Raises:
        DataError: it is none, it is empty, or the package openpyxl is not there.
    """
    bad: dict[int, str] = {}
    numbered = list(islice(_rows(path, {}), SAMPLE))
    if not numbered:
        raise DataError(f"{path} is empty; its first sheet needs a column of labels")
    width = max(len(row) for _, row in numbered)
    looked = [row + (None,) * (width - len(row)) for _, row in numbered]
    header = is_header(looked)
    names = distinct(looked[0] if header else [None] * width)
    first = numbered[0][0] + header
    columns = list(zip(*looked[header:], strict=True)) or [()] * width
    sample = {
        name: tuple(cell or "" for cell in cells)
        for name, cells in zip(names, columns, strict=True)
    }

    def pieces(wanted: Sequence[str]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        bad.clear()
        rows = (row for number, row in _rows(path, bad) if number >= first)
        at = [names.index(name) for name in wanted]
        schema = pa.schema([(name, pa.large_string()) for name in wanted])
        while block := list(islice(rows, _ROWS)):
            cells = [[row[i] if i < len(row) else None for row in block] for i in at]
            yield pa.record_batch([pa.array(cell, pa.large_string()) for cell in cells], schema)

    return Table(path, names, sample, first, pieces, bad)


def _rows(path: Path, bad: dict[int, str]) -> Iterator[tuple[int, Row]]:
    """Yield the rows with their numbers; empty ones between others are ``bad``."""
    empty: list[int] = []
    with _sheet(path) as sheet:
        for number, cells in enumerate(sheet.iter_rows(), 1):
            row = [text_of(cell.value, cell.number_format) for cell in cells]
            while row and not row[-1]:
                row.pop()
            if not row:
                empty.append(number)
                continue
            # Below the last row a spreadsheet may hold formats alone, above the first nothing.
            bad.update(dict.fromkeys(empty if empty != [*range(1, number)] else [], "is empty"))
            empty.clear()
            yield number, tuple(row)


@contextmanager
def _sheet(path: Path) -> Iterator[Any]:
    """Open the first sheet that holds cells."""
    try:
        import openpyxl
    except ImportError as error:
        raise DataError(
            f"{path} is a spreadsheet, and to read it takes the package openpyxl: "
            "pip install 'headstart[xlsx]'; or save the sheet as CSV."
        ) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of formats and rules that no cell depends on
            book = openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)
    except (BadZipFile, KeyError) as error:
        raise DataError(f"{path} is no workbook, or is locked with a password: {error}") from error
    try:
        sheet = book.worksheets[0]
        sheet.reset_dimensions()  # what a file says of its size need not be so
        yield sheet
    finally:
        book.close()


def text_of(value: Any, form: str | None = None) -> str | None:
    """Return a cell as text; None where it is empty.

    >>> text_of(7.0), text_of(7, "000"), text_of(0.1), text_of(True), text_of(datetime(2024, 1, 31))
    ('7', '007', '0.1', 'TRUE', '2024-01-31')
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, datetime):
        return value.isoformat(" ") if value.time() != time() else value.date().isoformat()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    zeros = form if form and not form.strip("0") and isinstance(value, int) else ""
    return str(value).zfill(len(zeros))
