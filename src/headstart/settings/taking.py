"""From a function of one settings value to a function of keyword arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from textwrap import indent
from typing import Any, TypeVar

from headstart.errors import UsageError, short_of_memory
from headstart.settings.groups import Options
from headstart.settings.option import REQUIRED, Setting, Settings, table

Result = TypeVar("Result")


def takes(
    settings: type[Settings], words: Mapping[str, str] | None = None
) -> Callable[[Callable[..., Result]], Callable[..., Result]]:
    """Let a function whose last parameter is the settings take them as keyword arguments.

    Its signature and the end of its docstring come from the table. Where the settings hold
    `Options`, ``options=Options(...)`` stands in place of the defaults. ``words`` are what the
    registries offer, for the help that leaves room for them.

    >>> from headstart.settings.table import Placed
    >>> @takes(Placed)
    ... def where(what: str, run: Placed) -> str:
    ...     '''Return where.'''
    ...     return f"{what} on {run.device}"
    >>> where("work", device="cpu")
    'work on cpu'
    """

    def decorate(function: Callable[..., Result]) -> Callable[..., Result]:
        *own, last = inspect.signature(function).parameters.values()
        first = inspect.Signature(own)

        @wraps(function)
        def call(*args: Any, **given: Any) -> Result:
            mine = {one.name: given.pop(one.name) for one in own if one.name in given}
            usual = _usual(given) if issubclass(settings, Options) else None
            bound = first.bind(*args, **mine)
            bound.apply_defaults()
            run = settings.of(given, usual)
            try:
                return function(*bound.args, **{last.name: run})
            except RuntimeError as error:
                if (short := short_of_memory(error)) is not None:
                    raise short from error
                raise

        rows = table(settings).values()
        call.__signature__ = signature(own, rows)  # type: ignore[attr-defined]
        text = inspect.cleandoc(function.__doc__ or "")
        call.__doc__ = f"{text}\n\nOptions:\n{described(rows, words or {})}"
        return call

    return decorate


def _usual(given: dict[str, Any]) -> Settings | None:
    """Take ``options`` out of what was given: settings, or a dictionary of what is given, too."""
    usual = given.pop("options", None)
    if usual is None or isinstance(usual, Settings):
        return usual
    if not isinstance(usual, Mapping):
        raise UsageError(
            f"options is of type {type(usual).__name__}; give Options(epochs=5, ...), a dictionary "
            "of such names, or the names themselves as keywords."
        )
    for name, value in usual.items():
        given.setdefault(name, value)
    return None


def signature(
    own: Iterable[inspect.Parameter], rows: Iterable[Setting], **defaults: Any
) -> inspect.Signature:
    """Return the signature of ``own`` parameters and of keyword arguments for ``rows``."""
    keywords = [
        inspect.Parameter(
            row.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty
            if row.default is REQUIRED
            else defaults.get(row.name, row.default),
        )
        for row in rows
    ]
    return inspect.Signature([*own, *keywords])


def described(rows: Iterable[Setting], words: Mapping[str, str]) -> str:
    """Return one line an option: its name, its help, its default."""
    return indent("\n".join(f"{row.name}: {described_one(row, words)}" for row in rows), "    ")


def described_one(row: Setting, words: Mapping[str, str]) -> str:
    """Return the help of an option with its default; ``words`` are those of the registries."""
    default = row.default in (None, (), REQUIRED) or "Default" in row.help
    said = ",".join(map(str, row.default)) if isinstance(row.default, tuple) else row.default
    return row.help.format_map(words) + ("" if default else f" Default: {said}.")
