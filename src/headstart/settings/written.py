"""Values that are written in words: ``a,b``, ``8,64,all``, ``10m``."""

from __future__ import annotations

from typing import Literal

from headstart.errors import UsageError

Shots = int | Literal["all"]


def words(text: str) -> tuple[str, ...]:
    """Return the parts of ``a,b``.

    >>> words("warm, frozen,")
    ('warm', 'frozen')
    """
    return tuple(part.strip() for part in text.split(",") if part.strip())


def shots(text: str) -> tuple[Shots, ...]:
    """Return what ``8,64,all`` says.

    >>> shots("8,all")
    (8, 'all')
    """
    try:
        return tuple("all" if part == "all" else int(part) for part in words(text))
    except ValueError:
        raise UsageError(f"shots {text}: write whole numbers or all, as in 8,64,all.") from None


def seconds(text: str) -> float:
    """Return what ``90s``, ``10m`` or ``2h`` says, in seconds.

    >>> seconds("10m")
    600.0
    """
    scale = {"s": 1, "m": 60, "h": 3600}
    number, unit = (text[:-1], text[-1]) if text[-1:] in scale else (text, "s")
    try:
        return float(number) * scale[unit]
    except ValueError:
        raise UsageError(f"budget {text}: write 90s, 10m or 2h.") from None
