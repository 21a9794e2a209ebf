"""Which device does the work: the one place that knows ``auto|cpu|cuda|mps``. No torch here."""

from __future__ import annotations

import platform
import shutil
from pathlib import Path

from headstart.errors import HeadstartError, unknown
from headstart.settings.groups import DEVICES


def pick(wanted: str = "auto") -> str:
    """Return "cpu", "cuda" or "mps" for ``wanted``.

    ``auto`` only asks torch, which takes seconds to import, where signs of a GPU are there.

    Raises:
        UsageError: no such device name.
        HeadstartError: the device is not usable on this machine.
    """
    if wanted not in DEVICES:
        raise unknown("device", wanted, DEVICES)
    if wanted == "cpu" or (wanted == "auto" and not _signs_of_gpu()):
        return "cpu"
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted == "auto":
        return next((name for name, usable in there.items() if usable), "cpu")
    if not there[wanted]:
        raise HeadstartError(f"device '{wanted}' is not usable here; take --device auto or cpu.")
    return wanted


def _signs_of_gpu() -> bool:
    if platform.system() == "Darwin":
        return platform.machine() == "arm64"
    return Path("/dev/nvidiactl").exists() or shutil.which("nvidia-smi") is not None
