"""Small pictures inside a page: at most so many, each once, however often it is shown."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from PIL import Image

from headstart.data.pictures.images import examine
from headstart.data.pictures.pixels import flatten
from headstart.errors import ItemError

SIDE = 64
"""Pixels of the longer side, at most."""

MOST = 200
"""Pictures in a page."""

_QUALITY = 72


def thumbnail(content: bytes) -> str:
    """Return the picture in ``content`` as a data URI of at most `SIDE` pixels a side.

    Raises:
        ItemError: it is no picture, or has channels that cannot be shown.
    """
    found: Any = examine(content, SIDE).image
    if isinstance(found, np.ndarray):
        found = Image.fromarray(found if found.ndim == 2 else found.mean(axis=2).astype(np.uint8))
    picture = flatten(found)
    picture.thumbnail((SIDE, SIDE))
    if picture.mode == "RGBA":
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture).convert("RGB")
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()


def thumbnails(
    wanted: Iterable[str], content: Callable[[str], bytes | None], most: int = MOST
) -> dict[str, str]:
    """Return the pictures of the first ``most`` different items of ``wanted``, by name.

    Args:
        wanted: names of items, the most important first.
        content: from a name to the item's bytes; None where there is no such item.
        most: how many.
    """
    found: dict[str, str] = {}
    for name in wanted:
        if len(found) >= most:
            break
        if name in found:
            continue
        try:
            held = content(name)
            if held is not None:
                found[name] = thumbnail(held)
        except (OSError, ItemError):
            continue
    return found
