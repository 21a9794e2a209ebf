"""From a path to a data set, by looking at what is there.

>>> read("/no/such/place")  # doctest: +ELLIPSIS
Traceback (most recent call last):
headstart.errors.DataError: no such file or folder: '/no/such/place'. Headstart reads ...
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from os import PathLike
from pathlib import Path
from typing import Any, cast

import numpy as np

from headstart.data import folders, items
from headstart.data.dataset import Dataset, Kind, Split
from headstart.data.items import Items
from headstart.data.memory import handed
from headstart.data.pictures.stacks import is_stack, read_stacks, stack_items, stacks_in
from headstart.data.tables import stream as tables
from headstart.data.tables.columns import Asked
from headstart.data.tables.labelled import read_tables, table_items
from headstart.data.texts import encoding
from headstart.errors import DataError, UsageError, nearest
from headstart.settings.groups import BESIDE, Pictured, Reading
from headstart.settings.taking import takes

__all__ = ["Items", "read", "read_items"]

_ENDINGS = frozenset({".npz"}).union(tables.SUFFIXES, *folders.SUFFIXES.values())

# Kaggle lays an example of a submission beside the labels.
_PREFERRED = ("labels", "train_labels", "annotations", "metadata")


@takes(Reading)
def read(source: Any, labels: Any = None, *, run: Reading) -> Dataset:
    """Return the data set that ``source`` is or holds; nothing is decoded yet.

    Known by looking: class folders of images or of text files, in splits (train, val or valid,
    test) or not; a table with a label column and a text or an image column, with or without header;
    a folder with one table, which may name the images beside it, or with one a split: train.csv
    and test.csv, say; MNIST's idx files and NumPy's ``.npz``, see `headstart.data.pictures.stacks`.

    ``source`` is a folder or a table (.csv, .tsv, .jsonl, .ndjson, .parquet, .xlsx), or what Python
    holds already, see `headstart.data.memory.handed`; ``labels`` are its targets where it has none.
    Columns without a header are called "1", "2", "3", ...; several text columns are joined by a
    space.

    Raises:
        UsageError: an option that the source has no use for.
        DataError: nothing there, no items, no labels; the message says what was looked for.
    """
    return given(source, labels, run)


def _read_from(path: Path, asked: Asked, beside: Path | None, run: Reading) -> Dataset:
    if not path.exists():
        raise _missing(path)
    kind = asked.kind
    try:
        if not run.labelled:
            return _unlabelled(path, kind, run.text_column)
        return _read(path, asked, beside)
    except OSError as error:
        raise DataError(f"'{error.filename or path}' cannot be read: {error.strerror}") from error


def _unlabelled(path: Path, kind: Kind | None, text: Sequence[str] | None) -> Dataset:
    """Return the items at ``path`` without targets."""
    if kind is None and not path.is_dir():
        kind = "image" if is_stack(path) else "text"
    kind = kind or folders.kind_of(path)
    found = read_items(path, kind, text_columns=text)
    if not len(found.names):
        raise DataError(f"no {kind}s in {path}. {folders.LAYOUTS}")
    splits = np.full(len(found.names), "", "U5")
    return Dataset(kind, path, found.names, None, splits, found.content)


def _read(path: Path, asked: Asked, images: Path | None) -> Dataset:
    found: dict[Split, Path] = {"": path}
    if stacks := _stacks(path):
        if any([images, *asked[:3], asked.beside]):
            raise UsageError(f"images and columns are of tables, and {path} holds none.")
        return read_stacks(stacks, path, asked.task)
    if path.is_dir():
        found = _tables_in(path, any([images, *asked[:3], asked.beside]))
    elif path.suffix.lower() not in tables.SUFFIXES:
        raise DataError(f"'{path}' {_no_table(path)}. {folders.LAYOUTS}")
    if not found:
        if any([images, *asked[:3], asked.beside]):
            raise UsageError(f"images and columns are of tables, and {path} holds none.")
        return folders.read_folders(path, asked.kind, asked.task, asked.encoding)
    return read_tables(found, asked, images, path)


def _stacks(path: Path) -> dict[Split, Path]:
    """Return the files of many pictures that ``path`` is or holds, by split."""
    if path.is_dir():
        return stacks_in(path)
    return {"": path} if is_stack(path) and path.is_file() else {}


def _no_table(path: Path) -> str:
    """Return why a file is no data set, and how to go on."""
    name = path.name.lower()
    if name.endswith((".zip", ".tar", ".tar.gz", ".tgz", ".7z", ".rar")):
        return "is an archive; unpack it, and give the folder"
    if name.endswith((".npy", ".mat", ".pt", ".pkl")) or "-ubyte" in name:
        return (
            "holds arrays; load them in Python, headstart.fit(pictures, labels), or save the "
            "pictures as class folders"
        )
    if name.endswith((".xls", ".ods", ".docx", ".pdf")):
        return "is an office document; save it as .xlsx or .csv"
    return "is neither a folder nor a table"


def _tables_in(folder: Path, wanted: bool) -> dict[Split, Path]:
    """Return the tables that describe ``folder``, by split; none where its class folders do."""
    # Of JSON files in a folder most describe something else; one that is meant is named.
    sought = tables.SUFFIXES - {".json"}
    found = [Path(one.path) for one in folders.entries(folder) if one.suffix in sought]
    if not found or (not wanted and folders.has_classes(folder)):
        return {}
    if len(found) > 1:
        if "train" in (splits := _by_split(found)):
            return splits if len(splits) > 1 else {"": splits["train"]}
        found = [one for name in _PREFERRED for one in found if one.stem == name][:1] or found
    if len(found) > 1:
        names = ", ".join(one.name for one in found)
        raise DataError(f"{folder} holds {len(found)} tables: {names}. Give the path of one")
    return {"": found[0]}


def _by_split(found: Sequence[Path]) -> dict[Split, Path]:
    """Return the tables that are called as a split, training first; none if one comes twice."""
    named = [(folders.split_name(one.stem), one) for one in found]
    names: tuple[Split, ...] = ("train", "val", "test")
    splits = {name: [one for split, one in named if split == name] for name in names}
    if any(len(ones) > 1 for ones in splits.values()):
        return {}
    return {name: ones[0] for name, ones in splits.items() if ones}


def read_items(
    sources: Any,
    kind: Kind,
    *,
    text_columns: Sequence[str] | None = None,
    channels: int | None = None,
    whole: bool = False,
    beside: Pictured = BESIDE,
) -> Items:
    """Return the items at ``sources``, in that order, for prediction; nothing is decoded yet.

    Args:
        sources: one or several of: paths of files, of folders (read with all below them) and of
            tables, where what cannot be read becomes an item too, whose content raises
            `ItemError`; for a text model what is no path is a text; and all that
            `headstart.data.memory.handed` takes.
        kind: what the items are.
        text_columns: the columns of a table that hold the text; found by looking where a table
            has none of that name, or if not given.
        channels: of the pictures, see `headstart.data.handed.items`.
        whole: let the items of a table know their rows.
        beside: where the pictures are that a table names.

    Raises:
        UsageError: a source is an empty string.
    """
    how: Any = {"text_columns": text_columns, "whole": whole, "beside": beside}
    held = handed.items(sources, kind, channels=channels, **how)
    if held is not None:
        return held
    several = list(sources) if _are_several(sources) else [sources]

    def form(numbered: tuple[int, Any]) -> str:
        source = numbered[1]
        if not isinstance(source, str | PathLike):
            return "memory"
        return "text" if kind == "text" and is_text(source) else "path"

    parts = []
    for what, group in groupby(enumerate(several), form):
        numbers, ones = zip(*group, strict=True)
        if what == "text":
            parts.append(items.of_texts(ones))
        elif what == "memory":
            parts.append(items.of_memory(ones, numbers, kind))
        else:
            parts += [_part(_path(one), kind, how) for one in ones]
    return items.join(parts)


def _are_several(sources: Any) -> bool:
    single = isinstance(sources, str | bytes | bytearray | memoryview | PathLike)
    return not single and isinstance(sources, Iterable) and not hasattr(sources, "convert")


def _path(source: str | PathLike[str]) -> Path:
    if not os.fspath(source).strip():
        raise UsageError("an item's name is empty; give a path, or leave it out.")
    return Path(os.path.expanduser(source))


def is_text(source: str | PathLike[str]) -> bool:
    """Return whether ``source`` is a text itself: nothing lies there, nor is it called like a path.

    A word with a separator, and what ends like a file that is read, is meant as a path.

    >>> [is_text(one) for one in ("wonderful", "这家店真不错", "new/a.txt", "my films.csv")]
    [True, True, False, False]
    """
    if isinstance(source, PathLike) or not source.strip():
        return False
    one_word = not any(map(str.isspace, source))
    if (one_word and {"/", "\\"} & set(source)) or Path(source).suffix.lower() in _ENDINGS:
        return False
    return not os.path.exists(os.path.expanduser(source))


def _part(path: Path, kind: Kind, how: Mapping[str, Any]) -> Items:
    if kind == "image" and (stacks := _stacks(path)):
        try:
            return items.join(map(stack_items, stacks.values()))
        except DataError as error:
            return items.failed(path, str(error))
    if path.is_dir():
        found = items.of_folder(path, kind)
        return found if len(found.names) else items.failed(path, _nothing_in(path, kind))
    if path.suffix.lower() in tables.SUFFIXES and path.is_file():
        try:
            return table_items(path, kind, **how)
        except DataError as error:
            return items.failed(path, str(error))
    return items.of_file(path, kind)


def _nothing_in(folder: Path, kind: Kind) -> str:
    """Return why nothing in ``folder`` is an item of the ``kind``."""
    other: Kind = "text" if kind == "image" else "image"
    n = len(items.of_folder(folder, other).names)
    what = {"image": "pictures", "text": "text files (.txt)"}
    instead = f"; it holds {n} {what[other]}, and this model answers {kind}s" if n else ""
    return f"holds no {what[kind]}{instead}"


def _missing(path: Path) -> DataError:
    parent = path.parent
    siblings = [one.name for one in parent.iterdir()] if parent.is_dir() else []
    near = nearest(path.name, siblings)
    hint = f"; did you mean '{parent / near}'?" if near else "."
    return DataError(f"no such file or folder: '{path}'{hint} {folders.LAYOUTS}")


def given(data: Any, labels: Any, run: Reading, kind: Kind | None = None) -> Dataset:
    """Return what a verb was given as a data set: read from a path, or from what Python holds.

    Args:
        data: a path, what `headstart.data.memory.handed` takes, or a data set that was read.
        labels: the targets, where ``data`` are items in memory without any.
        run: how it is read.
        kind: what the items must be, where they are in memory and do not say it.

    Raises:
        UsageError: it has been read already, or lies in files, and yet options or labels come.
    """
    late = sorted(run.given & run.values(Reading).keys())
    if isinstance(data, Dataset):
        if late or labels is not None:
            named = ", ".join([*late, *(["labels"] if labels is not None else [])])
            raise UsageError(f"the data have been read already; give {named} to read.")
        return data
    beside = Path(os.path.expanduser(run.images)) if run.images else None
    if isinstance(data, str | PathLike):
        if not str(data).strip():
            raise UsageError("data is an empty name; '.' is the folder that you are in.")
        if labels is not None:
            raise UsageError(f"'{data}' is a path, and its labels lie there; give items with them.")
        asked = _asked(run, cast("Kind | None", run.kind))
        return _read_from(Path(os.path.expanduser(data)), asked, beside, run)
    if not run.labelled:
        return _held(data, cast("Kind | None", run.kind) or kind or "image", run)
    return handed.dataset(data, labels, _asked(run, cast("Kind | None", run.kind) or kind), beside)


def _asked(run: Reading, kind: Kind | None) -> Asked:
    columns = run.text_column, run.image_column, run.label_column
    named = encoding.known(run.encoding) if run.encoding else None
    return Asked(*columns, kind, run.task, run.columns, named, run.anywhere)


def _held(data: Any, kind: Kind, run: Reading) -> Dataset:
    """Return items in memory without targets."""
    found = read_items(data, kind, text_columns=run.text_column)
    splits = np.full(len(found.names), "", "U5")
    return Dataset(kind, Path("items"), found.names, None, splits, found.content)
