"""What was once found out about a network and is remembered, so that it need not be built for it.

Files under ``HEADSTART_HOME/networks``, one a network and version of its library. No torch here.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from headstart.store import digest, home, note, noted


@dataclass(frozen=True)
class Known:
    """The memory of one network.

    Attributes:
        network: what decides its answers besides its weights, see `Entry.network`.
        library: whose code it is.
        size: (C, H, W) of the pictures that it reads; () for texts.
    """

    network: str
    library: str
    size: tuple[int, ...] = ()

    def read(self, fact: str) -> Any:
        """Return what is remembered as ``fact``; None if nothing is."""
        return noted(self._path(fact))

    def note(self, fact: str, value: Any) -> None:
        """Remember ``value``, which JSON can hold; where nothing can be written, do not."""
        note(self._path(fact), value)

    def _path(self, fact: str) -> Path:
        versions = [self._version(library) for library in ("headstart", "torch", self.library)]
        facts = "|".join([self.network, str(self.size), *versions])
        return home() / "networks" / f"{digest(facts.encode()).hex()}.{fact}.json"

    @staticmethod
    def _version(library: str) -> str:
        try:
            return version(library)
        except PackageNotFoundError:  # run from its sources
            return ""
