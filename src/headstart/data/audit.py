"""What can be trained on, what can't, and why: looked at before training, never guessed after."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from headstart.cards import Card, Record, Shown
from headstart.data import copies
from headstart.data.dataset import Dataset, Rejected
from headstart.data.scan import TRAITS, Scanned, scan
from headstart.errors import DataError
from headstart.findings import Finding
from headstart.progress import log, track
from headstart.store import DIGEST, digest, written_aside
from headstart.visible import cell

_TINY = 5
"""A class with fewer usable items is called tiny."""

_MOST_PAIRS = 1000


class Near(NamedTuple):
    """Two items that look or read alike.

    Attributes:
        item: the one that comes first in the data.
        like: the one that it resembles.
        across_splits: one is for training, the other for evaluation.
        across_classes: they have different targets.
    """

    item: str
    like: str
    across_splits: bool
    across_classes: bool


@dataclass(frozen=True, repr=False)
class Audit(Shown):
    """What an audit found.

    Attributes:
        dataset: what was audited, with the digest of each item: nothing need be hashed again.
        n: how many items there are, the rejected ones included.
        rejected: the items that cannot be used, each with its reason.
        usable: shape (U,), sorted indices of the items to train and evaluate on.
        duplicates: groups of items of one class and split with the same content; the first is used.
        conflicts: groups with the same content and different labels; none is used.
        leaks: groups with the same content in training and evaluation; only the latter is used.
        near_duplicates: pairs that are alike, at most 1,000; listed, not rejected.
        classes: the number of usable items of each class.
        tiny: those classes that have fewer than five, but one.
        empty_classes: those that have none.
        traits: by name of shape (N,), what a shortcut could be made of: sizes, border colours and
            brightness of pictures, lengths of texts; nan where nothing is known.
        findings: what checks have found, by code, see `docs/checks.md`.
    """

    dataset: Dataset
    n: int
    rejected: tuple[Rejected, ...]
    usable: npt.NDArray[np.int64]
    duplicates: tuple[tuple[str, ...], ...]
    conflicts: tuple[tuple[str, ...], ...]
    leaks: tuple[tuple[str, ...], ...]
    near_duplicates: tuple[Near, ...]
    classes: dict[str, int]
    tiny: dict[str, int]
    empty_classes: tuple[str, ...]
    traits: dict[str, npt.NDArray[np.float32]] = field(default_factory=dict, repr=False)
    findings: tuple[Finding, ...] = ()

    @property
    def root(self) -> Path:
        """What was audited."""
        return self.dataset.root

    @property
    def digests(self) -> npt.NDArray[np.bytes_]:
        """Shape (N,), of each item's content; empty where it could not be read."""
        found = self.dataset.digests
        assert found is not None
        return found

    def card(self) -> Card:
        """Return how many items are usable, and what the checks found."""
        n, lost = len(self.usable), len(self.rejected)
        said = [f"{lost} cannot be used"] * bool(lost)
        said += [f"{one.code} {one.title}: {one.message}" for one in self.findings]
        return Card(f"audit of {self.root.name}", f"{n} of {self.n} items usable", tuple(said))

    def records(self) -> list[Record]:
        """Return a row for each class, with its usable items in all and by split."""
        if not self.classes:
            return [{"items": self.n, "usable": len(self.usable)}]
        kinds = self.dataset.splits[self.usable]
        names = [name for name in ("train", "val", "test") if (kinds == name).any()]
        counts = self.dataset.known.task.counts
        by = {n: counts(self.dataset.labels[self.usable[kinds == n]]) for n in names}
        return [
            {"class": name, "usable": n, **{kind: by[kind].get(name, 0) for kind in names}}
            for name, n in self.classes.items()
        ]

    @property
    def by_split(self) -> dict[str, dict[str, int]]:
        """The usable items of each class in each split; no splits where the data have none."""
        splits = self.dataset.splits[self.usable]
        present = [name for name in ("train", "val", "test", "") if (splits == name).any()]
        if self.dataset.targets is None or present in ([], [""]):
            return {name: {} for name in self.classes}
        values, count = self.dataset.labels[self.usable], self.dataset.targets.task.counts
        counts = {name or "none": count(values[splits == name]) for name in present}
        return {
            name: {split: found.get(name, 0) for split, found in counts.items()}
            for name in self.classes
        }

    def to_json(self) -> dict[str, Any]:
        """Return the findings as plain values; ``usable`` is their number."""
        return {
            "root": str(self.root),
            "n": self.n,
            "usable": len(self.usable),
            "classes": self.classes,
            "by_split": self.by_split,
            "tiny": self.tiny,
            "empty_classes": list(self.empty_classes),
            "skipped": [one._asdict() for one in self.rejected],
            "duplicates": [list(group) for group in self.duplicates],
            "conflicts": [list(group) for group in self.conflicts],
            "leaks": [list(group) for group in self.leaks],
            "near_duplicates": [pair._asdict() for pair in self.near_duplicates],
            "checks": [one.to_json() for one in self.findings],
        }

    def write_skipped(self, path: Path) -> None:
        """Write the rejected items to ``path``: a CSV in UTF-8 with the columns item and reason."""
        with written_aside(path) as aside, aside.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(Rejected._fields)
            writer.writerows(map(cell, one) for one in self.rejected)

    def require_usable(self) -> Audit:
        """Return the audit itself, or raise one `DataError` if there is nothing to learn from."""
        if not len(self.usable):
            raise DataError(f"nothing usable in {self.root}: {self.n} items, {self._reasons()}")
        if not self.dataset.targets:
            return self
        values = self.dataset.labels[self.usable]
        why = self.dataset.targets.task.unlearnable(values, "usable items")
        if why:
            raise DataError(
                f"{self.root}: {why} ({len(self.usable)} of {self.n} items are usable)."
                + (f" Rejected: {self._reasons()}" if self.rejected else "")
            )
        return self

    def _reasons(self) -> str:
        counts = Counter(one.reason for one in self.rejected).most_common(4)
        first = {one.reason: one.item for one in reversed(self.rejected)}
        parts = [f"{count} x {reason} (such as {first[reason]})" for reason, count in counts]
        return "; ".join(parts) or "none rejected"


def audit(dataset: Dataset) -> Audit:
    """Return what can be used of ``dataset``, after reading and unpacking every item once.

    What cannot be used is listed with its reason, never replaced and never trained on. Facts are
    kept in the store, so a second audit only reads and hashes.
    """
    return collect(dataset, track(scan(dataset), "audit", len(dataset)))


def collect(dataset: Dataset, scanned: Iterable[Scanned]) -> Audit:
    """Return the audit that follows from ``scanned``, one for each item of ``dataset``.

    `audit` scans by itself; an extraction that scans anyway hands its pass in here.
    """
    digests = np.zeros(len(dataset), DIGEST)
    prints = np.zeros(len(dataset), np.uint64)
    names = TRAITS[dataset.kind]
    traits = np.full((len(dataset), len(names)), np.nan, np.float32)
    reasons: dict[int, str] = {}
    for item in scanned:
        digests[item.index], prints[item.index] = item.digest, item.fingerprint
        traits[item.index] = item.traits or np.nan
        if item.fault:
            reasons[item.index] = item.fault
    same = copies.exact(dataset, _without(len(dataset), reasons), _told_apart(dataset, digests))
    dataset = _joined(dataset, same)
    reasons.update(same.reasons)
    reasons.update(_unlearnable(dataset, _without(len(dataset), reasons)))
    usable = _without(len(dataset), reasons)
    pairs = copies.near(dataset, usable, prints, _MOST_PAIRS)
    found = _audit(dataset, reasons, usable, digests, same, pairs)
    return replace(found, traits=dict(zip(names, traits.T, strict=True)))


def _audit(
    dataset: Dataset,
    reasons: dict[int, str],
    usable: npt.NDArray[np.int64],
    digests: npt.NDArray[np.bytes_],
    same: copies.Copies,
    pairs: list[npt.NDArray[np.int64]],
) -> Audit:
    classes = dict.fromkeys(dataset.empty_classes, 0)
    if dataset.targets:
        classes |= dataset.targets.task.counts(dataset.labels[usable])
    dropped = tuple(Rejected(dataset.names[i], reasons[i]) for i in sorted(reasons))
    return Audit(
        dataset=dataset.checked(digests),
        n=len(dataset) + len(dataset.rejected),
        rejected=dataset.rejected + dropped,
        usable=usable,
        duplicates=_named(dataset, same.duplicates),
        conflicts=_named(dataset, same.conflicts),
        leaks=_named(dataset, same.leaks),
        near_duplicates=tuple(_near(dataset, int(a), int(b)) for a, b in pairs),
        classes=classes,
        tiny={name: count for name, count in classes.items() if 0 < count < _TINY},
        empty_classes=tuple(name for name, count in classes.items() if not count),
    )


def _told_apart(dataset: Dataset, digests: npt.NDArray[np.bytes_]) -> npt.NDArray[np.bytes_]:
    """Return what copies agree in: their content, and the columns that are read beside it."""
    beside = dataset.beside
    if beside is None:
        return digests
    keys = [digest(bytes(one), beside.key(i)) for i, one in enumerate(digests)]
    return np.array(keys, DIGEST)


def _joined(dataset: Dataset, same: copies.Copies) -> Dataset:
    """Return the data set in which copies have the targets of each other."""
    if not same.joined:
        return dataset
    values = dataset.labels.copy()
    for index, value in same.joined.items():
        values[index] = value
    n = len(same.joined)
    log.info("%d items lie in several places; each has the labels of all of its copies", n)
    return replace(dataset, targets=replace(dataset.known, values=values))


def _without(n: int, reasons: dict[int, str]) -> npt.NDArray[np.int64]:
    keep = np.ones(n, np.bool_)
    keep[list(reasons)] = False
    return np.flatnonzero(keep)


def _unlearnable(dataset: Dataset, usable: npt.NDArray[np.int64]) -> dict[int, str]:
    """Items to evaluate on, of a class without anything to train on, where the data are split."""
    splits = dataset.splits[usable]
    training = np.isin(splits, ["train", ""])
    if dataset.targets is None or not (splits == "train").any():
        return {}
    lost = usable[dataset.targets.task.lost(dataset.labels[usable], training)]
    why = "its class '{}' has no usable training item"
    return {int(i): why.format(dataset.said(int(i))) for i in lost}


def _named(dataset: Dataset, groups: list[npt.NDArray[np.int64]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(dataset.names[int(index)] for index in group) for group in groups)


def _near(dataset: Dataset, one: int, other: int) -> Near:
    sides = np.isin(dataset.splits[[one, other]], ["val", "test"])
    return Near(
        dataset.names[one],
        dataset.names[other],
        bool(sides[0] != sides[1]),
        dataset.said(one) != dataset.said(other),
    )
