"""Run by `test_full_disks`: commands, each on a disk that is full from its nth write on.

    LD_PRELOAD=full_disk.so python filling.py FOLDER STEP NAME...

Each try is a child of this process, so that nothing is imported twice. Where the command said that
it cannot be done, it is run once more with room, as somebody would who has made some.
"""

import ctypes
import io
import os
import shutil
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

DISK = ctypes.CDLL(None)
SECONDS = 60
NEVER = -1


def child(work: Callable[[], str], full_after: int = NEVER) -> tuple[int, str, int]:
    """Return the exit code of a child that does ``work``, what it said, and how often it wrote."""
    out, into = os.pipe()
    number = os.fork()
    if not number:
        os.close(out)
        os.dup2(into, 1)
        os.dup2(into, 2)
        sys.stdout = sys.stderr = io.TextIOWrapper(os.fdopen(into, "wb", 0), write_through=True)
        import signal

        signal.alarm(SECONDS)
        code = 99
        try:
            DISK.fill_after(full_after)
            code = int(work() != "")
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        except BaseException:
            traceback.print_exc()
        print(f"\nwrites {DISK.writes_seen()}", flush=True)
        os._exit(code)
    os.close(into)
    with os.fdopen(out, "rb") as stream:
        said = stream.read().decode("utf-8", "replace")
    _, status = os.waitpid(number, 0)
    text, _, writes = said.rpartition("\nwrites ")
    return os.waitstatus_to_exitcode(status), text, int(writes) if writes.strip().isdigit() else -1


def command(*line: str) -> Callable[[], str]:
    def run() -> str:
        from headstart.cli import main

        sys.argv = ["headstart", *line]
        main()
        return ""

    return run


def digest_of(out: Path) -> Callable[[], str]:
    def run() -> str:
        from headstart import bundle

        loaded = bundle.load(out)
        print("digest", hash(loaded.tensors["head.weight"].tobytes()), flush=True)
        return ""

    return run


def cases(folder: Path) -> dict[str, list[str]]:
    data, out, whole = str(folder / "data"), str(folder / "try" / "out"), str(folder / "whole")
    picture = str(min((folder / "data").rglob("*.png")))
    steps = ["--strategy", "partial:-1", "--epochs", "2", "--checkpoint-every", "0"]
    return {
        "fit": ["fit", data, "--out", out],
        "steps": ["fit", data, "--out", out, *steps],
        "predict": ["predict", whole, picture, "--out", f"{out}.csv"],
        "features": ["features", data, "--out", f"{out}.parquet"],
        "compare": ["compare", data, "--strategies", "frozen", "--draws", "1", "--out", out],
        "audit": ["audit", data, "--out", f"{out}.csv"],
    }


def judged(folder: Path, name: str, line: list[str], point: int, expected: str) -> tuple[str, int]:
    """Return how a try ended, and how often it wrote."""
    place = folder / "try"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    if name != "fit":  # the graph is there, or each try would be mostly its making
        shutil.copytree(folder / "warm", place / "home")
    os.environ["HEADSTART_HOME"] = str(place / "home")
    code, said, writes = child(command(*line), point)
    if "Traceback" in said or code not in (0, 1):
        print(f"{name} {point}: exit {code}\n{said[-1500:]}", file=sys.stderr, flush=True)
        return "HANG" if code < 0 else "TRACEBACK", writes
    ended = "refused, and goes on with room" if code else "done all the same"
    if code:
        again = (
            ["--resume"] if name == "compare" and (place / "out" / "compare.json").exists() else []
        )
        code, more, _ = child(command(*line, *again))
        if code:
            print(f"{name} {point}: {said}\nagain: {more[-1500:]}", file=sys.stderr, flush=True)
            return "DEAD END", writes
    if name in ("fit", "steps"):
        _, found, _ = child(digest_of(place / "out"))
        if found != expected:
            print(f"{name} {point}: {found} is not {expected}", file=sys.stderr, flush=True)
            return "WRONG", writes
    return ended, writes


def main() -> None:
    folder, step, names = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    from conftest import save_bars

    save_bars(folder / "data", 6)
    import_all()
    os.environ["HEADSTART_HOME"] = str(folder / "warm")
    child(command("fit", str(folder / "data"), "--out", str(folder / "whole")))
    made = cases(folder)
    for name in names or made:
        place = folder / "try"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        os.environ["HEADSTART_HOME"] = str(folder / ("cold" if name == "fit" else "warm"))
        code, said, writes = child(command(*made[name]))
        if code:
            raise SystemExit(f"{name}: {said}")
        expected = ""
        if name in ("fit", "steps"):
            _, expected, _ = child(digest_of(place / "out"))
        for point in range(0, writes + 1, step):
            ended, _ = judged(folder, name, made[name], point, expected)
            print(name, point, ended, flush=True)


def import_all() -> None:
    """Import what the commands do, but start no threads: children would wait for them forever."""
    import onnxruntime  # noqa: F401
    import sklearn.linear_model  # noqa: F401
    import torch  # noqa: F401

    import headstart.cli
    import headstart.report.fit_page
    import headstart.report.tables
    import headstart.training.loop
    import headstart.training.transfer
    import headstart.verbs.audit
    import headstart.verbs.compare
    import headstart.verbs.features
    import headstart.verbs.fit
    import headstart.verbs.predict  # noqa: F401


if __name__ == "__main__":
    main()
