"""COCO's JSON: images, annotations and categories, told apart by ids that may be anything."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from headstart.data.dataset import Rejected, Split
from headstart.data.pictures.named import Pictures
from headstart.detection.annotations import Annotations, Drawn, Picture, numbers, read_json
from headstart.errors import DataError

PARTS = ("images", "annotations", "categories")


def is_coco(path: Path) -> bool:
    """Return whether the file at ``path`` begins as a COCO file could: as a JSON object."""
    with path.open("rb") as file:
        start = file.read(64).lstrip(b"\xef\xbb\xbf").lstrip()
    return not start or start.startswith(b"{")


def read(path: Path, images: Path | None = None, split: Split = "") -> Annotations:
    """Return what the COCO file at ``path`` says.

    Args:
        path: the file.
        images: folder of the pictures; the file's own if None. They may lie deeper.
        split: that all of it is in.

    Raises:
        DataError: it is no COCO file, or its categories do not tell classes apart.
    """
    held = read_json(path)
    missing = [part for part in PARTS if not isinstance(held, dict) or part not in held]
    if missing:
        raise DataError(
            f"{path} is no COCO file: it lacks {', '.join(missing)}. Boxes need images, "
            "annotations with image_id, category_id and bbox, and categories."
        )
    names = _names(path, held["categories"])
    rejected: list[Rejected] = []
    drawn = _drawn(held, names, path.name, rejected)
    places = Pictures(images or path.parent)
    pictures = []
    for one in held["images"]:
        file = str(one.get("file_name", ""))
        found = places.find(file) or ""
        size = numbers([one.get("width"), one.get("height")], 2)
        stated = None if size is None else (int(size[0]), int(size[1]))
        boxes = drawn.get(one.get("id"), [])
        pictures.append(Picture(file or f"image {one.get('id')}", found, split, boxes, size=stated))
    return Annotations(
        path, pictures, {name: number for number, name in names.items()}, rejected, _notes(held)
    )


def _names(path: Path, categories: list[dict[str, Any]]) -> dict[int, str]:
    """Return the classes' names by their ids, in the order of the ids."""
    try:
        names = {int(one["id"]): str(one["name"]) for one in categories}
    except (KeyError, TypeError, ValueError) as error:
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
    known = {one.get("id") for one in held["images"]}
    drawn: dict[Any, list[Drawn]] = defaultdict(list)
    for number, one in enumerate(held["annotations"], 1):
        item = f"{file}: annotation {one.get('id', number)}"
        box = numbers(one.get("bbox") or (), 4)
        if one.get("image_id") not in known:
            rejected.append(Rejected(item, f"its image {one.get('image_id')} is not listed"))
        elif one.get("category_id") not in names:
            rejected.append(Rejected(item, f"unknown class: category {one.get('category_id')}"))
        elif box is None:
            rejected.append(Rejected(item, f"no box: {one.get('bbox')}"))
        else:
            left, top, width, height = box.tolist()
            name, crowd = names[one["category_id"]], bool(one.get("iscrowd"))
            ends = (left, top, left + width, top + height)
            drawn[one["image_id"]].append((*ends, name, crowd))
    return drawn


def _notes(held: dict[str, Any]) -> list[str]:
    notes = []
    for part in ("images", "annotations"):
        ids = [one.get("id") for one in held[part]]
        if len(set(ids)) < len(ids):
            notes.append(f"several {part} have one id: {Counter(ids).most_common(1)[0][0]}")
    return notes
