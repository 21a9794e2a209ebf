"""`audit`: what can be used of the data, and what cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from headstart.data.audit import Audit
from headstart.data.audit import audit as audit_dataset
from headstart.data.dataset import Dataset
from headstart.data.reading import given


def audit(data: str | Path | Dataset, **reading: Any) -> Audit:
    """Return what can be used of ``data``, and what cannot, with reasons; nothing is changed."""
    return audit_dataset(given(data, reading))
