"""Pictures and labels that are in memory already, or in a list of paths: no folder to read."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart.data.dataset import Dataset
from headstart.errors import DataError


def from_items(items: Sequence[Any] | npt.NDArray[Any], labels: Sequence[Any]) -> Dataset:
    """Return the data set of ``items``: paths of picture files, or an array of pictures.

    Args:
        items: N paths, or an array (N, H, W) or (N, H, W, C); uint8, uint16, or float in 0..1 or
            0..255. An array travels as ``.npy`` content, the way files of arrays do.
        labels: N labels; classes are their sorted distinct values.

    Raises:
        DataError: no items, or another number of labels.

    >>> from_items(np.zeros((2, 8, 8), np.uint8), ["a", "b"]).classes
    ('a', 'b')
    """
    if not len(items) or len(items) != len(labels):
        raise DataError(f"{len(items)} items with {len(labels)} labels; give one label an item.")
    classes, codes = np.unique(np.asarray(labels), return_inverse=True)
    pictures = items if isinstance(items, np.ndarray) and items.ndim >= 3 else None
    paths = [] if pictures is not None else [str(item) for item in items]

    return Dataset(
        kind="image",
        root=Path("items"),
        names=paths or [f"item {i}" for i in range(len(items))],
        labels=codes.astype(np.int64),
        classes=tuple(map(str, classes)),
        splits=np.full(len(items), "", "<U5"),
        content=partial(_saved, pictures) if pictures is not None else partial(_file, paths),
    )


def _saved(pictures: npt.NDArray[Any], index: int) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(pictures[index]), allow_pickle=False)
    return buffer.getvalue()


def _file(paths: Sequence[str], index: int) -> bytes:
    return Path(paths[index]).read_bytes()
