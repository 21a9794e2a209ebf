"""From a table to a data set, and to items without labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from headstart.data import columns, folders, tables
from headstart.data.cells import Cells, RowNames, keep
from headstart.data.columns import Asked, Chosen
from headstart.data.dataset import Dataset, Kind, Rejected
from headstart.data.items import Items
from headstart.data.pictures import Pictures
from headstart.data.tables import Table
from headstart.errors import DataError, ItemError

if TYPE_CHECKING:
    import pyarrow as pa

Codes = npt.NDArray[np.int64]

_FEW = 20
"""So many different numbers can always be classes."""


class _Column:
    """A column of few different texts as numbers; -1 where a cell is missing or blank."""

    def __init__(self) -> None:
        self.values: dict[str, int] = {}
        self._parts: list[npt.NDArray[np.int32]] = []

    def add(self, cells: pa.Array) -> None:
        coded = cells.dictionary_encode()
        names = [(name or "").strip() for name in coded.dictionary.to_pylist()]
        here = [self.values.setdefault(n, len(self.values)) if n else -1 for n in names]
        codes = coded.indices.fill_null(len(here)).to_numpy(zero_copy_only=False)
        self._parts.append(np.array([*here, -1], np.int32)[codes])

    def codes(self) -> Codes:
        return np.concatenate([np.empty(0, np.int32), *self._parts]).astype(np.int64)


class _Contents(NamedTuple):
    """What the rows hold: ``why`` tells, for some positions, that nothing is there."""

    content: Callable[[int], bytes]
    paths: Sequence[str] | None
    why: dict[int, str]


def read_table(path: Path, asked: Asked, images: Path | None, root: Path) -> Dataset:
    """Return the rows of the table at ``path`` that have a label, as a data set.

    Args:
        path: the table.
        asked: what the user said about its columns.
        images: where the images are that it names; ``root`` if None.
        root: what the user gave: the table, or the folder that it lies in.

    Raises:
        DataError: no label column, no rows, labels that are no classes.
    """
    table = tables.open_table(path)
    pictures = _pictures(images or path.parent)
    chosen = columns.choose(table, asked, lambda cell: cell in pictures())
    labels, splits = _Column(), _Column()
    cells = keep(_passing(table, chosen, labels, splits), path.stat().st_size)
    found = _contents(table, chosen.kind, chosen.content, cells, pictures)
    codes = labels.codes()
    found.why.update((int(position), "no label") for position in np.flatnonzero(codes < 0))
    good = np.ones(len(codes), np.bool_)
    good[list(found.why)] = False
    kept = np.flatnonzero(good)
    if not len(kept):
        raise DataError(_nothing(table, found.why))
    classes, numbers = _classes(table, chosen.label, list(labels.values), len(codes))
    rows = RowNames(path.name, table.first_row, np.arange(len(codes)), table.bad)
    return Dataset(
        kind=chosen.kind,
        root=root,
        names=_names(rows, found.paths, kept, table, root),
        labels=numbers[codes[kept]],
        classes=classes,
        splits=_splits(splits, kept),
        content=lambda i: found.content(int(kept[i])),
        rejected=_rejected(path.name, rows, table.bad, found.why),
        columns=chosen.content,
    )


def table_items(path: Path, kind: Kind, text_columns: Sequence[str] | None) -> Items:
    """Return the rows of the table at ``path`` as items to predict; labels are not needed."""
    table = tables.open_table(path)
    pictures = _pictures(path.parent)
    if kind == "text":
        content = tuple(text_columns or columns.texts(table, columns.label_by_name(table)))
    else:
        content = (columns.image(table, None, lambda cell: cell in pictures()),)
    cells = keep(table.pieces(content), path.stat().st_size)
    found = _contents(table, kind, content, cells, pictures)
    rows = RowNames(folders.shown(str(path)), table.first_row, np.arange(len(cells)), table.bad)

    def read(index: int) -> bytes:
        if index in found.why:
            raise ItemError(found.why[index])
        return found.content(index)

    return Items(rows, read)


def _pictures(folder: Path) -> Callable[[], Pictures]:
    """Return the images under ``folder``, looked for only when somebody asks, and once."""
    made: list[Pictures] = []

    def pictures() -> Pictures:
        if not made:
            made.append(Pictures(folder))
        return made[0]

    return pictures


def _passing(
    table: Table, chosen: Chosen, labels: _Column, splits: _Column
) -> Iterator[pa.RecordBatch]:
    """Yield the content columns; labels and splits are noted while they pass."""
    names = [*chosen.content, chosen.label, *filter(None, [chosen.split])]
    for batch in table.pieces(list(dict.fromkeys(names))):
        labels.add(batch.column(chosen.label))
        if chosen.split:
            splits.add(batch.column(chosen.split))
        yield batch.select(list(chosen.content))


def _contents(
    table: Table, kind: Kind, content: Sequence[str], cells: Cells, pictures: Callable[[], Pictures]
) -> _Contents:
    if kind == "text":
        return _Contents(lambda i: _joined(cells.row(i)), None, {})
    if content[0] in table.binary:
        return _Contents(lambda i: _bytes(cells.row(i)[0]), None, {})
    places = pictures()
    places.prefer(table.sample[content[0]])
    named = [str(cells.row(i)[0] or "") for i in range(len(cells))]
    paths = [places.find(cell) or "" for cell in named]
    why = {i: f"no such file: '{named[i]}'" for i, path in enumerate(paths) if not path}
    return _Contents(lambda i: folders.file_content(paths[i], "image"), paths, why)


def _joined(row: Sequence[str | bytes | None]) -> bytes:
    return " ".join(cell for cell in row if isinstance(cell, str) and cell).encode()


def _bytes(cell: str | bytes | None) -> bytes:
    return cell if isinstance(cell, bytes) else b""


def _names(
    rows: RowNames, paths: Sequence[str] | None, kept: Codes, table: Table, root: Path
) -> Sequence[str]:
    if paths is None:
        return RowNames(table.path.name, table.first_row, kept, table.bad)
    base = root if root.is_dir() else root.parent
    return [folders.shown(paths[i], base) for i in kept]


def _rejected(
    name: str, rows: RowNames, bad: dict[int, str], why: dict[int, str]
) -> tuple[Rejected, ...]:
    numbers = bad | {rows.number(position): reason for position, reason in why.items()}
    return tuple(Rejected(f"{name}:{number}", numbers[number]) for number in sorted(numbers))


def _splits(column: _Column, kept: Codes) -> npt.NDArray[np.str_]:
    if not column.values:
        # One value seen N times, for a table of millions of rows.
        return np.broadcast_to(np.array("", "U5"), len(kept))
    names = np.array([*map(folders.split_name, column.values), ""], "U5")
    return names[column.codes()[kept]]


def _classes(
    table: Table, label: str, values: list[str], rows: int
) -> tuple[tuple[str, ...], Codes]:
    """Return the classes, and for each of ``values`` which of them it is."""
    _refuse_numbers(table, label, values, rows)
    meanings = table.meanings.get(label)
    names = [_class_name(value, meanings) for value in values]
    classes = folders.in_order(names)
    index = {name: i for i, name in enumerate(classes)}
    return classes, np.array([index[name] for name in names], np.int64)


def _class_name(value: str, meanings: Sequence[str] | None) -> str:
    try:
        number = float(value)
    except ValueError:
        return value
    if not number.is_integer():
        return value
    if meanings is not None and 0 <= number < len(meanings):
        return meanings[int(number)]
    # A column of whole numbers with gaps comes out of many tools as 1.0, 2.0.
    return str(int(number)) if "." in value else value


def _refuse_numbers(table: Table, label: str, values: list[str], rows: int) -> None:
    numbers = [float(value) for value in values if _numeric(value)]
    if len(values) <= _FEW or len(numbers) < len(values):
        return
    whole = all(number.is_integer() for number in numbers)
    if len(values) > rows / 2 or not whole:
        raise DataError(
            f"{table.path}: column '{label}' holds {len(values)} different numbers in {rows} rows,"
            f" such as {', '.join(values[:3])}; that is something to measure, not a class."
            " Name the column with the classes with label_column (--label-column)"
        )


def _numeric(value: str) -> bool:
    try:
        return bool(np.isfinite(float(value)))
    except ValueError:
        return False


def _nothing(table: Table, why: dict[int, str]) -> str:
    reasons = sorted({*why.values(), *table.bad.values()})[:3]
    return f"{table.path} has no usable row: {'; '.join(reasons) or 'it is empty below its header'}"
