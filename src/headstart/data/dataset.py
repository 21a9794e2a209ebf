"""What every reader returns: items, their targets if they have any, and where they came from."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple, overload

import numpy as np
import numpy.typing as npt

from headstart.data.injected import Beside
from headstart.errors import DataError, ItemError
from headstart.store import digest
from headstart.tasks.task import Targets, Values

Kind = Literal["image", "text"]
Split = Literal["train", "val", "test", ""]


class Rejected(NamedTuple):
    """An item that cannot be used, and why."""

    item: str
    reason: str


@dataclass(frozen=True)
class Dataset:
    """Items, with targets or without; nothing is decoded yet.

    ``content(i)`` returns the bytes of item ``i``: a file's, or a text's in UTF-8. It may raise
    `OSError` or `ItemError`, which the audit turns into a `Rejected`.

    Attributes:
        kind: "image" or "text".
        root: what was read, for messages and for the bundle.
        names: shape (N,), how an item is called in reports: a path relative to ``root``, or
            ``table.csv:17`` for row 17 of a table.
        targets: what is to be predicted, and each item's right answer; None for items without.
        splits: shape (N,), "train", "val", "test", or "" where the data do not say.
        content: from an index to the item's bytes.
        rejected: what reading already found unusable (no label, file missing, not an image).
        empty_classes: classes that exist, as a folder say, but hold nothing usable.
        columns: of a table: the text columns that were joined, or the image column.
        digests: shape (N,), of each item's content, where an audit has read them all.
        domains: shape (N,), where each item comes from, if the data say so.
        beside: columns of the table that are joined to what a backbone makes of the items.
    """

    kind: Kind
    root: Path
    names: Sequence[str]
    targets: Targets | None
    splits: npt.NDArray[np.str_]
    content: Callable[[int], bytes]
    rejected: tuple[Rejected, ...] = ()
    empty_classes: tuple[str, ...] = field(default=())
    columns: tuple[str, ...] = ()
    digests: npt.NDArray[np.bytes_] | None = None
    domains: npt.NDArray[np.str_] | None = None
    beside: Beside | None = None

    def __len__(self) -> int:
        return len(self.splits)

    @property
    def known(self) -> Targets:
        """The targets.

        Raises:
            DataError: the items have none.
        """
        if self.targets is None:
            raise DataError(
                f"the items of {self.root} have no labels; to learn from them or to measure on "
                "them, give class folders, or a table with a label column."
            )
        return self.targets

    @property
    def labels(self) -> Values:
        """The values of the targets: of classes, shape (N,), indices into `classes`."""
        return self.known.values

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes or labels, sorted (numbers by value); none where there are none."""
        return self.targets.task.names if self.targets else ()

    def without(self, faults: Mapping[int, str]) -> Dataset:
        """Return the data set of the items without ``faults``, which are rejected with them."""
        if not faults:
            return self
        bad = tuple(Rejected(self.names[i], faults[i]) for i in sorted(faults))
        good = np.setdiff1d(np.arange(len(self)), list(faults))
        return replace(self.take(good), rejected=self.rejected + bad)

    def checked(self, digests: npt.NDArray[np.bytes_]) -> Dataset:
        """Return the data set that remembers its items' ``digests``, shape (N,).

        Contents are held against them whenever they are read again: what is kept under a digest
        is always of the bytes that have it, also where files change under a run.
        """
        if self.digests is not None:
            return replace(self, digests=digests)
        content = partial(unchanged, self.content, digests, self.names)
        return replace(self, digests=digests, content=content)

    def has_items_of(self, other: Dataset) -> bool:
        """Return whether item i is the same one here and there, for every i."""
        return original(self.content) is original(other.content)

    def digest(self, index: int) -> bytes:
        """Return the digest of an item's content: the audit's, or else of what is read now."""
        known = bytes(self.digests[index]) if self.digests is not None else b""
        # NumPy drops the zeros at the end of such a text.
        return known.ljust(16, b"\0") if known else digest(self.content(index))

    def said(self, index: int) -> str:
        """Return the target of an item as a person would write it; empty without one."""
        return self.targets.said(index) if self.targets else ""

    def take(self, indices: npt.NDArray[np.int64] | Sequence[int]) -> Dataset:
        """Return the data set of the items at ``indices``, in that order; classes stay."""
        chosen = np.asarray(indices, np.int64)
        return replace(
            self,
            names=Taken(self.names, chosen),
            targets=self.targets.take(chosen) if self.targets else None,
            splits=self.splits[chosen],
            content=partial(at, self.content, chosen),
            digests=None if self.digests is None else self.digests[chosen],
            domains=None if self.domains is None else self.domains[chosen],
            beside=None if self.beside is None else self.beside.take(chosen),
        )


def unchanged(
    content: Callable[[int], bytes],
    digests: npt.NDArray[np.bytes_],
    names: Sequence[str],
    index: int,
) -> bytes:
    """Return the content of an item, which must still have its digest; none was readable before.

    Raises:
        ItemError: it was changed meanwhile.
    """
    found, known = content(index), bytes(digests[index])
    # NumPy drops the zeros at the end of such a text.
    if known and digest(found) != known.ljust(16, b"\0"):
        raise ItemError(f"{names[index]} was changed after it was looked at; start again")
    return found


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


def original(content: Callable[[int], bytes]) -> Callable[[int], bytes]:
    """Return what ``content`` reads, without being held against digests."""
    if isinstance(content, partial) and content.func is unchanged:
        return original(content.args[0])
    return content


def at(content: Callable[[int], bytes], chosen: npt.NDArray[np.int64], index: int) -> bytes:
    """Return item ``index`` of the ``chosen`` ones of ``content``.

    A function and not a lambda, so that a data set can be sent to another process.
    """
    return content(int(chosen[index]))
