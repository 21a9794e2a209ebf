"""Accuracy on the image sets of docs/results.md; one line a row, with the time it took.

python benchmarks/images.py [ROW ...]
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from places import DATA, timed

FIVE = ["--epochs", "5"]
ROWS: dict[str, tuple[str, str, str, list[int], list[str]]] = {
    "hymenoptera-frozen": ("hymenoptera", "mobilenet_v2", "frozen", [0], []),
    "hymenoptera-mobilenetv1": ("hymenoptera", "mobilenetv1_100", "frozen", [0], []),
    "hymenoptera-joined": ("hymenoptera", "mobilenet_v2+mobilenetv1_100", "frozen", [0], []),
    "hotdog-frozen": ("hotdog", "mobilenet_v2", "frozen", [0], []),
    "dog_breeds-frozen": ("dog_breeds", "mobilenet_v2", "frozen", [0, 1, 2, 3, 4], []),
    "hymenoptera-warm": ("hymenoptera", "mobilenet_v2", "warm", [0, 1, 2], FIVE),
    "hymenoptera-discriminative": (
        "hymenoptera",
        "mobilenet_v2",
        "discriminative",
        [0, 1, 2],
        FIVE,
    ),
    "hymenoptera-scratch": ("hymenoptera", "mobilenet_v2", "scratch", [0], FIVE),
}
HOME = Path(tempfile.gettempdir()) / "headstart-benchmark"


def fits(name: str) -> Iterator[dict]:
    data, backbone, strategy, seeds, more = ROWS[name]
    for seed in seeds:
        command = ["-m", "headstart", "fit", str(DATA / data), "--backbone", backbone,
                   "--strategy", strategy, "--seed", str(seed), "--json", *more]  # fmt: skip
        yield json.loads(timed(command, HOME)[1])


def main() -> None:
    for name in sys.argv[1:] or ROWS:
        done = list(fits(name))
        accuracy = [one["accuracy"] for one in done]
        mean = sum(accuracy) / len(accuracy)
        low, high = done[0]["interval"]
        seconds = sum(one["seconds"]["total"] for one in done) / len(done)
        each = " ".join(f"{100 * a:.1f}" for a in accuracy)
        print(
            f"{name:28} {100 * mean:5.1f} %  (seeds: {each}; 95 % of the first: {100 * low:.1f} to "
            f"{100 * high:.1f})  n={done[0]['n_train']}+{done[0]['n_val']}  "
            f"skipped {len(done[0]['skipped'])}  {seconds:.0f} s a fit",
            flush=True,
        )


if __name__ == "__main__":
    main()
