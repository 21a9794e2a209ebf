"""Accuracy on the text sets of docs/results.md; one line a row, with the time it took.

python benchmarks/texts.py [ROW ...]
"""

import json
import statistics
import sys
import tempfile
from pathlib import Path

from places import DATA, timed

HOME = Path(tempfile.gettempdir()) / "headstart-benchmark"
GLOVE = ["--vectors", str(DATA / "glove" / "glove.6B.50d.top2445.txt"), "--min-frequency", "5"]
BILSTM = ["--backbone", "bilstm", "--strategy", "scratch", "--head-rate", "0.01", "--batch", "64",
          "--epochs", "5", *GLOVE]  # fmt: skip
TEXTCNN = ["--backbone", "textcnn", "--strategy", "scratch", "--epochs", "5", *GLOVE]

# On AG News a comparison of five paired draws of 64 labels a class; on IMDB one fit.
COMPARED = {
    "ag_news-frozen": ["--strategies", "frozen"],
    "ag_news-contrastive": ["--strategies", "contrastive"],
    "ag_news-bigru": ["--strategies", "scratch", "--backbones", "bigru"],
}
FITTED = {
    "imdb-bilstm": BILSTM,
    "imdb-textcnn": TEXTCNN,
    "imdb-frozen": ["--strategy", "frozen"],
    "imdb-partial": ["--strategy", "partial:-3", "--epochs", "3"],
}


def ag_news(folder: Path) -> Path:
    """Lay the two tables side by side under the names that say which is which."""
    for name in ("train", "test"):
        (folder / f"{name}.csv").write_bytes((DATA / "ag_news" / f"{name}_text.csv").read_bytes())
    return folder


def compared(name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        command = ["-m", "headstart", "compare", str(ag_news(Path(folder))), "--shots", "64",
                   "--draws", "5", "--json", *COMPARED[name]]  # fmt: skip
        done = json.loads(timed(command, HOME)[1])
    (row,) = done["summary"]
    each = " ".join(f"{100 * run['accuracy']:.1f}" for run in done["runs"])
    seconds = statistics.median(run["seconds"] for run in done["runs"])
    print(
        f"{name:22} {100 * row['mean']:5.1f} %  (95 %: {100 * row['low']:.1f} to "
        f"{100 * row['high']:.1f}; draws: {each})  {seconds:.0f} s a draw with its evaluation",
        flush=True,
    )


def fitted(name: str) -> None:
    command = ["-m", "headstart", "fit", str(DATA / "imdb"), "--json", *FITTED[name]]
    done = json.loads(timed(command, HOME)[1])
    low, high = done["interval"]
    notes = "; ".join(done["notes"])
    print(
        f"{name:22} {100 * done['accuracy']:5.1f} %  (95 %: {100 * low:.1f} to {100 * high:.1f})  "
        f"n={done['n_train']}+{done['n_val']}  {done['seconds']['total']:.0f} s, training "
        f"{done['seconds']['train']:.0f} s  {notes}",
        flush=True,
    )


def main() -> None:
    for name in sys.argv[1:] or [*COMPARED, *FITTED]:
        (compared if name in COMPARED else fitted)(name)


if __name__ == "__main__":
    main()
