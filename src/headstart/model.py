"""The one thing that answers, whatever asks: a fit, a comparison, a bundle, an estimator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from headstart.backbones.entry import Entry
from headstart.boundary.extract import Features, needed, vectors
from headstart.data.dataset import Dataset, Kind
from headstart.data.injected import Beside, Reader, joined, of_rows
from headstart.data.items import Items, of_texts
from headstart.data.pictures.images import Preprocess
from headstart.data.reading import read_items
from headstart.data.scan import Want, scan
from headstart.errors import HeadstartError
from headstart.settings.groups import BESIDE, Pictured
from headstart.tasks.head import Head
from headstart.tasks.task import Matrix, Task

if TYPE_CHECKING:
    from headstart.backbones.blocks import Backbone
    from headstart.boundary.inputs import Inputs

Indices = npt.NDArray[np.int64]
Answers = Iterator[dict[str, Any]]

CHUNK = 1024
"""Items that prediction holds the answers of at once."""


NO_NUMBER = "the model's answer is no number"


@dataclass(frozen=True)
class Model:
    """Backbones, a head on their features, and the task that says what its outputs mean.

    Attributes:
        entries: the backbones, in the order in which their features are joined.
        head: from features to outputs.
        task: what the outputs are answers to.
        seed: of random weights.
        backbone: the trained network; None where the entries' weights are the ones to use.
        unchanged: the boundary below which the trained network is as it was.
        cache_limit: gigabytes on disk that what stands at that boundary may take.
        columns: of the tables that it learned texts from.
        beside: how columns of a table become numbers behind the features; None for no columns.
    """

    entries: tuple[Entry, ...]
    head: Head
    task: Task
    seed: int = 0
    backbone: Backbone | None = None
    unchanged: int = 0
    cache_limit: float = 8.0
    columns: tuple[str, ...] = ()
    beside: Reader | None = None

    @property
    def kind(self) -> Kind:
        """What its items are: "image" or "text"."""
        return self.entries[0].kind

    # -- answers ----------------------------------------------------------------------------------

    def predict(self, sources: Any, *, device: str = "cpu") -> list[dict[str, Any]]:
        """Return an answer an item of ``sources``, in order, see `stream`."""
        return list(self.stream(sources, device=device))

    def stream(
        self,
        sources: Any,
        *,
        device: str = "cpu",
        beside: Pictured = BESIDE,
    ) -> Answers:
        """Yield ``{item, ...}`` with the task's answer, or ``{item, error}``, in order.

        Args:
            sources: one source, or several: paths of files, of folders (read with all below them)
                and of tables; Pillow's pictures, arrays, bytes; for a text model also sentences:
                what has a space in it and is no path.
            device: "cpu", "cuda" or "mps".
            beside: where the pictures are that a table names.
        """
        items = self.items(sources, beside=beside)
        yield from self.stream_items(items, device=device)

    def items(
        self,
        sources: Any,
        *,
        whole: bool = False,
        beside: Pictured = BESIDE,
    ) -> Items:
        """Return what is asked for as items, see `headstart.data.reading.read_items`."""
        preprocess = self.entries[0].preprocess
        channels = preprocess.channels if isinstance(preprocess, Preprocess) else None
        how: Any = {"whole": whole or self.beside is not None, "beside": beside}
        columns = self.columns or None
        return read_items(sources, self.kind, text_columns=columns, channels=channels, **how)

    def stream_texts(self, texts: Sequence[str], *, device: str = "cpu") -> Answers:
        """Yield the answers for ``texts`` themselves, single words and empty ones too.

        Raises:
            HeadstartError: the model is for pictures.
        """
        if self.kind != "text":
            raise HeadstartError("this model answers pictures, not texts; give it files.")
        yield from self.stream_items(of_texts(texts), device=device)

    def stream_items(self, items: Items | Dataset, *, device: str = "cpu") -> Answers:
        """Yield the answers for ``items``; memory does not grow with them."""
        n = len(items.names)
        whole = Dataset(
            kind=self.kind,
            root=Path("items"),
            names=items.names,
            targets=None,
            splits=np.full(n, "", "<U5"),
            content=items.content,
            beside=items.beside if isinstance(items, Dataset) else None,
        )
        for start in range(0, n, CHUNK):
            chunk = whole.take(range(start, min(start + CHUNK, n)))
            if self.beside and isinstance(items, Items):
                chunk = replace(chunk, beside=self._rows(items, start, len(chunk)))
            for name, said in zip(chunk.names, self.said(chunk, device), strict=True):
                yield {"item": name} | said

    def _rows(self, items: Items, start: int, n: int) -> Beside | None:
        """Return the columns of ``n`` items, as far as they come from tables."""
        own, names = items.own, self.beside.names if self.beside else ()
        return of_rows(names, n, (lambda i: own.row(start + i)) if own else None)

    def _read_beside(self, dataset: Dataset) -> Dataset:
        """Return the data set with its columns as this model reads them."""
        if self.beside is None:
            return replace(dataset, beside=None) if dataset.beside else dataset
        return replace(dataset, beside=self.beside.read(dataset.beside))

    def said(self, chunk: Dataset, device: str) -> Answers:
        """Yield the task's answer, or ``{error}``, for each of a few items."""
        faults, good, outputs = self.attempt(chunk, device=device)
        broken = _broken(outputs)
        faults |= dict.fromkeys(good[broken].tolist(), NO_NUMBER)
        answers = iter(self.task.answers(outputs[~broken]))
        for i in range(len(chunk)):
            yield {"error": faults[i]} if i in faults else next(answers)

    # -- saving -----------------------------------------------------------------------------------

    def more(self) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        """Return tensors and facts that a bundle must hold besides backbones, head and task."""
        return {}, {}

    # -- outputs ----------------------------------------------------------------------------------

    def attempt(
        self, dataset: Dataset, *, device: str = "cpu"
    ) -> tuple[dict[int, str], Indices, Matrix]:
        """Return the faults by index, the indices of the other items, and their outputs."""
        dataset = self._read_beside(dataset)
        if self.backbone is None:
            faults, features = vectors(dataset, self.entries, device=device, seed=self.seed)
            good = _without(len(dataset), faults)
            found = features.rows(good) if len(good) else None
        else:
            pass_ = scan(dataset, wants=[Want(self.entries[0].preprocess)])
            faults = {item.index: item.fault for item in pass_ if item.fault}
            good = _without(len(dataset), faults)
            found = self._read(dataset, good, device) if len(good) else None
        empty = np.empty((0, self.task.n_outputs), np.float32)
        return faults, good, empty if found is None else self._logits(found)

    def _logits(self, found: Matrix) -> Matrix:
        width = self.head.weight.shape[1]
        if found.shape[1] != width:
            raise HeadstartError(
                f"the head reads {width} features, but the backbone makes {found.shape[1]}; they "
                "are not of one model."
            )
        return self.head.logits(found)

    def outputs(
        self,
        dataset: Dataset,
        indices: Indices,
        *,
        features: Features | None = None,
        device: str = "cpu",
    ) -> Matrix:
        """Return the calibrated outputs, shape (len(indices), K), of usable items of ``dataset``.

        ``features`` of the unchanged backbones are used where they are given and apply. What
        stands at the boundary below which nothing has changed is kept, for the next strategy, seed
        or draw that is measured on the same items.
        """
        return self.numbers(self.described(dataset, indices, features=features, device=device))

    def numbers(self, found: Matrix) -> Matrix:
        """Return the calibrated outputs for what the head sees.

        Raises:
            HeadstartError: they are not finite.
        """
        outputs = self._logits(found)
        if not np.isfinite(outputs).all():
            raise HeadstartError(
                "the model's answers are no numbers: training has gone astray, or its weights are "
                "damaged. Fit again with a smaller --body-rate and --head-rate."
            )
        return outputs

    def described(
        self,
        dataset: Dataset,
        indices: Indices,
        *,
        features: Features | None = None,
        device: str = "cpu",
    ) -> Matrix:
        """Return what the head sees of usable items, shape (len(indices), D), see `outputs`."""
        dataset = self._read_beside(dataset)
        if self.backbone is not None:
            return self._read(dataset, indices, device)
        if features is None:
            features = needed(dataset, self.entries, indices, device=device, seed=self.seed)
        return features.of(dataset).rows(indices)

    def _read(self, dataset: Dataset, indices: Indices, device: str) -> Matrix:
        from headstart.boundary.inputs import Inputs

        return self.features(Inputs(dataset, self.entries[0].preprocess), indices, device)

    def features(self, inputs: Inputs, indices: Indices, device: str) -> Matrix:
        """Return the trained network's features of plain items, shape (len(indices), D)."""
        from headstart.boundary import forward as reading
        from headstart.boundary.activations import Activations

        assert self.backbone is not None
        backbone, what = self.backbone.to(device).eval(), self.entries[0].network
        source: reading.Source = inputs
        if self.unchanged:
            source = Activations(
                inputs, backbone, self.unchanged, device, what=what, limit=self.cache_limit
            )
            source.fill(indices)
        found = reading.features(backbone, source, indices, device)
        return joined(found, inputs.dataset.beside, indices)


def _broken(outputs: Matrix) -> npt.NDArray[np.bool_]:
    """Return which rows of outputs are no numbers."""
    return np.asarray(~np.isfinite(outputs).all(axis=1), np.bool_)


def _without(n: int, faults: dict[int, str]) -> Indices:
    return np.array([i for i in range(n) if i not in faults], np.int64)
