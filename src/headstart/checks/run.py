"""All checks of data, of what was split, and of a fitted model; only what was found comes back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from headstart.backbones.entry import Entry
from headstart.boundary.extract import Features
from headstart.checks import copies, held_out, inputs, labels, left_out
from headstart.checks.label_errors import label_errors
from headstart.checks.shift import shift
from headstart.checks.shortcuts import shortcuts
from headstart.data.audit import Audit
from headstart.data.dataset import Dataset
from headstart.data.split import Split
from headstart.data.texts.tokens import beginning
from headstart.errors import UsageError
from headstart.findings import Finding
from headstart.tasks.heads import OWN, out_of_fold
from headstart.tasks.solvers import softmax
from headstart.tasks.task import Figures, Indices, Targets, Task

MANY, CLOSED = 200, "ridge"
"""Classes beyond which the folds of likely label errors are answered by a head in closed form: a
logistic one of 5,000 classes takes longer than all else together."""

BY_COUNTS = frozenset({"HS002", "HS003", "HS013"})
"""What numbers of items say."""


def found_in(checks: Iterable[Finding | None]) -> list[Finding]:
    """Return what was found, by code."""
    return sorted((one for one in checks if one), key=lambda one: one.code)


def of_data(found: Audit) -> list[Finding]:
    """Return what the data alone say: before any backbone, and whatever the split."""
    return found_in(_of_data(found))


def _of_data(found: Audit) -> Iterator[Finding | None]:
    dataset = found.dataset
    yield labels.alike(list(found.classes))
    yield labels.few(found.classes)
    yield labels.uneven(found.classes)
    yield copies.conflicts(found)
    kinds = dataset.splits[found.usable]
    if (kinds == "train").any():
        own = (found.usable[np.isin(kinds, ["train", ""])], found.usable[kinds == "test"])
        held = own[1] if len(own[1]) else found.usable[kinds == "val"]
        yield _leaks(found, Split(own[0], held))
        if dataset.targets is not None and len(held):
            count = dataset.targets.task.counts
            yield labels.unmeasured(*(count(dataset.labels[part]) for part in (own[0], held)))
    groups = classes_of(dataset.targets, found.usable)
    if groups is not None:
        yield shortcuts(found.traits, found.usable, groups, dataset.classes)


def of_split(
    found: Audit,
    parts: Split,
    entries: Sequence[Entry],
    features: Features | None,
    *,
    strength: float | None = None,
    seed: int = 0,
) -> list[Finding]:
    """Return what is to be said of training and held-out items, before a model is judged.

    Args:
        found: what the audit found.
        parts: indices of the training and held-out items.
        entries: the backbones that read them.
        features: of all items, where they are kept; likely label errors and shifts are not looked
            for without.
        strength: C of heads on these features, where it was chosen already.
        seed: of the folds.
    """
    dataset, train = found.dataset, parts.train
    known = dataset.known.take(train)
    trained = known.task.counts(known.values)
    tested = known.task.counts(dataset.labels[parts.held_out])
    drawn = {one: trained.get(one, 0) + tested.get(one, 0) for one in trained}
    groups = classes_of(dataset.targets, np.arange(len(dataset)))
    suited = _suited(found, train, entries)
    checks = [
        labels.alike(dataset.classes),
        *of_counts(drawn, trained, tested),
        copies.conflicts(found),
        _leaks(found, parts),
    ]
    if groups is not None:
        checks.append(shortcuts(found.traits, train, groups[train], dataset.classes))
        # What a backbone cannot read, it cannot doubt.
        if not any(one.code == "HS011" and "unknown" in one.facts for one in suited):
            checks.append(doubts(dataset, train, features, strength=strength, seed=seed))
    if features is not None and np.isin(dataset.splits[parts.held_out], ["val", "test"]).any():
        checks.append(shift(features, parts, groups, seed))
    return found_in([*checks, *suited])


def of_counts(
    counts: Mapping[str, int], trained: Mapping[str, int], tested: Mapping[str, int]
) -> list[Finding | None]:
    """Return what is to be said of how many items each class has; see `BY_COUNTS`.

    Args:
        counts: in all.
        trained: that are learned from.
        tested: that are measured on.
    """
    return [labels.few(counts), labels.uneven(counts), labels.unmeasured(trained, tested)]


def of_fit(
    figures: Figures,
    *,
    task: Task | None = None,
    trained: float | None = None,
    n_train: int = 0,
    history: Sequence[dict[str, float]] = (),
) -> list[Finding]:
    """Return what is to be said of a fitted model's figures.

    Args:
        figures: on the held-out items.
        task: what was predicted; classes without.
        trained: the score on the training items, where it is known.
        n_train: how many those are.
        history: one row an epoch.
    """
    value, interval = figures.value, figures.interval
    heart = trained is not None and held_out.by_heart(trained, n_train, value, interval, task)
    bins: list[dict[str, float]] = figures.to_json().get("reliability", [])
    return found_in(
        [
            held_out.small(figures.n, interval, task),
            heart or held_out.turned(history),
            held_out.lying(bins),
        ]
    )


def classes_of(targets: Targets | None, items: Indices) -> Indices | None:
    """Return the one class of each of ``items``; None where they have none, or several."""
    if targets is None:
        return None
    try:
        return targets.task.groups(targets.values[items])
    except UsageError:
        return None


def doubts(
    dataset: Dataset,
    train: Indices,
    features: Features | None,
    *,
    strength: float | None = None,
    seed: int = 0,
) -> Finding | None:
    """Return the likely label errors among the items ``train``, by their kept features.

    Up to `left_out.MOST` items each is judged by all others; more by heads on inner folds.
    """
    if features is None:
        return None
    examples = features.of(dataset).examples(train)
    task = examples.targets.task
    groups = task.groups(examples.targets.values)
    if len(train) <= left_out.MOST:
        rows, chances = left_out.left_out(examples.features, groups, examples.widths)
    else:
        name, known = (OWN, strength) if len(task.names) <= MANY else (CLOSED, None)
        rows, outputs = out_of_fold(name, examples, seed=seed, strength=known)
        chances = softmax(outputs)
    if not len(rows):
        return None
    return label_errors(dataset, train[rows], chances, groups[rows], task.names)


def _leaks(found: Audit, parts: Split) -> Finding | None:
    if not found.near_duplicates and not found.leaks:
        return None
    train, held = ({found.dataset.names[int(i)] for i in part} for part in parts)
    return copies.leaks(found, train, held)


def _suited(found: Audit, train: Indices, entries: Sequence[Entry]) -> list[Finding]:
    if found.dataset.kind == "image":
        traits = {name: values[train] for name, values in found.traits.items()}
        return [one for entry in entries for one in inputs.pictures(entry, traits)]
    step = max(1, len(train) // inputs.SAMPLE)
    sample = [beginning(found.dataset.content(int(i))) for i in train[::step]]
    return [one for entry in entries for one in inputs.texts(entry, sample)]
