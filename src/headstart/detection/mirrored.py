"""Pictures and their boxes a second time, left and right changed over: more to learn from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from headstart.data.dataset import Dataset
from headstart.data.items import Joined, packed
from headstart.data.pictures.images import decode
from headstart.tasks.box_figures import NUMBERS
from headstart.tasks.task import Indices, Targets, Values


def mirrored(rows: Values, widths: Values) -> Values:
    """Return the things of pictures that are mirrored, (N, 6 L) like ``rows``.

    Args:
        rows: the things, see `headstart.tasks.boxes`.
        widths: of the pictures, as shares of their longer sides, shape (N,).

    >>> mirrored(np.array([[0.1, 0.2, 0.3, 0.4, 2, 1, 0, 0, 0, 0, 0, 0]]), np.ones(1)).round(6)
    array([[0.7, 0.2, 0.9, 0.4, 2. , 1. , 0. , 0. , 0. , 0. , 0. , 0. ]])
    """
    things = rows.reshape(len(rows), -1, NUMBERS)
    turned = things.copy()
    wide = widths[:, None]
    turned[..., 0], turned[..., 2] = wide - things[..., 2], wide - things[..., 0]
    nothing = things[..., 5] == 0
    turned[nothing] = 0
    return np.asarray(turned.reshape(rows.shape))


@dataclass(frozen=True)
class _Both:
    """Content of item i: that of picture i, and from the N-th on of the pictures mirrored."""

    plain: Dataset
    channels: int

    def __call__(self, index: int) -> bytes:
        n = len(self.plain)
        if index < n:
            return self.plain.content(index)
        picture = decode(self.plain.content(index - n), self.channels)
        if isinstance(picture, Image.Image):
            return packed(picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
        return packed(np.ascontiguousarray(picture[:, ::-1]))


def with_mirrored(dataset: Dataset, train: Indices, channels: int) -> Dataset:
    """Return all items, and behind them all once more, of which those of ``train`` are mirrored.

    Item i + N is item i mirrored; of others than ``train``, which are held out and never asked for,
    nothing is decoded, and their boxes stay as they are.

    Args:
        dataset: N pictures with boxes.
        train: indices of those that are learned from.
        channels: that the network reads.
    """
    known = dataset.known
    turned = known.values.copy()
    widths = np.array([_width(dataset.content(int(i)), channels) for i in train])
    turned[train] = mirrored(known.values[train], widths)
    targets = Targets(known.task, np.concatenate([known.values, turned]))
    return replace(
        dataset,
        names=Joined([dataset.names, dataset.names]),
        targets=targets,
        splits=np.concatenate([dataset.splits, dataset.splits]),
        content=_Both(dataset, channels),
        digests=None,
        domains=None,
    )


def _width(content: bytes, channels: int) -> float:
    picture = decode(content, channels)
    wide, high = picture.size if isinstance(picture, Image.Image) else picture.shape[1::-1]
    return float(wide / max(wide, high))
