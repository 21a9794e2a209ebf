"""Resident memory of `features` against the number of pictures: it must not grow with them.

Makes N small distinct arrays on disk and measures the whole process.

    python benchmarks/memory.py [N ...]        default 5000 100000
"""

import os
import sys
import tempfile
from pathlib import Path

import numpy as np

BATCH = 1000


def make(root: Path, n: int) -> None:
    rng = np.random.default_rng(0)
    for start in range(0, n, BATCH):
        folder = root / f"class{start // BATCH % 2}" / f"{start:06}"
        folder.mkdir(parents=True)
        for i, pixels in enumerate(rng.integers(0, 256, (min(BATCH, n - start), 8, 8), np.uint8)):
            np.save(folder / f"{i:04}.npy", pixels)


def peak(n: int) -> tuple[float, float]:
    """Return (peak resident MB, size of the Parquet file in MB) for n pictures."""
    with tempfile.TemporaryDirectory() as scratch:
        make(Path(scratch, "data"), n)
        command = [sys.executable, "-m", "headstart", "features", f"{scratch}/data", "--backbone",
                   "glyphs", "--out", f"{scratch}/out.parquet"]  # fmt: skip
        child = os.posix_spawn(
            sys.executable, command, os.environ | {"HEADSTART_HOME": f"{scratch}/home"}
        )
        _, status, usage = os.wait4(child, 0)
        if status:
            raise SystemExit("features failed")
        return usage.ru_maxrss / 1024, Path(scratch, "out.parquet").stat().st_size / 2**20


def main() -> None:
    for n in map(int, sys.argv[1:] or ("5000", "100000")):
        resident, written = peak(n)
        print(f"{n:7} pictures: {resident:6.0f} MB resident, {written:.0f} MB written", flush=True)


if __name__ == "__main__":
    main()
