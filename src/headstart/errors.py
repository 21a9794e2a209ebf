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
from itertools import chain
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


def short_of_memory(error: RuntimeError) -> MemoryError | None:
    """Return what torch means where it says in its own words that there is no memory left.

    >>> short_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ..."))
    MemoryError("can't allocate memory: you tried ...; a smaller image_size or batch takes less")
    """
    said = str(error)
    start = max(said.find("can't allocate memory"), said.find("out of memory"))
    if start < 0:
        return None
    return MemoryError(f"{said[start : start + 100]}; a smaller image_size or batch takes less")


def exit_code(error: KeyboardInterrupt) -> int:
    """Return what the system expects as exit code: 143 after SIGTERM, 130 after Ctrl-C.

    Training leaves the number of the signal in the error.
    """
    return 128 + (signal.SIGTERM if error.args == (signal.SIGTERM,) else signal.SIGINT)


SYNONYMS = {
    **dict.fromkeys(("freeze", "linear", "linearprobe", "probe", "featureextraction"), "frozen"),
    **dict.fromkeys(("finetune", "finetuning", "full", "all", "unfrozen", "unfreeze"), "warm"),
    **dict.fromkeys(("fromscratch", "random", "none"), "scratch"),
    **dict.fromkeys(("gpu", "nvidia"), "cuda"),
    **dict.fromkeys(("metal", "apple"), "mps"),
    **dict.fromkeys(("train", "learn"), "fit"),
    **dict.fromkeys(("test", "eval", "score", "measure", "validate"), "evaluate"),
    **dict.fromkeys(("classify", "infer", "inference", "answer", "run"), "predict"),
    **dict.fromkeys(("benchmark", "rank"), "compare"),
    **dict.fromkeys(("check", "inspect", "validatedata"), "audit"),
    **dict.fromkeys(("embed", "extract", "embeddings"), "features"),
    **dict.fromkeys(("download", "pull", "get"), "fetch"),
    **dict.fromkeys(("models", "list", "zoo"), "backbones"),
    **dict.fromkeys(("plot", "draw", "visualize", "visualise"), "show"),
    **dict.fromkeys(("lr", "learningrate"), "head_rate"),
    **dict.fromkeys(("batchsize", "bs"), "batch"),
    **dict.fromkeys(("optimizer",), "optimiser"),
    **dict.fromkeys(("model", "network", "encoder", "pretrained"), "backbone"),
    **dict.fromkeys(("output", "save", "outdir"), "out"),
    **dict.fromkeys(("method", "mode"), "strategy"),
    **dict.fromkeys(("k", "topk"), "top_k"),
    **dict.fromkeys(("valsplit", "testsize", "validation"), "val"),
    **dict.fromkeys(("augmentation", "aug"), "augment"),
}
"""What others call it, written without case and separators, and what it is called here."""


def nearest(got: str, names: Iterable[str]) -> str | None:
    """Return the one of ``names`` that ``got`` seems to mean; of equally near ones the first.

    Case and separators do not matter; then come the usual synonyms, names that begin alike, and
    spellings that are close.

    >>> names = ["frozen", "warm", "mobilenet_v2", "timm:mobilenetv2_050"]
    >>> [nearest(one, names) for one in ("MobileNet-V2", "freeze", "mobilenet", "wram", "xyz")]
    ['mobilenet_v2', 'frozen', 'mobilenet_v2', 'warm', None]
    """
    folded: dict[str, str] = {}
    for name in names:
        folded.setdefault(_folded(name), name)
        folded.setdefault(_folded(name.rpartition(":")[2]), name)
    wanted = _folded(got)
    meant = _folded(SYNONYMS.get(wanted, got))
    begins = (f for f in folded if len(wanted) > 2 and min(len(f), len(wanted)) > 1)
    alike = (f for f in begins if f.startswith(wanted) or (wanted.startswith(f) and len(f) > 3))
    close = get_close_matches(wanted, folded, n=1)
    found = next(chain((f for f in (wanted, meant) if f in folded), alike, close), None)
    return None if found is None else folded[found]


def _folded(name: str) -> str:
    return "".join(sign for sign in name.casefold() if sign not in "-_ .")


def meant(strangers: Iterable[str], known: Iterable[str]) -> str:
    """Return the question which of the ``known`` names are meant; empty if none is near.

    >>> meant(["Ants", "wasp"], ["ants", "bees"])
    " Did you mean 'ants' instead of 'Ants'?"
    """
    known = list(known)
    near = [f"'{one}' instead of '{name}'" for name in strangers if (one := nearest(name, known))]
    return f" Did you mean {', '.join(near)}?" if near else ""


def unknown(what: str, got: str, allowed: Iterable[str]) -> UsageError:
    """Return the error for a name that is not on the list, with the nearest one that is.

    >>> str(unknown("strategy", "frozn", ["frozen", "warm"]))
    "unknown strategy 'frozn'; did you mean 'frozen'? Allowed: frozen, warm"
    """
    names = list(allowed)
    near = nearest(got, names)
    hint = f"; did you mean '{near}'?" if near else "."
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
