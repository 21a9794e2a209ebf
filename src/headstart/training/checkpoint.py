"""How a training run survives kill -9, Ctrl-C, full disks and damaged files.

A checkpoint is one safetensors file, written aside, synced and renamed, with a digest of all that
it holds. So a killed process leaves whole checkpoints or none, and a damaged one is recognised:
then the one before it is used.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from headstart.errors import UsageError
from headstart.facts import require_regular
from headstart.place import sync_names
from headstart.progress import log
from headstart.settings.groups import Options
from headstart.settings.option import other_settings
from headstart.store import written_aside

FORMAT = 2
KEPT = 2
"""So many checkpoints are kept: the newest, and one in case it is damaged."""

_NAME = re.compile(r"checkpoint-(\d{6,})\.safetensors")


@dataclass(frozen=True)
class Saved:
    """A checkpoint that was read: its tensors, on the CPU, its facts, and where it lies."""

    tensors: dict[str, Tensor]
    facts: dict[str, Any]
    path: Path


class Checkpoints:
    """The checkpoints of one run, in a folder of their own; the two newest are kept.

    ``run`` says, in JSON, what is being run: a checkpoint of anything else is refused. `due` is
    true ``every`` seconds.
    """

    def __init__(
        self,
        folder: Path,
        run: Mapping[str, Any],
        *,
        every: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder = folder
        self._run: dict[str, Any] = json.loads(json.dumps(dict(run)))
        self._every, self._clock = every, clock
        self._last = clock()
        self._damaged: set[Path] = set()
        self._failing = False

    def latest(self) -> Saved | None:
        """Return the newest checkpoint that is intact; None if there is none.

        Raises:
            UsageError: it is of another run; the message says in what they differ.
        """
        for path in reversed(self._paths()):
            try:
                run, saved = _read(path)
            except (OSError, ValueError, SafetensorError) as error:
                log.warning("passing over a damaged checkpoint, %s: %s", path, error)
                self._damaged.add(path)
                continue
            self._check(run)
            return saved
        return None

    def due(self) -> bool:
        """Return whether it is time: ``every`` seconds since the last save, or since the start."""
        return self._clock() - self._last >= self._every

    def save(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Write a checkpoint, then remove all but the two newest.

        Where nothing can be written (a full disk, a folder without write permission) those that
        are there stay, one notice says so, and the next call tries again.
        """
        content = {"format": FORMAT, "run": self._run, "facts": dict(facts)}
        text = json.dumps(content, separators=(",", ":"))
        plain = _plain(tensors)
        try:
            self._remove(self._leftovers())
            path = self._next()
            with written_aside(path) as aside:
                save_file(plain, aside, {"checkpoint": text, "digest": _digest(text, plain)})
            sync_names(self.folder)
        except (OSError, SafetensorError) as error:
            if not self._failing:
                log.warning("no checkpoint can be kept in %s (%s); going on", self.folder, error)
            self._failing = True
        else:
            self._failing = False
            self._damaged.discard(path)
            good = [path for path in self._paths() if path not in self._damaged]
            self._remove(path for path in self._paths() if path not in good[-KEPT:])
        self._last = self._clock()

    def clear(self) -> None:
        """Remove all checkpoints, and the folder if nothing else is in it."""
        self._remove(self._paths())
        self._remove(self._leftovers())
        with suppress(OSError):
            self.folder.rmdir()

    def _check(self, run: Mapping[str, Any]) -> None:
        wrong = other_settings(run, {"format": FORMAT, **self._run}, Options)
        if wrong:
            raise UsageError(
                f"the checkpoints in {self.folder} are of another run:\n"
                + "".join(f"  {line}\n" for line in wrong)
                + "Repeat the command line that they came from, or name another or an empty --out."
            )

    def _paths(self) -> list[Path]:
        """Return the checkpoints, the oldest first."""
        paths = [path for path in self.folder.glob("*") if _NAME.fullmatch(path.name)]
        return sorted(paths, key=_number)

    def _next(self) -> Path:
        number = max(map(_number, self._paths()), default=0) + 1
        return self.folder / f"checkpoint-{number:06}.safetensors"

    def _leftovers(self) -> list[Path]:
        """Return what killed processes have left: our own half-written files and the library's."""
        return [*self.folder.glob(".checkpoint-*.part"), *self.folder.glob(".tmp*")]

    @staticmethod
    def _remove(paths: Iterable[Path]) -> None:
        for path in paths:
            with suppress(OSError):
                path.unlink()


def _number(path: Path) -> int:
    return int(path.stem.removeprefix("checkpoint-"))


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return what safetensors can write: on the CPU, contiguous, each with its own memory."""
    out: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in tensors.items():
        plain = tensor.detach().cpu().contiguous()
        memory = plain.untyped_storage().data_ptr()
        out[name] = plain.clone() if memory in seen else plain
        seen.add(memory)
    return out


def _digest(text: str, tensors: Mapping[str, Tensor]) -> str:
    """Return the digest of ``text`` and of the tensors' names, types, shapes and bytes."""
    state = hashlib.blake2b(text.encode(), digest_size=16)
    for name in sorted(tensors):
        tensor = tensors[name]
        # Not reshape: of one element it keeps the stride, whatever that is.
        flat = tensor.as_strided((tensor.numel(),), (1,))
        state.update(json.dumps([name, str(tensor.dtype), tensor.shape]).encode())
        state.update(flat.view(torch.uint8).numpy().data)
    return state.hexdigest()


def _read(path: Path) -> tuple[dict[str, Any], Saved]:
    """Return what was run, and the checkpoint; raise if it is not as it was written."""
    require_regular(path)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        names = file.keys()
        # Copies: what is handed out must not lie in a file that may be removed or change.
        tensors = {name: file.get_tensor(name).clone() for name in names}
    text = metadata.get("checkpoint", "")
    if metadata.get("digest") != _digest(text, tensors):
        raise ValueError("its content does not match its digest")
    content = json.loads(text)
    run = {"format": content["format"], **content["run"]}
    return run, Saved(tensors, content["facts"], path)


def random_state() -> dict[str, Tensor]:
    """Return the state of torch's generators: the CPU's and, where CUDA is used, each device's."""
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        state |= {f"cuda{i}": one for i, one in enumerate(torch.cuda.get_rng_state_all())}
    return state


def set_random_state(state: Mapping[str, Tensor]) -> None:
    """Put the generators back to ``state``; devices that are not here are passed over."""
    torch.set_rng_state(state["cpu"])
    for i in range(torch.cuda.device_count()):
        if f"cuda{i}" in state:
            torch.cuda.set_rng_state(state[f"cuda{i}"], i)
