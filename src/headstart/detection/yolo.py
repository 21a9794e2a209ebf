"""YOLO's text files: a line a box, ``class x y width height``, in shares of the picture."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from headstart.data import folders
from headstart.data.dataset import Rejected, Split
from headstart.detection.annotations import Annotations, Drawn, Picture, numbers, read_text
from headstart.errors import DataError

NAMES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml", "classes.txt", "obj.names")


def read(root: Path, images: list[tuple[Path, Split]], base: Path) -> Annotations:
    """Return what the text files say that belong to the pictures in the folders ``images``.

    That of ``images/train/a.jpg`` is ``labels/train/a.txt``, or ``images/train/a.txt``; a picture
    without one shows nothing. The classes are numbered from 0, in the order of ``data.yaml`` or
    ``classes.txt``.

    Args:
        root: where the names of the classes are looked for.
        images: folders of pictures with their splits.
        base: what pictures are called from.

    Raises:
        DataError: nothing says what the classes are called.
    """
    names = _names(root)
    rejected: list[Rejected] = []
    pictures: list[Picture] = []
    for folder, split in images:
        for path in _pictures(folder):
            lines = _lines(path)
            name = folders.shown(str(path), base)
            drawn = list(_drawn(lines, names, name, rejected))
            pictures.append(Picture(name, str(path), split, drawn, relative=True))
    return Annotations(base, pictures, {name: n for n, name in enumerate(names)}, rejected)


def _pictures(folder: Path) -> Iterator[Path]:
    top = folders.entry_of(str(folder))
    for one in folders.walk(top, {top.key}):
        if isinstance(one, folders.Entry) and one.suffix in folders.SUFFIXES["image"]:
            yield Path(one.path)


def _lines(picture: Path) -> list[str]:
    beside = picture.with_suffix(".txt")
    head, found, tail = str(beside).rpartition(f"{os.sep}images{os.sep}")
    paths = [Path(f"{head}{os.sep}labels{os.sep}{tail}")] if found else []
    for path in [*paths, beside]:
        if path.is_file():
            return read_text(path).splitlines()
    return []


def _drawn(
    lines: list[str], names: list[str], picture: str, rejected: list[Rejected]
) -> Iterator[Drawn]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        item, found = f"{picture}, line {number}", numbers(line.split()[:5], 5)
        if found is None or len(line.split()) not in (5, 6):
            rejected.append(Rejected(item, f"not class, x, y, width, height: '{line[:40]}'"))
        elif not (found[0].is_integer() and 0 <= found[0] < len(names)):
            rejected.append(Rejected(item, f"unknown class: {found[0]:g} of {len(names)}"))
        else:
            x, y, width, height = found[1:].tolist()
            ends = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
            yield (*ends, names[int(found[0])], False)


def _names(root: Path) -> list[str]:
    path = next((root / name for name in NAMES if (root / name).is_file()), None)
    if path is None:
        raise DataError(
            f"{root}: nothing says what the classes are called; put a data.yaml with names, or a "
            "classes.txt with a name a line, beside the folders of pictures and labels."
        )
    text = read_text(path)
    if path.suffix not in (".yaml", ".yml"):
        return [line.strip() for line in text.splitlines() if line.strip()]
    return _of_yaml(path, text)


def _of_yaml(path: Path, text: str) -> list[str]:
    import yaml

    try:
        # Its plain loader: the others make days of some names, and follow what grows without end.
        held: Any = yaml.load(text, Loader=yaml.BaseLoader)
        names = held["names"]
        if isinstance(names, dict):
            names = [names[str(number)] for number in range(len(names))]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise TypeError("names is no list of texts")
    except (yaml.YAMLError, KeyError, TypeError, ValueError, RecursionError) as error:
        said = f"{error!r}"[:200]
        raise DataError(f"{path}: no list of names could be read from it ({said}).") from error
    return list(names)
