"""Every error that Headstart raises on purpose.

HeadstartError
├── UsageError      the call itself is wrong: an unknown name, an option out of range
├── DataError       the data cannot be used: nothing there, one class only, an unreadable table
│   └── ItemError   one item cannot be used; carries the reason, never stops a run
├── BackboneError   a backbone or its weights cannot be had
└── BundleError     a saved model cannot be read

Each message says what came, what is allowed, and what to try next.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

_LONGEST = 60
"""Characters of a value that a message shows."""


class HeadstartError(Exception):
    """Base of all errors raised on purpose; the command line prints them without a traceback."""


class UsageError(HeadstartError, ValueError):
    """The call is wrong: an unknown name or a value out of range."""


class DataError(HeadstartError, ValueError):
    """The data as a whole cannot be used."""


class ItemError(DataError):
    """One item cannot be used; ``str(error)`` is the reason that the audit lists."""


class BackboneError(HeadstartError, LookupError):
    """A backbone, or its weights, cannot be had here."""


class BundleError(HeadstartError, ValueError):
    """A folder is not a bundle, or is damaged, or comes from a newer version."""


def exit_code(error: KeyboardInterrupt) -> int:
    """Return what the system expects as exit code: 143 after SIGTERM, 130 after Ctrl-C.

    Training leaves the number of the signal in the error.
    """
    return 128 + (signal.SIGTERM if error.args == (signal.SIGTERM,) else signal.SIGINT)


def unknown(what: str, got: str, allowed: Iterable[str]) -> UsageError:
    """Return the error for a name that is not on the list, with the nearest one that is.

    >>> str(unknown("strategy", "frozn", ["frozen", "warm"]))
    "unknown strategy 'frozn'; did you mean 'frozen'? Allowed: frozen, warm"
    """
    names = list(allowed)
    near = get_close_matches(got, names, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else "."
    return UsageError(f"unknown {what} '{got}'{hint} Allowed: {', '.join(names)}")


def differences(was: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return one line for each key whose value differs, for messages.

    >>> differences({"seed": 0, "options": {"epochs": 5}}, {"seed": 1, "options": {"epochs": 5}})
    ['seed: was 0, is 1']
    """
    before, after = _flat(was), _flat(now)
    return [
        f"{key}: was {_cut(before.get(key, 'not given'))}, is {_cut(after.get(key, 'not given'))}"
        for key in before | after
        if before.get(key) != after.get(key)
    ]


def _flat(facts: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in facts.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = json.dumps(value, ensure_ascii=False)
    return flat


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 13]}…{text[-12:]}"
