"""Ways to break it, counted: pictures, tables, bundles, doors, kills, full disks, memory.

    python benchmarks/mischief [photos rubbish tables bundles encoders doors kills flips disks ...]

Each line says how many tries there were and how they ended. What must not happen: a traceback, a
hang of more than ten seconds, a wrong answer without a word, a byte read or written outside of what
was given, foreign code, and a state from which the same command does not go on.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1] / "tests")]

from mischief import keeping, models, pictures, size, tables  # noqa: E402

PARTS = {
    "photos": pictures.photos,
    "rubbish": pictures.rubbish,
    "tables": tables.tables,
    "bundles": models.bundles,
    "encoders": models.encoders,
    "kills": keeping.kills,
    "flips": keeping.flips,
    "disks": keeping.disks,
    "pictures": size.pictures,
    "text": size.long_text,
    "rows": size.many_rows,
    "classes": size.many_classes,
    "speed": size.speed,
}
"""Each is given an empty folder."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", default=[*PARTS])
    for part in parser.parse_args().parts:
        with tempfile.TemporaryDirectory() as scratch:
            os.environ["HEADSTART_HOME"] = f"{scratch}/home"
            start = time.perf_counter()
            folder = Path(scratch) / "work"
            folder.mkdir()
            PARTS[part](folder)
            print(f"({part}: {time.perf_counter() - start:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
