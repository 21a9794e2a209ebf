"""What a backbone knew before: a labelled set, and a head on its features as they were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from headstart.backbones.entry import Entry
from headstart.boundary.extract import extract
from headstart.data.dataset import Dataset
from headstart.data.split import require_held_out, split
from headstart.tasks.head import Head
from headstart.tasks.heads import OWN, solve
from headstart.tasks.task import Indices, Matrix, Targets


@dataclass(frozen=True)
class Earlier:
    """A labelled set that a backbone could answer before it was trained on other data.

    Attributes:
        dataset: all its items.
        train: indices of those that the head was solved on, and that may be rehearsed.
        held_out: indices of those that tell what was forgotten.
        head: on the features of the unchanged backbone.
        outputs: of that head and that backbone for the items held out, shape (N, K).
    """

    dataset: Dataset
    train: npt.NDArray[Any]
    held_out: npt.NDArray[Any]
    head: Head
    outputs: Matrix

    @classmethod
    def of(cls, dataset: Dataset, entries: Sequence[Entry], *, device: str, seed: int) -> Earlier:
        """Return what ``entries`` can do on ``dataset``: a head is solved on its training part."""
        found, features = extract(dataset, entries, device=device, seed=seed)
        found.require_usable()
        parts = split(found.dataset, found.usable, seed=seed)
        require_held_out(found.dataset, parts)
        features = features.of(found.dataset)
        head, _ = solve(OWN, features.examples(parts.train), seed=seed)
        outputs = head.logits(features.rows(parts.held_out))
        return cls(found.dataset, parts.train, parts.held_out, head, outputs)

    def targets(self, indices: Indices) -> Targets:
        """Return the targets of some of its items."""
        return self.dataset.known.take(indices)
