"""From whatever a file holds to 8-bit channels."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from headstart.errors import ItemError

Bytes = npt.NDArray[np.uint8]

MOST_PIXELS = 100_000_000
"""Larger images are refused unread: a few kilobytes can unpack to gigabytes."""

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
"""The Pillow mode for a number of channels."""

_STRIP = 512
_EIGHT_BIT = {"L", "RGB", "RGBA"}


def check_size(width: int, height: int) -> None:
    """Raise `ItemError` for an image that is empty or too large to be unpacked safely."""
    if width < 1 or height < 1:
        raise ItemError(f"empty image: {width} x {height} pixels")
    if width * height > MOST_PIXELS:
        most = MOST_PIXELS // 1_000_000
        raise ItemError(
            f"too large: {width} x {height} pixels (at most {most} million); refused unread"
        )


def to_bytes(values: npt.NDArray[Any]) -> Bytes:
    """Return ``values``, any shape and number type, as 0..255 of the same shape.

    The scale goes by type, not by the values of this one image, so that two images of one data set
    stay comparable: ``uint16`` is divided by 257, floats in 0..1 are multiplied by 255. Other
    numbers must lie in 0..255, or, if they are integers, in 0..65535.

    >>> to_bytes(np.array([0.0, 0.5, 1.0])).tolist()
    [0, 128, 255]
    """
    if values.dtype == np.uint8:
        return np.ascontiguousarray(values)
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    if values.dtype.kind not in "uif":
        raise ItemError(f"an array of {values.dtype}; wanted uint8, uint16 or float")
    if not np.isfinite(values).all():
        raise ItemError("holds values that are not finite")
    return np.asarray((values * _scale(values)).round().clip(0, 255), np.uint8)


def _scale(values: npt.NDArray[Any]) -> float:
    low, high = float(values.min(initial=0)), float(values.max(initial=0))
    whole = values.dtype.kind in "ui"
    if low < 0 or high > (65535 if whole else 255):
        raise ItemError(
            f"values from {low:g} to {high:g}; wanted 0..1 or 0..255 (uint16: 0..65535)"
        )
    if values.dtype == np.uint16 or high > 255:
        return 1 / 257
    return 255.0 if high <= 1 and not whole else 1.0


def from_npy(content: bytes) -> Bytes:
    """Return the image in the content of a ``.npy`` file: shape (H, W) or (H, W, C), 0..255.

    Raises `ItemError` for a pickle, other shapes, other ranges, and sizes that cannot be.
    """
    dtype, columns_first, shape, start = npy_header(content)
    if len(shape) not in (2, 3) or 0 in shape:
        raise ItemError(f"an array of shape {shape}; wanted (height, width) or with channels last")
    check_size(shape[1], shape[0] * (shape[2] if len(shape) == 3 else 1))
    count = int(np.prod(shape))
    if len(content) - start < count * dtype.itemsize:
        raise ItemError(f"truncated: the array of shape {shape} is not all there")
    values = np.frombuffer(content, dtype, count, start)
    return to_bytes(values.reshape(shape, order="F" if columns_first else "C"))


_DESCR = re.compile(r"'descr':\s*'([<>|=]?[biufU]\d+)'")
_ORDER = re.compile(r"'fortran_order':\s*(True|False)")
_SHAPE = re.compile(r"'shape':\s*\(([\d, ]*)\)")


def npy_header(content: bytes) -> tuple[np.dtype[Any], bool, tuple[int, ...], int]:
    """Return (dtype, Fortran order, shape, where the numbers start) of ``.npy`` content.

    Not by `np.load`: it reads the header with Python's parser, which in CPython 3.11 fails now and
    then when two threads use it at once (cpython issue 106905), and decoding runs in threads.
    """
    wide = content[6:7] > b"\x01"
    length = int.from_bytes(content[8 : 12 if wide else 10], "little")
    start = (12 if wide else 10) + length
    text = content[12 if wide else 10 : start].decode("latin-1")
    found = [pattern.search(text) for pattern in (_DESCR, _ORDER, _SHAPE)]
    descr, order, shape = (match[1] if match else None for match in found)
    if descr is None or order is None or shape is None:
        raise ItemError("an array of something else than plain numbers")
    sides = tuple(int(side) for side in shape.split(",") if side.strip())
    return np.dtype(descr), order == "True", sides, start


def flatten(image: Image.Image) -> Image.Image:
    """Return ``image`` in mode L or RGB, or RGBA where it has transparency, 8 bits a channel."""
    if image.mode in _EIGHT_BIT and "transparency" not in image.info:
        return image
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(to_bytes(np.asarray(image)))
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image.convert("L" if image.mode in {"1", "L"} else "RGB")


def with_channels(image: Image.Image | Bytes, channels: int) -> Image.Image | Bytes:
    """Return ``image`` with that many ``channels``: a Pillow image for 1, 3 and 4, else an array.

    Transparency is laid over white. An array image keeps its channels or is refused.
    """
    if isinstance(image, np.ndarray):
        image = _picture(image)
    if isinstance(image, np.ndarray) or channels not in MODES:
        return _exactly(image, channels)
    image = flatten(image)
    if channels == 4:
        return image.convert("RGBA")
    return (_over_white(image) if image.mode == "RGBA" else image).convert(MODES[channels])


def _picture(array: Bytes) -> Image.Image | Bytes:
    """An array of 1, 3 or 4 channels is as good as a Pillow image; others stay arrays."""
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim == 2 or array.shape[2] in MODES:
        return Image.fromarray(np.ascontiguousarray(array))
    return array


def _exactly(image: Image.Image | Bytes, channels: int) -> Bytes:
    array = np.asarray(image)
    array = array[:, :, None] if array.ndim == 2 else array
    if array.shape[2] != channels:
        raise ItemError(f"has {array.shape[2]} channels; the network wants {channels}")
    return array


def _over_white(image: Image.Image) -> Image.Image:
    out = Image.new("RGB", image.size)
    for top in range(0, image.height, _STRIP):  # whole, three copies would lie in memory
        strip = image.crop((0, top, image.width, min(top + _STRIP, image.height)))
        white = Image.new("RGBA", strip.size, (255, 255, 255, 255))
        out.paste(Image.alpha_composite(white, strip).convert("RGB"), (0, top))
    return out
