"""From a data set to features: one pass that hashes, audits, decodes, runs and keeps.

Each file is read and decoded once for the audit and for the features together, in threads, while
the engine runs the batch before. What is in the store is neither decoded nor run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np
import numpy.typing as npt

from headstart.backbones.entry import Entry
from headstart.boundary.engine import Batch, Engine, Vectors, engine, weights_key
from headstart.data.audit import Audit, audit, collect
from headstart.data.dataset import Dataset
from headstart.data.injected import joined
from headstart.data.pictures.images import Preprocess
from headstart.data.scan import Scanned, Want, scan
from headstart.data.texts.tokens import Tokenize
from headstart.errors import BackboneError, HeadstartError
from headstart.progress import log, track
from headstart.store import DIGEST, Digests, Store, home
from headstart.tasks.heads import Examples


@dataclass(frozen=True)
class Features:
    """The features of a data set's usable items, in the store; rows are read when asked for.

    Attributes:
        dataset: whose items they are; indices are indices of its items.
        digests: shape (N,), of the data set's items.
        stores: one a backbone; their vectors are joined.
        hits: items whose features were there before, all backbones counted.
        misses: items that were computed now.
        seconds: that this took.
    """

    dataset: Dataset
    digests: Digests
    stores: tuple[Store, ...]
    hits: int
    misses: int
    seconds: float

    @property
    def n_features(self) -> int:
        """Length of the joined vector."""
        return sum(self.widths)

    @property
    def widths(self) -> list[int]:
        """Length of each backbone's vector, and of the columns that are joined to it."""
        found = [int(store.dtype["vector"].shape[0]) for store in self.stores]
        beside = self.dataset.beside
        return found if beside is None or beside.matrix is None else [*found, beside.width]

    def rows(self, indices: npt.NDArray[np.int64]) -> Vectors:
        """Return the features of the items at ``indices``, shape (len(indices), n_features)."""
        wanted = self.digests[indices]
        parts = [store.get(wanted)["vector"] for store in self.stores]
        found = np.concatenate(parts, axis=1) if len(parts) > 1 else np.asarray(parts[0])
        return joined(found, self.dataset.beside, indices)

    def examples(self, indices: npt.NDArray[np.int64]) -> Examples:
        """Return the features of the items at ``indices`` together with their targets."""
        targets = self.dataset.known.take(indices)
        return Examples(self.rows(indices), targets, tuple(self.widths))

    def of(self, dataset: Dataset) -> Features:
        """Return the features with the targets of ``dataset``, once it is sure that they are of it.

        Raises:
            ValueError: they are of another data set, whose indices mean other items.
        """
        if not self.dataset.has_items_of(dataset):
            raise ValueError("these features are of the items of another data set")
        return replace(self, dataset=dataset)


class _Source:
    """One backbone: its engine, made when first needed, and its store."""

    def __init__(
        self, entry: Entry, block: int, device: str, seed: int, *, keep: bool = True
    ) -> None:
        if not entry.ready:
            raise BackboneError(
                f"'{entry.name}' learns its words from training texts first; fit does that."
            )
        self.preprocess = entry.preprocess
        self._name = entry.name
        self.hits = 0
        self.misses = 0
        self._make: Callable[[], Engine] = lambda: engine(
            entry, block=block, device=device, seed=seed
        )
        self._engine: Engine | None = None
        self._store: Store | None = None
        # bf16 on a GPU rounds differently; its vectors must not stand in for a CPU's.
        precision = "bf16" if device == "cuda" else "f32"
        name = f"{weights_key(entry, seed)}-{block}-{precision}"
        self._folder = home() / "features" / name if keep else None
        known = sorted(self._folder.glob("width-*")) if self._folder else []
        if known:
            self._open(int(known[0].name.removeprefix("width-")))

    def _open(self, width: int) -> Store:
        folder = self._folder / f"width-{width}" if self._folder else None
        self._store = Store(folder, [("vector", "<f4", (width,))])
        return self._store

    def has(self, key: bytes) -> bool:
        return self._store is not None and key in self._store

    def run(self, batch: Batch, digests: list[bytes]) -> None:
        if self._engine is None:
            if isinstance(self.preprocess, Preprocess):
                warn_if_strange(batch[0], self.preprocess)
            self._engine = self._make()
        vectors = self._through(self._engine, batch)
        store = self._open(vectors.shape[1]) if self._store is None else self._store
        rows = np.empty(len(vectors), store.dtype)
        rows["digest"], rows["vector"] = digests, vectors
        store.add(rows)
        self.misses += len(vectors)

    def _through(self, engine: Engine, batch: Batch) -> Vectors:
        """Return the vectors; a network from a file may fail on what its own words come to."""
        try:
            return engine(batch)
        except (HeadstartError, MemoryError):
            raise
        except Exception as error:  # torch and ONNX Runtime raise anything
            raise BackboneError(
                f"the network of '{self._name}' fails on what its preprocessing makes: its parts "
                f"do not belong together ({type(error).__name__}: {str(error)[:200]})."
            ) from error

    def flush(self) -> None:
        if self._store is not None:
            self._store.flush()

    def finish(self) -> Store:
        # Of width 0 where nothing was ever computed, for no item is usable.
        store = self._open(0) if self._store is None else self._store
        store.flush()
        return store


def extract(
    dataset: Dataset,
    entries: Sequence[Entry],
    *,
    block: int = -1,
    device: str = "cpu",
    seed: int = 0,
) -> tuple[Audit, Features]:
    """Audit ``dataset`` and compute the features of all its usable items that are not yet kept.

    Args:
        dataset: what to read.
        entries: backbones whose vectors are joined; those with the same preprocessing share the
            decoding.
        block: -1 for the pooled output, or a block's index, see `headstart.boundary.engine`.
        device: "cpu", "cuda" or "mps".
        seed: of random weights.

    Returns:
        The audit, and the features of its ``usable`` items.
    """
    found, (features,) = extract_all(dataset, [entries], block=block, device=device, seed=seed)
    return found, features


def extract_all(
    dataset: Dataset,
    groups: Sequence[Sequence[Entry]],
    *,
    block: int = -1,
    device: str = "cpu",
    seed: int = 0,
) -> tuple[Audit, list[Features]]:
    """Do what `extract` does for several groups of backbones; every item is read once for all."""
    start = time.perf_counter()
    known: dict[str, _Source] = {}
    for entry in chain(*groups):
        if entry.key() not in known:
            known[entry.key()] = _Source(entry, block, device, seed)
    try:
        found = collect(dataset, _pass(dataset, [*known.values()]))
        for source in known.values():
            source.finish()
    finally:  # interrupted or not: what was computed is kept
        for source in known.values():
            source.flush()
    of = [[known[entry.key()] for entry in entries] for entries in groups]
    return found, [_features(found.dataset, found.digests, sources, start) for sources in of]


def look(
    dataset: Dataset,
    groups: Sequence[Sequence[Entry]],
    *,
    solves: bool,
    device: str,
    seed: int,
) -> tuple[Audit, list[Features | None]]:
    """Audit the data, and compute features in the same pass where a head is solved on them.

    Raises:
        DataError: there is nothing to learn from.
    """
    wanted = [solves and all(entry.ready for entry in entries) for entries in groups]
    if not any(wanted):
        return audit(dataset).require_usable(), [None] * len(groups)
    chosen = [entries for entries, want in zip(groups, wanted, strict=True) if want]
    found, made = extract_all(dataset, chosen, device=device, seed=seed)
    rest = iter(made)
    return found.require_usable(), [next(rest) if want else None for want in wanted]


def needed(
    dataset: Dataset,
    entries: Sequence[Entry],
    indices: npt.NDArray[np.int64],
    *,
    device: str = "cpu",
    seed: int = 0,
) -> Features:
    """Return the features of the items at ``indices``, all usable; no other item is looked at."""
    start = time.perf_counter()
    sources = [_Source(entry, -1, device, seed) for entry in entries]
    wanted = np.unique(indices)
    try:
        found = [item.digest for item in _pass(dataset.take(wanted), sources)]
    finally:  # interrupted or not: what was computed is kept
        for source in sources:
            source.flush()
    digests = np.zeros(len(dataset), DIGEST)
    digests[wanted] = found
    return _features(dataset, digests, sources, start)


def vectors(
    dataset: Dataset,
    entries: Sequence[Entry],
    *,
    device: str = "cpu",
    seed: int = 0,
    keep: bool = False,
) -> tuple[dict[int, str], Features]:
    """Return the faults by index, and the features of the items without one; no audit.

    For prediction: each item is answered by itself, duplicates too, and unless ``keep`` says
    otherwise leaves nothing behind in the store.
    """
    start = time.perf_counter()
    sources = [_Source(entry, -1, device, seed, keep=keep) for entry in entries]
    seen = list(_pass(dataset, sources))
    digests = np.array([item.digest for item in seen], DIGEST)
    features = _features(dataset, digests, sources, start)
    return {item.index: item.fault for item in seen if item.fault}, features


def _features(
    dataset: Dataset, digests: Digests, sources: Sequence[_Source], start: float
) -> Features:
    stores = tuple(source.finish() for source in sources)
    hits = sum(source.hits for source in sources)
    misses = sum(source.misses for source in sources)
    return Features(dataset, digests, stores, hits, misses, time.perf_counter() - start)


@dataclass(frozen=True)
class _Sharing:
    """The backbones that read the same inputs, and the items that wait to go through them."""

    preprocess: Preprocess | Tokenize
    sources: list[_Source]
    waiting: list[tuple[bytes, object]] = field(default_factory=list)

    def want(self) -> Want:
        return Want(self.preprocess, lambda key: all(source.has(key) for source in self.sources))

    def take(self, item: Scanned, prepared: object | None) -> None:
        """Let ``item`` wait; run what waits when it is a window full."""
        if prepared is None:
            for source in self.sources:
                source.hits += not item.fault
            return
        self.waiting.append((item.digest, prepared))
        if len(self.waiting) == self.preprocess.window:
            self.run()

    def run(self) -> None:
        rows = self.preprocess.rows([prepared for _, prepared in self.waiting])
        for batch in self.preprocess.batches(rows):
            collated = self.preprocess.collate([rows[i] for i in batch])
            digests = [self.waiting[i][0] for i in batch]
            for source in self.sources:
                source.run(collated, digests)
        self.waiting.clear()


def _pass(dataset: Dataset, sources: Sequence[_Source]) -> Iterator[Scanned]:
    """Scan ``dataset`` once and run what is missing; pass on what was found, nothing prepared."""
    groups: dict[object, _Sharing] = {}
    for source in sources:
        geometry = source.preprocess.geometry()
        groups.setdefault(geometry, _Sharing(source.preprocess, [])).sources.append(source)
    wants = [group.want() for group in groups.values()]
    for item in track(scan(dataset, wants=wants), "features", len(dataset)):
        made = item.prepared or (None,) * len(wants)
        for group, prepared in zip(groups.values(), made, strict=True):
            group.take(item, prepared)
        yield replace(item, prepared=())
    for group in groups.values():
        if group.waiting:
            group.run()


def warn_if_strange(pixels: npt.NDArray[np.uint8], preprocess: Preprocess) -> None:
    """Give a notice where a batch, normalised, does not look like what networks learn from.

    Photos come out with mean near 0 and spread near 1. A batch far off that usually means values
    in 0..1 taken for 0..255, inverted scans, or statistics that are not those of the weights.
    """
    mean, std = float(pixels.mean()) / 255, float(pixels.std()) / 255
    centre = (mean - float(np.mean(preprocess.mean))) / float(np.mean(preprocess.std))
    spread = std / float(np.mean(preprocess.std))
    if abs(centre) > 2.5 or not 0.1 < spread < 4:
        log.warning(
            "the pictures look unlike what this backbone learned from: normalised mean %.1f "
            "(expected about 0), spread %.2f (about 1). Are values in 0..1 taken for 0..255?",
            centre,
            spread,
        )
