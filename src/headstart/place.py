"""Where a run leaves what it made: one writer at a time, and all of it or nothing.

A folder is claimed by a lock on the folder itself, which the system lets go of when the process
ends, however it ends. What goes into it is written to a folder inside, synced, and given the name
`DONE` in one step: from then on it counts, and whoever comes by next puts the files in their
places if the writer could not. A kill before leaves the folder as it was, and our own leftovers,
which are known by their names and removed.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from headstart.errors import BundleError

DONE = ".saved"
"""Holds what was written whole, until it stands in its place."""

_BEGUN = ".saving-"
_PROBE = ".probe-"
LEFT = (DONE, _BEGUN, _PROBE)
"""How the names of our own leftovers begin."""


_held: ContextVar[frozenset[Path]] = ContextVar("headstart_held", default=frozenset())


def is_leftover(name: str) -> bool:
    """Return whether ``name`` is of something that a killed run of ours has left."""
    return name.startswith(LEFT)


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Make ``folder``, and let nobody else claim it inside the ``with`` block.

    What claims it already may claim it once more. Where it was not there before and nothing was
    put into it, it is removed again.

    Raises:
        BundleError: another run writes there, or nothing can be written there.
    """
    place = folder.resolve()
    if place in _held.get():  # by who called us
        yield
        return
    new = not folder.exists()
    with ExitStack() as held:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if new:
                held.callback(_remove_empty, folder)
            held.enter_context(_locked(folder))
            _finish(folder)
            _sweep(folder)
            _probe(folder)
        except BlockingIOError as error:
            raise BundleError(
                f"another run is writing to {folder}; wait for its end, or give another --out."
            ) from error
        except OSError as error:
            raise _unwritable(folder, error.strerror or str(error)) from error
        token = _held.set(_held.get() | {place})
        held.callback(_held.reset, token)
        yield


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def _unwritable(folder: Path, why: str) -> BundleError:
    return BundleError(f"nothing can be written to {folder}: {why}. Give another --out.")


def require_room(folder: Path, needed: int) -> None:
    """Raise `BundleError` unless about ``needed`` bytes can be written to ``folder``."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        megabytes = f"{needed / 1e6:.3g} MB are needed, and {free / 1e6:.3g} MB are free"
        raise _unwritable(folder, megabytes)


@contextmanager
def _locked(folder: Path, *, wait: bool = False) -> Iterator[None]:
    try:
        import fcntl
    except ImportError:  # Windows, which locks no folders
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        _lock(fcntl, handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(handle)


def _lock(fcntl: Any, handle: int, how: int) -> None:
    try:
        fcntl.flock(handle, how)
    except OSError as error:
        if isinstance(error, BlockingIOError):
            raise
        # Some network file systems lock no folders: then two runs there are not told apart.


def _probe(folder: Path) -> None:
    """Write a little: whether it can be done is seen before the work, not after."""
    path = folder / f"{_PROBE}{uuid.uuid4().hex[:12]}"
    try:
        path.write_bytes(bytes(4096))
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def filled(folder: Path) -> Iterator[Path]:
    """Yield a folder to write to, whose files all come to stand in ``folder`` in one step.

    ``folder`` must be claimed. Files of the same names are replaced, others stay.
    """
    begun = folder / f"{_BEGUN}{uuid.uuid4().hex[:12]}"
    begun.mkdir()
    try:
        yield begun
        _sync(begun)
        begun.rename(folder / DONE)
        sync_names(folder)
        _finish(folder)
    finally:
        shutil.rmtree(begun, ignore_errors=True)


def settle(folder: Path) -> None:
    """Put in place what a killed run had written whole, if there is such a thing."""
    if (folder / DONE).is_dir() and not (folder / DONE).is_symlink():
        with _locked(folder, wait=True):
            _finish(folder)


def _finish(folder: Path) -> None:
    done = folder / DONE
    if done.is_symlink() or not done.is_dir():
        return
    # What says that the rest is there comes last, so a stop on the way is seen.
    for path in sorted(done.iterdir(), key=lambda path: (path.name == "bundle.json", path.name)):
        target = folder / path.name
        if path.is_dir() and target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        path.replace(target)
    done.rmdir()
    sync_names(folder)


def _sweep(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_symlink() or not is_leftover(path.name):
            continue
        with suppress(OSError):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _sync(folder: Path) -> None:
    """Make the content of ``folder`` last through a power cut, before its name says that it is."""
    for at, _, names in os.walk(folder):
        for name in names:
            handle = os.open(os.path.join(at, name), os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        sync_names(Path(at))


def sync_names(folder: Path) -> None:
    """Make the names in ``folder`` last through a power cut, where the system can do that."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def refuse_links(folder: Path, names: Iterable[str]) -> None:
    """Raise `BundleError` if one of ``names`` in ``folder`` is a link: it may lead anywhere."""
    for name in names:
        if (folder / name).is_symlink():
            raise BundleError(
                f"{folder / name} is a link, and what it leads to is not ours to read or to "
                "replace; put the file itself there (cp -L copies what links lead to)."
            )
