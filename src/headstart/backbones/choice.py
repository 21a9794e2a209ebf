"""Which backbone reads a data set, and how: the default, its size, channels, limits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from headstart.backbones.entry import Entry
from headstart.backbones.registry import resolve_all
from headstart.backbones.usual import SMALL, unread, usual
from headstart.data.dataset import Dataset
from headstart.data.pictures.images import Decoded, Preprocess, examine
from headstart.errors import DataError, ItemError
from headstart.progress import log
from headstart.settings.groups import Input, Options
from headstart.settings.option import require_kind, require_read
from headstart.wording import Said


def entries_for(
    backbone: str | None, dataset: Dataset, run: Input, seed: int, notes: list[str]
) -> tuple[Entry, ...]:
    """Return the backbones of the name, as the items and the settings want them.

    Raises:
        UsageError: a setting is for the other kind of items.
        DataError: the backbone is for the other kind of items.
        BackboneError: it, or its weights, are not here.
    """
    if backbone is None:
        backbone, why = usual(dataset)
        say(notes, Said("backbone {backbone}, for {why}", backbone=backbone, why=why))
    entries = resolve_all(backbone, seed=seed)
    task = dataset.targets.task.name if dataset.targets else ""
    require_kind(run, dataset.kind, str(dataset.root), task)
    if entries[0].kind != dataset.kind:
        raise DataError(
            f"{dataset.root} holds {dataset.kind}s, but the backbone '{backbone}' is for "
            f"{entries[0].kind}s; leave it out, or see `headstart backbones`."
        )
    entries = as_asked(entries, run)
    if dataset.kind == "text":
        for entry in entries:
            if warning := unread(entry, dataset):
                say(notes, warning)
        return entries
    return _for_pictures(entries, dataset, run.channels, notes)


def as_asked(entries: tuple[Entry, ...], run: Input) -> tuple[Entry, ...]:
    """Return the entries, which are of one kind, as the settings want items read."""
    if entries[0].kind == "text":
        how: dict[str, Any] = {"pooling": run.pooling, "max_length": run.max_length}
        return tuple(entry.reading(**how, clean=run.clean) for entry in entries)
    if run.image_size is None:
        return entries
    return tuple(_of_size(entry, run.image_size) for entry in entries)


def require_learners(run: Options, entries: Iterable[Entry]) -> None:
    """Refuse options for networks that learn their words here where all know theirs already."""
    chosen = list(entries)
    if all(entry.ready for entry in chosen):
        reason = f"it is for networks that are trained here, and {backbone_name(chosen)} knows "
        require_read(run, lambda one: f"{reason}its words" if one.learns_words else None)


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
    if glyphs and picture and min(picture.width, picture.height) > SMALL:
        say(
            notes,
            Said(
                "glyphs learned from small printed characters; for photos name a backbone that "
                "learned from photos, such as torchvision:mobilenet_v2"
            ),
        )
    if wanted is None:
        return entries
    for entry in entries:
        if isinstance(entry.preprocess, Preprocess) and entry.preprocess.channels != wanted:
            say(
                notes,
                Said(
                    "{backbone}: first convolution adapted from {learned} to {wanted} channels",
                    backbone=entry.name,
                    learned=entry.preprocess.channels,
                    wanted=wanted,
                ),
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
