"""How a result shows itself: a line in a terminal, a card in a notebook, a table to paste.

A result says its `Card` and its records; everything else follows here, the same for all of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from headstart.visible import escape, visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROWS = 12
"""Rows of a table that a card shows."""

Record = dict[str, Any]


class Card(NamedTuple):
    """What a result has to say at a glance.

    Attributes:
        title: what it is.
        big: the one figure; may be empty.
        lines: what goes with it.
    """

    title: str
    big: str = ""
    lines: tuple[str, ...] = ()


class Line(NamedTuple):
    """Values over numbers, with their intervals, for `Shown.plot`."""

    name: str
    x: list[float]
    y: list[float]
    low: list[float]
    high: list[float]


class Shown(ABC):
    """A result that shows itself; whoever is one has `card` and `records`."""

    @abstractmethod
    def card(self) -> Card:
        """Return what is said at a glance."""

    @abstractmethod
    def records(self) -> list[Record]:
        """Return the result's table: a dictionary a row, numbers as numbers."""

    def lines(self) -> list[Line]:
        """Return what is drawn as lines; where there is none, the table's intervals are drawn."""
        return []

    def __repr__(self) -> str:
        """Return one line."""
        card = self.card()
        said = visible(": ".join(filter(None, [card.title, card.big])))
        return f"<{type(self).__name__} {said}>"

    def _repr_html_(self) -> str:
        card = self.card()
        parts = [(card.title, "font-weight:600"), (card.big, "font-size:2em;font-weight:600")]
        parts += [(line, "opacity:.75") for line in card.lines]
        said = "".join(f'<div style="{css}">{escape(text)}</div>' for text, css in parts if text)
        box = "border-left:4px solid #0067b0;padding:.3em .8em;max-width:56em"
        return f'<div style="{box}">{said}{_html(self.records())}</div>'

    def frame(self) -> Any:
        """Return the table as a pandas frame; as an Arrow table where pandas is not installed."""
        try:
            import pandas  # type: ignore[import-untyped, unused-ignore]
        except ImportError:
            import pyarrow

            return pyarrow.Table.from_pylist(self.records())
        return pandas.DataFrame(self.records())

    def to_markdown(self) -> str:
        """Return the table in Markdown."""
        rows = self.records()
        if not rows:
            return ""
        cells = [list(rows[0]), *([_said(v) for v in row.values()] for row in rows)]
        lines = [f"| {' | '.join(map(_markdown, row))} |" for row in cells]
        return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])

    def to_latex(self) -> str:
        r"""Return the table as a LaTeX ``tabular``, for the package booktabs.

        >>> print(Row({"class": "a_b", "recall": 0.5}).to_latex())
        \begin{tabular}{lr}
        \toprule
        class & recall \\
        \midrule
        a\_b & 0.5 \\
        \bottomrule
        \end{tabular}
        """
        rows = self.records()
        if not rows:
            return ""
        kinds = "".join("r" if isinstance(v, int | float) else "l" for v in rows[0].values())
        body = [" & ".join(_tex(_said(v)) for v in row.values()) + r" \\" for row in rows]
        head = " & ".join(map(_tex, rows[0])) + r" \\"
        parts = [rf"\begin{{tabular}}{{{kinds}}}", r"\toprule", head, r"\midrule", *body]
        return "\n".join([*parts, r"\bottomrule", r"\end{tabular}"])

    def plot(self, axes: Axes | None = None) -> Axes:
        """Draw the result into ``axes``, new ones without, and return them."""
        if axes is None:
            from matplotlib.figure import Figure

            rows = len(self.records())
            high = 4.0 if self.lines() else max(2.0, 0.32 * rows + 0.8)
            axes = Figure(figsize=(6.4, high), layout="constrained").subplots()
        if self.lines():
            _draw_lines(axes, self.lines())
        else:
            _draw_rows(axes, self.records())
        axes.spines[["top", "right"]].set_visible(False)
        literally(axes)
        return axes


def literally(drawn: Axes | Figure) -> None:
    """Let names stand as they are: between two dollar signs matplotlib would see formulas."""
    from matplotlib.text import Text

    for one in drawn.findobj(Text):
        one.set_parse_math(False)


class Row(Shown):
    """A result of one row."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def card(self) -> Card:
        """Return what it is of."""
        return Card(", ".join(f"{name} {_said(value)}" for name, value in self._record.items()))

    def records(self) -> list[Record]:
        """Return the one row."""
        return [self._record]


def spread(record: Mapping[str, Any]) -> Record:
    """Return a record with an ``interval`` as ``low`` and ``high``; None is left as it is.

    >>> spread({"n": 3, "interval": [0.1, 0.2]})
    {'n': 3, 'low': 0.1, 'high': 0.2}
    """
    out: Record = {}
    for name, value in record.items():
        if name == "interval":
            out |= {"low": value[0], "high": value[1]}
        else:
            out[name] = value
    return out


def _said(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


_TEX = {c: rf"\{c}" for c in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


def _tex(text: str) -> str:
    return "".join(_TEX.get(char, char) for char in visible(text))


def _markdown(text: str) -> str:
    return visible(text).replace("|", "&#124;").replace("<", "&lt;")


def _html(rows: Sequence[Record]) -> str:
    if not rows:
        return ""
    head = "".join(f"<th>{escape(name)}</th>" for name in rows[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(_said(v))}</td>" for v in row.values()) + "</tr>"
        for row in rows[:ROWS]
    )
    more = f"<div>… {len(rows) - ROWS} more in .frame()</div>" if len(rows) > ROWS else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


_VALUES = ("mean", "recall", "f1", "value", "usable")


def _draw_rows(axes: Axes, rows: Sequence[Record]) -> None:
    """Draw one value a row with its interval, the first row on top."""
    name = next((one for one in _VALUES if rows and one in rows[0]), None)
    if name is None:
        return
    labels = [
        " ".join(_said(v) for v in row.values() if isinstance(v, str))[:48] or str(i)
        for i, row in enumerate(rows)
    ]
    places = range(len(rows))
    values = [row[name] if row[name] is not None else float("nan") for row in rows]
    if rows and rows[0].get("low") is not None:
        off = [
            [max(0.0, v - (row["low"] or v)) for v, row in zip(values, rows, strict=True)],
            [max(0.0, (row["high"] or v) - v) for v, row in zip(values, rows, strict=True)],
        ]
        axes.errorbar(values, places, xerr=off, fmt="o", color="#0067b0", capsize=2)
    else:
        axes.barh(places, values, color="#0067b0")
    axes.set_yticks(list(places), labels)
    axes.invert_yaxis()
    axes.set_xlabel(name)


def _draw_lines(axes: Axes, lines: Sequence[Line]) -> None:
    for line, mark in zip(lines, "osD^vP*X" * len(lines), strict=False):
        off = [
            [max(0.0, y - v) for y, v in zip(line.y, line.low, strict=True)],
            [max(0.0, v - y) for y, v in zip(line.y, line.high, strict=True)],
        ]
        axes.errorbar(line.x, line.y, yerr=off, fmt=f"{mark}-", capsize=2, label=line.name)
    axes.set_xscale("log")
    ticks = sorted({x for line in lines for x in line.x})
    axes.set_xticks(ticks, [f"{x:g}" for x in ticks])
    axes.minorticks_off()
    axes.legend(frameon=False)
