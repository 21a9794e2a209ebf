"""Damaged pictures: rejected with the reason, or the same picture as without the damage."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from adversary.damages import KINDS, jpeg, photo, saved
from headstart.data.pictures.images import Decoded, examine
from headstart.errors import ItemError


def on_white(picture: Image.Image) -> Image.Image:
    white = Image.new("RGB", (1000, 900), "white")
    white.paste(picture, (400, 300))
    return white


WHOLE: dict[str, Callable[[Image.Image], bytes]] = {
    "JPEG": jpeg,
    "fine JPEG": lambda p: jpeg(p, quality=98, subsampling=0),
    "grey JPEG": lambda p: jpeg(p.convert("L")),
    "best tables": lambda p: jpeg(p, optimize=True),
    "progressive JPEG": lambda p: jpeg(p, progressive=True),
    "JPEG with restarts": lambda p: jpeg(p, restart_marker_blocks=5),
    "CMYK JPEG": lambda p: jpeg(p.convert("CMYK")),
    "white JPEG": lambda p: jpeg(Image.new("RGB", p.size, "white"), optimize=True),
    "black JPEG": lambda p: jpeg(Image.new("L", (900, 900)), optimize=True),
    "black progressive JPEG": lambda p: jpeg(Image.new("L", (900, 900)), progressive=True),
    "JPEG with more behind it": lambda p: jpeg(p) + bytes(5000) + jpeg(p),
    "PNG": lambda p: saved(p, "PNG"),
    "black PNG": lambda p: saved(Image.new("RGB", p.size), "PNG"),
    "PNG of two colours": lambda p: saved(p.convert("1"), "PNG"),
    "PNG with a palette": lambda p: saved(p.convert("P"), "PNG"),
    "PNG with transparency": lambda p: saved(p.convert("RGBA"), "PNG"),
    "WebP": lambda p: saved(p, "WEBP"),
    "WebP without loss": lambda p: saved(p, "WEBP", lossless=True),
    "black WebP": lambda p: saved(Image.new("RGB", (900, 900)), "WEBP"),
    "black WebP without loss": lambda p: saved(Image.new("RGB", (900, 900)), "WEBP", lossless=True),
    "WebP on white": lambda p: saved(on_white(p), "WEBP"),
    "progressive JPEG on white": lambda p: jpeg(on_white(p), progressive=True),
    "JPEG on white with restarts": lambda p: jpeg(on_white(p), restart_marker_blocks=5),
    "AVIF": lambda p: saved(p, "AVIF"),
    "black AVIF": lambda p: saved(Image.new("RGB", (900, 900)), "AVIF"),
    "moving WebP": lambda p: saved(p, "WEBP", save_all=True, append_images=[p.rotate(9)]),
    "GIF": lambda p: saved(p.convert("P"), "GIF"),
    "black GIF": lambda p: saved(Image.new("L", (500, 400)), "GIF"),
    "moving GIF": lambda p: saved(p.convert("P"), "GIF", save_all=True, append_images=[p]),
    "TIFF": lambda p: saved(p, "TIFF", compression="tiff_lzw"),
    "BMP": lambda p: saved(p, "BMP"),
}


def pixels(found: Decoded) -> np.ndarray:
    assert isinstance(found.image, Image.Image)
    return np.asarray(found.image.convert("RGB"), np.int16)


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_seen_or_does_no_harm(kind: str) -> None:
    rejected = 0
    for seed in range(6):
        picture, chance = photo(seed), np.random.default_rng(seed)
        content = KINDS[kind](picture, chance)
        try:
            found = examine(content, 112)
        except ItemError as error:
            assert len(str(error)) > 10
            rejected += 1
            continue
        whole = examine(saved(picture, "PNG"), 112)
        assert (found.width, found.height) == (whole.width, whole.height)
        if found.image.size == whole.image.size:
            off = np.abs(pixels(found) - pixels(whole))
            assert off.mean() < 4, "the picture is another one, and nothing was said"
    assert rejected >= 5


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("shorter", [None, 40])
def test_whole_pictures_are_left_alone(kind: str, shorter: int | None) -> None:
    for seed in range(3):
        content = WHOLE[kind](photo(seed))
        found = examine(content, shorter)
        with Image.open(io.BytesIO(content)) as plain:
            assert (found.width, found.height) == plain.size
            if shorter is None and plain.mode in ("L", "RGB"):
                np.testing.assert_array_equal(np.asarray(found.image), np.asarray(plain))


def test_an_interlaced_png_of_which_rows_are_missing() -> None:
    from adversary.damages import part

    size = 24
    head = size.to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 1])
    # Seven passes: 3 x 3, 3 x 3, 6 x 3, 6 x 6, 12 x 6, 12 x 12, 24 x 12 pixels.
    passes = [(3, 3), (3, 3), (6, 3), (6, 6), (12, 6), (12, 12), (24, 12)]
    lines = b"".join((b"\0" + b"\x64" * w) * h for w, h in passes)
    import zlib

    for kept, good in ((len(lines), True), (len(lines) - 30, False)):
        body = part(b"IHDR", head) + part(b"IDAT", zlib.compress(lines[:kept]))
        content = b"\x89PNG\r\n\x1a\n" + body + part(b"IEND", b"")
        if good:
            assert pixels(examine(content)).min() == 100
        else:
            with pytest.raises(ItemError, match="truncated"):
                examine(content)
