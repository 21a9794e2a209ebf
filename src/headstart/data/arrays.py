"""Items and labels that are in memory already, or in a list of paths: no folder to read."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart.data.dataset import Dataset, Kind
from headstart.errors import DataError


def from_items(
    items: Sequence[Any] | npt.NDArray[Any], labels: Sequence[Any], kind: Kind = "image"
) -> Dataset:
    """Return the data set of ``items``: paths of picture files, an array of pictures, or texts.

    Args:
        items: N paths, or an array (N, H, W) or (N, H, W, C); uint8, uint16, or float in 0..1 or
            0..255. An array travels as ``.npy`` content, the way files of arrays do.
        labels: N labels; classes are their sorted distinct values.
        kind: "text" where ``items`` are N texts themselves.

    Raises:
        DataError: no items, or another number of labels.

    >>> from_items(np.zeros((2, 8, 8), np.uint8), ["a", "b"]).classes
    ('a', 'b')
    """
    if not len(items) or len(items) != len(labels):
        raise DataError(f"{len(items)} items with {len(labels)} labels; give one label an item.")
    classes, codes = np.unique(np.asarray(labels), return_inverse=True)
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
        labels=codes.astype(np.int64),
        classes=tuple(map(str, classes)),
        splits=np.full(len(items), "", "<U5"),
        content=content,
    )


def _encoded(texts: Sequence[str], index: int) -> bytes:
    return texts[index].encode("utf-8", "replace")


def _saved(pictures: npt.NDArray[Any], index: int) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(pictures[index]), allow_pickle=False)
    return buffer.getvalue()


def _file(paths: Sequence[str], index: int) -> bytes:
    return Path(paths[index]).read_bytes()
