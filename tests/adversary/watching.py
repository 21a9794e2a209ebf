"""What a run does outside of the folders that it was given, seen through Python's audit events."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ASKED = {"socket.connect", "socket.getaddrinfo", "os.system", "os.exec", "subprocess.Popen"}
TOUCHED = {"open", "os.remove", "os.rmdir", "os.rename", "os.mkdir", "os.link", "os.symlink"}
TOUCHED |= {"os.truncate", "os.chmod", "shutil.rmtree", "os.listdir", "os.scandir"}

HERE = Path(__file__).resolve().parents[2]
USUAL = (
    *(sys.prefix, sys.base_prefix, str(HERE), "/proc", "/sys", "/usr", "/lib"),
    *("/dev/null", "/dev/urandom", "/dev/shm", "/etc/localtime", "/etc/ssl", "/etc/fonts"),
    *("/etc/mime.types", "/etc/apache2/mime.types", "/etc/httpd", "/etc/nsswitch", "/etc/host"),
    *(os.path.expanduser(f"~/{one}/matplotlib") for one in (".config", ".cache")),
)
"""Where Python, its libraries and our own sources are."""

TEMPORARY = tempfile.gettempdir()


class Watch:
    """What is opened, listed, removed, connected to or run outside of what is allowed."""

    def __init__(self) -> None:
        self.allowed: tuple[str, ...] = ()
        self.seen: list[str] = []
        self.on = False
        sys.addaudithook(self._hook)

    def _hook(self, event: str, args: tuple[object, ...]) -> None:
        if not self.on:
            return
        if event in ASKED:
            self.seen.append(f"{event} {args[:2]}")
        if event in TOUCHED and args and isinstance(args[0], str | bytes | os.PathLike):
            self.on = False  # looking at the path is no event of its own
            path = os.path.realpath(os.fsdecode(args[0]))
            self.on = True
            if path != TEMPORARY and not path.startswith(self.allowed):
                self.seen.append(f"{event} {path}")

    @contextmanager
    def within(self, *folders: Path) -> Iterator[list[str]]:
        """Yield what is seen outside of ``folders`` and `USUAL`, from now on."""
        made_by_torch = os.path.join(TEMPORARY, "torchinductor_")
        self.allowed = (*map(os.path.realpath, folders), *USUAL, made_by_torch)
        self.seen = []
        self.on = True
        try:
            yield self.seen
        finally:
            self.on = False


WATCH = Watch()
"""The only one: such a hook stays for good."""
