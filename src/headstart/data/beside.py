"""Several data sets read as one."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

import numpy as np

from headstart.data.dataset import Dataset
from headstart.data.items import Items, join
from headstart.errors import DataError


def beside(first: Dataset, *others: Dataset) -> Dataset:
    """Return the items of ``first``, then those of each other; without targets or a split.

    Raises:
        DataError: one holds pictures, another texts.

    >>> from headstart.data.memory.arrays import from_items
    >>> both = beside(from_items(["a b"], None, "text"), from_items(["c d"], None, "text"))
    >>> len(both), both.content(1)
    (2, b'c d')
    """
    for other in others:
        if first.kind != other.kind:
            raise DataError(
                f"{first.root} holds {first.kind}s, but {other.root} holds {other.kind}s."
            )
    parts = (first, *others)
    items = join(Items(part.names, part.content) for part in parts)
    digests = [part.digests for part in parts if part.digests is not None]
    return replace(
        first,
        names=items.names,
        targets=None,
        splits=np.full(len(items.names), "", "<U5"),
        content=items.content,
        rejected=tuple(chain.from_iterable(part.rejected for part in parts)),
        digests=np.concatenate(digests) if len(digests) == len(parts) else None,
        domains=None,
        beside=None,
    )
