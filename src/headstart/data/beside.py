"""Two data sets read as one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from headstart.data.dataset import Dataset
from headstart.data.items import Joined
from headstart.errors import DataError


def beside(first: Dataset, second: Dataset) -> Dataset:
    """Return the items of ``first``, then those of ``second``; without targets or a split.

    Raises:
        DataError: one holds pictures, the other texts.

    >>> from headstart.data.memory.arrays import from_items
    >>> both = beside(from_items(["a b"], None, "text"), from_items(["c d"], None, "text"))
    >>> len(both), both.content(1)
    (2, b'c d')
    """
    if first.kind != second.kind:
        raise DataError(
            f"{first.root} holds {first.kind}s, but {second.root} holds {second.kind}s."
        )
    known = first.digests is not None and second.digests is not None
    return replace(
        first,
        names=Joined([first.names, second.names]),
        targets=None,
        splits=np.full(len(first) + len(second), "", "<U5"),
        content=partial(_content, len(first), first.content, second.content),
        rejected=first.rejected + second.rejected,
        digests=np.concatenate([first.digests, second.digests]) if known else None,
        domains=None,
        beside=None,
    )


def _content(
    n: int, first: Callable[[int], bytes], second: Callable[[int], bytes], index: int
) -> bytes:
    # A function and not a lambda, so that a data set can be sent to another process.
    return first(index) if index < n else second(index - n)
