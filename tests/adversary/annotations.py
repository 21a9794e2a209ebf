"""Small sets of pictures with boxes in each format, and what is done to their files."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np

from adversary.mutations import changed, mutated
from headstart.detection.audit import check
from headstart.detection.reading import read
from test_boxes import coco, voc, yolo

FORMATS: dict[str, tuple[Callable[[Path], object], str]] = {
    "COCO": (lambda root: coco(root / "train"), "train/annotations.json"),
    "VOC": (voc, "Annotations/a.xml"),
    "YOLO boxes": (yolo, "labels/train/a.txt"),
    "YOLO names": (yolo, "data.yaml"),
}
"""Who writes such a set, and the file that is changed."""


def bytes_changed(path: Path, whole: bytes, seed: int) -> None:
    path.write_bytes(mutated(whole, np.random.default_rng([seed, len(whole)])))


def facts_changed(path: Path, whole: bytes, seed: int) -> None:
    path.write_text(json.dumps(changed(json.loads(whole), random.Random(seed))))


def outcome(root: Path) -> str:
    """Return how reading and checking a set ends; every box that is used lies in its picture."""
    checked = check(read(root))
    for value in checked.dataset.labels:
        ends = np.asarray(value).reshape(-1, 6)[:, :4]
        if not (np.isfinite(ends).all() and (ends >= 0).all() and (ends <= 1).all()):
            return "WRONG"
    return "read"
