"""A comparison on disk: what is finished stays, and the next command goes on or adds to it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from headstart.errors import HeadstartError, UsageError
from headstart.evaluation.runs import Comparison, Run
from headstart.facts import read_bytes
from headstart.progress import log
from headstart.settings.groups import Options
from headstart.settings.option import other_settings
from headstart.store import digest_of, written_aside
from headstart.tasks.answers import Answers
from headstart.tasks.task import Targets

_LARGEST = 1 << 32

_SHARE = 0.05
"""Of the time of a comparison that may go into writing what it has so far."""


class Record:
    """``compare.json`` in a folder: the runs so far with what they answered, and their settings.

    Args:
        folder: where it lies.
        settings: what all its runs must have in common: data, options, seed. Those of a backbone
            stand under ``backbone NAME`` and are compared only where both have that backbone.

    Raises:
        OSError: the folder cannot be made.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)  # or what cannot be written is told at the end
        self.path = folder / "compare.json"
        self._settings: dict[str, Any] = json.loads(json.dumps(dict(settings)))
        self._due = 0.0
        self._pending: Comparison | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Write what was noted and not written, also where the comparison was interrupted."""
        if self._pending is not None:
            self.keep(self._pending)

    def runs(self, truth: Targets) -> tuple[Run, ...]:
        """Return the finished runs on items with these targets; none where there is no record yet.

        Runs from before answers were kept say nothing about items; they are left out.

        Raises:
            UsageError: the record was made under other settings; the message says which.
            HeadstartError: it cannot be read.
        """
        try:
            found = json.loads(read_bytes(self.path, _LARGEST))
            if found.get("digest", digest_of(found)) != digest_of(found):
                raise ValueError("it was changed after it was written")
            first = {"task": "classes", "folds": 0, "probe": None}  # before there were others
            before = first | found["settings"]
            kept = found.get("answers", [])
            rows = list(zip(found["runs"], kept, strict=True)) if kept else []
        except FileNotFoundError:
            return ()
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._unread(error) from error
        shared = {key for key in before | self._settings if _is_shared(key, before, self._settings)}
        wrong = other_settings(_only(before, shared), _only(self._settings, shared), Options)
        if wrong:
            raise UsageError(
                f"{self.path} was measured under other settings:\n"
                + "".join(f"  {line}\n" for line in wrong)
                + "Repeat them to go on, or name another or an empty --out."
            )
        if found["runs"] and not kept:
            log.warning("%s says nothing of single items: its runs are done again", self.path)
        self._settings = before | self._settings
        try:
            return tuple(Run.of(row, Answers.of(answers, truth)) for row, answers in rows)
        except (KeyError, TypeError, ValueError) as error:
            raise self._unread(error) from error

    def _unread(self, error: Exception) -> HeadstartError:
        return HeadstartError(
            f"{self.path} is no record of a comparison ({error!r}); start anew with "
            "--overwrite, or name another --out."
        )

    def note(self, result: Comparison) -> None:
        """Write the comparison as it now is, unless the last writing was only just now.

        All runs are written each time, so hundreds of cheap ones would spend most of their time on
        that. A kill loses what ended since the last writing, which is at most twenty times as long
        ago as that took.
        """
        self._pending = result
        if time.monotonic() >= self._due:
            self.keep(result)

    def keep(self, result: Comparison) -> None:
        """Write the comparison as it now is, in place of the last; a full disk stops nothing."""
        start, self._pending = time.monotonic(), None
        held_out = result.held_out
        content: dict[str, Any] = {
            "settings": self._settings,
            **result.to_json(),
            "held_out": {
                "items": list(held_out.names),
                "truth": [held_out.targets.said(i) for i in range(len(held_out.targets))],
            },
            "answers": [run.answers.to_json() for run in result.runs],
        }
        content["digest"] = digest_of(json.loads(json.dumps(content)))
        try:
            with written_aside(self.path) as aside:
                aside.write_text(json.dumps(content, indent=1), encoding="utf-8")
        except OSError as error:
            log.warning("the comparison cannot be kept in %s (%s); going on", self.path, error)
        now = time.monotonic()
        self._due = now + (now - start) / _SHARE


def _is_shared(key: str, *settings: Mapping[str, Any]) -> bool:
    return not key.startswith("backbone ") or all(key in one for one in settings)


def _only(settings: Mapping[str, Any], keys: set[str]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key in keys}
