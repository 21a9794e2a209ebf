"""Kill -9 a small run at random moments, resume it, and compare its weights with a whole run.

python benchmarks/kills.py [--kills 25]

One run of pictures (scikit-learn's digits, `gradual` on glyphs: the boundary moves) and one of
texts (AG News, `partial:-2` on minilm), a checkpoint after every step.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import load_file
from sklearn.datasets import load_digits

from places import DATA, WEIGHTS


def digits(root: Path) -> Path:
    data = load_digits()
    for i in range(240):
        folder = root / str(data.target[i])
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray((data.images[i] * 255 / 16).astype(np.uint8)).save(folder / f"{i}.png")
    return root


def news(path: Path) -> Path:
    lines = (DATA / "ag_news" / "train_text.csv").read_text("utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:121]), "utf-8")
    return path


def command(data: Path, out: Path, more: list[str]) -> list[str]:
    return [sys.executable, "-m", "headstart", "fit", str(data), "--out", str(out), "--json",
            "--checkpoint-every", "0", *more]  # fmt: skip


def finish(line: list[str], home: Path) -> float:
    environment = os.environ | {"HEADSTART_HOME": str(home), "HEADSTART_WEIGHTS": str(WEIGHTS)}
    start = time.perf_counter()
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{line} failed:\n{done.stderr}")
    return time.perf_counter() - start


def killed(line: list[str], home: Path, after: float) -> bool:
    """Run ``line`` and kill it after so many seconds; return whether it was still running."""
    environment = os.environ | {"HEADSTART_HOME": str(home), "HEADSTART_WEIGHTS": str(WEIGHTS)}
    run = subprocess.Popen(
        line, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        run.wait(after)
    except subprocess.TimeoutExpired:
        run.kill()
        run.wait()
        return True
    return False


def same(one: Path, other: Path) -> bool:
    a, b = (load_file(folder / "model.safetensors") for folder in (one, other))
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=25)
    kills = parser.parse_args().kills
    chance = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        text = ["--epochs", "4", "--batch", "16", "--strategy", "partial:-2"]
        for name, data, more in (
            ("pictures", digits(root / "digits"), ["--strategy", "gradual", "--epochs", "8"]),
            ("texts", news(root / "news.csv"), text),
        ):
            home, whole = root / f"home-{name}", root / f"{name}-whole"
            finish(command(data, whole, more), home)  # graphs and libraries are warm from here on
            seconds = finish(command(data, root / f"{name}-timed", more), home)
            equal = in_time = tries = 0
            for number in range(kills):
                out = root / f"{name}-{number}"
                line = command(data, out, more)
                in_time += killed(line, home, chance.uniform(0.1, seconds))
                finish([*line, "--resume"], home)
                tries += 1
                equal += same(out, whole)
            print(
                f"{name}: an undisturbed run takes {seconds:.1f} s; {in_time} of {tries} runs were "
                f"killed before their end; {equal} of {tries} resumed runs end with its weights",
                flush=True,
            )


if __name__ == "__main__":
    main()
