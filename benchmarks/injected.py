"""GloVe's vectors joined to the embeddings of a small Transformer and of MiniLM, and without them.

python benchmarks/injected.py transformer|minilm [--draws N] [--shots N]

AG News, 64 labels a class, 1,000 test rows; the Transformer by `scratch`, MiniLM by `warm` with 64
tokens, at their defaults. The same labels with the vectors and without, so differences are paired.
"""

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np

from places import DATA

GLOVE = DATA / "glove" / "glove.6B.50d.top2445.txt"
WAYS = {"plain": {}, "added": {"inject": str(GLOVE)},
        "concatenated": {"inject": str(GLOVE), "inject_by": "concat"}}  # fmt: skip


def main() -> None:
    os.environ.setdefault("HEADSTART_HOME", tempfile.mkdtemp())
    import headstart
    from headstart.tasks.intervals import mean_interval

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("backbone", choices=("transformer", "minilm"))
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--shots", type=int, default=64)
    parser.add_argument("--ways", default=",".join(WAYS))
    told = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    for split in ("train", "test"):
        (folder / f"{split}.csv").write_bytes((DATA / "ag_news" / f"{split}_text.csv").read_bytes())
    data = headstart.read(folder)
    test = np.flatnonzero(data.splits == "test")
    some = np.random.default_rng(0).permutation(test)[:1000]
    data = data.take(np.sort(np.concatenate([np.flatnonzero(data.splits == "train"), some])))
    found: dict[str, list[float]] = {way: [] for way in told.ways.split(",")}
    more = {"max_length": 64} if told.backbone == "minilm" else {}
    how = "warm" if more else "scratch"
    for draw in range(told.draws):
        for way, scores in found.items():
            made = headstart.fit(data, backbone=told.backbone, strategy=how, shots=told.shots,
                                 seed=draw, device="cpu", **more, **WAYS[way])  # fmt: skip
            scores.append(made.accuracy)
            print(f"{told.backbone} {way:13} draw {draw}: {100 * made.accuracy:.1f} %", flush=True)
    for way, scores in found.items():
        off = [100 * (a - b) for a, b in zip(scores, found["plain"], strict=True)]
        mean, low, high = mean_interval(off)
        print(f"{told.backbone} {way:13} {100 * np.mean(scores):5.1f} %, over plain {mean:+.1f} "
              f"({low:+.1f} to {high:+.1f})")  # fmt: skip


if __name__ == "__main__":
    main()
