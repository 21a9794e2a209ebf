"""What the tests share: a cache of their own, small made-up images, and real data where present."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

_SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(autouse=True)
def headstart_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch) -> Path:
    """An empty cache for each test, so that none sees what another has left."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HEADSTART_HOME", str(home))
    return home


def shared_data(name: str) -> Path:
    """Return a folder or file of real data, or skip the test where it is not at hand."""
    return _found(Path(os.environ.get("HEADSTART_DATA", _SHARED / "data")) / name, "HEADSTART_DATA")


def shared_weights(name: str = "") -> Path:
    """Return the folder of real weights, or a file in it, or skip the test without them."""
    root = Path(os.environ.get("HEADSTART_WEIGHTS", str(_SHARED / "weights")).split(os.pathsep)[0])
    return _found(root / name, "HEADSTART_WEIGHTS")


def _found(path: Path, variable: str) -> Path:
    if not path.exists():
        pytest.skip(f"needs {path}, which is not here; {variable} can say where it is")
    return path


def make_images(root: Path, counts: dict[str, int], *, side: int = 24, seed: int = 0) -> Path:
    """Write ``counts[name]`` small PNGs into ``root/name``; classes differ in colour, not in form.

    The same arguments give the same files. Returns ``root``.
    """
    for number, (name, count) in enumerate(counts.items()):
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng([seed, number])
        colour = np.random.default_rng([99, number]).integers(40, 216, 3)
        for i in range(count):
            noise = rng.integers(-40, 40, (side, side, 3))
            pixels = (colour + noise).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{i:03}.png")
    return root


def png_header(width: int, height: int) -> bytes:
    """Return a PNG that claims to be so large, with next to nothing in it."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    bomb = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + bomb + chunk(b"IEND", b"")
