"""Damaged photos, and rubbish in place of pictures."""

import random
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from adversary.damages import KINDS, jpeg, photo, saved
from headstart.data.pictures.images import examine
from mischief.counting import say, tried
from places import DATA


def real_photos(n: int) -> list[Image.Image]:
    paths = sorted((DATA / "hymenoptera").rglob("*.jpg")) + sorted(
        (DATA / "cats_dogs").rglob("*.jpg")
    )
    found = []
    for path in random.Random(0).sample(paths, min(len(paths), 4 * n)):
        with Image.open(path) as picture:
            if min(picture.size) >= 100:
                found.append(picture.convert("RGB"))
    return (found or [photo(seed) for seed in range(n)])[:n]


def pixels(content: bytes) -> np.ndarray:
    found = examine(content, 112).image
    assert isinstance(found, Image.Image)
    return np.asarray(found.convert("RGB"), np.int16)


def photos(_: Path) -> None:
    counts: Counter[str] = Counter()
    for name, damage in KINDS.items():
        before = counts.copy()
        for seed, picture in enumerate(real_photos(20)):
            content = damage(picture, np.random.default_rng(seed))
            form = content[:4]
            plain = saved(picture, "WEBP") if form == b"RIFF" else jpeg(picture)
            if form == b"GIF8":
                plain = saved(picture.convert("P"), "GIF")

            def judge(content: bytes = content, plain: bytes = plain) -> str:
                found, whole = pixels(content), pixels(plain)
                same = found.shape == whole.shape and np.abs(found - whole).mean() < 4
                return "harmless" if same else "WRONG"

            tried(counts, judge)
        new = counts - before
        if set(new) - {"refused", "harmless"}:
            print(f"    {name}: {dict(new)}", flush=True)
    say("damaged photos", counts)


def rubbish(_: Path) -> None:
    """Rubbish in place of pictures: noise, headers alone, claims of any size, other files."""
    counts: Counter[str] = Counter()
    heads = [b"", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\0\0\0\0WEBPVP8 "]
    heads += [
        b"BM",
        b"II*\0",
        b"MM\0*",
        b"P6\n9 9\n255\n",
        b"\x93NUMPY\x01\0",
        b"%PDF",
        b"\0\0\0 ftypavif",
    ]
    heads += [b"\0\0\0\x0cjP  \r\n\x87\n", b"<svg>", b"PK\x03\x04", b"\xff\x4f\xff\x51"]
    whole = [
        saved(photo(0, 40), kind)
        for kind in ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "AVIF")
    ]
    chance = np.random.default_rng(3)
    for number in range(721):
        if number % 2:
            head = heads[number // 2 % len(heads)]
            content = head + bytes(
                chance.integers(0, 256, int(chance.integers(0, 3000))).astype(np.uint8)
            )
        else:
            made = bytearray(whole[number // 2 % len(whole)])
            for at in chance.integers(0, min(len(made), 200), int(chance.integers(1, 9))):
                made[at] = int(chance.integers(256))
            content = bytes(made)
        tried(counts, lambda content=content: "read" if examine(content, 32) else "")
    say("rubbish pictures", counts)
