"""Where data and weights are, and how a whole process is timed; shared by the benchmarks."""

import os
import subprocess
import sys
import time
from pathlib import Path

SHARED = Path(__file__).resolve().parents[2] / "shared"
DATA = Path(os.environ.get("HEADSTART_DATA", SHARED / "data"))
WEIGHTS = Path(os.environ.get("HEADSTART_WEIGHTS", str(SHARED / "weights")))
HERE = Path(__file__).resolve().parent


def timed(command: list[str], home: Path) -> tuple[float, str]:
    """Run a command as a whole process; return (seconds, stdout)."""
    environment = os.environ | {"HEADSTART_HOME": str(home), "HEADSTART_WEIGHTS": str(WEIGHTS)}
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *command], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{command} failed:\n{done.stderr}")
    return time.perf_counter() - start, done.stdout.strip()
