"""What the readers of box files return, before any picture is opened."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart.data.dataset import Rejected, Split
from headstart.errors import DataError
from headstart.facts import FactsError, Rule, parsed, read_bytes
from headstart.wording import Said

Drawn = tuple[float, float, float, float, str, bool]
"""Left, top, right, bottom, class, and whether it is a crowd, as the file has them."""

_LARGEST = 1 << 32
"""Bytes of a COCO file: those of COCO itself have half a billion."""

_WIDEST = 1 << 24


@dataclass(frozen=True)
class Picture:
    """A picture and what somebody drew on it.

    Attributes:
        name: what it is called in reports.
        path: of its file; empty where there is none that may be read.
        split: "train", "val", "test", or "" where the data do not say.
        drawn: the boxes, in pixels.
        relative: the boxes are shares of width and height instead.
        size: width and height that the file states; None where it does not.
        why: there is no path.
    """

    name: str
    path: str
    split: Split
    drawn: list[Drawn]
    relative: bool = False
    size: tuple[int, int] | None = None
    why: str = "no such picture"


@dataclass(frozen=True)
class Annotations:
    """All that was read.

    Attributes:
        root: what the user gave.
        pictures: with their boxes.
        ids: the number of each class, by its name.
        rejected: what could not be used, with reasons.
        notes: what the user should know.
    """

    root: Path
    pictures: list[Picture]
    ids: dict[str, int]
    rejected: list[Rejected] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def joined(root: Path, parts: Sequence[Annotations]) -> Annotations:
    """Return what the files of several splits hold; classes are one where their names are.

    A class has the number that the first part gives it; where later ones give it another, or give
    its number to another class, a note says so.
    """
    ids: dict[str, int] = {}
    notes: list[str] = []
    for part in parts:
        for name, number in part.ids.items():
            if ids.setdefault(name, number) != number:
                notes.append(
                    Said(
                        "'{name}' has id {id}, but {other} in {root}",
                        name=name,
                        id=ids[name],
                        other=number,
                        root=str(part.root),
                    )
                )
    taken = set(ids.values())
    if len(taken) < len(ids):  # one number for two names: counted anew
        notes.append(Said("two classes share an id; all classes are numbered anew, from 1"))
        ids = {name: number for number, name in enumerate(ids, 1)}
    return Annotations(
        root,
        [one for part in parts for one in part.pictures],
        ids,
        [one for part in parts for one in part.rejected],
        [*notes, *(note for part in parts for note in part.notes)],
    )


def read_text(path: Path, most: int = 1 << 26) -> str:
    """Return the text in the plain file at ``path``; what is no UTF-8 in it becomes ``\\ufffd``.

    Raises:
        FactsError: it is a pipe or a device, or larger than ``most`` bytes.
        OSError: it cannot be read.
    """
    return read_bytes(path, most).removeprefix(BOM_UTF8).decode("utf-8", "replace")


def read_json(path: Path, rule: Rule) -> Any:
    """Return what the JSON file at ``path`` holds, held against ``rule``.

    Raises:
        DataError: it is empty, no JSON, or says what ``rule`` does not allow.
    """
    try:
        content = read_bytes(path, _LARGEST).removeprefix(BOM_UTF8)
        if content.strip():
            return parsed(content, str(path), rule)
    except FactsError as error:
        raise DataError(f"{error}.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    raise DataError(f"{path} is empty; a COCO file holds images, annotations, categories.")


def numbers(values: Iterable[Any], n: int) -> npt.NDArray[np.float64] | None:
    """Return ``n`` finite numbers, or None where ``values`` are something else."""
    values = list(values)
    if any(isinstance(one, bool) for one in values):
        return None
    try:
        found = np.array([float(one) for one in values], np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if len(found) == n and np.isfinite(found).all() else None


def stated_size(values: Iterable[Any]) -> tuple[int, int] | None:
    """Return the width and height that a file states; None where they are those of no picture."""
    found = numbers(values, 2)
    if found is None or not ((found >= 1) & (found <= _WIDEST)).all():
        return None
    return int(found[0]), int(found[1])
