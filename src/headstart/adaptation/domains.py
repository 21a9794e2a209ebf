"""The two data sets: who may be learned from, who is measured on, and what they share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart.backbones.choice import say
from headstart.data.audit import Audit
from headstart.data.dataset import Dataset
from headstart.data.injected import learn
from headstart.data.reading import given
from headstart.data.split import Split, draw, require_held_out, split
from headstart.errors import DataError, UsageError
from headstart.progress import log
from headstart.settings.table import Adapting
from headstart.tasks.task import Indices, Targets
from headstart.wording import Said

LEAST = 8
"""Usable target items: fewer say nothing about a domain."""

RATIO = 20
"""So many target items for each of the source take part; more would only take time."""


@dataclass(frozen=True)
class Domains:
    """Source and target, audited.

    Attributes:
        source: with what was found in it; its targets are those of the task.
        target: likewise; its targets, where it has any, are numbered as the source's.
        ours: indices of the source's items to train on and held out.
        theirs: indices of the target's items that are learned from without labels, and that are
            measured on; none of the latter where it has no labels.
    """

    source: Audit
    target: Audit
    ours: Split
    theirs: Split

    @property
    def labelled(self) -> bool:
        """Whether the target has labels that can be measured on."""
        return self.target.dataset.targets is not None

    def few(self, shots: int, *, seed: int, number: int = 0) -> Indices:
        """Return ``shots`` target items of each class from those that are learned from."""
        known = self.target.dataset.known
        shared = self.theirs.train[known.values[self.theirs.train] >= 0]
        return draw(known, shared, shots, seed=seed, draw=number)


def read_target(target: Any, run: Adapting, source: Dataset) -> Dataset:
    """Return the target's data set; without targets where none can be read, or none are wanted.

    Raises:
        DataError: nothing is there, or it holds another kind of items.
    """
    if isinstance(target, Dataset):
        found = replace(target, targets=None) if run.unlabelled else target
    elif run.unlabelled:
        found = given(target, None, _told(run, source, labelled=False), source.kind)
    else:
        try:
            found = given(target, None, _told(run, source, labelled=True), source.kind)
        except DataError as error:
            found = given(target, None, _told(run, source, labelled=False), source.kind)
            log.info("the target is taken without labels: %s", error)
    if found.kind != source.kind:
        raise DataError(
            f"{source.root} holds {source.kind}s, but {found.root} {found.kind}s; adaptation goes "
            "from one domain to another of the same kind."
        )
    return found


def _told(run: Adapting, source: Dataset, *, labelled: bool) -> Adapting:
    if labelled:
        return replace(run, task=source.known.task.name)
    return replace(run, kind=source.kind, task=None, labelled=False)


def require_classes(source: Dataset) -> None:
    """Raise `DataError` unless the source's items are of classes."""
    try:
        source.known.task.groups(source.labels[:1])
    except UsageError:
        raise DataError(
            f"{source.root}: adaptation carries classes over, and the task here is "
            f"'{source.known.task.name}'; give a column or folders of classes."
        ) from None


def require_common(source: Dataset, target: Dataset) -> None:
    """Raise `DataError` for what can be told before any item is read: too few, no shared class."""
    _require_enough(target, len(target))
    if target.targets is None or set(source.known.task.names) & set(target.known.task.names):
        return
    raise DataError(
        f"no class of {target.root} ({_few(target.known.task.names)}) is one of {source.root} "
        f"({_few(source.known.task.names)}). Where the target's folders are no classes, say "
        "unlabelled=True (--unlabelled)."
    )


def _require_enough(target: Dataset, n: int) -> None:
    if n < LEAST:
        raise DataError(
            f"{target.root} has {n} usable item{'s' * (n != 1)}, and {LEAST} are the least that "
            "tell a domain; to answer a few, `headstart predict` takes them with a fitted model."
        )


def domains(source: Audit, target: Audit, run: Adapting, notes: list[str]) -> Domains:
    """Return both domains with their parts, and note what does not fit together.

    Raises:
        DataError: too few target items are usable, or nothing is left to measure on.
    """
    ours = split(source.dataset, source.usable, val=run.val, seed=run.seed)
    require_held_out(source.dataset, ours)
    _require_enough(target.dataset, len(target.usable))
    theirs = _parts(target, run)
    if target.dataset.targets is not None:
        target, theirs = _shared(source.dataset, target, theirs, notes)
        _note_fewer(target.dataset, theirs.train, run.target_labels or 0, notes)
    elif run.target_labels:
        raise UsageError("target_labels asks for labels, and the target has none.")
    theirs = theirs._replace(train=_limited(ours, theirs.train, run.seed, notes))
    _note_copies(source, target, notes)
    return Domains(*_with_columns(source, target, ours.train), ours, theirs)


def _note_fewer(target: Dataset, train: Indices, wanted: int, notes: list[str]) -> None:
    """Note of which classes the target has fewer labels than were asked for."""
    values = target.known.values[train]
    # Others are of no class of the source.
    known = (values >= 0).reshape(len(values), -1).all(axis=1)
    counts = target.known.task.counts(values[known])
    fewer = [f"{name} ({n})" for name, n in counts.items() if n < wanted]
    if fewer:
        less = "target_labels {wanted}: fewer are there, all are used: {names}"
        say(notes, Said(less, wanted=wanted, names=_few(fewer)))


def _with_columns(source: Audit, target: Audit, train: Indices) -> tuple[Audit, Audit]:
    """Return both with the numbers of their columns, as the source's training items teach them."""
    if source.dataset.beside is None:
        return source, target
    reader = learn(source.dataset.beside, train)
    ours, theirs = (
        replace(one, dataset=replace(one.dataset, beside=reader.read(one.dataset.beside)))
        for one in (source, target)
    )
    return ours, theirs


def _parts(target: Audit, run: Adapting) -> Split:
    """Return what is learned from without labels, and what is measured on."""
    if target.dataset.targets is None:
        return Split(target.usable, target.usable[:0])
    return split(target.dataset, target.usable, val=run.val, seed=run.seed)


def _shared(source: Dataset, target: Audit, parts: Split, notes: list[str]) -> tuple[Audit, Split]:
    """Return the target with the source's classes; others are seen, but not measured."""
    task, theirs = source.known.task, target.dataset.known
    common = set(task.names) & set(theirs.task.names)
    values, known = task.translated(theirs)
    counts = theirs.task.counts(theirs.values[target.usable])
    strange = {name: n for name, n in counts.items() if n and name not in common}
    if strange:
        say(
            notes,
            f"classes of the target that the source lacks: {_few(strange)} "
            f"({sum(strange.values())} items); they are answered wrongly, and not measured",
        )
    missing = [name for name in task.names if not counts.get(name)]
    if missing:
        say(
            notes,
            Said(
                "classes of the source that the target lacks: {names}; methods that want varied "
                "answers may give them all the same",
                names=_few(missing),
            ),
        )
    dataset = replace(target.dataset, targets=Targets(task, values))
    return replace(target, dataset=dataset), _measured(parts, known)


def _measured(parts: Split, known: npt.NDArray[np.bool_]) -> Split:
    return parts._replace(held_out=parts.held_out[known[parts.held_out]])


def _limited(ours: Split, theirs: Indices, seed: int, notes: list[str]) -> Indices:
    most = RATIO * len(ours.train)
    if len(theirs) <= most:
        return theirs
    say(
        notes,
        Said(
            "the target has {n} items for {of} of the source; {most} of them, drawn at random, "
            "take part",
            n=len(theirs),
            of=len(ours.train),
            most=most,
        ),
    )
    return np.sort(np.random.default_rng([seed, 23]).permutation(theirs)[:most])


def _note_copies(source: Audit, target: Audit, notes: list[str]) -> None:
    both = np.intersect1d(source.digests[source.usable], target.digests[target.usable])
    if len(both):
        say(notes, Said("{n} items lie in both domains", n=len(both)))


def _few(names: Any) -> str:
    listed = list(names)
    return ", ".join(listed[:5]) + (f" and {len(listed) - 5} more" if len(listed) > 5 else "")
