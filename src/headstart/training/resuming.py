"""Where a run leaves what it has done, and what must be the same for another to go on from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from headstart.backbones.entry import Entry
from headstart.data.dataset import Dataset
from headstart.store import digest
from headstart.training.earlier import Earlier

if TYPE_CHECKING:
    from headstart.training.checkpoint import Checkpoints

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Resuming:
    """Where a run leaves its checkpoints, and whether it goes on from them.

    Attributes:
        folder: of the checkpoints.
        resume: go on from the newest one; otherwise they are removed first.
        every: seconds between two checkpoints.
    """

    folder: Path
    resume: bool = False
    every: float = 60.0


def checkpoints_of(
    resuming: Resuming | None,
    dataset: Dataset,
    entry: Entry,
    fit: Indices,
    select: Indices,
    facts: dict[str, Any],
) -> Checkpoints | None:
    """Return where a run leaves what it has done; None for nowhere.

    Args:
        resuming: the folder, and whether to go on with what lies there.
        dataset: the items.
        entry: the backbone.
        fit: indices of the items to train on.
        select: indices of the items to choose by.
        facts: what else a checkpoint of the same run must agree in, strategy and options say.
    """
    if resuming is None:
        return None
    from headstart.training.checkpoint import Checkpoints

    def content(indices: Indices) -> str:
        parts = (dataset.digest(int(i)) for i in indices)
        return digest(*parts, dataset.labels[indices].tobytes()).hex()

    run = {
        "backbone": entry.name,
        "weights and preprocessing": entry.key(),
        "classes": list(dataset.classes),
        "training items": f"{len(fit)}, {content(fit)}",
        "items to choose by": f"{len(select)}, {content(select)}",
    }
    if dataset.beside and dataset.beside.matrix is not None:
        run["columns"] = digest(dataset.beside.matrix.tobytes()).hex()
    found = Checkpoints(resuming.folder, run | facts, every=resuming.every)
    if not resuming.resume:
        found.clear()
    return found


def content_of(earlier: Earlier) -> str:
    """Return a digest of what may be rehearsed, for checkpoints."""
    items = (earlier.dataset.digest(int(i)) for i in earlier.train)
    return digest(*items, earlier.head.weight.tobytes()).hex()
