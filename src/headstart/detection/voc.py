"""Pascal VOC: an XML file a picture."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from headstart.data.dataset import Rejected, Split
from headstart.data.folders import split_name
from headstart.data.pictures.named import Pictures
from headstart.detection.annotations import (
    Annotations,
    Drawn,
    Picture,
    numbers,
    read_text,
    stated_size,
)
from headstart.facts import read_bytes

SIDES = ("xmin", "ymin", "xmax", "ymax")

LARGEST = 1 << 24
"""Bytes of what says of one picture what is on it. Entities that grow are expat's to refuse."""


def read(
    root: Path,
    files: list[Path],
    split: Split = "",
    images: Path | None = None,
    *,
    anywhere: bool = False,
) -> Annotations:
    """Return what the XML ``files`` say.

    VOC counts pixels from 1 and includes the last one, so a box from 1 to 10 is 0 to 10 here. The
    classes are numbered from 1 in the order of their names.

    Args:
        root: of the data; ``ImageSets/Main`` in it may say which picture is in which split.
        files: one a picture.
        split: of those that are in no list.
        images: folder of the pictures; ``root`` if None.
        anywhere: they may lie outside of that folder.
    """
    places, listed = Pictures(images or root, anywhere=anywhere), _listed(root)
    pictures: list[Picture] = []
    rejected: list[Rejected] = []
    for path in files:
        name = path.relative_to(root).as_posix()
        try:
            found = ElementTree.fromstring(read_bytes(path, LARGEST))
        except (OSError, ElementTree.ParseError, LookupError, ValueError) as error:
            rejected.append(Rejected(name, f"cannot be read: {error}"))
            continue
        file = (found.findtext("filename") or path.stem).strip()
        at = places.find(file) or places.find(path.stem) or ""
        drawn = [one for one in map(_thing, found.iter("object")) if one]
        lost = sum(1 for _ in found.iter("object")) - len(drawn)
        if lost:
            rejected.append(Rejected(name, f"{lost} objects without a name or a whole box"))
        stated = stated_size(found.findtext(f"size/{side}") for side in ("width", "height"))
        here, why = listed.get(path.stem, split), places.fault(file)
        pictures.append(Picture(file, at, here, drawn, size=stated, why=why))
    names = sorted({one[4] for picture in pictures for one in picture.drawn})
    return Annotations(root, pictures, {name: n for n, name in enumerate(names, 1)}, rejected)


def _thing(node: ElementTree.Element) -> Drawn | None:
    name = (node.findtext("name") or "").strip()
    box = numbers((node.findtext(f"bndbox/{side}") for side in SIDES), 4)
    if not name or box is None:
        return None
    left, top, right, bottom = box.tolist()
    # What VOC calls difficult is neither trained on nor counted, as in its own benchmark.
    crowd = (node.findtext("difficult") or "0").strip() == "1"
    return left - 1, top - 1, right, bottom, name, crowd


def _listed(root: Path) -> dict[str, Split]:
    """Return the split of each picture that a list in ``ImageSets/Main`` names."""
    out: dict[str, Split] = {}
    for name in ("test", "val", "train"):
        for path in sorted((root / "ImageSets" / "Main").glob("*.txt")):
            if split_name(path.stem) == name:
                lines = read_text(path).split("\n") if path.is_file() else []
                out.update({line.split()[0]: name for line in lines if line.strip()})
    return out
