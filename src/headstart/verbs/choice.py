"""Which backbone reads a data set, and how: the default, its size, channels, limits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from headstart.backbones.entry import Entry
from headstart.backbones.registry import resolve_all
from headstart.data.dataset import Dataset
from headstart.data.images import Decoded, Preprocess, examine
from headstart.errors import DataError, ItemError
from headstart.progress import log
from headstart.strategies.plan import Options

DEFAULT = {"image": "glyphs", "text": "minilm"}
"""The backbone of each kind of items where none is named: both work offline."""


def entries_for(
    backbone: str | None,
    dataset: Dataset,
    channels: int | None,
    seed: int,
    notes: list[str],
    options: Options | None = None,
) -> tuple[Entry, ...]:
    """Return the backbones of the name, as the items and the options want them."""
    backbone = backbone or DEFAULT[dataset.kind]
    entries = resolve_all(backbone, seed=seed)
    if entries[0].kind != dataset.kind:
        raise DataError(
            f"{dataset.root} holds {dataset.kind}s, but the backbone '{backbone}' is for "
            f"{entries[0].kind}s; try '{DEFAULT[dataset.kind]}'."
        )
    o = options or Options()
    if o.image_size:
        entries = tuple(_of_size(entry, o.image_size) for entry in entries)
    if dataset.kind == "text":
        how: dict[str, Any] = {"pooling": o.pooling, "max_length": o.max_length, "clean": o.clean}
        return tuple(entry.reading(**how) for entry in entries)
    return _for_pictures(entries, dataset, channels, notes)


def _of_size(entry: Entry, side: int) -> Entry:
    sized = entry.with_image_size(side)
    if sized != entry:
        from headstart.backbones.build import check_size

        check_size(sized)
    return sized


def _for_pictures(
    entries: tuple[Entry, ...], dataset: Dataset, channels: int | None, notes: list[str]
) -> tuple[Entry, ...]:
    picture = first_picture(dataset)
    wanted = channels or array_channels(picture)
    glyphs = any(entry.name == "glyphs" for entry in entries)
    if glyphs and picture and min(picture.width, picture.height) > 64:
        say(
            notes,
            "glyphs learned from small printed characters; for photos name a backbone that learned "
            "from photos, such as torchvision:mobilenet_v2",
        )
    if wanted is None:
        return entries
    for entry in entries:
        if isinstance(entry.preprocess, Preprocess) and entry.preprocess.channels != wanted:
            say(
                notes,
                f"{entry.name}: first convolution adapted from {entry.preprocess.channels} to "
                f"{wanted} channels",
            )
    return tuple(entry.with_channels(wanted) for entry in entries)


def first_picture(dataset: Dataset) -> Decoded | None:
    """Return the first of the data set's pictures that can be unpacked, among the first 20."""
    for index in range(min(len(dataset), 20)):
        try:
            return examine(dataset.content(index))
        except (OSError, ItemError):
            continue
    return None


def array_channels(picture: Decoded | None) -> int | None:
    """Return how many channels a picture from an array file has; None for picture files."""
    if picture is None or not isinstance(picture.image, np.ndarray):
        return None
    return picture.image.shape[2] if picture.image.ndim == 3 else 1


def say(notes: list[str], text: str) -> None:
    """Log ``text``, and remember it in ``notes``."""
    log.info("%s", text)
    notes.append(text)


def backbone_name(entries: Sequence[Entry]) -> str:
    """Return ``x+y`` for the entries x and y."""
    return "+".join(entry.name for entry in entries)
