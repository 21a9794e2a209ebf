"""The one place that knows what Python users hold: from any of it to a data set or to items.

Tables: pandas' and polars' frames, Arrow's tables, Hugging Face's data sets, dictionaries of
columns, lists of records, each also by split. Items: lists, series and arrays of texts, paths,
Pillow's pictures, arrays, tensors and bytes. Pairs: torchvision's data sets and lists of (item,
label). Files and folders are read by `headstart.data.reading`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from headstart.data.dataset import Dataset, Kind
from headstart.data.folders import SUFFIXES
from headstart.data.items import Items, join, missing, of_memory, plain_array
from headstart.data.memory import frames
from headstart.data.memory.arrays import from_items
from headstart.data.tables.columns import Asked
from headstart.data.tables.labelled import read_tables, table_items
from headstart.errors import DataError
from headstart.settings.groups import BESIDE, Pictured

TAKEN = (
    "a folder, a table's path, a frame (pandas, polars, Arrow, Hugging Face), a list of paths, of "
    "pictures or of texts, an array (N, H, W) or (N, H, W, C), or a data set of torchvision"
)
"""What may be handed over, for messages."""

_LOOK = 200
"""Strings of a list that are looked at to tell paths from texts."""


class Pairs(NamedTuple):
    """Items with their targets."""

    items: Any
    labels: list[Any] | None


def dataset(data: Any, labels: Any, asked: Asked, images: Path | None = None) -> Dataset:
    """Return the data set that ``data``, which is no path, holds; nothing is decoded yet.

    Args:
        data: see this module.
        labels: N targets, where ``data`` holds none; None for those that it holds.
        asked: what the user said about columns, kind and task.
        images: where the pictures are that a table names.

    Raises:
        DataError: it is nothing that can be read, or not as many labels as items.

    >>> found = dataset({"text": ["good film", "bad film"]}, ["good", "bad"], Asked())
    >>> found.kind, found.classes
    ('text', ('bad', 'good'))
    """
    data, own = pairs(data)
    if own is not None and labels is not None:
        raise DataError("labels came twice: within the data and beside them; give them once.")
    targets = own if labels is None else targets_of(labels)
    several = not isinstance(data, np.ndarray) and frames.is_frame(data)
    if several and (targets is None or frames.column_of(data) is None):
        return _of_frame(data, targets, asked, images)
    items = items_of(data)
    kind = asked.kind or kind_of(items)
    if kind == "text" and not isinstance(items, np.ndarray) and all(map(_is_file, items)):
        items = [Path(one) for one in items]
    return from_items(items, targets, kind, task=asked.task)


def _of_frame(data: Any, targets: list[Any] | None, asked: Asked, images: Path | None) -> Dataset:
    if targets is None:
        found = frames.tables_of(data)
    else:
        found, name = frames.with_column(data, targets)
        asked = asked._replace(label=(name,))
    if found is None:
        raise refused(data)
    return read_tables(found, asked, images, frames.NAME)


def items(
    data: Any,
    kind: Kind,
    *,
    text_columns: Sequence[str] | None = None,
    channels: int | None = None,
    whole: bool = False,
    beside: Pictured = BESIDE,
) -> Items | None:
    """Return what is no list of sources as items to predict; None for a source, or a list of them.

    Args:
        data: see this module; targets that it holds are left out.
        kind: what the items are. Strings of a column are texts then, or else paths.
        text_columns: the columns of a frame that hold the text, see `table_items`.
        channels: of the pictures that the model reads, which tell an array that is one picture
            from several grey ones.
        whole: let the items of a frame know their rows.
        beside: where the pictures are that a frame names.
    """
    if isinstance(data, str | bytes | bytearray | memoryview | PathLike):
        return None
    data, _ = pairs(data)
    column = frames.column_of(data)
    if frames.is_frame(data) and (column is None or kind == "text" or whole):
        found = frames.tables_of(data) or {}
        how: Any = {"whole": whole, "beside": beside}
        return join(table_items(one, kind, text_columns, **how) for one in found.values())
    if column is not None:
        held = [Path(one) if kind == "image" and isinstance(one, str) else one for one in column]
        if any(isinstance(one, PathLike) for one in held):
            return None
        return of_memory(held, range(len(held)), kind)
    if kind == "text" or not hasattr(data, "__array__") or hasattr(data, "convert"):
        return None
    pictures = _one_or_several(data, channels)
    return of_memory(pictures, range(len(pictures)), kind)


def _one_or_several(data: Any, channels: int | None) -> Any:
    """Return several pictures; an array (H, W) or (H, W, C), or a tensor (C, H, W), is one."""
    array = plain_array(data)
    if array.ndim == 3:
        side = 0 if hasattr(data, "detach") else -1
        alone = array.shape[side] in (1, 3, 4, channels)
        return [data] if alone else array
    return [data] if array.ndim < 3 else _pictures(data)


def pairs(data: Any) -> Pairs:
    """Return the items of a data set of (item, label) and their labels; others as they are.

    >>> pairs([("good", 1), ("bad", 0)])
    Pairs(items=['good', 'bad'], labels=[1, 0])
    """
    if isinstance(data, tuple) and _is_x_and_y(data):
        return Pairs(data[0], targets_of(data[1]))
    if isinstance(data, list):
        if data and all(isinstance(one, tuple) and len(one) == 2 for one in data[:_LOOK]):
            return Pairs([item for item, _ in data], _named(data, [label for _, label in data]))
        return Pairs(data, None)
    if hasattr(data, "samples") and hasattr(data, "classes"):  # torchvision's folders
        items, labels = zip(*data.samples, strict=True) if data.samples else ((), ())
        return Pairs([Path(item) for item in items], _named(data, labels))
    if _is_torch_dataset(data):
        both = [data[i] for i in range(len(data))]
        return Pairs([one[0] for one in both], _named(data, [one[1] for one in both]))
    return Pairs(data, None)


def _is_x_and_y(data: tuple[Any, ...]) -> bool:
    if len(data) != 2 or isinstance(data[0], str | PathLike) or not hasattr(data[1], "__len__"):
        return False
    return not isinstance(data[1], str) and len(data[0]) == len(data[1]) and np.ndim(data[1]) == 1


def _is_torch_dataset(data: Any) -> bool:
    """Return whether ``data`` gives (item, label) by number, as torch's data sets do."""
    kind = type(data)
    listed = isinstance(data, np.ndarray | str | bytes | tuple) or hasattr(data, "shape")
    if listed or not (hasattr(kind, "__getitem__") and hasattr(kind, "__len__")):
        return False
    if frames.is_frame(data) or frames.column_of(data) is not None or not len(data):
        return False
    return isinstance(first := data[0], tuple | list) and len(first) == 2


def _named(data: Any, labels: Sequence[Any]) -> list[Any]:
    """Return the labels by name where the data set knows the names of its numbers."""
    plain = [one.item() if hasattr(one, "item") else one for one in labels]
    names = getattr(data, "classes", None)
    return [str(names[int(one)]) for one in plain] if names else plain


def targets_of(labels: Any) -> list[Any]:
    """Return N targets as a list: of a column, an array, a tensor or a list."""
    found = frames.column_of(labels)
    if found is None:
        found = list(plain_array(labels)) if hasattr(labels, "__array__") else list(labels)
    return found


def items_of(data: Any) -> Any:
    """Return items as a list, or pictures as an array (N, H, W) or (N, H, W, C).

    Raises:
        DataError: it is nothing that holds items.
    """
    column = frames.column_of(data)
    if column is not None:
        return column
    if hasattr(data, "__array__") and not hasattr(data, "convert"):
        return _pictures(data)
    if isinstance(data, list | tuple):
        return list(data)
    raise refused(data)


def _pictures(data: Any) -> Any:
    array = plain_array(data)
    if array.ndim == 4 and hasattr(data, "detach") and array.shape[1] in (1, 3, 4):
        array = np.moveaxis(array, 1, -1)  # tensors have their channels first
    if array.ndim < 3:
        raise DataError(
            f"an array of shape {array.shape} holds no pictures; give (N, H, W) or (N, H, W, C), "
            "or rows of flattened pictures to TransferClassifier(image_shape=(H, W))."
        )
    return array


def kind_of(items: Any) -> Kind:
    """Return "text" where ``items`` are strings that are no paths of pictures, else "image".

    >>> kind_of(["a good film", "a bad one"]), kind_of(["cat.jpg"])
    ('text', 'image')
    """
    if isinstance(items, np.ndarray):
        return "image"
    few = [one for one in items[:_LOOK] if not missing(one)]
    names = [one for one in few if isinstance(one, str | PathLike)]
    if not names:
        return "image"
    if any(isinstance(one, str) and not is_path(one) for one in names):
        return "text"
    return "text" if all(_ends(one, "text") for one in names) else "image"


def is_path(text: str) -> bool:
    """Return whether a string is a path: of a file that is there, or of one called like an item."""
    known = any(_ends(text, kind) for kind in SUFFIXES)
    return known or (len(text) < 4096 and "\0" not in text and os.path.exists(text))


def _is_file(item: Any) -> bool:
    return isinstance(item, str | PathLike) and _ends(item, "text")


def _ends(path: str | PathLike[str], kind: Kind) -> bool:
    return os.path.splitext(str(path))[1].lower() in SUFFIXES[kind]


def refused(data: Any) -> DataError:
    """Return the error for what nobody can read."""
    if hasattr(data, "dataset") and hasattr(data, "batch_size"):
        return DataError("a DataLoader hands out batches; give its .dataset.")
    return DataError(f"{type(data).__name__} holds no items that can be read; give {TAKEN}.")
