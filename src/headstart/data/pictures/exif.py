"""The one EXIF fact that matters for training: which way up a photo is.

Pillow parses the whole EXIF block while it opens a JPEG and warns, process-wide, about damage in
fields that nobody here needs. So the block is cut out before Pillow sees it and only the
orientation is read, without warnings and without locks.
"""

from __future__ import annotations

import struct

from PIL import Image

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION = 0x0112
_START_OF_SCAN = 0xDA


def orientation(block: bytes) -> int:
    """Return the orientation, 1 to 8, that an EXIF ``block`` states; 1 where it states none.

    A damaged block states none.

    >>> orientation(bytes.fromhex("4d4d002a00000008000101120003000000010006"))
    6
    """
    tiff = block.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        return _find(tiff, order)
    except struct.error:
        return 1


def _find(tiff: bytes, order: str) -> int:
    (start,) = struct.unpack_from(order + "L", tiff, 4)
    (count,) = struct.unpack_from(order + "H", tiff, start)
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        tag, kind = struct.unpack_from(order + "HH", tiff, entry)
        if tag == _ORIENTATION and kind == 3:
            (value,) = struct.unpack_from(order + "H", tiff, entry + 8)
            return int(value) if value in _TURNS else 1
    return 1


def turned(image: Image.Image, way: int) -> Image.Image:
    """Return ``image`` the right way up; ``way`` is what `orientation` returned."""
    return image.transpose(_TURNS[way]) if way in _TURNS else image


def cut_out(jpeg: bytes) -> tuple[bytes, int]:
    """Return ``jpeg`` without its EXIF and multi-picture blocks, and the orientation they state."""
    kept, way, at = [jpeg[:2]], 1, 2
    while jpeg[at : at + 1] == b"\xff" and at + 4 <= len(jpeg) and jpeg[at + 1] != _START_OF_SCAN:
        end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        body = jpeg[at + 4 : at + 10]
        if body == b"Exif\0\0":
            way = orientation(jpeg[at + 4 : end])
        elif not body.startswith(b"MPF\0"):
            kept.append(jpeg[at:end])
        at = end
    return b"".join([*kept, jpeg[at:]]), way
