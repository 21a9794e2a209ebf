"""What `fit` does with items without labels: where they come from, and what they are worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from headstart.backbones.entry import Entry
from headstart.boundary.extract import Features, look
from headstart.compute.device import pick
from headstart.data.audit import Audit
from headstart.data.beside import beside
from headstart.data.dataset import Dataset
from headstart.data.reading import given
from headstart.data.split import Split
from headstart.errors import DataError, UsageError
from headstart.evaluation.selftraining import Learner, Outcome
from headstart.progress import log
from headstart.settings.groups import Reading
from headstart.settings.table import Fitting
from headstart.strategies.registry import strategy
from headstart.tasks.task import Indices, Targets
from headstart.training.earlier import Earlier
from headstart.training.fitted import Fitted

REST = "rest"
"""What stands for the training items that ``shots`` leaves over."""


def require_rest(run: Fitting) -> None:
    """Raise `UsageError` where ``unlabelled`` can mean nothing, before anything is read."""
    if run.unlabelled is None:
        if "sure" in run.given:
            raise UsageError("sure is read where items without labels are: give unlabelled too.")
        return
    if run.unlabelled == REST and run.shots is None:
        raise UsageError(
            "--unlabelled rest is what --shots N leaves of the training items; give --shots, or a "
            "folder of items without labels."
        )
    if run.refit:
        raise UsageError("refit and unlabelled do not go together; give one of them.")


def with_unlabelled(
    fitted: Fitted,
    found: Audit,
    parts: Split,
    entries: Sequence[Entry],
    run: Fitting,
    features: Features | None,
    earlier: Earlier | None,
) -> tuple[Fitted, Outcome]:
    """Return the model that unlabelled items make better, or ``fitted`` where none does.

    Args:
        fitted: the model of the labelled items.
        found: the audited data.
        parts: labelled items to train on, and held-out ones, which nothing here looks at.
        entries: the backbones.
        run: with ``unlabelled``, "rest" or a path, and ``sure``.
        features: of the data, where the strategy solves a head.
        earlier: what the backbone knew before.
    """
    data, unlabelled = found.dataset, _rest(found, parts)
    if run.unlabelled != REST:
        data, unlabelled, features = _joined(data, entries, run)
    if not len(unlabelled):
        raise DataError(f"--unlabelled {run.unlabelled}: no usable items without labels are there.")
    log.info("learning from %d items without labels, fold by fold", len(unlabelled))
    learner = Learner(data, unlabelled, entries, run, run.sure, features, earlier, log.debug)
    return learner.selftrained(fitted, parts.train)


def _rest(found: Audit, parts: Split) -> Indices:
    """Return the usable items that neither train nor are held out, of a split that trains."""
    splits = found.dataset.splits[found.usable]
    own = found.usable[np.isin(splits, ["train", ""])]
    return np.setdiff1d(own, np.concatenate(parts))


def _joined(
    data: Dataset, entries: Sequence[Entry], run: Fitting
) -> tuple[Dataset, Indices, Features | None]:
    """Return the data with the items of ``run.unlabelled`` behind them, these, and the features.

    Copies of what is in the data already, held-out items above all, are left out.
    """
    reading: dict[str, Any] = {"labelled": False, "kind": data.kind}
    if data.kind == "text":
        reading["text_column"] = run.text_column
    others = given(Path(str(run.unlabelled)), None, Reading.of(reading))
    solves = strategy(run.strategy, run).solves
    how: dict[str, Any] = {"solves": solves, "device": pick(run.device), "seed": run.seed}
    found, (features,) = look(beside(data, others), [entries], **how)
    first = len(data)
    new = found.usable[found.usable >= first]
    known = data.known
    shape = (len(others), *known.values.shape[1:])
    # Their places; what stands there is the model's answer before anybody reads it.
    values = np.concatenate([known.values, np.empty(shape, known.values.dtype)])
    return replace(found.dataset, targets=Targets(known.task, values)), new, features
