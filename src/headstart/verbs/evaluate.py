"""`evaluate`: a saved model on labelled data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart import bundle as bundles
from headstart.boundary.extract import extract
from headstart.bundle import Bundle
from headstart.compute.device import pick
from headstart.data.dataset import Dataset, Rejected
from headstart.data.reading import given
from headstart.errors import BundleError, DataError, nearest
from headstart.model import Model
from headstart.progress import log
from headstart.settings.table import Evaluating
from headstart.settings.taking import takes
from headstart.tasks.task import Figures, Targets, Task
from headstart.verbs import trained


@dataclass(frozen=True)
class Evaluated:
    """What a saved model does on labelled data; unpacks into ``figures, rejected``.

    Attributes:
        figures: on all items that could be used.
        rejected: those that could not.
        trained_on: how many of the items the model was trained on: on these it is no news.
        unseen: the figures on the others, where there are some of both.
        strangers: classes of the data that the model does not know, with their numbers of items,
            which are left out, see ``near``.
        near: which of the model's classes such a one seems to mean.
    """

    figures: Figures
    rejected: tuple[Rejected, ...]
    trained_on: int = 0
    unseen: Figures | None = None
    strangers: Mapping[str, int] = field(default_factory=dict)
    near: Mapping[str, str] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Any]:
        yield self.figures
        yield self.rejected

    def notes(self) -> list[str]:
        """Return what must be known before the figures are believed, one line each."""
        found = []
        if self.trained_on == self.figures.n:
            n = self.figures.n
            found.append(f"the model was trained on all {n} items: this says nothing of new ones")
        elif self.trained_on:
            found.append(f"the model was trained on {self.trained_on} of these items")
        if self.strangers:
            total, names = sum(self.strangers.values()), ", ".join(map(self._said, self.strangers))
            found.append(f"{total} items are left out, their class is not known: {names}")
        return found

    def _said(self, name: str) -> str:
        hint = f"; did you mean '{self.near[name]}'?" if name in self.near else ""
        return f"'{name}' ({self.strangers[name]}{hint})"

    def to_json(self) -> dict[str, Any]:
        """Return the object that `headstart evaluate --json` prints."""
        return self.figures.to_json() | {
            "skipped": [one._asdict() for one in self.rejected],
            "trained_on": self.trained_on,
            "unseen": None if self.unseen is None else self.unseen.to_json(),
            "strangers": dict(self.strangers),
            "near": dict(self.near),
            "notes": self.notes(),
        }


@takes(Evaluating)
def evaluate(
    bundle: str | Path | Bundle, data: Any, labels: Any = None, *, run: Evaluating
) -> Evaluated:
    """Return the figures of a saved model on ``data``, and the items that could not be used.

    Of data with a split of their own only the held-out part counts: test, else val. Items that the
    model was trained on are counted, and the figures of the others stand beside those of all.

    Raises:
        BundleError: it is a detector.
        DataError: none of the targets is one that the bundle knows.
    """
    loaded = bundle if isinstance(bundle, Bundle) else bundles.load(bundle)
    if "detector" in loaded.facts:
        raise BundleError(f"{loaded.path} finds boxes; `headstart detect evaluate` measures it.")
    model, chosen = loaded.model, pick(run.device)
    told = run if isinstance(data, Dataset) else _told(run, model)
    dataset = given(data, labels, told, model.kind)
    if dataset.kind != loaded.kind:
        raise DataError(f"the bundle answers {loaded.kind}s, but {dataset.root} holds others.")
    known, strangers = _known(_held_out(dataset), model.task)
    found, features = extract(known, model.entries, device=chosen, seed=model.seed)
    if not len(found.usable):
        found.require_usable()
    rows, values = found.usable, found.dataset.labels
    outputs = model.outputs(found.dataset, rows, features=features, device=chosen)
    mine = trained.among(loaded.path, found.digests[rows])
    new = ~mine if 0 < mine.sum() < len(mine) else np.zeros(len(mine), np.bool_)
    return Evaluated(
        figures=model.task.evaluate(outputs, values[rows]),
        rejected=found.rejected,
        trained_on=int(mine.sum()),
        unseen=model.task.evaluate(outputs[new], values[rows[new]]) if new.any() else None,
        strangers=strangers,
        near={name: near for name in strangers if (near := nearest(name, model.task.names))},
    )


def _held_out(dataset: Dataset) -> Dataset:
    for name in ("test", "val"):
        if (dataset.splits == name).any():
            log.info("measuring on the %s part of %s", name, dataset.root)
            return dataset.take(np.flatnonzero(dataset.splits == name))
    return dataset


def _known(dataset: Dataset, task: Task) -> tuple[Dataset, dict[str, int]]:
    """Return the items with targets of the task, and how many others there are of each name."""
    values, mine = task.translated(dataset.known)
    others: npt.NDArray[np.int64] = np.flatnonzero(~mine)
    names = {int(i): dataset.said(int(i)) for i in others}
    faults = {i: f"class '{name}' is not known" for i, name in names.items()}
    known = replace(dataset, targets=Targets(task, values)).without(faults)
    return known, dict(Counter(names.values()))


def _told(run: Evaluating, model: Model) -> Evaluating:
    """Return how the data are read: as the model's were."""
    columns = model.beside.names if model.beside else run.columns
    return replace(run, task=model.task.name, columns=columns)
