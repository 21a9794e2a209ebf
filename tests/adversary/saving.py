"""Run by `test_saving`: save a small model again and again, killed at a point of its own each time.

    python saving.py FOLDER POINTS

Each try is a child of this process, ended without any goodbye at its nth call of the system: as
Python's audit events count them, and before and after each write of the libraries below it. The
points are spread over all calls of a whole saving.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import headstart
from conftest import bars
from headstart import bundle


def main() -> None:
    folder, points = Path(sys.argv[1]), int(sys.argv[2])
    fitted = headstart.fit(bars(6))
    old = headstart.fit(bars(6), seed=1)
    old.save(folder / "counted")
    calls = counted_calls(fitted, folder / "counted")
    for nth in range(points):
        point = 1 + nth * calls // points
        for name, before in (("new", None), ("old", old)):
            out = folder / f"{name}-{point}"
            if before:
                before.save(out)
            child = os.fork()
            if not child:
                die_at(point)
                fitted.save(out)
                os._exit(0)
            _, status = os.waitpid(child, 0)
            killed = os.waitstatus_to_exitcode(status) == 137
            print(point, name, "killed" if killed else "done", judged(fitted, out), flush=True)


def counted_calls(fitted: headstart.Fit, out: Path) -> int:
    """Return how many calls of the system a whole saving takes."""
    told = out.with_suffix(".txt")
    child = os.fork()
    if not child:
        calls = die_at(-1)
        fitted.save(out)
        told.write_text(str(calls()))
        os._exit(0)
    os.waitpid(child, 0)
    return int(told.read_text())


def die_at(point: int) -> Callable[[], int]:
    seen = 0

    def watch(event: str, _: object) -> None:
        nonlocal seen
        if event.split(".")[0] in ("open", "os", "shutil", "fcntl", "tempfile", "pathlib"):
            seen += 1
            if seen == point:
                os._exit(137)

    sys.addaudithook(watch)
    for name in ("fsync", "replace", "rename", "close"):
        real = getattr(os, name)
        setattr(os, name, counted(real, watch))
    return lambda: seen


def counted(real, watch):  # type: ignore[no-untyped-def]
    def call(*args, **more):  # type: ignore[no-untyped-def]
        watch("os.before", None)
        result = real(*args, **more)
        watch("os.after", None)
        return result

    return call


def judged(fitted: headstart.Fit, out: Path) -> str:
    """Return whether what is there is whole or nothing, and whether a fit goes on from it."""
    seeds = []
    if (out / "bundle.json").exists() or (out / ".saved").exists():
        seeds.append(bundle.load(out).facts["seed"])
    fitted.save(out)
    again = bundle.load(out).facts["seed"]
    left = [path.name for path in out.iterdir() if path.name.startswith(".")]
    return f"found={seeds} again={again} left={left}"


if __name__ == "__main__":
    main()
