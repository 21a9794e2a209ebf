"""From a data set, a backbone and a strategy to a fitted model, in memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from headstart.backbones import words
from headstart.backbones.entry import Entry
from headstart.boundary.extract import Features, needed
from headstart.compute.device import pick
from headstart.data import injected
from headstart.data.dataset import Dataset
from headstart.data.texts.tokens import beginning
from headstart.errors import UsageError
from headstart.model import Model
from headstart.progress import log
from headstart.settings.groups import Carried, Options
from headstart.strategies.registry import require_kinds, require_targets, strategy
from headstart.tasks.heads import OWN, solve
from headstart.training.earlier import Earlier
from headstart.training.fitted import Fitted
from headstart.training.resuming import Resuming
from headstart.training.steps import Steps
from headstart.wording import Said

if TYPE_CHECKING:
    from headstart.strategies.plan import Strategy

Indices = npt.NDArray[np.int64]

HALVED = Said(
    "activations were kept as 16-bit floats: training has seen them rounded (--cache-half)"
)


def transfer(
    dataset: Dataset,
    train: Indices,
    entries: Sequence[Entry],
    run: Carried,
    *,
    features: Features | None = None,
    resuming: Resuming | None = None,
    earlier: Earlier | None = None,
    say: Callable[[str], None] = log.info,
) -> Fitted:
    """Carry ``entries`` over to the targets of ``dataset``, as ``run`` says.

    Args:
        dataset: the items; only those at ``train`` are looked at.
        train: indices of the training items, all usable.
        entries: the backbones; more than one only where the head is solved on features.
        run: strategy, options, seed and device; its backbone is not looked at.
        features: of the entries, if they are there already.
        resuming: checkpoints of training by steps; None leaves none.
        earlier: what the backbone knew before, for strategies that read it.
        say: gets one line an epoch.

    Raises:
        UsageError: no such strategy, one that cannot use joined backbones, this kind of items or
            this task, or checkpoints of another run.
        DataError: the items have no targets.
    """
    name, plan_of = run.strategy, strategy(run.strategy, run)
    require_kinds([name], [plan_of], dataset.kind)
    require_targets([plan_of], dataset.known)
    require_earlier(plan_of, name, earlier is not None)
    if dataset.beside and plan_of.needs_earlier:
        raise UsageError(f"'{name}' reads items of other data, which have no such columns.")
    dataset = _learning(dataset, train)
    ready, notes = _ready(dataset, train, entries, run, say)
    start = time.perf_counter()
    if plan_of.solves:
        if features is None:
            features = needed(dataset, ready, train, device=pick(run.device), seed=run.seed)
            start = time.perf_counter()
        fitted = _solved(dataset, train, ready, run, features)
    elif len(ready) > 1:
        raise UsageError(f"joined backbones ({_joined(ready)}) go with 'frozen', not '{name}'.")
    else:
        fitted = Steps(dataset, train, ready[0], run, features, earlier, say).run(resuming)
        if run.cache_half and any(fitted.cache.values()):
            notes.append(HALVED)
            say(HALVED)
    return replace(fitted, notes=notes + fitted.notes, seconds=time.perf_counter() - start)


def _solved(
    dataset: Dataset, train: Indices, entries: tuple[Entry, ...], run: Carried, features: Features
) -> Fitted:
    """Return the model with the head that is solved on the ``features`` of the entries."""
    solver = strategy(run.strategy, run).plan(0, len(train), run).solver
    examples = features.of(dataset).examples(train)
    head, task = solve(solver or OWN, examples, seed=run.seed)
    reader = dataset.beside.reader if dataset.beside else None
    model = Model(entries, head, task, run.seed, columns=dataset.columns, beside=reader)
    return Fitted(model, run.strategy)


def _learning(dataset: Dataset, train: Indices) -> Dataset:
    """Return the data set with what its task, and its columns, learn from the training items."""
    known = dataset.known
    learned = replace(known, task=known.task.learned(known.values[train]))
    read = injected.learn(dataset.beside, train).read(dataset.beside) if dataset.beside else None
    return replace(dataset, targets=learned, beside=read)


def _ready(
    dataset: Dataset,
    train: Indices,
    entries: Sequence[Entry],
    options: Options,
    say: Callable[[str], None],
) -> tuple[tuple[Entry, ...], list[str]]:
    """Give networks that are trained here the training texts' words, and vectors if asked to."""
    out, notes = [], []
    for entry in entries:
        if not entry.ready:
            texts = [beginning(dataset.content(int(i))) for i in train]
            learned = words.learn(
                entry, texts, min_frequency=options.min_frequency, vectors=options.vectors
            )
            notes.append(learned.note())
            say(learned.note())
            entry = learned.entry  # noqa: PLW2901
        if options.inject:
            texts = [beginning(dataset.content(int(i))) for i in train]
            entry, note = words.inject(entry, options.inject, options.inject_by, texts)  # noqa: PLW2901
            notes.append(note)
            say(note)
        out.append(entry)
    return tuple(out), notes


def require_earlier(plan_of: Strategy, name: str, given: bool) -> None:
    """Raise `UsageError` where a strategy needs earlier examples and none were given."""
    if plan_of.needs_earlier and not given:
        raise UsageError(
            f"'{name}' mixes in examples of what the backbone knew before; give fit a labelled "
            "set of them with --probe DATA, or try 'lwf', which needs none."
        )


def _joined(entries: Sequence[Entry]) -> str:
    return "+".join(entry.name for entry in entries)
