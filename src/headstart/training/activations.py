"""What stands at the freeze boundary, computed once and kept on disk.

Activations are found by the item's content, its view, the weights below the boundary and the
preprocessing: a stale one cannot be served, and another run, another seed or another draw finds
them again. When the boundary moves, the deepest activations that are still valid are where the
next ones are computed from; pixels are decoded again only where there are none.

Exact: an item's activation is computed from it alone, or beside items of its own shape. On a CPU
that gives the same bits whatever stands beside it (the tests hold a residual network, one with
batch norm, a vision transformer and a text encoder to that), so training from kept activations
and from recomputed ones comes to the same weights, bit for bit. Where they are recomputed in
training batches, texts are padded to the batch's longest, and differ by rounding: within 1e-5.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from headstart.backbones.blocks import Backbone
from headstart.data.texts import Tokenize
from headstart.features.engine import Batch
from headstart.progress import log, track
from headstart.store import DIGEST, Digests, Shelves, digest, home
from headstart.training.inputs import PLAIN, Indices, Inputs, Row, to_device

VIEWS = 4
"""Fixed views of each picture where activations of augmented pictures are kept."""

WINDOW = 256
BATCH = 32
GB = 1 << 30


class Activations:
    """The activations at ``boundary`` of items of ``inputs``.

    Args:
        inputs: the items; their views must be fixed, see `headstart.training.inputs.Inputs`.
        backbone: in eval mode below the boundary.
        boundary: 1 or more.
        device: where the backbone is.
        what: names what decides the answers besides weights and preprocessing.
        limit: gigabytes on disk that all kept activations together may take; what does not fit
            is computed anew in each epoch instead, with a notice. 0 keeps none.
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
        self._what, self._limit, self._half = what, limit, half
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
            "bf16" if self.device == "cuda" else "f32",
            "half" if self._half else "",
        ]
        name = hashlib.blake2b("|".join(parts).encode(), digest_size=12).hexdigest()
        return Shelves(home() / "activations" / name, "<f2" if self._half else "<f4")

    def fill(self, fit: Indices, select: Indices) -> None:
        """Compute what is not kept yet: the views of ``fit``, and ``select`` as it is."""
        if not self.kept:
            return
        views = [PLAIN] if self.inputs.level is None else list(range(self.inputs.views or VIEWS))
        wanted = [(number, fit) for number in views] + [(PLAIN, select)]
        missing = [(n, self._missing(indices, n)) for n, indices in wanted]
        total = sum(len(indices) for _, indices in missing)
        self.misses = total
        self.hits = sum(len(indices) for _, indices in wanted) - total
        if not total:
            return
        self._below = self._deepest(wanted)
        try:
            self._compute(missing, total)
            self.shelves.flush()
            os.utime(self.shelves.folder)  # lately used
        except OSError as error:
            self._give_up(f"activations cannot be kept in {self.shelves.folder} ({error})")

    def _compute(self, missing: list[tuple[int, Indices]], total: int) -> None:
        steps = (
            (index, number, row)
            for number, indices in missing
            for index, row in self._computed(indices, number)
        )
        try:
            for done, (index, number, row) in enumerate(track(steps, "activations", total)):
                if done == 0 and not self._fits(row.nbytes // (2 if self._half else 1) * total):
                    return
                self.shelves.add(self._key(index, number), row.astype(self.shelves.dtype))
        except KeyboardInterrupt:
            self.shelves.flush()
            raise

    def _fits(self, size: int) -> bool:
        """Whether ``size`` more bytes may be kept; the longest unused make room for them."""
        root = self.shelves.folder.parent
        limit = int(self._limit * GB)
        room = limit
        with suppress(OSError):
            root.mkdir(parents=True, exist_ok=True)
            room = min(limit, int(0.9 * shutil.disk_usage(root).free) + _size(self.shelves.folder))
        if size > room:
            self._give_up(
                f"activations at block {self.boundary} would take {size / GB:.1f} GB, and "
                f"{room / GB:.1f} GB may be taken (--cache-limit {self._limit:g}, and what is free "
                f"in {root})"
            )
            return False
        _make_room(root, limit - size, spared=self.shelves.folder)
        return True

    def _give_up(self, why: str) -> None:
        log.warning("%s; computing them anew in each epoch, which is slower", why)
        self.kept = False

    def _deepest(self, wanted: list[tuple[int, Indices]]) -> Activations | None:
        """Return the deepest activations below that hold all that is ``wanted``, if there are."""
        for boundary in range(self.boundary - 1, 0, -1):
            found = self._at(boundary)
            if found and not any(len(found._missing(i, number)) for number, i in wanted):
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
        view = b"plain" if number == PLAIN else f"{self.inputs.augment}-{number}".encode()
        return digest(self.inputs.digest(index), view)

    def _keys(self, indices: Indices, number: int) -> Digests:
        return np.array([self._key(int(i), number) for i in indices], DIGEST)

    def _missing(self, indices: Indices, number: int) -> Indices:
        return indices[~self.shelves.has(self._keys(indices, number))]

    def rows(self, indices: Indices, number: int) -> Iterator[Row]:
        """Yield the kept activations of view ``number`` of each item."""
        for start in range(0, len(indices), WINDOW):
            keys = self._keys(indices[start : start + WINDOW], number)
            yield from (row.astype(np.float32) for row in self.shelves.get(keys))

    def _computed(self, indices: Indices, number: int) -> Iterator[tuple[int, Row]]:
        """Yield (index, activation), computed in batches of items of one shape."""
        below: Inputs | Activations = self._below or self.inputs
        for start in range(0, len(indices), WINDOW):
            part = indices[start : start + WINDOW]
            window = list(below.rows(part, number))
            for group in _alike(window):
                state = self._state(self._collated([window[i] for i in group]))
                yield from zip((int(part[i]) for i in group), _rows(state), strict=True)

    def _collated(self, rows: list[Row]) -> Batch:
        return self.inputs.preprocess.collate(rows) if self._below is None else self.collate(rows)

    @torch.inference_mode()
    def _state(self, batch: Batch) -> Any:
        x = to_device(batch, self.device)
        with torch.autocast(self.device, torch.bfloat16, enabled=self.device == "cuda"):
            if self._below is None:
                return self.backbone.forward_to(x, self.boundary)
            return self.backbone.forward_between(x, self._below.boundary, self.boundary)

    def batches(self, order: list[Indices], epoch: int) -> Iterator[Batch]:
        """Yield the activations of the batches of ``order`` for ``epoch``."""
        number = self.inputs.number(epoch)
        if self.kept:
            for batch in order:
                yield self.collate(list(self.rows(batch, number)))
            return
        self._below = None
        for read in self.inputs.batches(order, epoch):
            yield self.collate(_rows(self._state(read)))

    def plain(self, indices: Indices) -> Batch:
        """Return the activations of the plain items at ``indices``."""
        if self.kept:
            return self.collate(list(self.rows(indices, PLAIN)))
        self._below = None
        return self.collate(_rows(self._state(self.inputs.plain(indices))))

    def collate(self, rows: list[Row]) -> Batch:
        """Return activations as the batch that the blocks above read."""
        texts = isinstance(self.inputs.preprocess, Tokenize)
        return _padded(rows) if texts and rows[0].ndim == 2 else (np.stack(rows),)

    def forget(self) -> None:
        """Remove what is kept: no other run will come to these weights."""
        shutil.rmtree(self.shelves.folder, ignore_errors=True)


def _alike(rows: list[Row]) -> Iterator[list[int]]:
    """Yield the positions of rows of one shape, at most `BATCH` at a time, in a fixed order."""
    shapes: dict[tuple[int, ...], list[int]] = {}
    for at, row in enumerate(rows):
        shapes.setdefault(row.shape, []).append(at)
    for shape in sorted(shapes):
        for start in range(0, len(shapes[shape]), BATCH):
            yield shapes[shape][start : start + BATCH]


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


def _make_room(root: Path, limit: int, *, spared: Path) -> None:
    """Remove the activations that were longest not used, until ``limit`` bytes are left."""
    folders = [path for path in root.iterdir() if path.is_dir() and path != spared]
    sizes = {path: _size(path) for path in folders}
    total = sum(sizes.values())
    for path in sorted(folders, key=lambda one: one.stat().st_mtime):
        if total <= limit:
            return
        shutil.rmtree(path, ignore_errors=True)
        total -= sizes[path]
