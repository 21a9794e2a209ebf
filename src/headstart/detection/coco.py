"""COCO's JSON: images, annotations and categories, told apart by ids that may be anything."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from headstart.data.dataset import Rejected, Split
from headstart.data.pictures.named import Pictures
from headstart.detection.annotations import (
    Annotations,
    Drawn,
    Picture,
    numbers,
    read_json,
    stated_size,
)
from headstart.errors import DataError
from headstart.facts import FactsError, listed, mapping, record, require_regular
from headstart.wording import Said

PARTS = ("images", "annotations", "categories")

_LISTS = record({}, dict.fromkeys(PARTS, listed(mapping)))
_SHOWN = 60


def is_coco(path: Path) -> bool:
    """Return whether the file at ``path`` begins as a COCO file could: as a JSON object."""
    try:
        require_regular(path)
    except FactsError:
        return False
    with path.open("rb") as file:
        start = file.read(64).lstrip(b"\xef\xbb\xbf").lstrip()
    return not start or start.startswith(b"{")


def read(
    path: Path, images: Path | None = None, split: Split = "", *, anywhere: bool = False
) -> Annotations:
    """Return what the COCO file at ``path`` says.

    Args:
        path: the file.
        images: folder of the pictures; the file's own if None. They may lie deeper.
        split: that all of it is in.
        anywhere: pictures may lie outside of that folder.

    Raises:
        DataError: it is no COCO file, or its categories do not tell classes apart.
    """
    held = read_json(path, _LISTS)
    missing = [part for part in PARTS if part not in held]
    if missing:
        raise DataError(
            f"{path} is no COCO file: it lacks {', '.join(missing)}. Boxes need images, "
            "annotations with image_id, category_id and bbox, and categories."
        )
    names = _names(path, held["categories"])
    rejected: list[Rejected] = []
    drawn = _drawn(held, names, path.name, rejected)
    places = Pictures(images or path.parent, anywhere=anywhere)
    pictures = []
    for one in held["images"]:
        file = str(one.get("file_name", ""))
        found = places.find(file) or ""
        stated, number = stated_size([one.get("width"), one.get("height")]), _id(one)
        boxes = [] if number is None else drawn.get(number, [])
        name, why = file or f"image {number}", places.fault(file)
        pictures.append(Picture(name, found, split, boxes, size=stated, why=why))
    return Annotations(
        path, pictures, {name: number for number, name in names.items()}, rejected, _notes(held)
    )


def _id(one: dict[str, Any], name: str = "id") -> Any:
    """Return what an entry says it is, or is of; None where that is no number and no text."""
    found = one.get(name)
    return found if isinstance(found, int | float | str) else None


def _names(path: Path, categories: list[dict[str, Any]]) -> dict[int, str]:
    """Return the classes' names by their ids, in the order of the ids."""
    try:
        names = {int(one["id"]): str(one["name"]) for one in categories}
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{path}: each category needs an id and a name ({error!r}).") from error
    twice = [name for name, n in Counter(names.values()).items() if n > 1]
    if twice or len(names) < len(categories):
        what = f"'{twice[0]}' is the name of several" if twice else "several have one id"
        raise DataError(f"{path}: its categories cannot be told apart: {what}.")
    return dict(sorted(names.items()))


def _drawn(
    held: dict[str, Any], names: dict[int, str], file: str, rejected: list[Rejected]
) -> dict[Any, list[Drawn]]:
    """Return the boxes by the image's id."""
    known = {_id(one) for one in held["images"]} - {None}
    drawn: dict[Any, list[Drawn]] = defaultdict(list)
    for number, one in enumerate(held["annotations"], 1):
        item = f"{file}: annotation {_said(one.get('id', number))}"
        held_box, image, category = one.get("bbox"), _id(one, "image_id"), _id(one, "category_id")
        box = numbers(held_box, 4) if isinstance(held_box, list) else None
        if image not in known:
            rejected.append(Rejected(item, f"its image {_said(one.get('image_id'))} is not listed"))
        elif category not in names:
            said = _said(one.get("category_id"))
            rejected.append(Rejected(item, f"unknown class: category {said}"))
        elif box is None:
            rejected.append(Rejected(item, f"no box: {_said(held_box)}"))
        else:
            left, top, width, height = box.tolist()
            name, crowd = names[category], bool(one.get("iscrowd"))
            drawn[image].append((left, top, left + width, top + height, name, crowd))
    return drawn


def _said(value: Any) -> str:
    """Return how a message shows what a file says, however long that is."""
    said = str(value)
    return said if len(said) <= _SHOWN else f"{said[:_SHOWN]}…"


def _notes(held: dict[str, Any]) -> list[str]:
    notes: list[str] = []
    for part in ("images", "annotations"):
        ids = [number for number in map(_id, held[part]) if number is not None]
        if len(set(ids)) < len(ids):
            said = "several {part} have one id: {id}"
            notes.append(Said(said, part=part, id=Counter(ids).most_common(1)[0][0]))
    return notes
