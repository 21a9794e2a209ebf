"""Text that others wrote, safe to show: nothing moves the cursor, turns a line, is a formula."""

from __future__ import annotations

import html
import unicodedata

_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Signs that only say which way others are written; they can make a name read as another."""

_HIDDEN = {"Cc", "Cs", "Zl", "Zp"}
_FORMULA = ("=", "+", "-", "@")


def visible(text: str, keep: str = "") -> str:
    r"""Return ``text`` with what controls a terminal or a line's direction as escapes.

    >>> visible("a\x1b[2Jb\tc"), visible("x\u202egnp.exe"), visible("Bienenstöcke 🐝")
    ('a\\x1b[2Jb\\tc', 'x\\u202egnp.exe', 'Bienenstöcke 🐝')
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(one if one in keep else _escaped(one) for one in text)


def _escaped(sign: str) -> str:
    if sign in _TURNING or unicodedata.category(sign) in _HIDDEN:
        return sign.encode("unicode_escape").decode("ascii")
    return sign


def fitted(text: str, width: int) -> str:
    """Return ``text`` with lines of at most ``width`` columns, broken between words alone.

    What goes on is indented; a word that is longer than a line, a path say, stays in one piece.

    >>> print(fitted("no such file: photos; did you mean pictures?", 24))
    no such file: photos;
      did you mean pictures?
    """
    return "\n".join(_broken(line, width) for line in text.split("\n"))


def _broken(line: str, width: int) -> str:
    if columns(line) <= width:
        return line
    inside = line.lstrip(" ")
    first, *rest = inside.split(" ")
    margin = " " * (len(line) - len(inside))
    done, now = "", margin + first
    for word in rest:
        if columns(now) + 1 + columns(word) > width:
            done, now = f"{done}{now}\n", f"{margin}  {word}"
        else:
            now = f"{now} {word}"
    return done + now


def columns(text: str) -> int:
    """Return how many columns of a terminal ``text`` takes: Chinese signs take two.

    >>> columns("模型 a"), columns("e\u0301")
    (6, 1)
    """
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(sign) else 1 + (unicodedata.east_asian_width(sign) in "WF")
        for sign in text
    )


def escape(text: str) -> str:
    """Return ``text`` for a page: no markup, and nothing that turns a line around."""
    return html.escape(visible(text, "\n"))


def cell(text: str) -> str:
    """Return ``text`` for a table that a spreadsheet may open: no formula, and all of it visible.

    >>> cell("=HYPERLINK(1)"), cell("-3.5"), cell("a cat")
    ("'=HYPERLINK(1)", '-3.5', 'a cat')
    """
    shown = visible(text)
    if not shown.lstrip().startswith(_FORMULA):
        return shown
    try:
        float(shown)
    except ValueError:
        return f"'{shown}"
    return shown
