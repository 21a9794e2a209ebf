"""What can be trained on of pictures with boxes, what cannot, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from headstart.data.audit import Audit, collect
from headstart.data.dataset import Dataset, Rejected
from headstart.data.folders import file_content
from headstart.data.scan import Scanned, scan
from headstart.detection.annotations import Annotations, Drawn, Picture
from headstart.errors import DataError
from headstart.progress import track
from headstart.tasks.box_figures import NUMBERS, Things
from headstart.tasks.boxes import CROWD, THING, Boxes, packed
from headstart.tasks.task import Targets
from headstart.wording import Said

SLACK = 1.0
"""Pixels that a box may reach out of its picture without a word."""

THINNEST = 0.01
"""Pixels that a box must be wide and high, at least: logarithms of less ruin what is learned."""

ALIKE = 0.02
"""How far a picture's shape may be from the stated one, relatively, to be the same picture scaled.
"""


@dataclass(frozen=True)
class Checked:
    """What an audit of boxes found.

    Attributes:
        audit: of the pictures; its data set has boxes as targets, and ``rejected`` names boxes too.
        notes: what the user should know.
        longest: side of the largest usable picture, in pixels.
    """

    audit: Audit
    notes: list[str]
    longest: int

    @property
    def dataset(self) -> Dataset:
        """The pictures with their boxes."""
        return self.audit.dataset


class _Faults:
    """What is wrong with boxes: those that go, and how many were cut."""

    def __init__(self) -> None:
        self.rejected: list[Rejected] = []
        self.cut = self.crowds = 0

    def reject(self, picture: Picture, number: int, name: str, why: str) -> None:
        self.rejected.append(Rejected(picture.name, f"box {number} ({name}): {why}"))


def check(found: Annotations, *, training: bool = True) -> Checked:
    """Return what can be used of ``found``, after opening every picture once.

    Boxes that are empty, outside of their picture or drawn twice go, each with its reason; those
    that reach out of it are cut. A picture without any box stays: it shows what nothing looks like.

    Args:
        found: what was read.
        training: the classes are those on training pictures; otherwise, all that there are.

    Raises:
        DataError: no picture is there, or no box can be used.
    """
    faults = _Faults()
    here = [one for one in found.pictures if one.path]
    lost = [Rejected(one.name, one.why) for one in found.pictures if not one.path]
    if not here:
        raise DataError(
            f"none of the {len(found.pictures)} pictures that {found.root} names is there "
            f"({found.pictures[0].name}, ...); say where they are with --images FOLDER."
        )
    plain = _dataset(found.root, here)
    seen = list(track(scan(plain), "audit", len(plain)))
    drawn: list[list[Drawn]] = []
    judged: list[Scanned] = []
    for picture, one in zip(here, seen, strict=True):
        why = one.fault or _other_size(picture, one)
        judged.append(replace(one, fault=why))
        drawn.append([] if why else list(_clean(picture, one, faults)))
    names, notes = _classes(here, drawn, found, training)
    values = packed([_things(boxes, names, one) for boxes, one in zip(drawn, seen, strict=True)])
    task = Boxes(tuple(names), tuple(found.ids[name] for name in names))
    audit = collect(replace(plain, targets=Targets(task, values)), judged)
    rejected = (*found.rejected, *lost, *faults.rejected, *audit.rejected)
    audit = replace(audit, rejected=rejected, n=len(found.pictures))
    longest = max((max(one.width, one.height) for one in judged if not one.fault), default=0)
    return Checked(audit, [*found.notes, *notes, *_notes(faults, task, training)], longest)


def _dataset(root: Path, pictures: list[Picture]) -> Dataset:
    return Dataset(
        kind="image",
        root=root,
        names=[one.name for one in pictures],
        targets=None,
        splits=np.array([one.split for one in pictures], "U5"),
        content=partial(_content, [one.path for one in pictures]),
    )


def _content(paths: list[str], index: int) -> bytes:
    return file_content(paths[index], "image")


def _other_size(picture: Picture, one: Scanned) -> str:
    """Return why boxes drawn on a picture of another shape cannot be used; empty if they can."""
    if picture.size is None or not all(picture.size):
        return ""
    (width, height), shape = picture.size, one.width / one.height
    if abs(width / height / shape - 1) <= ALIKE:
        return ""
    return (
        f"its boxes were drawn on {width} x {height} pixels, but it has {one.width} x "
        f"{one.height}: turned, or another picture"
    )


def _clean(picture: Picture, one: Scanned, faults: _Faults) -> Iterator[Drawn]:
    """Yield the boxes that can be used, in pixels of the picture as it is."""
    size = (1.0, 1.0) if picture.relative else picture.size or (one.width, one.height)
    across, down = (mine / of for mine, of in zip((one.width, one.height), size, strict=True))
    known: set[Drawn] = set()
    for number, (left, top, right, bottom, name, crowd) in enumerate(picture.drawn, 1):
        left, right, top, bottom = left * across, right * across, top * down, bottom * down
        ends = (max(left, 0), max(top, 0), min(right, one.width), min(bottom, one.height))
        kept = (*(round(end, 3) for end in ends), name, crowd)
        if right - left < THINNEST or bottom - top < THINNEST:
            faults.reject(picture, number, name, "empty")
        elif ends[2] - ends[0] < THINNEST or ends[3] - ends[1] < THINNEST:
            faults.reject(picture, number, name, "outside of the picture")
        elif kept in known:
            faults.reject(picture, number, name, "drawn twice")
        else:
            beyond = max(-left, -top, right - one.width, bottom - one.height)
            faults.cut += beyond > SLACK
            faults.crowds += crowd
            known.add(kept)  # type: ignore[arg-type]
            yield (*ends, name, crowd)


def _classes(
    pictures: list[Picture], drawn: list[list[Drawn]], found: Annotations, training: bool
) -> tuple[list[str], list[str]]:
    """Return the classes that are drawn on training pictures, by id, and what is to be said."""
    learned: Counter[str] = Counter()
    others: Counter[str] = Counter()
    splits = training and any(one.split == "train" for one in pictures)
    for picture, boxes in zip(pictures, drawn, strict=True):
        trains = not splits or picture.split in ("train", "")
        counts = Counter(box[4] for box in boxes if not box[5])
        (learned if trains else others).update(counts)
    if not learned:
        which = "training picture" if training else "picture"
        raise DataError(f"{found.root}: no box on a {which} can be used.")
    notes: list[str] = [
        Said(
            "'{name}' is on {n} held-out boxes but on no training picture; they do not count",
            name=name,
            n=n,
        )
        for name, n in others.items()
        if name not in learned
    ]
    unused = [name for name in found.ids if name not in learned and name not in others]
    if unused:
        notes.append(Said("classes without a box, left out: {names}", names=", ".join(unused[:10])))
    return sorted(learned, key=lambda name: found.ids[name]), notes


def _things(boxes: list[Drawn], names: list[str], one: Scanned) -> Things:
    """Return the boxes of known classes as things, see `headstart.tasks.boxes`."""
    longer = max(one.width, one.height, 1)
    rows = [
        [*(end / longer for end in box[:4]), names.index(box[4]), CROWD if box[5] else THING]
        for box in boxes
        if box[4] in names
    ]
    return np.array(rows, np.float64).reshape(-1, NUMBERS)


def _notes(faults: _Faults, task: Boxes, training: bool) -> list[str]:
    notes: list[str] = []
    if faults.cut:
        notes.append(
            Said("boxes that reach out of their pictures, and were cut: {n}", n=faults.cut)
        )
    if faults.crowds:
        crowds = "{n} crowds: not trained on, and what is found in them is free"
        notes.append(Said(crowds, n=faults.crowds))
    if not training:
        return notes
    if len(task.names) == 1:
        one = "one class, '{name}': told apart from the ground alone"
        notes.append(Said(one, name=task.names[0]))
    ids = list(task.ids)
    if ids != list(range(1, len(ids) + 1)):
        table = ", ".join(f"{number} {name}" for number, name in zip(ids, task.names, strict=True))
        kept = "the classes' ids, kept in the model as they are: {table}"
        notes.append(Said(kept, table=table[:200]))
    return notes
