"""What every reader returns: items, their labels, and where they came from."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple, overload

import numpy as np
import numpy.typing as npt

Kind = Literal["image", "text"]
Split = Literal["train", "val", "test", ""]


class Rejected(NamedTuple):
    """An item that cannot be used, and why."""

    item: str
    reason: str


@dataclass(frozen=True)
class Dataset:
    """Items with labels; nothing is decoded yet.

    ``content(i)`` returns the bytes of item ``i``: a file's, or a text's in UTF-8. It may raise
    `OSError` or `ItemError`, which the audit turns into a `Rejected`.

    Attributes:
        kind: "image" or "text".
        root: what was read, for messages and for the bundle.
        names: shape (N,), how an item is called in reports: a path relative to ``root``, or
            ``table.csv:17`` for row 17 of a table.
        labels: shape (N,), index into ``classes``.
        classes: the class names, sorted (numbers by value).
        splits: shape (N,), "train", "val", "test", or "" where the data do not say.
        content: from an index to the item's bytes.
        rejected: what reading already found unusable (no label, file missing, not an image).
        empty_classes: classes that exist, as a folder say, but hold nothing usable.
        columns: of a table: the text columns that were joined, or the image column.
    """

    kind: Kind
    root: Path
    names: Sequence[str]
    labels: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    splits: npt.NDArray[np.str_]
    content: Callable[[int], bytes]
    rejected: tuple[Rejected, ...] = ()
    empty_classes: tuple[str, ...] = field(default=())
    columns: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: npt.NDArray[np.int64] | Sequence[int]) -> Dataset:
        """Return the data set of the items at ``indices``, in that order; classes stay."""
        chosen = np.asarray(indices, np.int64)
        return replace(
            self,
            names=Taken(self.names, chosen),
            labels=self.labels[chosen],
            splits=self.splits[chosen],
            content=partial(at, self.content, chosen),
        )


class Names(Sequence[str]):
    """Names that are made when asked for: millions of items need no list of them."""

    @abstractmethod
    def name(self, index: int) -> str:
        """Return the name at ``index``, from 0 to below the length."""

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return [self.name(i) for i in range(*index.indices(len(self)))]
        return self.name(range(len(self))[index])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]


class Taken(Names):
    """Some of many names."""

    def __init__(self, names: Sequence[str], chosen: npt.NDArray[np.int64]) -> None:
        self._names, self._chosen = names, chosen

    def __len__(self) -> int:
        return len(self._chosen)

    def name(self, index: int) -> str:
        """Return the name at ``index``."""
        return self._names[int(self._chosen[index])]


def at(content: Callable[[int], bytes], chosen: npt.NDArray[np.int64], index: int) -> bytes:
    """Return item ``index`` of the ``chosen`` ones of ``content``.

    A function and not a lambda, so that a data set can be sent to another process.
    """
    return content(int(chosen[index]))
