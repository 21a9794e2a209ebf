"""From a path to a data set, by looking at what is there.

>>> read("/no/such/place")  # doctest: +ELLIPSIS
Traceback (most recent call last):
headstart.errors.DataError: no such file or folder: '/no/such/place'. Headstart reads ...
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from itertools import groupby
from os import PathLike
from pathlib import Path
from typing import Any, cast

import numpy as np

from headstart.data import folders, items, tables
from headstart.data.columns import Asked
from headstart.data.dataset import Dataset, Kind, Split
from headstart.data.items import Items
from headstart.data.labelled import read_tables, table_items
from headstart.errors import DataError, UsageError
from headstart.settings.table import Reading
from headstart.settings.taking import takes

__all__ = ["Items", "read", "read_items"]

# Kaggle lays an example of a submission beside the labels.
_PREFERRED = ("labels", "train_labels", "annotations", "metadata")


@takes(Reading)
def read(source: str | Path, run: Reading) -> Dataset:
    """Return the data set at ``source``; nothing is decoded yet.

    Known by looking: class folders of images or of text files, in splits (train, val or valid,
    test) or not; a table with a label column and a text or an image column, with or without header;
    a folder with one table, which may name the images beside it, or with one a split: train.csv
    and test.csv, say.

    ``source`` is a folder or a table (.csv, .tsv, .jsonl, .ndjson, .parquet). Columns without a
    header are called "1", "2", "3", ...; several text columns are joined by a space.

    Raises:
        UsageError: an option that the source has no use for.
        DataError: nothing there, no items, no labels; the message says what was looked for.
    """
    return _read_from(source, run)


def _read_from(source: str | Path, run: Reading) -> Dataset:
    path = Path(source).expanduser()
    if not path.exists():
        raise _missing(path)
    beside = run.images.expanduser() if run.images else None
    kind = cast("Kind | None", run.kind)
    asked = Asked(run.text_column, run.image_column, run.label_column, kind, run.task)
    try:
        if not run.labelled:
            return _unlabelled(path, kind, run.text_column)
        return _read(path, asked, beside)
    except OSError as error:
        raise DataError(f"'{error.filename or path}' cannot be read: {error.strerror}") from error


def _unlabelled(path: Path, kind: Kind | None, text: Sequence[str] | None) -> Dataset:
    """Return the items at ``path`` without targets."""
    if kind is None:
        kind = folders.kind_of(path) if path.is_dir() else "text"
    found = read_items(path, kind, text_columns=text)
    if not len(found.names):
        raise DataError(f"no {kind}s in {path}. {folders.LAYOUTS}")
    splits = np.full(len(found.names), "", "U5")
    return Dataset(kind, path, found.names, None, splits, found.content)


def _read(path: Path, asked: Asked, images: Path | None) -> Dataset:
    found: dict[Split, Path] = {"": path}
    if path.is_dir():
        found = _tables_in(path, any([images, *asked[:3]]))
    elif path.suffix.lower() not in tables.SUFFIXES:
        raise DataError(f"'{path}' is neither a folder nor a table. {folders.LAYOUTS}")
    if not found:
        if any([images, *asked[:3]]):
            raise UsageError(f"images and columns are of tables, and {path} holds none.")
        return folders.read_folders(path, asked.kind, asked.task)
    return read_tables(found, asked, images, path)


def _tables_in(folder: Path, wanted: bool) -> dict[Split, Path]:
    """Return the tables that describe ``folder``, by split; none where its class folders do."""
    found = [Path(one.path) for one in folders.entries(folder) if one.suffix in tables.SUFFIXES]
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


def read_items(sources: Any, kind: Kind, *, text_columns: Sequence[str] | None = None) -> Items:
    """Return the items at ``sources``, in that order, for prediction; nothing is decoded yet.

    Args:
        sources: one or several of: paths of files, of folders (read with all below them) and of
            tables, where what does not exist becomes an item too, whose content raises
            `ItemError`; Pillow's pictures, arrays of one (H, W), (H, W, C) or several pictures
            (N, H, W, C), bytes as a file holds them; of texts also sentences: what has a space in
            it and is no path.
        kind: what the items are.
        text_columns: the columns of a table that hold the text; found by looking where a table
            has none of that name, or if not given.
    """
    if _is_one(sources):
        sources = [sources]

    def form(source: Any) -> str:
        if not isinstance(source, str | PathLike):
            return "memory"
        return "sentence" if kind == "text" and _is_sentence(source) else "path"

    parts = []
    for what, group in groupby(sources, form):
        if what == "sentence":
            parts.append(items.of_texts(list(group)))
        elif what == "memory":
            contents = [items.packed(one) for one in group]
            parts.append(items.of_bytes(contents, [f"item {i}" for i in range(len(contents))]))
        else:
            parts += [_part(Path(one).expanduser(), kind, text_columns) for one in group]
    return items.join(parts)


def _is_one(sources: Any) -> bool:
    several = isinstance(sources, Iterable) and not isinstance(sources, str | bytes | PathLike)
    return not several or getattr(sources, "ndim", 4) < 4


def _is_sentence(source: str | PathLike[str]) -> bool:
    if isinstance(source, PathLike) or not any(map(str.isspace, source)):
        return False
    return not os.path.exists(os.path.expanduser(source))


def _part(path: Path, kind: Kind, text_columns: Sequence[str] | None) -> Items:
    if path.is_dir():
        return items.of_folder(path, kind)
    if path.suffix.lower() in tables.SUFFIXES and path.is_file():
        try:
            return table_items(path, kind, text_columns)
        except DataError as error:
            return items.failed(path, str(error))
    return items.of_file(path, kind)


def _missing(path: Path) -> DataError:
    parent = path.parent
    siblings = [one.name for one in parent.iterdir()] if parent.is_dir() else []
    near = get_close_matches(path.name, siblings, n=1)
    hint = f"; did you mean '{parent / near[0]}'?" if near else "."
    return DataError(f"no such file or folder: '{path}'{hint} {folders.LAYOUTS}")


def given(data: str | Path | Dataset, run: Reading) -> Dataset:
    """Return ``data`` where it has been read already, else what `read` makes of it.

    Raises:
        UsageError: it has been read already, and yet options say how.
    """
    if not isinstance(data, Dataset):
        return _read_from(data, run)
    late = sorted(run.given & run.values(Reading).keys())
    if late:
        raise UsageError(f"the data have been read already; give {', '.join(late)} to read.")
    return data
