"""The table of a comparison while it runs: on a terminal alone, and never wider than that."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
from pathlib import Path

import numpy as np
import pytest
from rich.cells import cell_len

from conftest import answers, save_bars
from headstart.evaluation.pace import time_left
from headstart.evaluation.runs import Run
from headstart.progress import watched, watching

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def run(name: str, shots: int, seconds: float) -> Run:
    return Run("net", name, shots, 0, seconds, answers(np.ones(4)))


def test_what_is_left_goes_by_the_like() -> None:
    done = [run("frozen", 8, 1.0), run("frozen", 8, 3.0), run("warm", 8, 50.0)]
    assert time_left([("net", "frozen", 8), ("net", "warm", 32)], done) == 52.0
    assert time_left([("other", "frozen", 8)], done) == pytest.approx(2.0), "the strategy is known"
    assert time_left([("net", "lora", 8)], done) is None, "nobody knows"
    assert time_left([], done) == 0.0
    soon = time_left([("net", "lora", 8)], done, moment=0.0)
    assert soon == 0.0, "a budget is known whatever the runs"


def test_nobody_watches_unless_asked() -> None:
    assert watched() is None
    with watching(print):
        assert watched() is print
    assert watched() is None


def compared(data: Path, columns: int) -> tuple[str, str]:
    """Return what a comparison writes to a terminal of so many columns, and to stdout."""
    outer, inner = pty.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
    words = ["compare", str(data), "--backbones", "glyphs,random:glyphs", "--strategies"]
    words += ["frozen,frozen:centroid", "--shots", "2,4", "--draws", "2", "--json"]
    child = subprocess.Popen(
        [sys.executable, "-m", "headstart", *words],
        stdin=inner,
        stderr=inner,
        stdout=subprocess.PIPE,
        env=env | {"TERM": "xterm-256color"},
    )
    os.close(inner)
    seen: list[bytes] = []

    def listen() -> None:
        try:
            while part := os.read(outer, 65536):
                seen.append(part)
        except OSError:  # how a terminal ends on Linux
            return

    listener = threading.Thread(target=listen)
    listener.start()
    said = child.communicate(timeout=120)[0].decode()
    listener.join()
    os.close(outer)
    assert child.returncode == 0
    return b"".join(seen).decode(), said


@pytest.mark.slow
@pytest.mark.parametrize("columns", [80, 40])
def test_a_terminal_shows_the_table_so_far(glyph_graph: Path, tmp_path: Path, columns: int) -> None:
    seen, said = compared(save_bars(tmp_path / "data"), columns)
    assert json.loads(said)["runs"], "stdout holds the object and nothing else"
    lines = [CONTROL.sub("", line) for line in re.split(r"[\r\n]+", seen)]
    assert max(map(cell_len, lines)) <= columns
    assert any("strategy" in line and "accuracy" in line for line in lines)
    assert any(re.search(r"\d+ of 16 runs, about 0:\d\d left", line) for line in lines)
    assert any("centr" in line for line in lines), "names are folded, not cut"
    assert any(line.rstrip().endswith("best") for line in lines) == (columns == 80)
    assert "Traceback" not in seen


def test_what_is_no_terminal_gets_plain_lines(glyph_graph: Path, tmp_path: Path) -> None:
    data = save_bars(tmp_path / "data")
    words = ["compare", str(data), "--backbones", "glyphs", "--strategies", "frozen"]
    done = subprocess.run(
        [sys.executable, "-m", "headstart", *words, "--shots", "2", "--draws", "2", "--json"],
        capture_output=True,
        text=True,
        env=os.environ | {"TERM": "xterm-256color"},
        timeout=120,
        check=True,
    )
    assert "\x1b" not in done.stderr
    assert "left" not in done.stderr
