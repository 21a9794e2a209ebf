"""What fine-tuning forgets: hymenoptera after an ImageNet backbone, with a probe beside it.

    python benchmarks/forgetting.py [--seeds 0,1,2] [--rows "warm;lwf"] [--probe dog_breeds]

Each line is one fit through `headstart.fit`: accuracy on the held-out ants and bees; of the probe,
which the backbone could answer before with a head solved on its features, the accuracy of that
head before and after, and of one solved anew; and accuracy on corrupted ants and bees. The last
lines are means over the seeds, with 95 % intervals of the loss by Student's t.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path

import headstart
from headstart.tasks.intervals import mean_interval
from places import DATA, WEIGHTS

os.environ.setdefault("HEADSTART_WEIGHTS", str(WEIGHTS))

ROWS: dict[str, dict[str, object]] = {
    "frozen": {"strategy": "frozen"},
    "warm": {"strategy": "warm"},
    "lp-ft": {"strategy": "lp-ft"},
    "l2-sp": {"strategy": "l2-sp"},
    "rehearsal": {"strategy": "rehearsal"},
    "lwf": {"strategy": "lwf"},
    "warm, blend": {"strategy": "warm", "blend": True},
    "lp-ft, blend": {"strategy": "lp-ft", "blend": True},
}
EACH = {"train": 150, "test": 150}
"""Pictures a class of the probe."""


def probe(folder: Path) -> Path:
    """Copy the first pictures of each class of cats_dogs."""
    for part, most in EACH.items():
        for source in sorted((DATA / "cats_dogs" / part).iterdir()):
            target = folder / "cats_dogs" / part / source.name
            target.mkdir(parents=True)
            for path in sorted(source.iterdir())[:most]:
                shutil.copy(path, target)
    return folder / "cats_dogs"


def main() -> None:
    """Print one line a fit, then the means."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--rows", default=";".join(ROWS))
    parser.add_argument("--side", type=int, default=96)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--probe", default="cats_dogs", help="or another set, all of it")
    given = parser.parse_args()
    lost: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("HEADSTART_HOME", f"{folder}/home")
        small = given.probe == "cats_dogs"
        known = probe(Path(folder)) if small else DATA / given.probe
        for seed in map(int, given.seeds.split(",")):
            for row in given.rows.split(";"):
                how = dict(ROWS[row])
                if row != "frozen":
                    how["epochs"] = given.epochs
                start = time.perf_counter()
                made = headstart.fit(
                    DATA / "hymenoptera",
                    backbone="mobilenet_v2",
                    image_size=given.side,
                    probe=known,
                    seed=seed,
                    **how,
                )
                found = made.forgetting
                assert found is not None
                blend = next((note for note in made.notes if note.startswith("blend")), "")
                print(
                    f"{row:13} seed {seed}: {100 * made.accuracy:5.1f}  probe "
                    f"{100 * found['before']:5.1f} -> {100 * found['after']:5.1f} (anew "
                    f"{100 * found['relearned']:5.1f})  corrupted "
                    f"{100 * found['corruptions']['mean']:5.1f}  "
                    f"{time.perf_counter() - start:4.0f} s  {blend}",
                    flush=True,
                )
                lost.setdefault(row, []).append((made.accuracy, found["lost"]))
    for row, pairs in lost.items():
        accuracy, (mean, low, high) = (
            sum(one for one, _ in pairs) / len(pairs),
            mean_interval([one for _, one in pairs]),
        )
        span = f"95 %: {100 * low:.1f} to {100 * high:.1f}; {len(pairs)} seeds"
        print(
            f"{row:13} accuracy {100 * accuracy:5.1f}, lost {100 * mean:5.1f} points "
            f"({span if len(pairs) > 1 else 'one seed'})"
        )


if __name__ == "__main__":
    main()
