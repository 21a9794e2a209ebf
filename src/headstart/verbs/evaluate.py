"""`evaluate`: a saved model on labelled data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from headstart import bundle as bundles
from headstart.boundary.extract import extract
from headstart.bundle import Bundle
from headstart.compute.device import pick
from headstart.data.dataset import Dataset, Rejected
from headstart.data.reading import given
from headstart.errors import DataError
from headstart.progress import log
from headstart.settings.table import Evaluating
from headstart.settings.taking import takes
from headstart.tasks.task import Figures, Targets


@takes(Evaluating)
def evaluate(
    bundle: str | Path | Bundle, data: Any, labels: Any = None, *, run: Evaluating
) -> tuple[Figures, tuple[Rejected, ...]]:
    """Return the figures of a saved model on ``data``, and the items that could not be used.

    Of data with a split of their own only the held-out part counts: test, else val.

    Raises:
        DataError: none of the targets is one that the bundle knows.
    """
    loaded = bundle if isinstance(bundle, Bundle) else bundles.load(bundle)
    model = loaded.model
    told = run if isinstance(data, Dataset) else replace(run, task=model.task.name)
    dataset = given(data, labels, told, model.kind)
    if dataset.kind != loaded.kind:
        raise DataError(f"the bundle answers {loaded.kind}s, but {dataset.root} holds others.")
    for name in ("test", "val"):
        if (dataset.splits == name).any():
            log.info("measuring on the %s part of %s", name, dataset.root)
            dataset = dataset.take(np.flatnonzero(dataset.splits == name))
            break
    values, mine = model.task.translated(dataset.known)
    strangers = {
        int(i): f"class '{dataset.said(int(i))}' is not known" for i in np.flatnonzero(~mine)
    }
    known = replace(dataset, targets=Targets(model.task, values)).without(strangers)
    chosen = pick(run.device)
    found, features = extract(known, model.entries, device=chosen, seed=model.seed)
    if not len(found.usable):
        found.require_usable()
    outputs = model.outputs(found.dataset, found.usable, features=features, device=chosen)
    return model.task.evaluate(outputs, found.dataset.labels[found.usable]), found.rejected
