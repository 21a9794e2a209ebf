"""Commands on a disk that is full from their nth write on: done all the same, or one error."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import headstart

HERE = Path(__file__).parent


def filled(folder: Path, step: int, *names: str) -> list[str]:
    """Return how each try ended, ``NAME POINT OUTCOME``; see `filling`."""
    compiler = shutil.which("cc")
    if not compiler or not sys.platform.startswith("linux"):
        pytest.skip("a full disk is played by a C library on Linux, which takes a compiler")
    library = folder / "full_disk.so"
    made = [compiler, "-shared", "-fPIC", "-o", str(library), str(HERE / "full_disk.c"), "-ldl"]
    subprocess.run(made, check=True, capture_output=True)
    paths = [str(HERE.parent), str(Path(headstart.__file__).parents[1])]
    environment = os.environ | {"LD_PRELOAD": str(library), "PYTHONPATH": os.pathsep.join(paths)}
    line = [sys.executable, str(HERE / "filling.py"), str(folder), str(step), *names]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    print(done.stderr)
    return done.stdout.splitlines()


@pytest.mark.slow
def test_a_disk_that_fills_up_stops_a_command_with_one_error_or_not_at_all(tmp_path: Path) -> None:
    tries = filled(tmp_path, 7, "fit", "predict")
    assert len(tries) >= 4
    ends = {one.split(maxsplit=2)[2] for one in tries}
    assert ends <= {"refused, and goes on with room", "done all the same"}
