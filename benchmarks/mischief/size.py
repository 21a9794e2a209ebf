"""Memory of inputs that are large, and seconds of the audit and of a fit."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from places import DATA

CORES = 8
"""That a command believes to have that unpacks pictures: so many, side by side."""

BEFORE = "HEADSTART_BEFORE"
"""Names the sources of another version, which `speed` measures in turns with these."""


class Measured(NamedTuple):
    """What a command of its own process took: on the clock, of the processor, at its peak."""

    seconds: float
    processor: float
    megabytes: float
    code: int


def measured(line: list[str], sources: str = "", cores: int = 0) -> Measured:
    """Run a command, of other ``sources`` if they are named, on as many ``cores`` as it sees."""
    start = time.perf_counter()
    seen = f"os.cpu_count = lambda: {cores}" if cores else ""
    code = f"import os; {seen}\nfrom headstart.cli import main; main()"
    environment = os.environ | ({"PYTHONPATH": sources} if sources else {})
    whole = [sys.executable, "-c", code, *line]
    child = subprocess.Popen(whole, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    ended = os.waitstatus_to_exitcode(status)
    processor = usage.ru_utime + usage.ru_stime
    return Measured(time.perf_counter() - start, processor, usage.ru_maxrss / 1024, ended)


def _say(name: str, found: Measured) -> None:
    took = f"{found.seconds:6.0f} s, {found.processor:6.0f} s of the processor"
    print(f"{name:44} {took}, {found.megabytes:6.0f} MB, exit {found.code}", flush=True)


def pictures(folder: Path) -> None:
    """Pictures of 99 megapixels, four kinds in turn, unpacked by eight workers."""
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    for number, (name, mode, kind) in enumerate(
        (("a", "RGB", "png"), ("b", "RGBA", "png"), ("c", "RGB", "jpg"), ("d", "P", "png"))
    ):
        (folder / "large" / name).mkdir(parents=True)
        for i in range(3):
            small = np.roll(noise, 4 * number + i, 0)
            whole = Image.fromarray(small).resize((9950, 9950), Image.Resampling.NEAREST)
            how = {"compress_level": 1} if kind == "png" else {}
            whole.convert(mode).save(folder / "large" / name / f"{i}.{kind}", **how)
    line = ["fit", str(folder / "large"), "--backbone", "glyphs"]
    _say("fit, 12 pictures of 99 megapixels, 8 workers", measured(line, cores=CORES))


def long_text(folder: Path) -> None:
    """One text of 60 MB among short ones."""
    path = folder / "text.csv"
    with _rows(path) as write:
        write(f"some words number {i},{'ab'[i % 2]}" for i in range(20))
        write(["many words " * 5_500_000 + ",a"])
    line = ["fit", str(path), "--text-column", "text", "--label-column", "label"]
    _say("fit, a text of 60 MB", measured(line))


def many_rows(folder: Path) -> None:
    """Half a million texts, of which few are learned from."""
    path = folder / "many.csv"
    with _rows(path) as write:
        write(f"text number {i} about thing {i % 977},class {i % 4}" for i in range(500_000))
    line = ["fit", str(path), "--shots", "5", "--out", str(folder / "model")]
    _say("fit, 500,000 rows, --shots 5", measured(line))


def many_classes(folder: Path) -> None:
    """Five thousand classes, three texts each."""
    path, out = folder / "classes.csv", folder / "model"
    with _rows(path) as write:
        write(f"text number {i} about thing {i % 5000},class {i % 5000}" for i in range(15_000))
    line = ["fit", str(path), "--head", "centroid", "--out", str(out)]
    _say("fit, 5,000 classes", measured(line))
    if (out / "bundle.json").exists():
        size = (out / "bundle.json").stat().st_size / 1e6
        print(f"bundle.json of 5,000 classes: {size:.1f} MB", flush=True)
        _say("predict one text", measured(["predict", str(out), "about thing 7"]))


@contextmanager
def _rows(path: Path) -> Iterator[Callable[[Iterable[str]], None]]:
    with path.open("w") as file:

        def write(rows: Iterable[str]) -> None:
            file.writelines(f"{row}\n" for row in rows)

        write(["text,label"])
        yield write


def _guards() -> None:
    """Unpacking alone, with the guards and without."""
    from headstart.data.pictures import images

    held = [path.read_bytes() for path in sorted((DATA / "hymenoptera").rglob("*.jpg"))]
    guarded, times = images._load_whole, {True: [], False: []}
    for _ in range(3):
        for on in times:
            images._load_whole = guarded if on else lambda image, *_: image.load()
            start = time.process_time()
            for content in held:
                images.examine(content, 224)
            times[on].append(time.process_time() - start)
    images._load_whole = guarded
    with_, without = (min(several) for several in times.values())
    print(f"{len(held)} photos unpacked: {with_:.2f} s, without guards {without:.2f} s", flush=True)


def speed(folder: Path) -> None:
    """Processor time of audit and of fit, in turns with another version: see `BEFORE`."""
    _guards()
    pictures = str(DATA / "hymenoptera")
    versions = {"now": "", **({"before": os.environ[BEFORE]} if BEFORE in os.environ else {})}
    lines = {
        "audit": ["audit", pictures],
        "fit": ["fit", pictures, "--backbone", "torchvision:mobilenet_v2"],
    }
    for name, line in lines.items():
        times: dict[str, list[float]] = {version: [] for version in versions}
        for turn in range(3):
            for version, sources in versions.items():
                os.environ["HEADSTART_HOME"] = str(folder / f"home-{name}-{turn}-{version}")
                times[version].append(measured(line, sources).processor)
        best = {version: min(several) for version, several in times.items()}
        said = ", ".join(f"{version} {value:.2f} s" for version, value in best.items())
        ratio = f", {best['now'] / best['before']:.2f} times" if "before" in best else ""
        print(f"{name} of hymenoptera, best of 3: {said}{ratio}", flush=True)
