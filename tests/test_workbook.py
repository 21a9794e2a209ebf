"""Spreadsheets are read as the same table saved as CSV would be."""

from __future__ import annotations

import sys
from datetime import date, datetime, time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from conftest import sentences
from headstart.data.reading import read, read_items
from headstart.data.tables.workbook import text_of
from headstart.errors import DataError


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (None, None, None),
        ("", "General", ""),
        ("007", "General", "007"),
        (7, "General", "7"),
        (7.0, "General", "7"),
        (7, "000", "007"),
        (-7, "000", "-07"),
        (0.1, "0.00", "0.1"),
        (1e300, None, str(int(1e300))),
        (True, "General", "TRUE"),
        (datetime(2024, 1, 31), "yyyy-mm-dd", "2024-01-31"),
        (datetime(2024, 1, 31, 12, 30), None, "2024-01-31 12:30:00"),
        (date(2024, 1, 31), None, "2024-01-31"),
        (time(12, 30), None, "12:30:00"),
        ("#N/A", None, "#N/A"),
    ],
)
def test_cells_are_text(value: Any, form: str | None, text: str | None) -> None:
    assert text_of(value, form) == text


ROWS: list[list[Any]] = [
    ["text", "label"],
    *([sentences().content(i).decode(), 7 if i % 2 else "seven"] for i in range(24)),
]


def contents(data: Any) -> list[str]:
    return [data.content(i).decode() for i in range(len(data))]


def stand_in(rows: list[list[Any]]) -> Any:
    """Return what stands in for openpyxl: a workbook of one sheet with these rows."""

    class Sheet:
        def reset_dimensions(self) -> None:
            pass

        def iter_rows(self) -> Any:
            for row in rows:
                yield tuple(SimpleNamespace(value=v, number_format="General") for v in row)

    class Book:
        worksheets = (Sheet(),)

        def close(self) -> None:
            pass

    return SimpleNamespace(load_workbook=lambda path, **how: Book())


@pytest.fixture
def sheet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """From rows to the path of a workbook that, where openpyxl is not there, only seems so."""

    def made(rows: list[list[Any]]) -> Path:
        monkeypatch.setitem(sys.modules, "openpyxl", stand_in(rows))
        (tmp_path / "t.xlsx").touch()
        return tmp_path / "t.xlsx"

    return made


def test_a_sheet_with_a_header(sheet: Any) -> None:
    data = read(sheet(ROWS))
    assert (data.kind, data.classes) == ("text", ("7", "seven"))
    assert contents(data) == [row[0] for row in ROWS[1:]]
    assert contents(read(sheet([[], [None, None], *ROWS, [None, None]]))) == contents(data)


def test_empty_rows_between_are_told_with_their_number(sheet: Any) -> None:
    path = sheet([*ROWS[:5], [None, ""], *ROWS[5:], [None], []])
    data = read(path)
    assert len(data) == 24
    assert [(one.item, one.reason) for one in data.rejected] == [("t.xlsx:6", "is empty")]


def test_columns_are_named_and_short_rows_end_in_nothing(sheet: Any) -> None:
    rows = [["title", "text", "label"], *(["", *row] for row in ROWS[1:]), ["only a title"]]
    data = read(sheet(rows), text_column="text", label_column="label")
    assert contents(data)[:24] == [row[0] for row in ROWS[1:]]
    assert len(data) == 24
    assert len(data.rejected) == 1
    with pytest.raises(Exception, match="lable"):
        read(sheet(rows), label_column="lable")


def test_items_to_predict(sheet: Any) -> None:
    found = read_items([sheet(ROWS)], "text", text_columns=["text"])
    assert [found.content(i).decode() for i in range(24)] == [row[0] for row in ROWS[1:]]


def test_an_empty_sheet_is_refused(sheet: Any) -> None:
    with pytest.raises(DataError, match=r"t.xlsx is empty; its first sheet"):
        read(sheet([[], [None, None]]))


def test_without_openpyxl_the_way_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    (tmp_path / "t.xlsx").touch()
    with pytest.raises(DataError, match=r"pip install 'headstart\[xlsx\]'; or save .* as CSV"):
        read(tmp_path / "t.xlsx")


def test_real_workbooks(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.append(["date", "code", *ROWS[0]])
    for row in ROWS[1:]:
        book.active.append([datetime(2024, 1, 31), 7, *row])
        book.active.cell(book.active.max_row, 2).number_format = "000"
    book.create_sheet("another").append(["text", "label"])
    book.save(tmp_path / "t.xlsx")
    found = read(tmp_path / "t.xlsx", text_column="text", label_column="label")
    assert contents(found) == [row[0] for row in ROWS[1:]]
    assert found.classes == ("7", "seven")
    codes = read(tmp_path / "t.xlsx", text_column=["date", "code"], label_column="label")
    assert contents(codes)[0] == "2024-01-31 007"
    (tmp_path / "bad.xlsx").write_bytes(b"no workbook")
    with pytest.raises(DataError, match=r"bad.xlsx is no workbook"):
        read(tmp_path / "bad.xlsx")
