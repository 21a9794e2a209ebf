"""What all pictures are drawn with: colours, fonts that know every script, an empty figure."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib.font_manager
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font

from headstart.cards import literally
from headstart.store import written_aside

INK, QUIET = "#1f2933", "#9aa5b1"
"""The colours of text, and of what is there but not meant."""

COLOURS = (
    *("#0b6e4f", "#c8553d", "#3d5a98", "#b8860b", "#7b4b94", "#2a9d8f", "#8d5524", "#5c677d"),
    *("#d6336c", "#5f7a0f", "#1c7ed6", "#e8590c"),
)

WIDE_FONTS = (
    "Noto Sans CJK",
    "Noto Sans SC",
    "Source Han Sans",
    "WenQuanYi",
    "PingFang",
    "Hiragino Sans",
    "Microsoft YaHei",
    "SimHei",
    "Arial Unicode",
    "Droid Sans Fallback",
)


def fonts() -> tuple[tuple[str, frozenset[int]], ...]:
    """Return (family, characters) of the usual font and of one for Chinese, if there is one."""
    known = matplotlib.font_manager.fontManager.ttflist
    wide = [f for f in known if any(f.name.startswith(name) for name in WIDE_FONTS)]
    usual = [f for f in known if f.name == "DejaVu Sans"][:1]
    return tuple((f.name, _characters(f.fname)) for f in [*usual, *wide[:1]])


@cache
def _characters(path: str) -> frozenset[int]:
    return frozenset(FT2Font(path).get_charmap())


@cache
def _look_for_fonts() -> None:
    """Tell matplotlib of fonts that were installed after it had listed all; once a process."""
    manager = matplotlib.font_manager.fontManager
    known = {font.fname for font in manager.ttflist}
    for path in matplotlib.font_manager.findSystemFonts():
        if path not in known:
            with suppress(OSError, RuntimeError):  # a damaged font is none
                manager.addfont(path)


def readable(text: str, otherwise: str) -> str:
    """Return ``text`` if the fonts here can draw it, else ``otherwise``: never empty boxes."""
    if not _drawn(text):
        _look_for_fonts()
    return text if _drawn(text) else otherwise


def _drawn(text: str) -> bool:
    drawn = frozenset[int]().union(*(chars for _, chars in fonts()))
    return all(ord(c) in drawn for c in text)


def figure_of(width: float, height: float) -> Figure:
    """Return an empty figure, in inches."""
    return Figure(figsize=(width, height), dpi=120, layout="constrained", facecolor="white")


def ink(**more: Any) -> dict[str, Any]:
    """Return how text is written: in fonts that know its script."""
    return {"family": [name for name, _ in fonts()], "color": INK, **more}


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, all of it or nothing."""
    literally(figure)
    with written_aside(path) as aside:
        figure.savefig(aside, format="png")


def plain(axes: Any) -> None:
    """Take away what says nothing: two sides of the frame, heavy grid lines."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(QUIET)
    axes.tick_params(colors=INK)
    axes.grid(axis="y", color="#e4e7eb", lw=0.8)
    axes.set_axisbelow(True)
