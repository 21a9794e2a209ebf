"""Facts that come from files: read with care, and held against one schema before anybody uses them.

A rule is a function of a value and of where it stands; it raises `FactsError` with what came and
what is allowed. Rules are put together like the JSON that they describe.

>>> person = record({"name": text(), "age": whole(0, 150)})
>>> person({"name": "Ada", "age": 36}, "ada.json")
>>> person({"name": "Ada", "age": "36"}, "ada.json")
Traceback (most recent call last):
headstart.facts.FactsError: ada.json: age is '36', but must be a whole number from 0 to 150
"""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Callable, Collection, Mapping
from math import isfinite
from pathlib import Path
from typing import Any

Rule = Callable[[Any, str], None]
"""Of a value, and where it stands."""

MOST = 1 << 28
"""Bytes of a JSON file that are read at most."""

_SHOWN = 60
_HALF = re.compile(r"\\u[dD][89a-fA-F]")


class FactsError(ValueError):
    """A file does not say what it should; the message says where."""


def read_bytes(path: Path, most: int = MOST) -> bytes:
    """Return what the plain file at ``path`` holds; pipes and devices would never end.

    Raises:
        FactsError: it is no plain file, or too large.
        OSError: it cannot be read.
    """
    require_regular(path)
    if (size := path.stat().st_size) > most:
        raise FactsError(f"{path.name} has {size:,} bytes, but {most:,} are the most")
    return path.read_bytes()


def require_regular(path: Path) -> None:
    """Raise `FactsError` where ``path`` is a pipe, a device or a folder; looked at, not opened."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise FactsError(f"{path.name} is no regular file")


def read(path: Path, rule: Rule | None = None) -> Any:
    """Return what the JSON file at ``path`` says, held against ``rule``.

    Raises:
        FactsError: it is no JSON, or says what ``rule`` does not allow.
        OSError: it cannot be read.
    """
    return parsed(read_bytes(path), path.name, rule)


def parsed(content: bytes, where: str, rule: Rule | None = None) -> Any:
    """Return what ``content`` says, which is JSON in UTF-8, see `read`."""
    try:
        said = content.decode("utf-8")
        found = json.loads(said, parse_constant=_no_number)
        if _HALF.search(said):  # half of a surrogate pair is legal in JSON, but in no encoding
            json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise FactsError(f"{where} is no JSON: {str(error)[:200]}") from error
    if rule:
        rule(found, where)
    return found


def _no_number(name: str) -> None:
    """NaN and Infinity, which JSON does not know, are as good as nothing."""


def finite(value: Any) -> Any:
    """Return ``value``, which JSON can hold, with null for numbers that are not finite.

    >>> finite({"r2": float("nan"), "n": [1, 2.5]})
    {'r2': None, 'n': [1, 2.5]}
    """
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, dict):
        return {name: finite(one) for name, one in value.items()}
    return [finite(one) for one in value] if isinstance(value, list | tuple) else value


def _refuse(value: Any, at: str, allowed: str) -> None:
    said = value if isinstance(value, str | int | float | None) else type(value).__name__
    shown = repr(said)
    shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
    raise FactsError(f"{at} is {shown}, but must be {allowed}")


def anything(value: Any, at: str) -> None:
    """Allow whatever JSON can say."""


def text(longest: int = 10_000, pattern: str = ".*", called: str = "") -> Rule:
    """Allow a text of at most ``longest`` characters that ``pattern`` matches whole."""
    form = re.compile(pattern, re.DOTALL)

    def rule(value: Any, at: str) -> None:
        good = isinstance(value, str) and len(value) <= longest and form.fullmatch(value)
        if not good:
            _refuse(value, at, called or f"a text of at most {longest:,} characters")

    return rule


def whole(least: int, most: int) -> Rule:
    """Allow a whole number in a range."""

    def rule(value: Any, at: str) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            _refuse(value, at, f"a whole number from {least:,} to {most:,}")

    return rule


def number(least: float, most: float, *, above: bool = False) -> Rule:
    """Allow a finite number in a range, ``least`` itself not if ``above``."""

    def rule(value: Any, at: str) -> None:
        good = isinstance(value, int | float) and not isinstance(value, bool)
        if not good or not isfinite(value) or not least <= value <= most:
            _refuse(value, at, f"a number from {least:g} to {most:g}")
        elif above and value == least:
            _refuse(value, at, f"a number above {least:g}")

    return rule


def truth(value: Any, at: str) -> None:
    """Allow true and false."""
    if not isinstance(value, bool):
        _refuse(value, at, "true or false")


def one_of(*words: Any) -> Rule:
    """Allow some words."""

    def rule(value: Any, at: str) -> None:
        if isinstance(value, bool) or not isinstance(value, str | int) or value not in words:
            _refuse(value, at, f"one of {', '.join(map(str, words))}")

    return rule


def maybe(rule: Rule) -> Rule:
    """Allow null too."""
    return lambda value, at: None if value is None else rule(value, at)


def listed(rule: Rule, least: int = 0, most: int = 10_000_000) -> Rule:
    """Allow a list of so many of what ``rule`` allows."""

    def each(value: Any, at: str) -> None:
        if not isinstance(value, list) or not least <= len(value) <= most:
            size = f"from {least:,} to {most:,}" if least < most else f"{most:,}"
            _refuse(value, at, f"a list of {size}")
        for number, one in enumerate(value):
            rule(one, f"{at}[{number}]")

    return each


def mapping(value: Any, at: str) -> None:
    """Allow an object, whatever it holds."""
    if not isinstance(value, dict):
        _refuse(value, at, "an object")


def record(needed: Mapping[str, Rule], optional: Mapping[str, Rule] | None = None) -> Rule:
    """Allow an object that has all of ``needed``; others than ``optional`` are not looked at."""
    rules = {**needed, **(optional or {})}

    def rule(value: Any, at: str) -> None:
        mapping(value, at)
        _require(needed, value, at)
        for name, one in rules.items():
            if name in value:
                one(value[name], f"{at}: {name}")

    return rule


def _require(names: Collection[str], value: Mapping[str, Any], at: str) -> None:
    missing = [name for name in names if name not in value]
    if missing:
        raise FactsError(f"{at} lacks {', '.join(missing)}")
