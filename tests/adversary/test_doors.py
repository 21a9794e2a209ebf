"""The command line in hard places: streams that are closed, odd paths, names and numbers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import headstart
from conftest import bars, save_bars
from headstart.data.audit import audit
from headstart.data.dataset import Rejected
from headstart.errors import HeadstartError
from headstart.visible import cell, visible

SOURCE = str(Path(headstart.__file__).parents[1])


def run(line: list[str], shell: str = "", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command line in a process of its own, through a shell where that closes streams."""
    whole = [sys.executable, "-m", "headstart", *line]
    if shell:
        whole = ["sh", "-c", f'exec "$@" {shell}', "sh", *whole]
    settings = os.environ | {"PYTHONPATH": SOURCE} | environment
    return subprocess.run(whole, env=settings, capture_output=True, check=False)


@pytest.fixture
def strange(tmp_path: Path) -> Path:
    """Data whose names hold escape sequences, other scripts, and bytes that are no text."""
    folder = save_bars(tmp_path / "d\u00e4ta", 4)
    (folder / "bar 0").rename(folder / "caf\u00e9 \u732b \x1b[31mred\u202egnp")
    odd = os.fsencode(folder / "bar 1") + b"/caf\xe9.png"
    Image.new("RGB", (9, 9)).save(os.fsdecode(odd))
    (folder / "bar 1" / "=cmd().png").write_text("no picture")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["", ">&-", "2>&-", ">&- 2>&-", "<&-", ">/dev/full"])
def test_streams_that_are_closed_or_full(shell: str, strange: Path) -> None:
    for more in ([], ["--json"]):
        done = run(["audit", str(strange), *more], shell)
        assert b"Traceback" not in done.stderr
        assert done.returncode == (1 if shell == ">/dev/full" else 0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "more", [{"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}, {}]
)
def test_names_are_printed_in_every_locale(more: dict[str, str], strange: Path) -> None:
    done = run(["audit", str(strange)], **more)
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False)
    assert b"\x1b[31m" not in done.stdout + done.stderr
    assert "\u202e".encode() not in done.stdout


@pytest.mark.slow
def test_odd_paths_are_one_error() -> None:
    for path in ("~nosuchuser/data", os.fsdecode(b"/tmp/caf\xe9"), "", "\n", "/dev/null"):
        done = run(["audit", path])
        assert done.returncode in (1, 2)
        assert b"Traceback" not in done.stderr and done.stderr.startswith(
            (b"headstart: ", b"Usage")
        )


HUGE = ["1" + "0" * 400, "9" * 20, "1e400", "nan", "inf", "-1", "1e308", "0x10", "\u0663", ""]


@pytest.mark.parametrize("value", HUGE)
@pytest.mark.parametrize(
    "option",
    ["epochs", "seed", "shots", "batch", "image_size", "channels", "rank", "views", "cache_limit"]
    + ["val", "body_rate", "decay", "soup", "min_frequency", "checkpoint_every", "max_seconds"],
)
def test_numbers_of_any_size_are_read_or_refused(value: str, option: str) -> None:
    from headstart.settings.option import table
    from headstart.settings.table import Fitting

    row = table(Fitting)[option]
    for given in filter(
        lambda one: one is not None, (as_number(value, int), as_number(value, float))
    ):
        try:
            read = Fitting.of({option: given})
        except HeadstartError as error:
            assert row.name in str(error)
        else:
            found = getattr(read, option)
            assert np.isfinite(found) and (isinstance(found, float) or found < 1 << 63)


def as_number(value: str, kind: type) -> float | None:
    try:
        return kind(value)
    except ValueError:
        return None


def test_answers_never_turn_into_formulas_or_escapes(tmp_path: Path) -> None:
    hostile = ["=1+1", "+cmd", "@SUM(A1)", "-2+3", "\tx", "a\x1b[2Jb", "x\u202etxt", "ok", "-3.5"]
    for text in hostile:
        assert visible(text).isprintable()
        assert not cell(text).startswith(("=", "+", "@")) and "\x1b" not in cell(text)
    assert cell("-3.5") == "-3.5" and cell("-2+3") == "'-2+3"
    found = audit(bars(3))
    object.__setattr__(found, "rejected", (Rejected("=HYPERLINK()", "bad\tname\x1b[1m"),))
    found.write_skipped(tmp_path / "skipped.csv")
    assert (
        tmp_path / "skipped.csv"
    ).read_text() == "item,reason\n'=HYPERLINK(),bad\\tname\\x1b[1m\n"


def test_answers_stay_on_their_line(capsys: pytest.CaptureFixture[str]) -> None:
    from headstart.report.tables import predictions
    from headstart.tasks.classes import Classes

    answer = {"item": "a\tb\nc\x1b[2J", "label": "x\u202ey\n", "probability": 0.5}
    predictions(Classes(("x",)), [answer, {"item": "ok", "error": "no\nsuch"}])
    shown = capsys.readouterr()
    lines = shown.out.split("\n")
    assert [line.count("\t") for line in lines] == [2, 0]
    assert shown.err == "ok: no\\nsuch\n"
    assert "\x1b" not in lines[0] and "\u202e" not in lines[0]


def test_the_page_shows_what_would_turn_it_around(tmp_path: Path, glyph_graph: Path) -> None:
    folder = save_bars(tmp_path / "data", 6)
    (folder / "bar 0").rename(folder / "cat\u202egnp")
    headstart.fit(folder, out=tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "\u202e" not in page and "cat\\u202egnp" in page


def test_json_has_no_numbers_that_are_none() -> None:
    from headstart.facts import finite

    said = json.dumps(finite({"a": float("nan"), "b": [float("inf"), 1.5]}), allow_nan=False)
    assert json.loads(said) == {"a": None, "b": [None, 1.5]}
