"""What training reads below any boundary: pixels or tokens, plain or as random views.

Plain items are decoded once and kept on disk, so that epochs after the first decode nothing and
memory does not grow with the data.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from headstart.boundary.engine import Batch
from headstart.boundary.views import LEVELS, view
from headstart.data.dataset import Dataset
from headstart.data.pictures import room
from headstart.data.pictures.images import Preprocess, decode
from headstart.data.texts.tokens import Tokenize
from headstart.progress import log

Indices = npt.NDArray[np.int64]
Row = npt.NDArray[Any]

PLAIN = -1
"""The number of the view that evaluation sees."""


def in_batches(indices: Indices, size: int) -> list[Indices]:
    """Cut ``indices`` into batches of nearly equal length, at most ``size``; none is tiny."""
    return [np.asarray(b) for b in np.array_split(indices, max(1, -(-len(indices) // size)))]


class Rows:
    """Arrays of equal width and any length, put into one file and then read back by number.

    The file has no name: whatever ends the process, the room that it takes is free again.
    """

    def __init__(self, rows: Iterable[Row]) -> None:
        """Write ``rows``, each of shape (any, ...).

        Raises:
            OSError: there is no room for them; then nothing of them is left.
        """
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - see close
        self._ends, like = [0], np.empty(0, np.uint8)
        try:
            for row in rows:
                like = row[:0]
                self._file.write(np.ascontiguousarray(row).tobytes())
                self._ends.append(self._ends[-1] + len(row))
            self._file.flush()
        except BaseException:
            self.close()
            raise
        shape = (self._ends[-1], *like.shape[1:])
        self._all: Row = (
            np.empty(shape, like.dtype)  # of nothing there is no map
            if 0 in shape
            else np.memmap(self._file, like.dtype, "r", shape=shape)
        )

    def __getitem__(self, number: int) -> Row:
        return self._all[self._ends[number] : self._ends[number + 1]]

    def close(self) -> None:
        """Close the file."""
        with suppress(OSError):  # of a full disk, on what still waits to be written
            self._file.close()


class Inputs:
    """The items of a data set as a network's input.

    ``plain(indices)`` is what evaluation sees; ``batches(order, epoch)`` are random views for
    training, and the same as plain where augmentation is off.

    Args:
        dataset: the items.
        preprocess: of the backbone.
        augment: a level of `headstart.boundary.views.LEVELS`, or "off"; texts have no other.
        seed: of views that are new in each epoch.
        views: how many fixed views an item has; epoch e reads view e mod ``views``. Fixed views
            follow from the item's content alone, so what is computed from them can be kept for
            other runs. None: a new view in each epoch.
    """

    boundary = 0

    def __init__(
        self,
        dataset: Dataset,
        preprocess: Preprocess | Tokenize,
        *,
        augment: str = "off",
        seed: int = 0,
        views: int | None = None,
    ) -> None:
        self.dataset = dataset
        self.preprocess = preprocess
        self.level = LEVELS.get(augment) if isinstance(preprocess, Preprocess) else None
        self.augment = augment
        self.seed = seed
        self.views = views
        self._kept: Rows | None = None
        self._at: dict[int, int] = {}
        self._digests: dict[int, bytes] = {}

    def close(self) -> None:
        """Remove what was kept on disk."""
        if self._kept is not None:
            self._kept.close()
        self._kept, self._at = None, {}

    def keep_plain(self, indices: Indices) -> None:
        """Decode the plain items at ``indices`` once, into a file."""
        if self._keeps(indices):
            return
        self.close()
        try:
            self._kept = Rows(self._decoded(indices, self._load))
        except OSError as error:
            log.warning("no room for decoded items (%s); decoding them in each epoch", error)
            return
        self._at = {int(index): number for number, index in enumerate(indices)}

    def _keeps(self, indices: Indices) -> bool:
        return set(indices.tolist()) <= self._at.keys()

    def collate(self, rows: list[Row]) -> Batch:
        """Return rows as the batch that a network reads."""
        return self.preprocess.collate(rows)

    def rows(self, indices: Indices, number: int) -> Iterator[Any]:
        """Yield view ``number`` of each item, `PLAIN` for none, decoded ahead in threads."""
        if number == PLAIN or self.level is None:
            if self._kept is not None and self._keeps(indices):
                kept = self._kept
                yield from (kept[self._at[int(i)]] for i in indices)
                return
            yield from self._decoded(indices, self._load)
            return
        yield from self._decoded(indices, partial(self.view, number=number))

    def batches(self, order: list[Indices], epoch: int) -> Iterator[Batch]:
        """Yield the batches of ``order`` for training in ``epoch``."""
        rows = self.rows(np.concatenate(order), self.number(epoch))
        for batch in order:
            yield self.collate([next(rows) for _ in batch])

    def number(self, epoch: int) -> int:
        """Return which view ``epoch`` reads."""
        if self.level is None:
            return PLAIN
        return epoch % self.views if self.views else epoch

    def view(self, index: int, number: int) -> npt.NDArray[np.uint8]:
        """Return random view ``number`` of the picture at ``index``, the same each time."""
        p = self.preprocess
        assert isinstance(p, Preprocess) and self.level is not None
        content = self.dataset.content(index)
        if self.views:
            rng = np.random.default_rng([number, *np.frombuffer(self.digest(index), np.uint32)])
        else:
            rng = np.random.default_rng([self.seed, 7, number, index])
        with room.lent():
            image = decode(content, p.channels, shorter=p.resize)
            return view(image, p, self.level, rng)

    def digest(self, index: int) -> bytes:
        """Return the digest of an item's content."""
        if index not in self._digests:
            self._digests[index] = self.dataset.digest(index)
        return self._digests[index]

    def _load(self, index: int) -> Row:
        return self.preprocess.load(self.dataset.content(index))

    def _decoded(self, indices: Indices, load: Callable[[int], Row]) -> Iterator[Row]:
        """Yield ``load(i)`` in order, with a few items decoded ahead in threads."""
        waiting: list[Future[Row]] = []
        with ThreadPoolExecutor() as pool:
            try:
                for index in indices:
                    waiting.append(pool.submit(load, int(index)))
                    if len(waiting) > 128:
                        yield waiting.pop(0).result()
                while waiting:
                    yield waiting.pop(0).result()
            finally:
                pool.shutdown(cancel_futures=True)
