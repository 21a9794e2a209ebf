"""The command line: parse, call, show.

`headstart.cli.door` makes a command of a verb; `headstart.cli.verbs`, `headstart.cli.pretrain` and
`headstart.cli.detect` are the commands.
"""

from __future__ import annotations

import os

from headstart.cli import detect, pretrain, verbs  # noqa: F401 - reading them makes the commands
from headstart.cli.door import app, prepare_streams

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line."""
    # Read when torch is loaded: its threads then sleep while they wait for each other. Spinning,
    # they take a core each from whatever else runs, and training took four times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    prepare_streams()
    app(prog_name="headstart")
