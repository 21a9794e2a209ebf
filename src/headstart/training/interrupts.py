"""Ctrl-C and SIGTERM between two steps, never within one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any


@dataclass
class Interrupts:
    """The newest signal that asked the run to end, or None; see `deferred_interrupts`."""

    signal: int | None = None
    before: dict[int, Any] = field(default_factory=dict, repr=False)

    @contextmanager
    def released(self) -> Iterator[None]:
        """Inside the block signals do what they did before: nothing there could end torn."""
        if self.asked:
            raise KeyboardInterrupt
        try:
            self._set(self.before)
            yield
        finally:
            self._set(dict.fromkeys(self.before, self._note))

    @staticmethod
    def _set(handlers: Mapping[int, Any]) -> None:
        for number, handler in handlers.items():
            signal.signal(number, handler)

    @property
    def asked(self) -> bool:
        """Whether the run should end."""
        return self.signal is not None

    def _note(self, number: int, frame: FrameType | None) -> None:
        impatient = self.asked and number == signal.SIGINT
        self.signal = number
        if impatient:
            raise KeyboardInterrupt


@contextmanager
def deferred_interrupts() -> Iterator[Interrupts]:
    """Inside the block SIGINT and SIGTERM set a flag instead of ending a step in its middle.

    A second SIGINT raises KeyboardInterrupt at once, and so does the end of the block if the flag
    was not heeded. A KeyboardInterrupt that leaves the block holds the signal, see
    `headstart.errors.exit_code`. Signals that were ignored still are. Outside the main thread
    nothing changes and the flag stays down.
    """
    found = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield found
        return
    now = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    # None is a handler that was not set from Python, and could not be put back.
    before: dict[int, Any] = {k: h for k, h in now.items() if h not in (None, signal.SIG_IGN)}
    found.before = before
    try:
        found._set(dict.fromkeys(before, found._note))
        yield found
    except KeyboardInterrupt as error:
        error.args = (found.signal,)
        raise
    finally:
        found._set(before)
    if found.asked:
        raise KeyboardInterrupt(found.signal)
