"""Charts as SVG: text stays text, colours are CSS variables, places are shares of the width.

Marks and text are placed in percent, so that they keep their size on any screen; lines and areas,
which need numbers, lie in a nested picture of 1000 x 1000 that is stretched to fit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from headstart.visible import escape

COLOURS = 6
"""Series that have a colour of their own, ``--s0`` to ``--s5`` in ``page.css``."""

SHAPES = (
    "M0-4.5A4.5 4.5 0 1 1-.01-4.5z",
    "M-4-4h8v8h-8z",
    "M0-5 5 4h-10z",
    "M0-5.5 5.5 0 0 5.5-5.5 0z",
    "M0 5 5-4h-10z",
    "M-5-1.7h3.3v-3.3h3.4v3.3h3.3v3.4h-3.3v3.3h-3.4v-3.3h-3.3z",
)
"""Outlines of marks, so that nothing is told by colour alone."""

CROSS = "M-4-4 4 4M4-4-4 4"


def colour(number: int) -> str:
    """Return the CSS colour of a series."""
    return f"var(--s{number % COLOURS})"


def shape(number: int) -> str:
    """Return the outline of a series' marks; with the colours they repeat after 36."""
    return SHAPES[(number + number // COLOURS) % len(SHAPES)]


@dataclass(frozen=True)
class Axis:
    """A direction of a chart, from ``low`` to ``high``.

    Attributes:
        low: value at the left, or at the bottom.
        high: value at the right, or at the top.
        ticks: values with a line, and what is written there.
        name: what is measured.
        log: whether steps are equal in the logarithm; both ends are above 0 then.
    """

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...] = ()
    name: str = ""
    log: bool = False

    def share(self, value: float) -> float:
        """Return where ``value`` lies, 0 at ``low`` and 1 at ``high``, cut to a little beyond."""
        ends = (self.low, self.high, value)
        low, high, at = (math.log(max(v, 1e-12)) for v in ends) if self.log else ends
        return min(1.02, max(-0.02, (at - low) / ((high - low) or 1.0)))


def linear(values: Iterable[float], name: str = "", *, unit: float = 1.0, digits: int = 0) -> Axis:
    """Return an axis that holds ``values``, with about five round ticks.

    >>> [text for _, text in linear([0.61, 0.93], unit=100).ticks]
    ['60', '70', '80', '90', '100']
    """
    known = [v for v in values if math.isfinite(v)] or [0.0, 1.0]
    low, high = min(known), max(known)
    step = _step((high - low) or abs(high) or 1.0)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    last += first == last
    digits = max(digits, -math.floor(math.log10(step * unit) + 1e-9))
    ticks = tuple((k * step, f"{k * step * unit:.{digits}f}") for k in range(first, last + 1))
    return Axis(first * step, last * step, ticks, name)


def _step(span: float) -> float:
    size = 10.0 ** math.floor(math.log10(span / 4))
    return next(size * k for k in (1, 2, 5, 10) if span / (size * k) <= 5)


def logarithmic(values: Iterable[float], name: str = "") -> Axis:
    """Return an axis over the logarithm of ``values``, with ticks at 1, 2 and 5 times tens."""
    known = [v for v in values if v > 0] or [1.0]
    low, high = min(known) / 1.25, max(known) * 1.25
    tens = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = [k * 10.0**e for e in tens for k in (1, 2, 5) if low <= k * 10.0**e <= high]
    while len(steps) > 6:
        steps = steps[::2]
    if len(steps) < 2:
        steps = [value for value, _ in linear([low, high]).ticks if low <= value <= high]
    return Axis(low, high, tuple((v, f"{v:g}") for v in steps), name, log=True)


class Point(NamedTuple):
    """A measured value with its interval; ``title`` is said when a pointer rests on it."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    title: str = ""


@dataclass(frozen=True)
class Series:
    """Points that belong together.

    Attributes:
        name: for the legend.
        points: in the order in which a line joins them.
        number: decides colour and shape.
        dashed: whether the line is dashed.
        band: whether the intervals are an area; else they are whiskers.
        line: whether the points are joined.
    """

    name: str
    points: Sequence[Point]
    number: int = 0
    dashed: bool = False
    band: bool = False
    line: bool = True
    marks: bool = field(default=True)


def percent(share: float) -> str:
    """Return a share as SVG wants it."""
    return f"{100 * share:.2f}%"


def text(x: str, y: str, said: str, *, anchor: str = "middle", dy: str = "0", css: str = "") -> str:
    """Return a text at ``x`` and ``y``."""
    kind = f' class="{css}"' if css else ""
    return f'<text x="{x}" y="{y}" dy="{dy}" text-anchor="{anchor}"{kind}>{escape(said)}</text>'


def mark(x: str, y: str, outline: str, style: str, title: str = "") -> str:
    """Return an ``outline`` at ``x`` and ``y``, of its own size whatever the chart's."""
    said = f"<title>{escape(title)}</title>" if title else ""
    return f'<svg x="{x}" y="{y}"><path d="{outline}" {style}>{said}</path></svg>'


def chart(x: Axis, y: Axis, body: str, label: str, *, height: int = 260, css: str = "") -> str:
    """Return the figure with grid, ticks and names of the axes around ``body``."""
    lines = [
        f'<line class="grid" x1="0" x2="100%" y1="{percent(1 - y.share(v))}" '
        f'y2="{percent(1 - y.share(v))}"/>'
        + text("0", percent(1 - y.share(v)), said, anchor="end", dy="4").replace(
            '<text x="0"', '<text x="0" dx="-8"'
        )
        for v, said in y.ticks
    ]
    lines += [text(percent(x.share(v)), "100%", said, dy="18") for v, said in x.ticks]
    lines.append(text("100%", "100%", x.name, anchor="end", dy="34", css="axis-name"))
    lines.append(text("0", "0", y.name, anchor="start", dy="-8", css="axis-name"))
    kind = f" {css}" if css else ""
    return (
        f'<figure><div class="chart{kind}"><svg role="img" aria-label="{escape(label)}" '
        f'height="{height}">{"".join(lines)}{body}</svg></div></figure>'
    )


def drawn(series: Sequence[Series], x: Axis, y: Axis) -> str:
    """Return the lines, areas, whiskers and marks of ``series``."""
    return "".join(f'<g class="series">{_one(one, x, y)}</g>' for one in series)


def _one(series: Series, x: Axis, y: Axis) -> str:
    ink = colour(series.number)
    at = [(x.share(p.x), 1 - y.share(p.y)) for p in series.points]
    paths = ""
    if series.band and len(at) > 1 and all(p.low is not None for p in series.points):
        paths += f'<path class="band" fill="{ink}" d="{_area(series.points, x, y)}"/>'
    if series.line and len(at) > 1:
        css = "line dashed" if series.dashed else "line"
        way = "M" + "L".join(f"{1000 * a:.1f} {1000 * b:.1f}" for a, b in at)
        paths += f'<path class="{css}" stroke="{ink}" d="{way}"/>'
    out = (
        f'<svg viewBox="0 0 1000 1000" preserveAspectRatio="none" width="100%" height="100%">'
        f"{paths}</svg>"
        if paths
        else ""
    )
    for point, (a, b) in zip(series.points, at, strict=True):
        if not series.band and point.low is not None and point.high is not None:
            ends = (percent(1 - y.share(v)) for v in (point.low, point.high))
            low, high = ends
            out += (
                f'<line class="whisker" stroke="{ink}" x1="{percent(a)}" x2="{percent(a)}" '
                f'y1="{low}" y2="{high}"/>'
            )
        if series.marks:
            hollow = series.dashed
            style = f'fill="{"var(--back)" if hollow else ink}" stroke="{ink}" stroke-width="1.5"'
            out += mark(percent(a), percent(b), shape(series.number), style, point.title)
    return out


def _area(points: Sequence[Point], x: Axis, y: Axis) -> str:
    above = [(x.share(p.x), 1 - y.share(p.high if p.high is not None else p.y)) for p in points]
    below = [(x.share(p.x), 1 - y.share(p.low if p.low is not None else p.y)) for p in points]
    ring = [*above, *reversed(below)]
    return "M" + "L".join(f"{1000 * a:.1f} {1000 * b:.1f}" for a, b in ring) + "z"


def legend(series: Sequence[Series]) -> str:
    """Return the names of ``series`` with their marks, as HTML: any script, wrapped as needed."""
    rows = []
    for one in series:
        ink = colour(one.number)
        fill = "var(--back)" if one.dashed else ink
        path = f'<path d="{shape(one.number)}" fill="{fill}" stroke="{ink}" stroke-width="1.5"/>'
        sign = f'<svg viewBox="-7 -7 14 14" aria-hidden="true">{path}</svg>'
        rows.append(f"<li>{sign}{escape(one.name)}</li>")
    return f'<ul class="legend">{"".join(rows)}</ul>'


def bar(axis: Axis, low: float, value: float, high: float, floors: Iterable[float] = ()) -> str:
    """Return an interval with its value as a bar that is as wide as the cell it stands in."""
    a, m, b = (percent(axis.share(v)) for v in (low, value, high))
    marks = "".join(
        f'<line class="floor" x1="{percent(axis.share(v))}" x2="{percent(axis.share(v))}" '
        f'y1="0" y2="22"/>'
        for v in floors
    )
    return (
        '<svg class="inline" aria-hidden="true"><line class="ground" x1="0" x2="100%" y1="11" '
        f'y2="11"/>{marks}<line x1="{a}" x2="{b}" y1="11" y2="11"/>'
        f'<circle cx="{m}" cy="11" r="4.5"/></svg>'
    )


def ruler(axis: Axis) -> str:
    """Return the ticks of ``axis`` as a line of text, for the head of a column of bars."""
    ends = [axis.ticks[0], axis.ticks[-1]] if axis.ticks else []
    said = "".join(
        text(percent(axis.share(v)), "13", name, anchor=anchor)
        for (v, name), anchor in zip(ends, ("start", "end"), strict=False)
    )
    return f'<svg class="inline axis" aria-hidden="true">{said}</svg>'
