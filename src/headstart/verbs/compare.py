"""`compare`: strategies side by side on paired draws."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart.boundary.extract import look
from headstart.compute.device import pick
from headstart.data.audit import Audit
from headstart.data.dataset import Dataset
from headstart.data.reading import given
from headstart.data.split import check_share, require_held_out, split
from headstart.errors import HeadstartError, UsageError
from headstart.evaluation.compare import Comparison, Shots
from headstart.evaluation.compare import compare as compare_runs
from headstart.evaluation.record import Record
from headstart.store import digest
from headstart.strategies.plan import Options
from headstart.strategies.registry import strategy as find_strategy
from headstart.training.transfer import check_kind
from headstart.verbs.choice import DEFAULT, entries_for


def compare(
    data: str | Path | Dataset,
    *,
    strategies: Sequence[str],
    backbones: Sequence[str] = (),
    shots: Sequence[Shots] = ("all",),
    draws: int = 5,
    val: float = 0.2,
    seed: int = 0,
    budget: float | None = None,
    workers: int | None = 1,
    device: str = "auto",
    options: Options | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    **reading: Any,
) -> Comparison:
    """Measure ``strategies`` side by side on paired draws, see `headstart.evaluation.compare`.

    ``workers`` None stands for two processes on a CPU of several cores. Processes are started
    anew, so a script that asks for more than one needs ``if __name__ == "__main__":``.

    ``out`` is a folder for ``compare.json``, which is up to date after each run; ``resume`` takes
    the runs that it holds as done, also where now more strategies, backbones, shots or draws are
    asked for.

    Raises:
        UsageError: an unknown strategy, or a number out of range; before anything is run.
        DataError: nothing sensible can be trained on.
        BackboneError: a backbone or its weights are not here.
    """
    chosen = [find_strategy(name) for name in strategies]
    check_share("val", val)
    if not chosen or draws < 1 or any(n != "all" and n < 1 for n in shots):
        raise UsageError(
            "compare needs at least one strategy and one draw, and shots of 1 or more (or 'all'); "
            f"got {list(strategies)}, {draws}, {list(shots)}."
        )
    dataset, device = given(data, reading), pick(device)
    if resume and out is None:
        raise UsageError("resume goes on from the comparison in out; give the folder.")
    solves = any(one.solves for one in chosen)
    candidates = []
    found: Audit | None = None
    for one, name in zip(chosen, strategies, strict=True):
        check_kind(one, name, dataset.kind)
    for name in backbones or [DEFAULT[dataset.kind]]:
        entries = entries_for(name, dataset, None, seed, [], options)
        found, features = look(dataset, entries, solves=solves, device=device, seed=seed)
        candidates.append((name, entries, features))
    if found is None:
        raise HeadstartError("no backbone was looked at")
    parts = split(dataset, found.usable, val=val, seed=seed)
    require_held_out(dataset, parts)
    if workers is None:
        workers = min(2, os.cpu_count() or 1) if device == "cpu" else 1
    held: dict[str, Any] = {}
    if out is not None:
        settings = {
            "training items": _fingerprint(dataset, found, parts.train),
            "held-out items": _fingerprint(dataset, found, parts.held_out),
            "seed": seed,
            "device": device,
            "options": asdict(options or Options()),
            **{f"backbone {n}": [one.key() for one in entries] for n, entries, _ in candidates},
        }
        record = Record(Path(out), settings)
        held = {"done": record.runs() if resume else (), "keep": record.keep}
    return compare_runs(
        dataset,
        parts,
        candidates,
        strategies,
        shots=shots,
        draws=draws,
        options=options,
        seed=seed,
        device=device,
        budget=budget,
        workers=workers,
        **held,
    )


def _fingerprint(dataset: Dataset, found: Audit, indices: npt.NDArray[np.int64]) -> str:
    """Return what names these items: how many, their contents, and their labels."""
    labels = [dataset.classes[label] for label in dataset.labels[indices]]
    content = digest(*found.digests[indices].tolist(), *(label.encode() for label in labels))
    return f"{len(indices)}, {content.hex()}"
