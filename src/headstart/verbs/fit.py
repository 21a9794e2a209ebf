"""`fit`: carry a backbone over to the classes of the data, and measure it."""

from __future__ import annotations

import re
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from headstart import bundle as bundles
from headstart.backbones.choice import entries_for, require_learners, say
from headstart.backbones.entry import Entry
from headstart.boundary.extract import Features, look, needed
from headstart.checks.run import found_in, of_fit, of_split
from headstart.compute.device import pick
from headstart.data.audit import Audit
from headstart.data.dataset import Dataset
from headstart.data.reading import given
from headstart.data.split import Split, draw, enough, require_held_out, split
from headstart.errors import DataError, UsageError
from headstart.evaluation.forgetting import forgetting
from headstart.place import claimed, require_room
from headstart.settings.groups import Reading
from headstart.settings.table import Fitting
from headstart.settings.taking import takes
from headstart.strategies.plan import Strategy
from headstart.strategies.registry import (
    OFFERED,
    require_kinds,
    require_learned,
    require_targets,
    strategies,
)
from headstart.tasks.task import Indices, Matrix
from headstart.training.earlier import Earlier
from headstart.training.fitted import Fitted
from headstart.training.resuming import Resuming
from headstart.training.transfer import require_earlier, transfer
from headstart.verbs import gathering
from headstart.verbs.auto import AUTO, Auto, decided
from headstart.verbs.fit_result import Fit, shown, worst
from headstart.verbs.probing import earlier_of
from headstart.verbs.unlabelled import require_rest, with_unlabelled
from headstart.wording import Said

REFIT = "refit"
"""Folder of the checkpoints of the model of all items, below those of the measured one."""

SEEN = 2000
"""Training items that are answered too, to see what was learned by heart."""


@dataclass(frozen=True)
class Ready:
    """What there is before anything is trained.

    Attributes:
        found: the items as they were looked at.
        parts: which of them train and which are held out.
        entries: the backbones.
        features: of all items that are needed; None where batches are read while it trains.
        earlier: the backbone's own model and what it is asked; None without ``probe``.
        notes: what the user was told on the way.
        device: where networks run.
    """

    found: Audit
    parts: Split
    entries: tuple[Entry, ...]
    features: Features | None
    earlier: Earlier | None
    notes: list[str]
    device: str


@takes(Fitting, OFFERED)
def fit(data: Any, labels: Any = None, *, run: Fitting) -> Fit:
    """Carry a backbone over to the targets of ``data``, and measure it on held-out items.

    ``data`` is a folder, a table, or what `read` returned. Without ``out`` nothing is written.

    Raises:
        UsageError: an option is unknown, out of range or not read by what was chosen, or the
            checkpoints are of another run.
        DataError: nothing sensible can be trained on.
        BackboneError: the backbone or its weights are not here.

    >>> import numpy as np
    >>> from headstart.data.memory.arrays import from_items
    >>> pictures = np.zeros((8, 8, 8), np.uint8); pictures[4:, :, 4] = 255
    >>> pictures += np.arange(8, dtype=np.uint8)[:, None, None]
    >>> fit(from_items(pictures, ["blank"] * 4 + ["line"] * 4), shots=2).accuracy
    1.0
    """
    if run.out is None:
        return _fit(data, labels, run)
    bundles.check_target(run.out)
    with claimed(run.out):
        return _fit(data, labels, run)


def _fit(data: Any, labels: Any, run: Fitting) -> Fit:
    start = time.perf_counter()
    data, labels, run, auto = _decided(data, labels, run)
    ready = _ready(data, labels, run)
    fitted, unlabelled = _carried(ready, run)
    made = replace(_measured(ready, fitted, run), unlabelled=unlabelled, auto=auto)
    if run.refit:
        made = _refitted(made, ready, run)
    made.seconds["total"] = time.perf_counter() - start
    return _saved(made, run.out)


def _decided(data: Any, labels: Any, run: Fitting) -> tuple[Any, Any, Fitting, Auto | None]:
    """Return what is read and how, with the strategy and backbone that ``auto`` chose."""
    if run.strategy == AUTO:
        data = given(data, labels, run)
        return data, None, *decided(data, run, lambda found: _parts(found, run, []))
    if run.budget is not None:
        raise UsageError("budget is the time that strategy='auto' may choose for; name that.")
    return data, labels, run, None


def _ready(data: Any, labels: Any, run: Fitting) -> Ready:
    """Read, check, look at and split the items, with the features that a solver needs."""
    (strategy,), device = strategies([run.strategy], run), pick(run.device)
    require_earlier(strategy, run.strategy, run.probe is not None)
    require_rest(run)
    dataset, notes = given(data, labels, run), list[str]()
    entries = _entries(dataset, strategy, run, notes)
    how: dict[str, Any] = {"device": device, "seed": run.seed}
    solves = strategy.solves and all(entry.ready for entry in entries)
    # Of few shots nothing is embedded but them and what is held out, where the rest is not read.
    whole = run.shots is None or run.unlabelled is not None
    found, (features,) = look(dataset, [entries], solves=solves and whole, **how)
    parts = _parts(found, run, notes)
    if solves and features is None:
        features = needed(found.dataset, entries, np.concatenate(parts), **how)
    earlier = earlier_of(entries, run, dataset.kind, how)
    return Ready(found, parts, entries, features, earlier, notes, device)


def _entries(
    dataset: Dataset, strategy: Strategy, run: Fitting, notes: list[str]
) -> tuple[Entry, ...]:
    """Return the backbones for these items, after asking whether all of it goes together."""
    require_kinds([run.strategy], [strategy], dataset.kind)
    require_targets([strategy], dataset.known)
    entries = entries_for(run.backbone, dataset, run, run.seed, notes)
    require_learners(run, entries)
    require_learned([run.strategy], [strategy], [one.name for one in entries if not one.ready])
    if run.out:
        require_room(run.out, sum(e.weights.stat().st_size for e in entries if e.weights))
    return entries


def _trained(ready: Ready, items: Indices, run: Fitting, below: str = "") -> Fitted:
    return transfer(
        ready.found.dataset,
        items,
        ready.entries,
        run,
        features=ready.features,
        resuming=_resuming(run, below),
        earlier=ready.earlier,
    )


def _carried(ready: Ready, run: Fitting) -> tuple[Fitted, dict[str, Any] | None]:
    """Return the model, and what items without labels were worth to it."""
    fitted = _trained(ready, ready.parts.train, run)
    if run.unlabelled is None:
        return fitted, None
    fitted, outcome = with_unlabelled(
        fitted, ready.found, ready.parts, ready.entries, run, ready.features, ready.earlier
    )
    say(ready.notes, outcome.sentence())
    return fitted, outcome.to_json()


def _measured(ready: Ready, fitted: Fitted, run: Fitting) -> Fit:
    """Return how good the model is, what the checks found, and what a page shows of it."""
    dataset, held_out, features = ready.found.dataset, ready.parts.held_out, ready.features
    model = fitted.model
    described = model.described(dataset, held_out, features=features, device=ready.device)
    outputs = model.numbers(described)
    made = _checked(_result(ready, fitted, outputs), features)
    if ready.earlier is not None:
        lost = forgetting(model, ready.earlier, dataset, held_out, device=ready.device)
        made = replace(made, forgetting=lost)
    more = shown(made, described, outputs) | gathering.called("fit", dataset.root.name, run)
    return replace(made, reading=run.values(Reading), shown=more, lang=run.lang)


def _result(ready: Ready, fitted: Fitted, outputs: Matrix) -> Fit:
    task, features = fitted.model.task, ready.features
    held_out = ready.found.dataset.take(ready.parts.held_out)
    cache = {"hits": features.hits, "misses": features.misses} if features else fitted.cache
    return Fit(
        fitted=fitted,
        dataset=ready.found.dataset,
        audit=ready.found,
        parts=ready.parts,
        evaluation=task.evaluate(outputs, held_out.labels),
        seconds={
            "total": 0.0,
            "features": features.seconds if features else 0.0,
            "train": fitted.seconds,
        },
        cache={name: cache[name] for name in ("hits", "misses")},
        errors=worst(task, held_out, outputs),
        notes=[*ready.notes, *fitted.notes, *task.notes()],
    )


def _checked(made: Fit, features: Features | None) -> Fit:
    """Return the result with what the checks found."""
    model, parts = made.model, made.parts
    chosen = re.fullmatch(r"C=(\S+)", model.head.chosen)
    strength = float(chosen[1]) if chosen and features else None
    found = of_split(made.audit, parts, model.entries, features, strength=strength, seed=model.seed)
    learned = None
    if features is not None and model.backbone is None:
        some = parts.train[:: max(1, len(parts.train) // SEEN)]
        outputs = model.outputs(made.dataset, some, features=features)
        learned = model.task.value(outputs, made.dataset.labels[some])
    known: Any = {"n_train": len(parts.train), "history": made.fitted.history}
    figures = of_fit(made.evaluation, task=model.task, trained=learned, **known)
    return replace(made, findings=found_in([*found, *figures]))


def _refitted(made: Fit, ready: Ready, run: Fitting) -> Fit:
    """Return the result with a model of all items, under the figures that were measured before."""
    everything = np.sort(np.concatenate(made.parts))
    again = _trained(ready, everything, run, REFIT)
    notes = list(made.notes)
    say(
        notes,
        Said(
            "trained once more on all {n} items; the figures are those of the model that learned "
            "from {of} of them",
            n=len(everything),
            of=len(made.parts.train),
        ),
    )
    seconds = made.seconds | {"train": made.seconds["train"] + again.seconds}
    return replace(made, fitted=again, refitted=True, notes=notes, seconds=seconds)


def _resuming(run: Fitting, below: str = "") -> Resuming | None:
    if run.out is None:
        return None
    return Resuming(run.out / bundles.CHECKPOINTS / below, run.resume, run.checkpoint_every)


def _saved(result: Fit, out: Path | None) -> Fit:
    """Return the result with its bundle in ``out``, from which the checkpoints are gone."""
    if out is None:
        return result
    result.save(out)
    shutil.rmtree(out / bundles.CHECKPOINTS, ignore_errors=True)
    return replace(result, bundle=out)


def _parts(found: Audit, run: Fitting, notes: list[str]) -> Split:
    """Return what to train on and what is held out, and say where classes fall short."""
    dataset, shots = found.dataset, run.shots
    parts = split(dataset, found.usable, val=run.val, seed=run.seed)
    train = draw(dataset.known, parts.train, shots, seed=run.seed)
    drawn = dataset.known.take(train)
    counts = drawn.task.counts(drawn.values)
    short = [f"{name} ({n})" for name, n in counts.items() if n < (shots or 1)]
    if shots and short:
        few = Said("fewer than {n} examples to train on: {names}", n=shots, names=", ".join(short))
        say(notes, few)
    if why := drawn.task.unlearnable(drawn.values, "training items"):
        raise DataError(f"{dataset.root}: {why}.")
    require_held_out(dataset, parts)
    held_out = enough(parts.held_out, seed=run.seed) if shots else parts.held_out
    if len(held_out) < len(parts.held_out):
        some = "measured on {n:,} of {of:,} held-out items, drawn at random"
        say(notes, Said(some, n=len(held_out), of=len(parts.held_out)))
    return Split(train, held_out)
