"""`audit`: what can be used of the data, and what cannot."""

from __future__ import annotations

from pathlib import Path

from headstart.data.audit import Audit
from headstart.data.audit import audit as audit_dataset
from headstart.data.dataset import Dataset
from headstart.data.reading import given
from headstart.settings.table import Auditing
from headstart.settings.taking import takes


@takes(Auditing)
def audit(data: str | Path | Dataset, run: Auditing) -> Audit:
    """Return what can be used of ``data``, and what cannot, with reasons; nothing is changed."""
    found = audit_dataset(given(data, run))
    if run.out:
        found.write_skipped(run.out)
    return found
