"""`audit`: what can be used of the data, and what cannot."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from headstart.backbones.choice import entries_for
from headstart.boundary.extract import extract
from headstart.checks.run import found_in, of_data, of_split
from headstart.compute.device import pick
from headstart.data.audit import Audit
from headstart.data.audit import audit as audit_dataset
from headstart.data.dataset import Dataset
from headstart.data.reading import given
from headstart.data.split import Split, split
from headstart.settings.table import Auditing
from headstart.settings.taking import takes


@takes(Auditing)
def audit(data: Any, labels: Any = None, *, run: Auditing) -> Audit:
    """Return what can be used of ``data``, and what cannot, with reasons; nothing is changed.

    What else there is to say stands in ``findings``, by the codes of `docs/checks.md`. With a
    ``backbone`` its features are computed, and kept for the next run: likely label errors, a shift
    between the splits, and whether it suits such items are then looked for too.
    """
    dataset = given(data, labels, run)
    if run.backbone is None:
        found = audit_dataset(dataset)
        found = replace(found, findings=tuple(of_data(found)))
    else:
        found = _read_by(dataset, run)
    if run.out:
        found.write_skipped(run.out)
    return found


def _read_by(dataset: Dataset, run: Auditing) -> Audit:
    entries = entries_for(run.backbone, dataset, run, run.seed, [])
    found, features = extract(dataset, entries, device=pick(run.device), seed=run.seed)
    if found.dataset.targets is None or not len(found.usable):
        return replace(found, findings=tuple(of_data(found)))
    parts = split(found.dataset, found.usable, seed=run.seed)
    own = np.isin(found.dataset.splits[parts.held_out], ["val", "test"]).any()
    # Where the data have no split of their own, all items are training items here.
    parts = parts if own else Split(found.usable, found.usable[:0])
    every = of_data(found), of_split(found, parts, entries, features, seed=run.seed)
    kept = {one.code: one for findings in every for one in findings if one.code != "HS002" or own}
    return replace(found, findings=tuple(found_in(kept.values())))
