"""Ways to damage a picture's file, each a function of the picture, the file's bytes and a seed."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from functools import partial

import numpy as np
from PIL import Image

Damage = Callable[[Image.Image, np.random.Generator], bytes]


def saved(picture: Image.Image, kind: str, **how: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **how)
    return buffer.getvalue()


def jpeg(picture: Image.Image, **how: object) -> bytes:
    return saved(picture, "JPEG", **{"quality": 85} | how)


def scan_of(content: bytes) -> int:
    """Return where the data of a JPEG's first scan begin."""
    at = content.index(b"\xff\xda")
    return at + 2 + int.from_bytes(content[at + 2 : at + 4], "big")


def cut(content: bytes, share: float, end: bytes = b"", start: int = 0) -> bytes:
    return content[: start + int((len(content) - start) * share)] + end


def zeroed(content: bytes, chance: np.random.Generator, size: int, start: int) -> bytes:
    last = max(start + 1, len(content) - size - 20)
    at = int(chance.integers(start, last))
    size = min(size, len(content) - 20 - at)
    return content[:at] + bytes(size) + content[at + size :]


def jpeg_cut(share: float, picture: Image.Image, chance: np.random.Generator) -> bytes:
    return cut(jpeg(picture), share)


def jpeg_closed(
    share: float, picture: Image.Image, chance: np.random.Generator, **how: object
) -> bytes:
    content = jpeg(picture, **how)
    return cut(content, share, b"\xff\xd9", scan_of(content))


def jpeg_zeroed(
    size: int, picture: Image.Image, chance: np.random.Generator, **how: object
) -> bytes:
    content = jpeg(picture, **how)
    return zeroed(content, chance, size, scan_of(content))


def jpeg_rubbish(picture: Image.Image, chance: np.random.Generator) -> bytes:
    content = jpeg(picture)
    at = int(chance.integers(scan_of(content), max(scan_of(content) + 1, len(content) - 600)))
    noise = bytes(chance.integers(1, 255, 512).astype(np.uint8))
    return content[:at] + noise + content[at + 512 :][-(len(content) - at - 512) :]


def jpeg_taller(picture: Image.Image, chance: np.random.Generator) -> bytes:
    content = bytearray(jpeg(picture))
    at = content.index(b"\xff\xc0") + 5
    content[at : at + 2] = (2 * picture.height).to_bytes(2, "big")
    return bytes(content)


def jpeg_mostly_zero(picture: Image.Image, chance: np.random.Generator) -> bytes:
    content = jpeg(picture)
    start = scan_of(content) + int(0.3 * (len(content) - scan_of(content)))
    return content[:start] + bytes(len(content) - start - 2) + b"\xff\xd9"


def part(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(picture: Image.Image, rows: float = 1.0, height: int | None = None) -> bytes:
    """Return a PNG whose checksums are right, with only some of its rows."""
    pixels = np.asarray(picture.convert("RGB"))
    lines = b"".join(b"\0" + line.tobytes() for line in pixels[: int(len(pixels) * rows)])
    head = struct.pack(">IIBBBBB", pixels.shape[1], height or len(pixels), 8, 2, 0, 0, 0)
    body = part(b"IHDR", head) + part(b"IDAT", zlib.compress(lines)) + part(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def png_rows(share: float, picture: Image.Image, chance: np.random.Generator) -> bytes:
    return png(picture, share)


def png_taller(picture: Image.Image, chance: np.random.Generator) -> bytes:
    return png(picture, height=2 * picture.height)


def png_mostly_zero(picture: Image.Image, chance: np.random.Generator) -> bytes:
    content = saved(picture, "PNG")
    start = int(0.3 * len(content))
    return content[:start] + bytes(len(content) - start - 12) + content[-12:]


def png_flipped(picture: Image.Image, chance: np.random.Generator) -> bytes:
    content = bytearray(saved(picture, "PNG"))
    content[int(chance.integers(60, len(content) - 20))] ^= 16
    return bytes(content)


def png_cut(share: float, picture: Image.Image, chance: np.random.Generator) -> bytes:
    return cut(saved(picture, "PNG"), share)


def png_zeroed(picture: Image.Image, chance: np.random.Generator) -> bytes:
    return zeroed(saved(picture, "PNG"), chance, 512, 60)


def webp_cut(picture: Image.Image, chance: np.random.Generator) -> bytes:
    return cut(saved(picture, "WEBP"), 0.5)


def webp_zero_filled(picture: Image.Image, chance: np.random.Generator, **how: object) -> bytes:
    content = saved(picture, "WEBP", **how)
    return content[: len(content) // 2] + bytes(len(content) - len(content) // 2)


def webp_zeroed(picture: Image.Image, chance: np.random.Generator) -> bytes:
    return zeroed(saved(picture, "WEBP"), chance, 512, 60)


def gif_closed(picture: Image.Image, chance: np.random.Generator) -> bytes:
    """Cut within the frame's data, at the end of a block, and close the file as it should be."""
    content = saved(picture.convert("P"), "GIF")
    at, left = content.index(b"\x2c\0\0\0\0", 13), 0
    flags = content[at + 9]
    at += 11 + (3 << ((flags & 7) + 1) if flags & 128 else 0)
    blocks = 0
    while content[at + left]:
        left += 1 + content[at + left]
        blocks += 1
    keep, left = max(1, blocks // 2), 0
    for _ in range(keep):
        left += 1 + content[at + left]
    return content[: at + left] + b"\0\x3b"


def gif_zeroed(picture: Image.Image, chance: np.random.Generator) -> bytes:
    """Zeros where the frame's data begin: they read as no data, and the picture as a flat one."""
    content = saved(picture.convert("P"), "GIF")
    at = content.index(b"\x2c\0\0\0\0", 13)
    at += 10 + (3 << ((content[at + 9] & 7) + 1) if content[at + 9] & 128 else 0)
    return content[:at] + bytes(60) + content[at + 60 :]


def gif_cut(picture: Image.Image, chance: np.random.Generator) -> bytes:
    return cut(saved(picture.convert("P"), "GIF"), 0.5)


def bmp_cut(picture: Image.Image, chance: np.random.Generator) -> bytes:
    return cut(saved(picture, "BMP"), 0.5)


KINDS: dict[str, Damage] = {
    "JPEG cut at 10 %": partial(jpeg_cut, 0.1),
    "JPEG cut at 50 %": partial(jpeg_cut, 0.5),
    "JPEG cut at 90 %": partial(jpeg_cut, 0.9),
    "JPEG cut at 30 % and closed": partial(jpeg_closed, 0.3),
    "JPEG cut at 60 % and closed": partial(jpeg_closed, 0.6),
    "JPEG cut at 95 % and closed": partial(jpeg_closed, 0.95),
    "JPEG, a zeroed sector": partial(jpeg_zeroed, 512),
    "JPEG, a zeroed page": partial(jpeg_zeroed, 4096),
    "JPEG, 70 % zeros": jpeg_mostly_zero,
    "JPEG, a sector of rubbish": jpeg_rubbish,
    "JPEG that says it is twice as high": jpeg_taller,
    "JPEG with restarts, a zeroed sector": partial(jpeg_zeroed, 512, restart_marker_blocks=8),
    "JPEG with restarts, cut and closed": partial(jpeg_closed, 0.6, restart_marker_blocks=8),
    "progressive JPEG, cut and closed": partial(jpeg_closed, 0.6, progressive=True),
    "progressive JPEG, a zeroed sector": partial(jpeg_zeroed, 512, progressive=True),
    "PNG cut at 50 %": partial(png_cut, 0.5),
    "PNG without its end": partial(png_cut, 0.999),
    "PNG, 70 % zeros": png_mostly_zero,
    "PNG, a zeroed sector": png_zeroed,
    "PNG, one bit": png_flipped,
    "PNG with 20 of 28 rows": partial(png_rows, 20 / 28),
    "PNG that says it is twice as high": png_taller,
    "WebP cut": webp_cut,
    "WebP, half of it zeros": webp_zero_filled,
    "WebP without loss, half of it zeros": partial(webp_zero_filled, lossless=True),
    "GIF cut": gif_cut,
    "GIF cut and closed": gif_closed,
    "GIF, its data begin with zeros": gif_zeroed,
}
"""27 ways."""


def photo(seed: int, side: int = 160) -> Image.Image:
    """Return a made-up photo: smooth shapes with texture on a ground that is not flat."""
    rng = np.random.default_rng([8, seed])
    coarse = Image.fromarray(rng.integers(0, 256, (7, 9, 3)).astype(np.uint8))
    smooth = coarse.resize((side + 40, side), Image.Resampling.BICUBIC)
    noise = rng.normal(0, 9, (side, side + 40, 3))
    return Image.fromarray((np.asarray(smooth) + noise).clip(0, 255).astype(np.uint8))
