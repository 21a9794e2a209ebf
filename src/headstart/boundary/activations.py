"""What stands at the freeze boundary, computed once and kept on disk.

Activations are found by the item's content, its view, the weights below the boundary and the
preprocessing: a stale one cannot be served, and another run, another seed or another draw finds
them again. When the boundary moves, the deepest activations that are still valid are where the
next ones are computed from; pixels are decoded again only where there are none.

Exact: kernels round differently for batches of another size, so on a CPU an activation is always
computed beside as many items of its own shape, made up by copies where there are fewer. It then
has the same bits whatever stands beside it (the tests hold a residual network, one with batch
norm, a vision transformer and a text encoder to that), so training from kept activations and from
those computed anew in each epoch comes to the same weights, bit for bit.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from headstart.backbones.blocks import Backbone
from headstart.boundary.engine import Batch
from headstart.boundary.inputs import PLAIN, Indices, Inputs, Row
from headstart.compute.running import autocast, to_device
from headstart.data.texts.tokens import Tokenize
from headstart.progress import log, track
from headstart.store import DIGEST, Digests, Shelves, digest, home

VIEWS = 4
"""Fixed views of each picture where activations of augmented pictures are kept."""

BATCH = 32
TOKENS = 128
"""Of texts that go together: as many as have about so many tokens, but a long one goes alone."""

WINDOW = 256
"""Items from which those of one shape are picked where the order must be kept."""

GB = 1 << 30
NONE = np.empty(0, np.int64)


class Activations:
    """The activations at ``boundary`` of items of ``inputs``.

    Args:
        inputs: the items; their views must be fixed, see `headstart.boundary.inputs.Inputs`.
        backbone: in eval mode below the boundary.
        boundary: 1 or more.
        device: where the backbone is.
        what: names what decides the answers besides weights and preprocessing.
        limit: gigabytes on disk that all kept activations together may take; what does not fit
            is computed anew each time instead, with a notice. 0 keeps none.
        half: keep 16-bit floats.
    """

    def __init__(
        self,
        inputs: Inputs,
        backbone: Backbone,
        boundary: int,
        device: str,
        *,
        what: str = "",
        limit: float = 8.0,
        half: bool = False,
    ) -> None:
        self.inputs, self.backbone, self.boundary, self.device = inputs, backbone, boundary, device
        self.preprocess = inputs.preprocess
        self._what, self._limit, self._half = what, limit, half
        self._texts = isinstance(inputs.preprocess, Tokenize)
        self.hits = self.misses = 0
        self.kept = limit > 0
        self.shelves = self._shelves(boundary)
        self._below: Activations | None = None

    def _shelves(self, boundary: int) -> Shelves:
        """Return where the activations at ``boundary`` are kept, for the weights as they are."""
        parts = [
            self._what,
            self.backbone.digest_below(boundary),
            str(boundary),
            self.inputs.preprocess.key(),
            self.device,
            "half" if self._half else "",
        ]
        name = hashlib.blake2b("|".join(parts).encode(), digest_size=12).hexdigest()
        return Shelves(home() / "activations" / name, "<f2" if self._half else "<f4")

    # -- filling ----------------------------------------------------------------------------------

    def fill(self, plain: Indices, fit: Indices = NONE, epochs: Iterable[int] = ()) -> None:
        """Compute what is not kept yet: items as they are, and ``fit`` as ``epochs`` read it."""
        if not self.kept:
            return
        numbers = sorted({self.inputs.number(epoch) for epoch in epochs})
        wanted = [(number, fit) for number in numbers] + [(PLAIN, plain)]
        missing = [(n, self._missing(indices, n)) for n, indices in wanted]
        total = sum(len(indices) for _, indices in missing)
        self.misses = total
        self.hits = sum(len(indices) for _, indices in wanted) - total
        if total:
            self._below = self._deepest(missing)
            self._compute(missing, total)
        with suppress(OSError):
            os.utime(self.shelves.folder)  # lately used

    def _compute(self, missing: list[tuple[int, Indices]], total: int) -> None:
        below: Inputs | Activations = self._below or self.inputs
        steps = (
            (self._key(int(indices[at]), number), row)
            for number, indices in missing
            for at, row in self._computed(below.rows(indices, number))
        )
        try:
            for done, (key, row) in enumerate(track(steps, "activations", total)):
                if done == 0:
                    self._reserve(self._bytes(row, missing) * total)
                if self.kept:
                    self._keep(key, row)
                if not self.kept:
                    return
        finally:  # interrupted or not: what was computed is kept
            self._flush()

    def _keep(self, key: bytes, row: Row) -> None:
        with np.errstate(over="ignore"):
            value = row.astype(self.shelves.dtype)
        if self._half and np.isinf(value).any():
            self._give_up(f"activations at block {self.boundary} are too large for 16-bit floats")
            return
        try:
            self.shelves.add(key, value)
        except OSError as error:
            self._fail(error)

    def _flush(self) -> None:
        if self.kept:
            try:
                self.shelves.flush()
            except OSError as error:
                self._fail(error)

    def _fail(self, error: OSError) -> None:
        self._give_up(f"activations cannot be kept in {self.shelves.folder} ({error})")
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            self.forget()  # checkpoints and the model need the room more

    def _give_up(self, why: str) -> None:
        log.warning("%s; computing them anew each time, which is slower", why)
        self.kept = False

    def _bytes(self, row: Row, missing: list[tuple[int, Indices]]) -> int:
        """Return how many bytes the activation of one item takes; of texts, in the mean."""
        size = row.size * self.shelves.dtype.itemsize
        if not self._texts or row.ndim < 2:
            return size
        indices = np.concatenate([one for _, one in missing])
        some = indices[:: len(indices) // WINDOW + 1]
        lengths = [len(text) for text in self.inputs.rows(some, PLAIN)]
        return int(np.mean(lengths) * size / len(row))

    def _reserve(self, size: int) -> None:
        """Make room for ``size`` more bytes, of what was longest not used, or give up."""
        folder, limit = self.shelves.folder, int(self._limit * GB)
        root, mine = folder.parent, _size(folder)
        others = _size(root) - mine
        most = limit - mine - size  # that may be left to the others
        with suppress(OSError):
            root.mkdir(parents=True, exist_ok=True)
            most = min(most, others + int(0.9 * shutil.disk_usage(root).free) - size)
        if most >= 0:
            _make_room(root, most, spared=folder)
            return
        self._give_up(
            f"activations at block {self.boundary} would take {size / GB:.3g} GB, and "
            f"{max(0, most + size) / GB:.3g} GB may be taken (--cache-limit {self._limit:g}, and "
            f"what is free in {root})"
        )

    # -- finding ----------------------------------------------------------------------------------

    def _deepest(self, missing: list[tuple[int, Indices]]) -> Activations | None:
        """Return the deepest activations below that hold all that is ``missing``, if there are."""
        for boundary in range(self.boundary - 1, 0, -1):
            found = self._at(boundary)
            if found and not any(len(found._missing(i, number)) for number, i in missing):
                return found
        return None

    def _at(self, boundary: int) -> Activations | None:
        found = Activations(
            self.inputs,
            self.backbone,
            boundary,
            self.device,
            what=self._what,
            limit=self._limit,
            half=self._half,
        )
        return found if found.shelves.folder.is_dir() else None

    def _key(self, index: int, number: int) -> bytes:
        view = "plain" if number == PLAIN else f"{self.inputs.level}-{number}"
        return digest(self.inputs.digest(index), view.encode())

    def _keys(self, indices: Indices, number: int) -> Digests:
        return np.array([self._key(int(i), number) for i in indices], DIGEST)

    def _missing(self, indices: Indices, number: int) -> Indices:
        return indices[~self.shelves.has(self._keys(indices, number))]

    def rows(self, indices: Indices, number: int) -> Iterator[Row]:
        """Yield the activation of view ``number`` of each item, computed where none are kept."""
        return (self._found if self.kept else self._anew)(indices, number)

    def _found(self, indices: Indices, number: int) -> Iterator[Row]:
        for start in range(0, len(indices), BATCH):
            keys = self._keys(indices[start : start + BATCH], number)
            yield from (row.astype(np.float32, copy=False) for row in self.shelves.get(keys))

    # -- computing --------------------------------------------------------------------------------

    def _computed(
        self, rows: Iterable[Row], within: int | None = None
    ) -> Iterator[tuple[int, Row]]:
        """Yield (position, activation) of ``rows``, the inputs or the activations below.

        Rows of one shape go together, so the order is another; ``within`` so many none is late.
        """
        waiting: dict[tuple[int, ...], list[tuple[int, Row]]] = {}
        for position, row in enumerate(rows):
            group = waiting.setdefault(row.shape, [])
            group.append((position, row))
            if len(group) == self._most(row):
                yield from self._together(waiting.pop(row.shape))
            if within and (position + 1) % within == 0:
                while waiting:
                    yield from self._together(waiting.popitem()[1])
        while waiting:
            yield from self._together(waiting.popitem()[1])

    def _most(self, row: Row) -> int:
        """Return how many rows of this shape go together."""
        texts_on_cpu = self._texts and self.device == "cpu"
        return min(BATCH, max(1, TOKENS // len(row))) if texts_on_cpu else BATCH

    def _together(self, group: list[tuple[int, Row]]) -> Iterator[tuple[int, Row]]:
        rows = [row for _, row in group]
        if self.device == "cpu":
            rows += rows[:1] * (self._most(rows[0]) - len(rows))
        found = _rows(self._state(self._collated(rows)))
        return zip((position for position, _ in group), found, strict=False)

    def _collated(self, rows: list[Row]) -> Batch:
        source = self.inputs if self._below is None else self
        return source.collate(rows)

    @torch.inference_mode()
    def _state(self, batch: Batch) -> Any:
        x = to_device(batch, self.device)
        with autocast(self.device):
            if self._below is None:
                return self.backbone.forward_to(x, self.boundary)
            return self.backbone.forward_between(as_maps(x), self._below.boundary, self.boundary)

    # -- reading ----------------------------------------------------------------------------------

    def batches(self, order: list[Indices], epoch: int) -> Iterator[Batch]:
        """Yield the activations of the batches of ``order`` for ``epoch``."""
        rows = self.rows(np.concatenate(order), self.inputs.number(epoch))
        yield from (self.collate(list(islice(rows, len(batch)))) for batch in order)

    def _anew(self, indices: Indices, number: int) -> Iterator[Row]:
        """Yield what `_found` would, had it been kept."""
        self._below = None
        late: dict[int, Row] = {}
        wanted = 0
        for position, row in self._computed(self.inputs.rows(indices, number), WINDOW):
            late[position] = row
            while wanted in late:
                yield late.pop(wanted)
                wanted += 1

    def collate(self, rows: list[Row]) -> Batch:
        """Return activations as the batch that the blocks above read."""
        return _padded(rows) if self._texts and rows[0].ndim == 2 else (np.stack(rows),)

    def forget(self) -> None:
        """Remove what is kept: no other run will come to these weights."""
        shutil.rmtree(self.shelves.folder, ignore_errors=True)


def as_maps(x: Any) -> Any:
    """Return activations laid out as the network lays out its own: maps with channels last."""
    maps = isinstance(x, Tensor) and x.ndim == 4
    return x.contiguous(memory_format=torch.channels_last) if maps else x


def _rows(state: Any) -> list[Row]:
    """Return what stands at a boundary item by item; of texts without the padding."""
    if isinstance(state, tuple):
        hidden, mask = (tensor.cpu() for tensor in state)
        lengths = mask.sum(1).tolist()
        return [one[:n].float().numpy() for one, n in zip(hidden, lengths, strict=True)]
    # In the same order of axes however the network lays them out: kernels go by it.
    return list(state.float().cpu().contiguous().numpy())


def _padded(rows: list[Row]) -> Batch:
    """Return the vectors of texts' tokens as (N, L, D), with the mask, (N, L)."""
    lengths = np.array([len(row) for row in rows])
    mask = (np.arange(lengths.max()) < lengths[:, None]).astype(np.int64)
    out = np.zeros((*mask.shape, rows[0].shape[1]), rows[0].dtype)
    out[mask == 1] = np.concatenate(rows)
    return out, mask


def _size(folder: Path) -> int:
    total = 0
    for at, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.stat(os.path.join(at, name)).st_size
    return total


def _make_room(root: Path, most: int, *, spared: Path) -> None:
    """Remove the activations that were longest not used, until ``most`` bytes are left."""
    found: list[tuple[float, int, Path]] = []
    for path in root.glob("*"):
        with suppress(OSError):  # another run may remove it meanwhile
            if path != spared:
                found.append((path.stat().st_mtime, _size(path), path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total <= most:
            return
        shutil.rmtree(path, ignore_errors=True)
        total -= size
