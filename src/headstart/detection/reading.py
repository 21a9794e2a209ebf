"""From a path to pictures with boxes, by looking at what is there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

from headstart.data.dataset import Split
from headstart.data.folders import SUFFIXES, has_classes, shown, split_name
from headstart.detection import coco, voc, yolo
from headstart.detection.annotations import Annotations, Picture, joined
from headstart.errors import DataError
from headstart.facts import FactsError
from headstart.settings.groups import Pictured

LAYOUTS = (
    "Headstart reads boxes from {train,val,test}/ with pictures and annotations.json, a COCO file "
    "with --images, Pascal VOC (Annotations/*.xml, JPEGImages/) and YOLO (images/, labels/ and "
    "data.yaml or classes.txt)."
)


def read(source: str | Path, images: Path | None = None, *, anywhere: bool = False) -> Annotations:
    """Return the pictures and boxes at ``source``; no picture is opened yet.

    Args:
        source: a COCO file or a folder, see `LAYOUTS`.
        images: where the pictures are, if not beside a COCO file or in the folder.
        anywhere: a file may name pictures outside of that folder.

    Raises:
        DataError: nothing there that could be read; the message says what was looked for.
    """
    path = Path(os.path.expanduser(source))
    if not path.exists():
        raise DataError(f"no such file or folder: '{path}'. {LAYOUTS}")
    try:
        beside = Pictured(images=images, anywhere=anywhere)
        found = _alone(path, beside) if path.is_file() else _folder(path, beside)
    except (OSError, FactsError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise DataError(
            f"'{getattr(error, 'filename', '') or path}' cannot be read: {why}"
        ) from error
    if not found.pictures:
        raise DataError(f"{path} lists no pictures. {LAYOUTS}")
    if not any(one.drawn for one in found.pictures):
        why = f" ({found.rejected[0].item}: {found.rejected[0].reason})" if found.rejected else ""
        raise DataError(f"{path} holds no boxes that can be used{why}; there is nothing to learn.")
    top = path.parent if path.is_file() else path
    return replace(found, pictures=[_placed(one, top) for one in found.pictures])


def _placed(one: Picture, top: Path) -> Picture:
    """Call a picture by its place below ``top``: in two splits two may be called alike."""
    below = one.path and shown(one.path, top)
    return one if not below or below.startswith("..") else replace(one, name=below)


def _alone(path: Path, beside: Pictured) -> Annotations:
    return coco.read(path, beside.images, anywhere=beside.anywhere)


def _folder(root: Path, beside: Pictured) -> Annotations:
    for reader in (_coco, _voc, _yolo):
        parts = list(reader(root, beside))
        if parts:
            return joined(root, parts)
    hint = "It holds class folders, which headstart fit learns. " if has_classes(root) else ""
    raise DataError(f"no boxes found in {root}. {hint}{LAYOUTS}")


def _splits(root: Path) -> list[tuple[Path, Split]]:
    """Return the folders of the splits; the whole folder where there are none."""
    named = [(one, split_name(one.name)) for one in sorted(root.iterdir()) if one.is_dir()]
    found = [(one, cast("Split", split)) for one, split in named if split]
    order = ("train", "val", "test")
    return sorted(found, key=lambda pair: order.index(pair[1])) or [(root, "")]


def _coco(root: Path, beside: Pictured) -> Iterator[Annotations]:
    for folder, split in _splits(root):
        for path in _one(folder, ("annotations", "_annotations.coco", "instances", "labels")):
            yield coco.read(path, beside.images, split, anywhere=beside.anywhere)
    if (root / "annotations").is_dir():
        for path in sorted((root / "annotations").glob("*.json")):
            said = [split_name(part) for part in _words(path.stem)]
            split = cast("Split", next(filter(None, said), ""))
            if coco.is_coco(path):
                yield coco.read(path, beside.images or root, split, anywhere=beside.anywhere)


def _words(stem: str) -> list[str]:
    """Return the words of a file's name: ``instances_train2017`` has train."""
    return "".join(letter if letter.isalpha() else " " for letter in stem).split()


def _one(folder: Path, names: tuple[str, ...]) -> list[Path]:
    """Return the COCO file that lies in ``folder`` itself."""
    found = [path for path in sorted(folder.glob("*.json")) if coco.is_coco(path)]
    if len(found) > 1:
        found = [path for name in names for path in found if path.stem == name][:1] or found
    if len(found) > 1:
        listed = ", ".join(path.name for path in found)
        raise DataError(f"{folder} holds {len(found)} COCO files: {listed}. Give the path of one.")
    return found


def _voc(root: Path, beside: Pictured) -> Iterator[Annotations]:
    own = root / "Annotations"
    folders: list[tuple[Path, Split]] = [(own, "")] if own.is_dir() else _splits(root)
    for folder, split in folders:
        files = sorted(folder.rglob("*.xml"))
        if files:
            base = root if own.is_dir() else folder
            yield voc.read(base, files, split, beside.images, anywhere=beside.anywhere)


def _yolo(root: Path, beside: Pictured) -> Iterator[Annotations]:
    images = beside.images
    pictures = images or root / "images"
    if pictures.is_dir() and (images or (root / "labels").is_dir() or _has(pictures, ".txt")):
        yield yolo.read(root, _splits(pictures), root)
        return
    folders = [(folder, split) for folder, split in _splits(root) if _is_yolo(folder)]
    if folders:
        yield yolo.read(root, folders, root)


def _is_yolo(folder: Path) -> bool:
    return (folder / "labels").is_dir() or _has(folder, ".txt", beside=lambda p: _picture_of(p))


def _has(folder: Path, suffix: str, beside: Callable[[Path], bool] = lambda path: True) -> bool:
    return any(beside(path) for path in folder.rglob(f"*{suffix}"))


def _picture_of(text: Path) -> bool:
    return any(text.with_suffix(suffix).is_file() for suffix in SUFFIXES["image"])
