"""Memory for pictures that are unpacked side by side: a few large ones, or many small ones.

Eight photos of a hundred megapixels at once would take eleven gigabytes. So whoever unpacks a large
one waits until there is room for it; small ones, which are nearly all, do not even ask.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

MOST = 1 << 30
"""Bytes that pictures take while they are unpacked, about; one that is larger goes alone."""

SMALL = 1 << 25
"""A picture of fewer bytes does not ask."""

_free = threading.Condition()
_taken = 0
_mine = threading.local()


@contextmanager
def lent() -> Iterator[None]:
    """Give back at the end of the block what this thread has asked for within."""
    if getattr(_mine, "depth", 0):
        yield
        return
    _mine.depth, _mine.bytes = 1, 0
    try:
        yield
    finally:
        _give_back(_mine.bytes)
        _mine.depth = 0


def ask(size: int) -> None:
    """Wait until about ``size`` bytes are free, and take them; outside of `lent`, do nothing."""
    global _taken
    if size < SMALL or not getattr(_mine, "depth", 0):
        return
    # What this thread holds already it cannot wait for.
    with _free:
        _free.wait_for(lambda: _taken - _mine.bytes + size <= MOST or _taken == _mine.bytes)
        _taken += size
        _mine.bytes += size


def _give_back(size: int) -> None:
    global _taken
    if size:
        _trim()
        with _free:
            _taken -= size
            _free.notify_all()


def _trim() -> None:
    """Give freed memory back to the system: each thread would keep what its largest picture took.

    https://man7.org/linux/man-pages/man3/malloc_trim.3.html; elsewhere than on Linux there is none.
    """
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
