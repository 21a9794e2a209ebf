"""What an option is: a field of a frozen dataclass that says its range, its help, who reads it.

>>> @dataclass(frozen=True, kw_only=True)
... class Cooking(Settings):
...     minutes: int = option(5, "Of boiling.", least=1)
>>> Cooking.of({"minutes": 7}).minutes
7
>>> Cooking.of({"minuts": 7})
Traceback (most recent call last):
headstart.errors.UsageError: unknown option 'minuts'; did you mean 'minutes'? Allowed: minutes
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import MISSING, dataclass, field, fields
from math import inf, isfinite
from numbers import Integral, Real
from os import PathLike
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Self, get_args, get_origin, get_type_hints

from headstart.errors import UsageError, differences, nearest, unknown

By = Literal["all", "steps", "head", "field"]
"""Which strategies read an option: all of them, those that train by steps, those that solve a
head, or those that have a field of its name."""

COUNTED = (1 << 63) - 1
"""The largest whole number that the libraries count to."""

REQUIRED = MISSING
"""The default of an option that must be given."""


@dataclass(frozen=True)
class Setting:
    """One option.

    Attributes:
        name: in Python; on the command line with dashes.
        type: int, float, bool, str, Path, or tuple for several.
        default: where it is not given; None stands for what ``help`` says.
        help: one line.
        panel: the section of ``--help`` that it stands in.
        least: the smallest number that is allowed.
        above: all numbers that are allowed are above it.
        most: the largest number that is allowed.
        below: all numbers that are allowed are below it.
        choices: the words that are allowed; none where all are, or where a registry has them.
        parse: from text to the value, for what is written in words: ``10m``, ``8,64,all``.
        by: which strategies read it.
        items: the kind of items that it is for, "image" or "text"; empty for both.
        tasks: the tasks that it is for; empty for all.
        learns_words: it is for networks that learn their words from the training texts.
        decides: whether it can change weights or figures. What cannot is no part of what a
            checkpoint or a comparison is checked against.
    """

    name: str
    type: type
    default: Any
    help: str
    panel: str = ""
    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None
    choices: tuple[str, ...] = ()
    parse: Callable[[str], Any] | None = None
    by: By = "all"
    items: Literal["", "image", "text"] = ""
    tasks: tuple[str, ...] = ()
    learns_words: bool = False
    decides: bool = True

    def read(self, value: Any) -> Any:
        """Return ``value`` as the type that it stands for; one of a wrong type as it is."""
        if isinstance(value, str) and self.parse:
            return self.parse(value)
        if self.type is Path and value and isinstance(value, str | PathLike):
            return Path(value)
        if self.type is tuple and isinstance(value, list | range):
            return tuple(value)
        if self.type is float and isinstance(value, Real) and not isinstance(value, bool):
            with suppress(OverflowError):  # then it is refused as it is
                return float(value)
        if self.type is int and isinstance(value, Integral) and not isinstance(value, bool):
            return int(value)
        return value

    def fault(self, value: Any) -> str | None:
        """Return what is wrong with ``value``; None where it may stand."""
        if value is None and self.default is None:
            return None
        if self._is_allowed(value):
            return None
        near = nearest(str(value), self.choices)
        hint = f"; did you mean '{near}'?" if near else ""
        return f"{self.name} is {value}, but must be {self.allowed}{hint}"

    def _is_allowed(self, value: Any) -> bool:
        if self.type in (int, float):
            kind = Integral if self.type is int else Real
            return isinstance(value, kind) and not isinstance(value, bool) and self._within(value)
        if self.type is bool:
            return isinstance(value, bool)
        return isinstance(value, self.type) and (not self.choices or value in self.choices)

    def _within(self, value: Any) -> bool:
        low = value >= (-inf if self.least is None else self.least)
        high = value <= (inf if self.most is None else self.most)
        over = self.above is None or value > self.above
        under = self.below is None or value < self.below
        if isinstance(value, Integral) and abs(int(value)) > COUNTED:
            return False
        try:
            finite = isfinite(value)
        except OverflowError:
            return False
        return bool(finite and low and high and over and under)

    @property
    def allowed(self) -> str:
        """What the value may be, in words."""
        if self.choices:
            return " or ".join(self.choices) if len(self.choices) < 3 else ", ".join(self.choices)
        if self.least is not None and self.below is not None:
            return f"from {self.least:g} to below {self.below:g}"
        low = f"{self.least:g} or more" if self.least is not None else ""
        low = f"above {self.above:g}" if self.above is not None else low
        low = f"between {self.above:g} and {self.below:g}" if low and self.below else low
        high = f"at most {self.most:g}" if self.most is not None else ""
        words = {int: "a whole number", float: "a number", bool: "True or False", str: "a text"}
        return " and ".join(filter(None, (low, high))) or words.get(self.type, "a list or a path")


def option(default: Any, help: str, **facts: Any) -> Any:
    """Return a dataclass field that is an option; ``facts`` are those of `Setting`."""
    return field(default=default, metadata={"facts": {"help": help, **facts}})


def table(settings: type[Settings]) -> dict[str, Setting]:
    """Return the options of a group of settings by name, in the order of ``--help``."""
    if settings not in _TABLES:
        hints = get_type_hints(settings)
        _TABLES[settings] = {
            f.name: Setting(f.name, _plain(hints[f.name]), f.default, **f.metadata["facts"])
            for f in fields(settings)
            if "facts" in f.metadata
        }
    return _TABLES[settings]


_TABLES: dict[type, dict[str, Setting]] = {}
"""The tables that were asked for: a value is checked against one whenever it is made."""


def _plain(hint: Any) -> type:
    """Return ``int`` for ``int | None``, ``tuple`` for ``tuple[str, ...]``."""
    if isinstance(hint, UnionType):
        (hint,) = (one for one in get_args(hint) if one is not NoneType)
    found = get_origin(hint) or hint
    return found if isinstance(found, type) else str


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Resolved settings: a frozen value that knows which of them were given.

    Raises:
        UsageError: values that are not allowed, all of them at once.
    """

    given: frozenset[str] = field(default=frozenset(), repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse what is not allowed, all faults at once."""
        rows = table(type(self)).values()
        wrong = [said for row in rows if (said := row.fault(getattr(self, row.name)))]
        if wrong:
            raise UsageError("; ".join(wrong) + "." * (not wrong[-1].endswith("?")))

    @classmethod
    def of(cls, given: Mapping[str, Any], usual: Settings | None = None) -> Self:
        """Return the settings in which ``given`` ones stand in place of the defaults.

        Args:
            given: values by name; None is the same as not given.
            usual: the values of others that are not given, in place of the defaults; who reads
                them is not asked.

        Raises:
            UsageError: an unknown name, a value that is not allowed, or a required one is missing.
        """
        rows = table(cls)
        require_known(given, cls)
        told = {k: rows[k].read(value) for k, value in given.items() if value is not None}
        for name, row in rows.items():
            if row.default is REQUIRED and name not in told:
                raise UsageError(f"{name} is missing: {row.help}")
        shared = {k: getattr(usual, k) for k in rows if usual is not None and hasattr(usual, k)}
        return cls(**shared | told, given=frozenset(told))

    def values(self, group: type[Settings]) -> dict[str, Any]:
        """Return those of the settings that ``group`` has, by name."""
        return {name: getattr(self, name) for name in table(group)}


def require_known(names: Iterable[str], group: type[Settings]) -> None:
    """Raise `UsageError` for a name that is no option of the ``group``, with the nearest one."""
    for name in names:
        if name not in table(group):
            raise unknown("option", name, table(group))


def require_read(run: Settings, why_not: Callable[[Setting], str | None]) -> None:
    """Refuse options that were given though nobody reads them: nothing is silently ignored.

    Args:
        run: the settings.
        why_not: from an option to the reason why it is not read; None where it is.

    Raises:
        UsageError: with the reason of each.
    """
    rows = table(type(run))
    reasons = {name: why_not(row) for name, row in rows.items() if name in run.given}
    wrong = [f"{name} is not read here: {reason}" for name, reason in reasons.items() if reason]
    if wrong:
        raise UsageError("; ".join(wrong) + ".")


def require_kind(run: Settings, kind: str, what: str, task: str = "classes") -> None:
    """Refuse options that are not for what ``what`` holds: items of ``kind``, for ``task``."""

    def why_not(one: Setting) -> str | None:
        if one.items not in ("", kind):
            return f"it is for {one.items}s, and {what} holds {kind}s"
        if one.tasks and task not in one.tasks:
            return f"it is for the task {' or '.join(one.tasks)}, and this one is {task}"
        return None

    require_read(run, why_not)


def deciding(run: Settings, group: type[Settings]) -> dict[str, Any]:
    """Return, for checkpoints and comparisons, the settings of ``group`` that decide weights."""
    return {name: getattr(run, name) for name, row in table(group).items() if row.decides}


def other_settings(
    was: Mapping[str, Any], now: Mapping[str, Any], group: type[Settings]
) -> list[str]:
    """Return what differs between two runs, one line each, "options" by what they decide.

    An option that one of them does not know stands at its default there: a later version with one
    more still goes on with what an earlier one left.
    """
    rows = table(group)

    def whole(facts: Mapping[str, Any]) -> dict[str, Any]:
        held = facts.get("options", {})
        known = {name: row.default for name, row in rows.items() if row.decides}
        kept = {k: v for k, v in held.items() if k not in rows or rows[k].decides}
        return {**facts, "options": known | kept}

    return differences(whole(was), whole(now))
