"""From tables to a data set, and to items without labels."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from headstart.data import folders
from headstart.data.dataset import Dataset, Kind, Rejected, Split, at
from headstart.data.injected import Beside, Row
from headstart.data.items import Items, Joined, Own
from headstart.data.pictures.named import Pictures
from headstart.data.tables import columns
from headstart.data.tables import stream as tables
from headstart.data.tables.cells import RowNames, keep
from headstart.data.tables.columns import Asked, Chosen
from headstart.data.tables.contents import MISSING, Contents, contents
from headstart.data.tables.delimited import Rows
from headstart.data.tables.stream import Table
from headstart.errors import DataError, ItemError
from headstart.progress import log
from headstart.settings.groups import BESIDE, Pictured
from headstart.tasks.cells import Cells, marks
from headstart.tasks.classes import is_number, no_classes
from headstart.tasks.registry import find
from headstart.tasks.registry import read as read_targets

if TYPE_CHECKING:
    import pyarrow as pa

Positions = npt.NDArray[np.int64]

_MOST = 100_000
"""So many different words can never be labels; all are held in memory, unlike the rows."""

_WHOLE = re.compile(r"([+-]?\d+)\.0*")

NO_LABEL = "no label"
"""Why a row whose label is an empty cell is left out."""


class _Column:
    """A column of few different texts as numbers; -1 where a cell is missing or blank."""

    def __init__(self, blank: str | None = None) -> None:
        self._blank = blank  # what an empty cell says; None for nothing at all
        self.values: dict[str, int] = {}
        self.words = 0  # how many of them are no numbers
        self._parts: list[npt.NDArray[np.int32]] = []

    def add(self, cells: pa.Array) -> None:
        coded = cells.dictionary_encode()
        here = [self._code((name or "").strip()) for name in coded.dictionary.to_pylist()]
        codes = coded.indices.fill_null(len(here)).to_numpy(zero_copy_only=False)
        self._parts.append(np.array([*here, self._code("")], np.int32)[codes])

    def _code(self, name: str) -> int:
        if name.casefold() in MISSING:
            if self._blank is None:
                return -1
            name = self._blank
        if name not in self.values:
            self.values[name] = len(self.values)
            self.words += not is_number(name)
        return self.values[name]

    def codes(self) -> npt.NDArray[np.int32]:
        return np.concatenate([np.empty(0, np.int32), *self._parts])


class _Part(NamedTuple):
    """The labelled rows of one table; the labels are numbers of ``values``."""

    names: Sequence[str]
    labels: npt.NDArray[np.int32]
    values: list[str]
    splits: npt.NDArray[np.str_]
    content: Callable[[int], bytes]
    rejected: tuple[Rejected, ...]
    beside: tuple[Row, ...]


def read_tables(
    paths: Mapping[Split, Path | Table], asked: Asked, images: Path | None, root: Path
) -> Dataset:
    """Return the rows of the tables at ``paths`` that have a label, as one data set.

    Args:
        paths: the tables, in files or in memory, by their split; "" for a table alone, which may
            have a column of splits.
        asked: what the user said about the columns.
        images: where the images are that a table names; the folder of the table if None.
        root: what the user gave: the table, or the folder that it lies in.

    Raises:
        DataError: no label column, no rows, labels that are no classes.
    """
    (split, path), *more = paths.items()
    table = _opened(path, partial(columns.is_header, asked=asked), asked.encoding)
    pictures = _pictures(_folder(table, images), anywhere=asked.anywhere)
    chosen = columns.choose(table, asked, lambda cell: cell in pictures())
    if more:
        chosen = chosen._replace(split=None)
    _say(table, chosen)
    blank = find(asked.task).blank if asked.task else None
    parts = [_part(table, split, chosen, pictures, root, blank)]
    for split, path in more:
        wanted = [*chosen.content, *chosen.labels, *chosen.beside]
        table = _opened(path, partial(columns.follows, wanted=wanted), asked.encoding)
        if _has_labels(table, chosen):
            pictures = _pictures(_folder(table, images), anywhere=asked.anywhere)
            parts.append(_part(table, split, chosen, pictures, root, blank))
    return _together(parts, chosen, root, asked.task)


def _opened(
    one: Path | Table, is_header: Callable[[Rows], bool], encoding: str | None = None
) -> Table:
    return one if isinstance(one, Table) else tables.open_table(one, is_header, encoding)


def _where(path: Path, column: str) -> str:
    return f"{path}: column '{column}'"


def _folder(table: Table, images: Path | None) -> Path | None:
    """Return where the images of ``table`` are: bare names in train.csv are in train, if any."""
    folder = images or table.folder
    if folder is None:
        return None
    own = folder / table.path.stem
    bare = not any("/" in cell or "\\" in cell for cell in chain(*table.sample.values()))
    return own if bare and folders.split_name(own.name) and own.is_dir() else folder


def _has_labels(table: Table, chosen: Chosen) -> bool:
    """Return whether ``table`` has labels; Kaggle lays the items of a contest beside the others."""
    _require(table, [*chosen.content, *chosen.beside])
    missing = [name for name in chosen.labels if name not in table.names]
    if missing:
        log.warning("not reading %s: it has no column '%s'", table.path, missing[0])
    return not missing


def _require(table: Table, names: Sequence[str]) -> None:
    for name in names:
        if name not in table.names:
            others = ", ".join(table.names)
            raise DataError(f"{table.path} has no column '{name}'. Its columns: {others}")


def _say(table: Table, chosen: Chosen) -> None:
    """Say which columns were taken for what."""
    first, *more = chosen.content
    content = f"'{first}' to '{more[-1]}'" if len(more) > 3 else _quoted(chosen.content)
    what = "pixels" if chosen.kind == "image" and more else f"{chosen.kind}s"
    split = f", split from '{chosen.split}'" if chosen.split else ""
    labels = _quoted(chosen.labels)
    log.info("%s: %s from %s, labels from %s%s", table.path, what, content, labels, split)


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names[:5]) + ", ..." * (len(names) > 5)


def _part(
    table: Table,
    split: Split,
    chosen: Chosen,
    pictures: Callable[[], Pictures],
    root: Path,
    blank: str | None = None,
) -> _Part:
    labels, splits = _Column(blank), _Column()
    beside: list[Row] = []
    cells = keep(_passing(table, chosen, labels, splits, beside))
    found = contents(table, chosen.kind, chosen.content, cells, pictures)
    codes = labels.codes()
    found.why.update((int(position), NO_LABEL) for position in np.flatnonzero(codes < 0))
    good = np.ones(len(codes), np.bool_)
    good[list(found.why)] = False
    kept = np.flatnonzero(good)
    if not len(kept):
        raise DataError(_nothing(table, found.why))
    values = list(labels.values)
    rows = RowNames(table.path.name, table.first_row, range(len(codes)), table.bad)
    return _Part(
        _names(rows, found.paths, kept, table, root),
        codes[kept],
        [_class_name(value, table.meanings.get(chosen.label)) for value in values],
        _splits(split, splits, kept),
        partial(at, found.content, kept),
        _rejected(table.path.name, rows, table.bad, found.why),
        tuple(beside[int(i)] for i in kept) if chosen.beside else (),
    )


def _together(parts: Sequence[_Part], chosen: Chosen, root: Path, task: str | None) -> Dataset:
    names = Joined([part.names for part in parts])
    rejected = tuple(chain.from_iterable(part.rejected for part in parts))
    index: dict[str, int] = {}
    for value in chain.from_iterable(part.values for part in parts):
        index.setdefault(value, len(index))
    codes = [np.array([index[name] for name in part.values])[part.labels] for part in parts]
    where, rows = _where(root, chosen.label), len(names) + len(rejected)
    targets, faults = read_targets(Cells([*index], np.concatenate(codes), where, rows), task)
    blank = sum(one.reason == NO_LABEL for one in rejected)
    if task is None and targets.task.blank is not None and blank:
        said = "%s: %d empty cells are left out; with --task %s they say that no label applies"
        log.info(said, where, blank, targets.task.name)
    splits = [part.splits for part in parts]
    whole = Dataset(
        kind=chosen.kind,
        root=root,
        names=names,
        targets=targets,
        splits=np.concatenate(splits) if len(splits) > 1 else splits[0],
        content=partial(_content, names, [part.content for part in parts]),
        rejected=rejected,
        columns=chosen.content,
        beside=Beside(chosen.beside, tuple(chain.from_iterable(p.beside for p in parts)))
        if chosen.beside
        else None,
    )
    return whole.without(faults)


def _content(names: Joined, parts: Sequence[Callable[[int], bytes]], index: int) -> bytes:
    part, row = names.place(index)
    return parts[part](row)


def table_items(
    path: Path | Table,
    kind: Kind,
    text_columns: Sequence[str] | None,
    *,
    whole: bool = False,
    beside: Pictured = BESIDE,
) -> Items:
    """Return the rows of a table as items to predict; labels are not needed.

    With ``whole`` each item knows its row: all of its cells that are texts. ``beside`` says where
    the pictures are that it names.
    """
    header = partial(columns.follows, wanted=text_columns) if text_columns else None
    table = _opened(path, header or tables.looks_like_header)
    folder = beside.images or table.folder
    pictures = _pictures(folder, anywhere=beside.anywhere)
    if kind == "text":
        content = _texts(table, text_columns)
    else:
        content = columns.pixels(table) or (
            columns.image(table, None, lambda cell: cell in pictures()),
        )
    cells = keep(table.pieces(content))
    found = contents(table, kind, content, cells, pictures)
    return _every_row(table, len(cells), found, whole=whole)


def _every_row(table: Table, good: int, found: Contents, *, whole: bool) -> Items:
    """Return all rows of ``table`` as items, also those that could not be read: each is answered.

    ``found`` holds the ``good`` rows, in their order.
    """
    bad = np.sort(np.array(list(table.bad), np.int64))
    name, first = folders.shown(str(table.path)), table.first_row

    def read(index: int) -> bytes:
        number = first + index
        if number in table.bad:
            raise ItemError(table.bad[number])
        position = index - int(np.searchsorted(bad, number))
        if position in found.why:
            raise ItemError(found.why[position])
        return found.content(position)

    rows = RowNames(name, first, range(good + len(bad)), {})
    return Items(rows, read, _own_rows(table, bad) if whole else None)


def _own_rows(table: Table, bad: Positions) -> Own:
    """Return the columns of a table that are texts, to be handed back beside the answers."""
    names = tuple(name for name in table.names if name not in table.binary)
    cells = keep(table.pieces(names))

    def row(index: int) -> dict[str, Any]:
        number = table.first_row + index
        if number in table.bad:  # it could not be read
            return dict.fromkeys(names)
        position = index - int(np.searchsorted(bad, number))
        return dict(zip(names, cells.row(position), strict=True))

    return Own(names, row)


def _texts(table: Table, names: Sequence[str] | None) -> tuple[str, ...]:
    if names and set(names) <= set(table.names):
        return tuple(names)
    if len(table.names) == 1:
        return table.names
    found = columns.texts(table, columns.label_by_name(table))
    if names:
        wanted, read = ", ".join(names), ", ".join(found)
        log.warning("%s lacks the column %s; reading %s instead", table.path, wanted, read)
    return found


def _pictures(folder: Path | None, *, anywhere: bool = False) -> Callable[[], Pictures]:
    """Return the images under ``folder``, looked for only when somebody asks, and once.

    Without a folder there are those alone that are named by a path.
    """
    made: list[Pictures] = []

    def pictures() -> Pictures:
        if not made:
            made.append(Pictures(folder, anywhere=anywhere))
        return made[0]

    return pictures


def _passing(
    table: Table, chosen: Chosen, labels: _Column, splits: _Column, beside: list[Row]
) -> Iterator[pa.RecordBatch]:
    """Yield the content columns; all others are noted while they pass."""
    names = [*chosen.content, *chosen.labels, *filter(None, [chosen.split]), *chosen.beside]
    for batch in table.pieces(list(dict.fromkeys(names))):
        labels.add(_marked(batch, chosen.labels))
        if labels.words > _MOST:
            many = f"more than {_MOST:,} different values"
            raise no_classes(_where(table.path, chosen.label), labels.values, many)
        if chosen.split:
            splits.add(batch.column(chosen.split))
        if chosen.beside:
            beside += zip(*(batch.column(n).to_pylist() for n in chosen.beside), strict=True)
        yield batch.select(list(chosen.content))


def _marked(batch: pa.RecordBatch, columns: Sequence[str]) -> pa.Array:
    """Return the label column, or the names of those that mark a label in each row, as lists."""
    if len(columns) == 1:
        return batch.column(columns[0])
    import pyarrow as pa

    return pa.array(marks(columns, [batch.column(name).to_pylist() for name in columns]))


def _names(
    rows: RowNames, paths: Sequence[str] | None, kept: Positions, table: Table, root: Path
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


def _splits(split: Split, column: _Column, kept: Positions) -> npt.NDArray[np.str_]:
    if split or not column.values:
        # One value seen N times, for a table of millions of rows.
        return np.broadcast_to(np.array(split, "U5"), len(kept))
    names = np.array([*map(folders.split_name, column.values), ""], "U5")
    return names[column.codes()[kept]]


def _class_name(value: str, meanings: Sequence[str] | None) -> str:
    try:
        number = float(value)
    except ValueError:
        return value
    if not number.is_integer():
        return value
    if meanings is not None and 0 <= number < len(meanings):
        return meanings[int(number)]
    # A column of whole numbers with gaps comes out of many tools as 1.0, 2.0. By its digits: as a
    # float, 9007199254740993.0 is the number before it.
    whole = _WHOLE.fullmatch(value)
    return whole[1] if whole else value


def _nothing(table: Table, why: dict[int, str]) -> str:
    reasons = sorted({*why.values(), *table.bad.values()})[:3]
    return f"{table.path} has no usable row: {'; '.join(reasons) or 'it is empty below its header'}"
