"""Memory of inputs that are large, and seconds of the audit and of a fit."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

from places import DATA


def measured(line: list[str]) -> tuple[float, float, int]:
    """Return seconds, peak resident MB and exit code of a command of its own process."""
    start = time.perf_counter()
    child = subprocess.Popen([sys.executable, "-m", "headstart", *line], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    return time.perf_counter() - start, usage.ru_maxrss / 1024, os.waitstatus_to_exitcode(status)


def memory(folder: Path) -> None:
    row = "{:44} {:6.0f} s {:6.0f} MB exit {}".format
    large = folder / "large"
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    for name, mode, kind in (
        ("a", "RGB", "png"),
        ("b", "RGBA", "png"),
        ("c", "RGB", "jpg"),
        ("d", "P", "png"),
    ):
        (large / name).mkdir(parents=True)
        for i in range(4):
            picture = Image.fromarray(np.roll(noise, i, 0)).resize((9950, 9950)).convert(mode)
            picture.save(
                large / name / f"{i}.{kind}", **({"compress_level": 1} if kind == "png" else {})
            )
    print(
        row(
            "fit, 16 pictures of 99 megapixels",
            *measured(["fit", str(large), "--backbone", "glyphs"]),
        ),
        flush=True,
    )
    shutil.rmtree(large)
    text = folder / "text.csv"
    rows = [f"some words number {i},{'ab'[i % 2]}" for i in range(20)]
    text.write_text("text,label\n" + "\n".join(rows) + "\n" + "many words " * 5_500_000 + ",a\n")
    print(
        row(
            "fit, a text of 60 MB",
            *measured(["fit", str(text), "--text-column", "text", "--label-column", "label"]),
        ),
        flush=True,
    )
    many = folder / "many.csv"
    with many.open("w") as file:
        file.write("text,label\n")
        file.writelines(
            f"text number {i} about thing {i % 977},class {i % 4}\n" for i in range(500_000)
        )
    print(
        row(
            "fit, 500,000 rows, --shots 5",
            *measured(["fit", str(many), "--shots", "5", "--out", str(folder / "m")]),
        ),
        flush=True,
    )
    classes = folder / "classes.csv"
    with classes.open("w") as file:
        file.write("text,label\n")
        file.writelines(
            f"text number {i} about thing {i % 5000},class {i % 5000}\n" for i in range(15_000)
        )
    out = folder / "classes"
    print(
        row(
            "fit, 5,000 classes",
            *measured(["fit", str(classes), "--head", "centroid", "--out", str(out)]),
        ),
        flush=True,
    )
    if (out / "bundle.json").exists():
        print(
            f"bundle.json of 5,000 classes: {(out / 'bundle.json').stat().st_size / 1e6:.1f} MB",
            flush=True,
        )
        print(
            row("predict one text", *measured(["predict", str(out), "about thing 7"])), flush=True
        )


def speed(folder: Path) -> None:
    """Seconds of audit and of fit; compare with another version, its sources in PYTHONPATH."""
    pictures = DATA / "hymenoptera"
    for name, line in (
        ("audit", ["audit"]),
        ("fit", ["fit", "--backbone", "torchvision:mobilenet_v2"]),
    ):
        times = []
        for turn in range(3):
            os.environ["HEADSTART_HOME"] = str(folder / f"home-{name}-{turn}")
            times.append(measured([line[0], str(pictures), *line[1:]])[0])
        print(f"{name} hymenoptera: {min(times):.2f} s, the best of {len(times)}", flush=True)
