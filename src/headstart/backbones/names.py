"""What the tensors of a network are called, from memory where it was once built. No torch here."""

from __future__ import annotations

from headstart.backbones.entry import Entry
from headstart.backbones.known import Known


def tensor_names(entry: Entry) -> set[str]:
    """Return the names of the tensors of a network for pictures, its head taken off."""
    names = Known(entry.network, entry.library).read("names")
    if names is None:
        from headstart.backbones.build import build

        names = build(entry).net.state_dict()
    return set(names)
