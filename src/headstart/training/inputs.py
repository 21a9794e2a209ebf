"""What the loop reads: pixels of fresh views, or activations at the boundary computed once.

Plain (unaugmented) pixels, and everything at a boundary above 0, is kept on disk in one array and
read in batches: epochs after the first decode nothing, and memory does not grow with the data.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from headstart.backbones.blocks import Backbone
from headstart.data.dataset import Dataset
from headstart.data.images import Preprocess, decode
from headstart.progress import track
from headstart.training.augment import LEVELS, view

Indices = npt.NDArray[np.int64]
Loader = Callable[[int, np.random.Generator], npt.NDArray[Any]]

VIEWS = 4
"""Augmented views of each picture that are computed once where a boundary makes that pay."""


def in_batches(indices: Indices, size: int) -> list[Indices]:
    """Cut ``indices`` into batches of nearly equal length, at most ``size``; none is tiny."""
    return [np.asarray(b) for b in np.array_split(indices, max(1, -(-len(indices) // size)))]


class Pictures:
    """The pictures of a data set as the network's input.

    ``plain(i)`` is what evaluation sees; ``fresh(i, rng)`` is a random view for training, and the
    same as ``plain`` where augmentation is off.
    """

    def __init__(self, dataset: Dataset, preprocess: Preprocess, augment: str, seed: int) -> None:
        self.dataset = dataset
        self.preprocess = preprocess
        self.level = LEVELS.get(augment)
        self.seed = seed
        self._folder = tempfile.TemporaryDirectory(prefix="headstart-")
        self._plain: npt.NDArray[np.uint8] | None = None
        self._row: dict[int, int] = {}

    def close(self) -> None:
        """Remove what was kept on disk."""
        self._plain = None
        self._folder.cleanup()

    def keep_plain(self, indices: Indices) -> None:
        """Decode the plain pictures at ``indices`` once, into an array on disk."""
        if self._keeps(indices):
            return
        p = self.preprocess
        shape = (len(indices), *p.size, p.channels)
        kept = np.lib.format.open_memmap(
            Path(self._folder.name) / "plain.npy", "w+", np.dtype(np.uint8), shape
        )
        for row, pixels in enumerate(self._decoded(indices, self._load)):
            kept[row] = pixels
        self._plain = kept
        self._row = {int(index): row for row, index in enumerate(indices)}

    def _keeps(self, indices: Indices) -> bool:
        return set(indices.tolist()) <= self._row.keys()

    def plain(self, indices: Indices) -> npt.NDArray[np.uint8]:
        """Return the plain pictures at ``indices``, shape (N, H, W, C)."""
        if self._plain is None:
            return np.stack(list(self._decoded(indices, self._load)))
        return np.asarray(self._plain[[self._row[int(i)] for i in indices]])

    def batches(self, order: list[Indices], epoch: int) -> Iterator[npt.NDArray[np.uint8]]:
        """Yield the batches of ``order`` for training in ``epoch``, decoded ahead in threads."""
        flat = np.concatenate(order)
        if self.level is None and self._keeps(flat):
            yield from (self.plain(batch) for batch in order)
            return
        pictures = self._decoded(flat, partial(self.fresh, number=epoch))
        for batch in order:
            yield np.stack([next(pictures) for _ in batch])

    def fresh(self, index: int, number: int) -> npt.NDArray[np.uint8]:
        """Return random view ``number`` of the picture at ``index``; the same for equal seeds."""
        if self.level is None:
            return self._load(index)
        rng = np.random.default_rng([self.seed, 7, number, index])
        p = self.preprocess
        image = decode(self.dataset.content(index), p.channels, shorter=p.resize)
        return view(image, p, self.level, rng)

    def _load(self, index: int) -> npt.NDArray[np.uint8]:
        return self.preprocess.load(self.dataset.content(index))

    def _decoded(
        self, indices: Indices, load: Callable[[int], npt.NDArray[np.uint8]]
    ) -> Iterator[npt.NDArray[np.uint8]]:
        """Yield ``load(i)`` in order, with a few items decoded ahead in threads."""
        waiting: list[Future[npt.NDArray[np.uint8]]] = []
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


class Activations:
    """What stands at the freeze boundary for each training item, computed once.

    With augmentation there are `VIEWS` fixed views of each picture; epoch e reads view e mod VIEWS.
    """

    def __init__(
        self, pictures: Pictures, backbone: Backbone, boundary: int, indices: Indices, device: str
    ) -> None:
        self.n_views = VIEWS if pictures.level else 1
        self._row = {int(index): row for row, index in enumerate(indices)}
        self._folder = tempfile.TemporaryDirectory(prefix="headstart-")
        self._kept: npt.NDArray[np.float32] | None = None
        order = in_batches(indices, 32)
        steps = (
            (number, batch, pixels)
            for number in range(self.n_views)
            for batch, pixels in zip(order, pictures.batches(order, number), strict=True)
        )
        for number, batch, pixels in track(steps, "activations", self.n_views * len(order)):
            with torch.inference_mode():
                out = backbone.forward_to(torch.from_numpy(pixels).to(device), boundary)
            self._keep(number, batch, out.float().cpu().numpy(), len(indices))

    def _keep(
        self, number: int, batch: Indices, out: npt.NDArray[np.float32], n_items: int
    ) -> None:
        if self._kept is None:
            path = Path(self._folder.name) / "activations.npy"
            shape = (self.n_views, n_items, *out.shape[1:])
            self._kept = np.lib.format.open_memmap(path, "w+", np.dtype(np.float32), shape)
        self._kept[number, [self._row[int(i)] for i in batch]] = out

    def batches(self, order: list[Indices], epoch: int) -> Iterator[npt.NDArray[np.float32]]:
        """Yield the activations of the batches of ``order`` for ``epoch``."""
        assert self._kept is not None
        for batch in order:
            rows = [self._row[int(i)] for i in batch]
            yield np.asarray(self._kept[epoch % self.n_views, rows])

    def close(self) -> None:
        """Remove what was kept on disk."""
        self._kept = None
        self._folder.cleanup()


def to_device(batch: npt.NDArray[Any], device: str) -> Tensor:
    """Return ``batch`` as a tensor on ``device``, without waiting for the copy on CUDA."""
    tensor = torch.from_numpy(batch)
    if device == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
