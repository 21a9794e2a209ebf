"""Items and targets that are in memory already, or in a list of paths: no folder to read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart.data.dataset import Dataset, Kind, Rejected
from headstart.data.folders import file_content
from headstart.data.items import missing, packed
from headstart.data.texts import encoding
from headstart.errors import DataError
from headstart.tasks.registry import of_values


def from_items(
    items: Sequence[Any] | npt.NDArray[Any],
    labels: Sequence[Any] | None = None,
    kind: Kind = "image",
    *,
    task: str | None = None,
) -> Dataset:
    """Return the data set of ``items``: paths, pictures in memory, or texts.

    Args:
        items: an array of pictures (N, H, W) or (N, H, W, C), uint8, uint16, or float in 0..1 or
            0..255, which travels as ``.npy`` content, the way files of arrays do; or N of: paths
            of picture files, Pillow's pictures, arrays, tensors, bytes; or N texts, or paths
            (`Path`) of text files.
        labels: N labels, whose sorted distinct values are the classes; or N lists of labels, an
            indicator array (N, L), N numbers; None for items without targets.
        kind: "text" where ``items`` are N texts.
        task: "classes", "labels" or "number"; None lets ``labels`` decide.

    Raises:
        DataError: no items, or another number of labels.

    >>> from_items(np.zeros((2, 8, 8), np.uint8), ["a", "b"]).classes
    ('a', 'b')
    """
    if not len(items) or (labels is not None and len(items) != len(labels)):
        n = 0 if labels is None else len(labels)
        raise DataError(f"{len(items)} items with {n} labels; give one label an item.")
    faults = _absent(items, labels)
    good = [i for i in range(len(items)) if i not in faults]
    if faults:
        items = items[good] if isinstance(items, np.ndarray) else [items[i] for i in good]
        labels = None if labels is None else [labels[i] for i in good]
    if not good:
        raise DataError(
            f"none of the {len(faults)} items can be used: {next(iter(faults.values()))}"
        )
    return Dataset(
        kind=kind,
        root=Path("items"),
        names=[_name(items[at], number, kind) for at, number in enumerate(good)],
        targets=None if labels is None else of_values(labels, task),
        splits=np.full(len(good), "", "<U5"),
        content=partial(_content, items, kind),
        rejected=tuple(Rejected(f"item {i}", why) for i, why in faults.items()),
    )


def _absent(items: Any, labels: Any) -> dict[int, str]:
    """Return which items cannot be used, for they or their labels are missing, and why."""
    faults: dict[int, str] = {}
    if labels is not None and not isinstance(labels, np.ndarray):
        faults |= {i: "no label" for i, label in enumerate(labels) if missing(label)}
    if isinstance(items, list):
        faults |= {i: "no item: None or NaN" for i, one in enumerate(items) if missing(one)}
    return dict(sorted(faults.items()))


def _name(item: Any, number: int, kind: Kind) -> str:
    path = isinstance(item, PathLike) or (kind == "image" and isinstance(item, str))
    return str(item) if path else f"item {number}"


def _content(items: Any, kind: Kind, index: int) -> bytes:
    """Return an item as a file would hold it; a function, so that it can be sent elsewhere."""
    item = items[index]
    if isinstance(item, PathLike) or (kind == "image" and isinstance(item, str)):
        return file_content(os.fspath(item), kind)
    if kind == "image":
        return packed(item)
    if isinstance(item, bytes):
        return encoding.to_text(item).encode()
    return str(item).encode("utf-8", "replace")
