"""What is kept on disk: saving that is killed, bits that flip, disks that are full."""

# ruff: noqa: B023 - what is defined in a loop is called before its next turn

import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np

import headstart
from conftest import save_bars, save_encoder, sentences
from headstart import bundle, store
from headstart.errors import HeadstartError
from mischief.counting import say, tried

TESTS = Path(__file__).resolve().parents[2] / "tests"


def kills(folder: Path) -> None:
    """Kill saving at 200 system calls, counted by strace where it is installed."""
    program = TESTS / "adversary" / "saving.py"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])}
    line = [sys.executable, str(program), str(folder), "1", "101", "1"]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    rows = [one.split(maxsplit=3) for one in done.stdout.splitlines()]
    counts: Counter[str] = Counter()
    for _, over, ended, what in rows:
        found, rest = what.split(" again=")
        good = rest == "0 left=[]" and found in (
            "found=[0]",
            "found=[1]" if over == "old" else "found=[]",
        )
        counts[f"{ended}, whole or nothing, and goes on" if good else "DEAD END"] += 1
    say("saving killed", counts)
    if done.returncode:
        print(done.stderr[-2000:])


def flips(folder: Path) -> None:
    counts: Counter[str] = Counter()
    data = save_bars(folder / "data", 6)
    home = Path(os.environ["HEADSTART_HOME"])
    encoder = save_encoder(folder / "encoder", [sentences(4).content(i).decode() for i in range(8)])
    for name, given, how in (
        ("frozen", data, {}),
        ("partial:-1", data, {"strategy": "partial:-1", "epochs": 1}),
        ("texts", sentences(4), {"backbone": str(encoder)}),
    ):
        shutil.rmtree(home, ignore_errors=True)

        def outputs(given: object = given, how: dict = how) -> np.ndarray:
            store._CHECKED.clear()
            fitted = headstart.fit(given, **how)
            return fitted.model.outputs(fitted.dataset, np.arange(len(fitted.dataset)))

        expected = outputs()
        for path in sorted(one for one in home.rglob("*") if one.is_file() and one.stat().st_size):
            for seed in range(3):
                if not path.exists():
                    continue
                content = bytearray(path.read_bytes())
                content[random.Random(seed).randrange(len(content))] ^= 1 << seed
                path.write_bytes(content)

                def do() -> str:
                    return (
                        "the same answers"
                        if np.allclose(outputs(), expected, atol=1e-6)
                        else "WRONG"
                    )

                tried(counts, do)
        del name
    say("flipped bits in kept files", counts)


def disks(folder: Path) -> None:
    """Run fit and predict with home, bundle and temporary files on a disk of so many kilobytes."""
    counts: Counter[str] = Counter()
    data = save_bars(folder / "data", 6)
    whole = folder / "whole"
    headstart.fit(data, out=whole)
    picture = str(next(iter(data.rglob("*.png"))))
    for size in (
        16,
        32,
        64,
        96,
        128,
        192,
        256,
        384,
        512,
        768,
        1024,
        1400,
        1600,
        1800,
        2000,
        2400,
        3000,
        4000,
    ):
        for where in ("home", "out", "both"):
            disk = folder / "disk"
            disk.mkdir(exist_ok=True)
            subprocess.run(
                ["mount", "-t", "tmpfs", "-o", f"size={size}k", "none", str(disk)], check=True
            )
            try:
                home = disk / "home" if where != "out" else folder / f"home{size}{where}"
                out = disk / "out" if where != "home" else folder / f"out{size}{where}"
                environment = os.environ | {"HEADSTART_HOME": str(home)}
                for strategy in (
                    ["--strategy", "frozen"],
                    ["--strategy", "partial:-1", "--epochs", "2", "--checkpoint-every", "0"],
                ):
                    line = ["fit", str(data), "--out", str(out), "--json", *strategy]
                    counts[
                        ended(line, environment, out, whole if strategy[1] == "frozen" else None)
                    ] += 1
                line = ["predict", str(whole), picture, "--json"]
                counts[ended(line, environment, None, None)] += 1
            finally:
                subprocess.run(["umount", str(disk)], check=True)
    say("full disks", counts)


def ended(line: list[str], environment: dict[str, str], out: Path | None, like: Path | None) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "headstart", *line],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if "Traceback" in done.stderr:
        print(f"    {line[0]} {line[-3:]}: {done.stderr[-700:]}", flush=True)
        return "TRACEBACK"
    if done.returncode:
        dead = out is not None and (out / "bundle.json").exists() and not loads(out)
        return "DEAD END" if dead else "refused"
    if like and not np.array_equal(
        bundle.load(out).tensors["head.weight"], bundle.load(like).tensors["head.weight"]
    ):
        return "WRONG"
    return "done"


def loads(out: Path) -> bool:
    try:
        return bool(bundle.load(out).classes)
    except HeadstartError:
        return False
