"""Speed of `frozen`, as ratios of whole processes on hymenoptera with mobilenet_v2.

Ours and the plain way run in turn, `--runs` times; the ratio is that of the medians.

    python benchmarks/frozen_speed.py
    python benchmarks/frozen_speed.py --before OTHER_CHECKOUT/src --runs 7

The second form sets this version against another one's sources, in turn, and runs nothing plain.
"""

import argparse
import os
import shutil
import statistics
import tempfile
from pathlib import Path

from places import DATA, HERE, WEIGHTS, timed

FIT = ["-m", "headstart", "fit", str(DATA / "hymenoptera"), "--backbone", "mobilenet_v2",
       "--strategy", "frozen", "--json"]  # fmt: skip


STARTS = ("first run ever", "graph there", "features there")


def against(before: str, runs: int) -> None:
    """This version and the one at `before`, turn by turn; each has its own home."""
    sources = {"before": before, "now": str(HERE.parent / "src")}
    times: dict[tuple[str, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for _ in range(runs):
            for start in STARTS:
                for who, source in sources.items():
                    home = Path(scratch, who)
                    if start == "first run ever":
                        shutil.rmtree(home, ignore_errors=True)
                    elif start == "graph there":
                        shutil.rmtree(home / "features")
                        shutil.rmtree(home / "facts")
                    os.environ["PYTHONPATH"] = source
                    times.setdefault((start, who), []).append(timed(FIT, home)[0])
    for start in STARTS:
        old, new = (statistics.median(times[start, who]) for who in sources)
        print(f"{start:16} before {old:6.2f} s   now {new:6.2f} s   ratio {new / old:5.2f}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--before", help="the sources of another version, to set against this one")
    options = parser.parse_args()
    if options.before:
        against(options.before, options.runs)
        return
    weights = WEIGHTS / "mobilenet_v2.safetensors"
    data = str(DATA / "hymenoptera")
    times: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        home, graph = Path(scratch, "home"), Path(scratch, "plain.onnx")
        plain = [str(HERE / "plain_frozen.py"), data, str(weights), str(graph)]

        def note(name: str, command: list[str]) -> None:
            times.setdefault(name, []).append(timed(command, home)[0])

        for _ in range(options.runs):
            shutil.rmtree(home, ignore_errors=True)
            graph.unlink(missing_ok=True)
            note("ours, first run ever", FIT)
            note("plain, with export", plain)
            shutil.rmtree(home / "features")
            shutil.rmtree(home / "facts")
            note("ours, graph there", FIT)
            note("plain, graph there", plain)
            note("ours, features there", FIT)
        usual = [str(HERE / "usual_loop.py"), data, str(weights), str(options.epochs)]
        times["usual loop"] = [timed(usual, home)[0]]
    middle = {name: statistics.median(values) for name, values in times.items()}
    for name, values in times.items():
        print(f"{name:22} {middle[name]:7.2f} s   ({min(values):.2f} to {max(values):.2f})")
    rows = [
        ("first run / plain with export", "ours, first run ever", "plain, with export", "<= 1.3"),
        ("graph there / plain", "ours, graph there", "plain, graph there", "<= 1.3"),
        ("features there / graph there", "ours, features there", "ours, graph there", "<= 0.4"),
        ("usual loop / ours", "usual loop", "ours, graph there", ">= 12"),
    ]
    print()
    for name, a, b, wanted in rows:
        print(f"{name:32} {middle[a] / middle[b]:6.2f}   wanted {wanted}")


if __name__ == "__main__":
    main()
