"""How a script of a user is run: as a process of its own, also at a terminal of some width."""

from __future__ import annotations

import contextlib
import os
import re
import struct
import subprocess
import sys

import pytest

HEAD = """
import contextlib, io, json, sys
from pathlib import Path
import headstart
def line(*given):
    from headstart import cli
    try:
        cli.app([str(one) for one in given], prog_name="headstart")
    except SystemExit as end:
        return int(end.code or 0)
def asked(*given):
    with contextlib.redirect_stdout(io.StringIO()) as said:
        code = line(*given, "--json")
    return code, json.loads(said.getvalue() or "null")
def refused(call, *words):
    try:
        call()
    except headstart.HeadstartError as error:
        assert all(word in str(error) for word in words), str(error)
    else:
        raise AssertionError(words)
"""

CHINESE_SIGNS = ["".join(map(chr, range(0x4E00, 0x9FA6))) + "，。0123456789"]
"""What an encoder for Chinese reads."""


def ran(script: str, *where: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HEAD + script, *where], capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Traceback" not in done.stderr


def at_a_terminal(script: str, *where: str, width: int = 80) -> list[str]:
    """Return the lines that a terminal of this width shows, without bars, which come and go."""
    pty, termios = pytest.importorskip("pty"), pytest.importorskip("termios")
    fcntl = pytest.importorskip("fcntl")
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    plain = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    command = [sys.executable, "-c", HEAD + script, *where]
    streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    running = subprocess.Popen(command, **streams, env=plain | {"TERM": "xterm"})
    os.close(theirs)
    said = b""
    with contextlib.suppress(OSError):  # how the other end of a terminal closes
        while piece := os.read(ours, 1 << 16):
            said += piece
    running.wait()
    os.close(ours)
    text = re.sub(r"[^\n]*\x1b\[2K", "", said.decode("utf-8").replace("\r", ""))
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)
    assert running.returncode == 0 and "Traceback" not in text, text
    return [one.rstrip() for one in text.split("\n")]
