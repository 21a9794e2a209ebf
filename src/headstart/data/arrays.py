"""Items and targets that are in memory already, or in a list of paths: no folder to read."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart.data.dataset import Dataset, Kind
from headstart.data.items import packed
from headstart.errors import DataError
from headstart.tasks.registry import of_values


def from_items(
    items: Sequence[Any] | npt.NDArray[Any],
    labels: Sequence[Any] | None = None,
    kind: Kind = "image",
    *,
    task: str | None = None,
) -> Dataset:
    """Return the data set of ``items``: paths of picture files, an array of pictures, or texts.

    Args:
        items: N paths, or an array (N, H, W) or (N, H, W, C); uint8, uint16, or float in 0..1 or
            0..255. An array travels as ``.npy`` content, the way files of arrays do.
        labels: N labels, whose sorted distinct values are the classes; or N lists of labels, an
            indicator array (N, L), N numbers; None for items without targets.
        kind: "text" where ``items`` are N texts themselves.
        task: "classes", "labels" or "number"; None lets ``labels`` decide.

    Raises:
        DataError: no items, or another number of labels.

    >>> from_items(np.zeros((2, 8, 8), np.uint8), ["a", "b"]).classes
    ('a', 'b')
    """
    if not len(items) or (labels is not None and len(items) != len(labels)):
        n = 0 if labels is None else len(labels)
        raise DataError(f"{len(items)} items with {n} labels; give one label an item.")
    numbered = [f"item {i}" for i in range(len(items))]
    if kind == "text":
        names, content = numbered, partial(_encoded, [str(item) for item in items])
    elif isinstance(items, np.ndarray) and items.ndim >= 3:
        names, content = numbered, partial(_saved, items)
    else:
        names = [str(item) for item in items]
        content = partial(_file, names)
    return Dataset(
        kind=kind,
        root=Path("items"),
        names=names,
        targets=None if labels is None else of_values(labels, task),
        splits=np.full(len(items), "", "<U5"),
        content=content,
    )


def _encoded(texts: Sequence[str], index: int) -> bytes:
    return texts[index].encode("utf-8", "replace")


def _saved(pictures: npt.NDArray[Any], index: int) -> bytes:
    return packed(pictures[index])


def _file(paths: Sequence[str], index: int) -> bytes:
    return Path(paths[index]).read_bytes()
