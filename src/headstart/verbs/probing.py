"""What `fit` and `compare` do with a probe: labelled data that the backbone could answer before."""

from __future__ import annotations

from typing import Any

from headstart.backbones.entry import Entry
from headstart.data.reading import given
from headstart.errors import UsageError
from headstart.settings.groups import Reading
from headstart.settings.table import Probed
from headstart.training.earlier import Earlier


def earlier_of(
    entries: tuple[Entry, ...], run: Probed, kind: str, how: dict[str, Any]
) -> Earlier | None:
    """Return what the backbone can do on ``probe``, before it is trained on anything else."""
    if run.probe is None:
        return None
    if not all(entry.ready for entry in entries):
        raise UsageError(
            "probe is for backbones that knew something; these learn their words here."
        )
    probe = given(run.probe, None, Reading())
    if probe.kind != kind:
        raise UsageError(f"probe holds {probe.kind}s, but the data are {kind}s.")
    return Earlier.of(probe, entries, **how)
