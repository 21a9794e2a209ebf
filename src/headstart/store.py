"""The one store: rows on disk, keyed by the content that they were computed from.

A store is a folder of shards. A shard is one ``.npy`` file of a structured array whose first field
is the digest, with the checksum of all that behind it, written aside, synced and renamed, and never
changed afterwards. So several processes can read and write one store at once, a killed process
leaves whole shards or none, and a shard that does not read back as it was written, if only by a
byte, is dropped and its rows computed again.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import time
import uuid
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart.progress import log

Rows = npt.NDArray[np.void]
Digests = npt.NDArray[np.bytes_]

DIGEST = "S16"
"""The NumPy type of a digest: the first 16 bytes of a BLAKE2b hash."""

_MOST_SHARDS = 64
_MOST_JOINED = 1 << 28
_PENDING = 1 << 25
_MOST_WAITING = 1 << 28
_SEAL = b"sum1"
_PIECE = 1 << 20
_CHECKED: set[tuple[str, int, int, int]] = set()
_STALE = 24 * 3600.0
_SHAPE = re.compile(r"shape-\d+(x\d+)*")


def home() -> Path:
    """Return the folder for features and graphs: ``HEADSTART_HOME`` or the user's cache."""
    named = os.environ.get("HEADSTART_HOME")
    return Path(os.path.expanduser(named)) if named else Path.home() / ".cache" / "headstart"


def digest(*parts: bytes) -> bytes:
    """Return the 16-byte digest of ``parts`` one after the other."""
    state = hashlib.blake2b(digest_size=16)
    for part in parts:
        state.update(part)
    return state.digest()


def digest_of(facts: Mapping[str, Any], own: str = "digest") -> str:
    """Return the digest of all that ``facts`` say, of which ``own`` is to hold it, and left out."""
    rest = {name: value for name, value in facts.items() if name != own}
    return digest(json.dumps(rest, sort_keys=True).encode()).hex()


def file_digest(path: Path) -> str:
    """Return the digest of a file's bytes as 32 hexadecimal digits, read in pieces."""
    state = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            state.update(piece)
    return state.hexdigest()


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """Yield a path to write to; sync and rename it to ``path`` when the block ends without error.

    Whoever reads ``path`` sees the old content or the new one, never half of it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.part")
    try:
        aside.touch()
        mode = aside.stat().st_mode
        yield aside
        aside.chmod(mode)  # some writers make files that only their owner can read
        with aside.open("rb") as file:
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def note(path: Path, value: Any) -> None:
    """Write ``value``, which JSON can hold, behind its digest; where nothing can be, do not."""
    text = json.dumps(value)
    with suppress(OSError), written_aside(path) as aside:
        aside.write_text(f"{digest(text.encode()).hex()}\n{text}", encoding="utf-8")


def noted(path: Path) -> Any:
    """Return what `note` wrote; None if there is nothing, or it is damaged, which is said."""
    try:
        stated, _, text = path.read_text(encoding="utf-8").partition("\n")
        if stated == digest(text.encode()).hex():
            return json.loads(text)
    except OSError:  # none is there, or no folder can be
        return None
    except ValueError:
        pass
    log.warning("finding out again what is damaged in %s", path)
    return None


def whole_weights(folder: Path, start: str) -> Path | None:
    """Return the file in ``folder`` that `named_by_content` called so; None if it is not there.

    One that does not hold what its name states is dropped, and a notice says so.
    """
    for kept in folder.glob(f"{start}-*.safetensors"):
        if kept.stem == f"{start}-{file_digest(kept)}":
            return kept
        log.warning("making again what is damaged in %s", kept)
        with suppress(OSError):
            kept.unlink()
    return None


def named_by_content(made: Path, start: str) -> Path:
    """Rename ``made`` to ``start-DIGEST.safetensors``, so that damage to it is seen."""
    return made.replace(made.with_name(f"{start}-{file_digest(made)}.safetensors"))


def sweep(folder: Path) -> None:
    """Remove what killed processes have left half-written in ``folder``, if it is a day old."""
    for path in folder.glob(".*.part"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _STALE:
                path.unlink()


def _seal(checksum: int) -> bytes:
    """Return what stands behind the content of a file with this checksum."""
    return _SEAL + checksum.to_bytes(4, "big")


def _require_whole(path: Path) -> None:
    """Raise `ValueError` unless the file at ``path`` ends in the checksum of what stands before.

    A CRC-32 sees every damage of up to four bytes in a row, and others but for one in 2**32. A file
    is read whole for it once in a process.
    """
    state = path.stat()
    seen = (str(path), state.st_ino, state.st_mtime_ns, state.st_size)
    if seen in _CHECKED:
        return
    left, checksum = state.st_size - len(_seal(0)), 0
    with path.open("rb") as file:
        while left > 0 and (piece := file.read(min(left, _PIECE))):
            checksum, left = zlib.crc32(piece, checksum), left - len(piece)
        if file.read() != _seal(checksum):
            raise ValueError("its content does not match its checksum")
    _CHECKED.add(seen)


class Store:
    """Rows of one kind, found by digest.

    ``folder`` is where it lies on disk; with None it lives in memory and leaves nothing behind.
    ``fields`` are the NumPy fields of a row besides its digest, for example
    ``[("vector", "<f4", (1280,))]``. Rows that cannot be written (a full disk, a folder without
    write permission) are kept in memory for this run, and one notice says so; unless ``or_memory``
    is off, for rows that would fill it: then the error is the caller's.
    """

    def __init__(
        self,
        folder: Path | None,
        fields: list[Any],
        *,
        flush_rows: int = 512,
        or_memory: bool = True,
    ) -> None:
        self.folder = folder
        self.dtype = np.dtype([("digest", DIGEST), *fields])
        self._flush_rows = max(1, min(flush_rows, _PENDING // self.dtype.itemsize))
        self._or_memory = or_memory
        self._pending: list[Rows] = []
        self._shards: list[Rows] = []
        self._names: set[str] = set()
        self._order: npt.NDArray[np.int64] = np.empty(0, np.int64)
        self._sorted: Digests = np.empty(0, DIGEST)
        self._starts: npt.NDArray[np.int64] = np.zeros(1, np.int64)
        self._writable = folder is not None
        self._load()

    def __len__(self) -> int:
        return len(self._sorted)

    def __contains__(self, key: bytes) -> bool:
        return bool(self.has(np.array([key], DIGEST))[0])

    def has(self, digests: Digests) -> npt.NDArray[np.bool_]:
        """Return, for each digest of shape (N,), whether a row is there."""
        if not len(self._sorted):
            return np.zeros(len(digests), np.bool_)
        at = np.minimum(np.searchsorted(self._sorted, digests), len(self._sorted) - 1)
        return np.asarray(self._sorted[at] == digests, np.bool_)

    def get(self, digests: Digests) -> Rows:
        """Return the rows of ``digests``, shape (N,), in that order; all must be there."""
        found = self.has(digests)
        if not found.all():
            raise KeyError(f"{int((~found).sum())} of {len(digests)} rows are not in {self.folder}")
        position = self._order[np.searchsorted(self._sorted, digests)]
        shard = np.searchsorted(self._starts, position, side="right") - 1
        rows = np.empty(len(digests), self.dtype)
        for index in np.unique(shard):
            mine = shard == index
            rows[mine] = self._shards[index][position[mine] - self._starts[index]]
        return rows

    def add(self, rows: Rows) -> None:
        """Keep ``rows``; they can be found after the next `flush`, which also comes by itself."""
        self._pending.append(rows.astype(self.dtype, copy=False))
        if sum(map(len, self._pending)) >= self._flush_rows:
            self.flush()

    def flush(self) -> None:
        """Write what is pending to disk as one shard, and make it findable."""
        if not self._pending:
            return
        rows = np.concatenate(self._pending)
        self._pending.clear()
        self._shards.append(self._write(rows))
        self._index()

    def _write(self, rows: Rows) -> Rows:
        if not self._writable or self.folder is None:
            return rows
        path = self.folder / f"{uuid.uuid4().hex}.npy"
        try:
            with written_aside(path) as aside, aside.open("wb") as file:
                # As np.save does it, which on a full disk only says how much was not written.
                start = io.BytesIO()
                header = np.lib.format.header_data_from_array_1_0(rows)
                np.lib.format.write_array_header_1_0(start, header)
                content = rows.view(np.uint8).data
                file.write(start.getbuffer())
                file.write(content)
                file.write(_seal(zlib.crc32(content, zlib.crc32(start.getbuffer()))))
        except OSError as error:
            if not self._or_memory:
                raise
            self._writable = False
            log.warning("nothing can be kept in %s (%s); going on in memory", self.folder, error)
            return rows
        self._names.add(path.name)
        return self._open(path)

    def _open(self, path: Path) -> Rows:
        _require_whole(path)
        shard = np.load(path, mmap_mode="r", allow_pickle=False)
        if shard.dtype != self.dtype:
            raise ValueError(f"its rows are {shard.dtype}, not {self.dtype}")
        return np.asarray(shard)

    def _load(self) -> None:
        if self.folder:
            sweep(self.folder)
        paths = sorted(self.folder.glob("*.npy")) if self.folder else []
        for path in paths:
            try:
                self._shards.append(self._open(path))
                self._names.add(path.name)
            except FileNotFoundError:
                continue  # another process has made room, or joined it with others
            except (OSError, ValueError, EOFError) as error:
                log.warning("dropping a damaged part of the store, %s: %s", path, error)
                with suppress(OSError):
                    path.unlink()
        self._index()
        # Large shards are left as they are: joined, they would have to fit into memory.
        size = sum(shard.nbytes for shard in self._shards)
        if len(self._names) > _MOST_SHARDS and size <= _MOST_JOINED:
            self._compact()

    def _compact(self) -> None:
        """Join all shards into one, so that many small runs do not leave many small files."""
        before = sorted(self._names)
        joined = np.concatenate(self._shards)
        _, first = np.unique(joined["digest"], return_index=True)
        try:
            made = self._write(joined[np.sort(first)])
        except OSError:  # then they stay many
            return
        self._shards = [made]
        if self._writable and self.folder is not None:
            self._names.difference_update(before)
            for name in before:
                with suppress(OSError):
                    (self.folder / name).unlink()
        self._index()

    def _index(self) -> None:
        sizes = [len(shard) for shard in self._shards]
        self._starts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]).astype(np.int64)
        keys = [np.asarray(shard["digest"]) for shard in self._shards]
        joined = np.concatenate(keys) if keys else np.empty(0, DIGEST)
        # The first of several equal digests wins: rows of one digest are equal by construction.
        self._order = np.argsort(joined, kind="stable").astype(np.int64)
        self._sorted = joined[self._order]


class Shelves:
    """Arrays of many shapes, found by digest: one `Store` a shape, side by side in ``folder``.

    What cannot be written raises `OSError`; arrays may be too large to be kept in memory instead.
    What waits to be written is bounded over all shapes together.
    """

    def __init__(self, folder: Path, dtype: str = "<f4") -> None:
        self.folder = folder
        self.dtype = np.dtype(dtype)
        self._stores: dict[tuple[int, ...], Store] = {}
        self._waiting: dict[tuple[int, ...], int] = {}
        for path in sorted(folder.glob("shape-*")):
            if _SHAPE.fullmatch(path.name):
                self._shelf(tuple(map(int, path.name.removeprefix("shape-").split("x"))))

    def _shelf(self, shape: tuple[int, ...]) -> Store:
        if shape not in self._stores:
            folder = self.folder / f"shape-{'x'.join(map(str, shape))}"
            fields = [("value", self.dtype, shape)]
            self._stores[shape] = Store(folder, fields, or_memory=False)
        return self._stores[shape]

    def has(self, digests: Digests) -> npt.NDArray[np.bool_]:
        """Return, for each digest of shape (N,), whether an array is there."""
        found = np.zeros(len(digests), np.bool_)
        for store in self._stores.values():
            found |= store.has(digests)
        return found

    def get(self, digests: Digests) -> list[npt.NDArray[Any]]:
        """Return the arrays of ``digests``, shape (N,), in that order; all must be there."""
        out: list[npt.NDArray[Any] | None] = [None] * len(digests)
        for store in self._stores.values():
            here = np.flatnonzero(store.has(digests))
            if len(here):
                for at, value in zip(here, store.get(digests[here])["value"], strict=True):
                    out[at] = value
        kept = [one for one in out if one is not None]
        if len(kept) < len(out):
            raise KeyError(f"{len(out) - len(kept)} of {len(out)} arrays are not in {self.folder}")
        return kept

    def add(self, digest: bytes, value: npt.NDArray[Any]) -> None:
        """Keep ``value``; it can be found after the next `flush`."""
        store = self._shelf(value.shape)
        row = np.empty(1, store.dtype)
        row["digest"], row["value"] = digest, value
        store.add(row)
        waiting = self._waiting
        waiting[value.shape] = waiting.get(value.shape, 0) + row.nbytes
        if sum(waiting.values()) > _MOST_WAITING:
            # The largest, so that parts stay few where there are many shapes.
            largest = max(waiting, key=lambda shape: waiting[shape])
            self._stores[largest].flush()
            del waiting[largest]

    def flush(self) -> None:
        """Write what is pending to disk."""
        for store in self._stores.values():
            store.flush()
