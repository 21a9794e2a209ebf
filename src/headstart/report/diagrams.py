"""Diagrams of one model: how far its probabilities hold, where its items lie, how it learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from headstart.report.sections import shares
from headstart.report.svg import (
    COLOURS,
    CROSS,
    Axis,
    Point,
    Series,
    chart,
    colour,
    drawn,
    legend,
    linear,
    mark,
    percent,
    shape,
    text,
)
from headstart.report.terminal import clock
from headstart.report.view import Row, View
from headstart.tasks.intervals import wilson
from headstart.tasks.shown import named
from headstart.tasks.task import LOSS, SELECTION
from headstart.visible import escape

Facts = Mapping[str, Any]


def reliability(view: View, bins: Sequence[Facts]) -> str:
    """Return how often the model is right against how sure it says it is, with the counts."""
    if not bins:
        return ""
    x, y = shares([0.0, 1.0]), shares([0.0, 1.0])
    x = Axis(x.low, x.high, x.ticks, view.words("stated probability, %"))
    y = Axis(y.low, y.high, y.ticks, view.words("answered right, %"))
    points = []
    for row in bins:
        low, high = wilson(row["right"] * row["n"], int(row["n"]))
        title = view.words("{n} items", n=row["n"])
        points.append(Point(row["confidence"], row["right"], low, high, title))
    most = max(row["n"] for row in bins)
    counts = "".join(_count(row, most) for row in bins)
    ideal = (
        '<svg viewBox="0 0 1000 1000" preserveAspectRatio="none" width="100%" height="100%">'
        '<path class="line dashed" stroke="var(--quiet)" d="M0 1000L1000 0"/></svg>'
    )
    body = f'<g class="bars">{counts}</g>{ideal}{drawn([Series("", points, 1)], x, y)}'
    label = view.words("Stated probabilities against the share that is right")
    note = view.t(
        "On the dashed line a stated 80 % is right in 80 % of the cases. Bars: how many items."
    )
    return view.section(
        "reliability", "Do its probabilities hold?", chart(x, y, body, label), _note(note)
    )


def _count(row: Facts, most: int) -> str:
    height = 0.22 * row["n"] / most
    wide, left = 0.94 * (row["high"] - row["low"]), row["low"]
    middle = percent((row["low"] + row["high"]) / 2)
    return (
        f'<rect x="{percent(left)}" width="{percent(wide)}" y="{percent(1 - height)}" '
        f'height="{percent(height)}"/>{text(middle, percent(1 - height), str(row["n"]), dy="-4")}'
    )


def _note(said: str) -> str:
    return f'<p class="quiet small">{said}</p>'


def feature_map(view: View, found: Facts | None) -> str:
    """Return where the held-out items lie in the features; mistakes are crosses.

    Of many classes only those with the most mistakes are in colour.
    """
    if not found:
        return ""
    names, labels = found["names"], found["labels"]
    picked = _picked(found)
    both = "tsne" in found
    parts = [_map(view, found, "pca", picked, "first" if both else "")]
    choice = ""
    if both:
        parts.append(_map(view, found, "tsne", picked, "second"))
        choice = (
            '<input class="choice" type="radio" name="map" id="map-pca" checked>'
            f'<label for="map-pca">{view.t("principal components")}</label>'
            '<input class="choice" type="radio" name="map" id="map-tsne">'
            '<label for="map-tsne">t-SNE</label>'
        )
    signs = [Series(names[c], (), i) for i, c in enumerate(picked)]
    said = view.t("{n} held-out items. Crosses are mistakes.", n=len(labels))
    if len(picked) < len(set(labels)):
        said += " " + view.t("In colour: the classes with the most mistakes.")
    said += " " + view.t(
        "Two principal components hold {share:.0f} % of the variance.",
        share=100 * found["variance"],
    )
    return view.section("map", "Where items lie", choice, *parts, legend(signs), _note(said))


def _picked(found: Facts) -> list[int]:
    present = sorted(set(found["labels"]))
    if len(present) <= COLOURS:
        return present
    wrong = [a for a, b in zip(found["labels"], found["answers"], strict=True) if a != b]
    return sorted(present, key=lambda c: -wrong.count(c))[:COLOURS]


def _map(view: View, found: Facts, kind: str, picked: Sequence[int], css: str) -> str:
    points = found[kind]
    x, y = (linear(p[i] for p in points) for i in (0, 1))
    x, y = (Axis(axis.low, axis.high) for axis in (x, y))
    number = {c: i for i, c in enumerate(picked)}
    body = ""
    for (a, b), label, answer, item in zip(
        points, found["labels"], found["answers"], found["items"], strict=True
    ):
        known = label in number
        ink = colour(number[label]) if known else "var(--line)"
        said = f"{item}: {found['names'][label]}"
        at = percent(x.share(a)), percent(1 - y.share(b))
        if label == answer:
            style = f'fill="{ink}" fill-opacity=".6"'
            body += mark(*at, shape(number.get(label, 0)), style, said)
        else:
            said += " → " + found["names"][answer]
            body += mark(
                *at,
                CROSS,
                f'stroke="{ink if known else "var(--quiet)"}" stroke-width="2.5" fill="none"',
                said,
            )
    name = {"pca": "Principal components of the features", "tsne": "t-SNE of the features"}[kind]
    figure = chart(x, y, body, view.words(name), height=340)
    return figure.replace("<figure>", f'<figure class="{css}">') if css else figure


def epochs(view: View, rows: Sequence[Facts]) -> str:
    """Return loss and score over the epochs; stages of training stand one after the other."""
    if len(rows) < 2:
        return ""
    judged = sorted({key for row in rows for key in row if key.startswith(SELECTION)} - {LOSS})
    losses = [_over(rows, "loss", view.words("training"), 0)]
    if any(LOSS in row for row in rows):
        losses.append(_over(rows, LOSS, view.words("inner part"), 1, dashed=True))
    parts = [_curves(view, losses, "loss", 1.0), legend(losses)]
    for key in judged:
        name = named(key.removeprefix(SELECTION))
        series = _over(rows, key, view.words("inner part"), 1, dashed=True)
        parts.append(_curves(view, [series], name, 100.0))
    note = view.t("Chosen: the epoch with the least loss on an inner part of the training items.")
    starts = [stage for stage, _ in groupby(int(row.get("stage", 0)) for row in rows)]
    if len(starts) > 1:
        note += " " + view.t("{n} stages, one after the other.", n=len(starts))
    said = _note(note) if judged else ""
    return view.section("epochs", "How it learned", *parts, said, _table(view, rows, judged))


def _table(view: View, rows: Sequence[Facts], judged: Sequence[str]) -> str:
    """Return the epochs as a table; columns that say the same in all of them are left out."""
    columns = [
        ("stage", [f"{row['stage'] + 1:g}" for row in rows]),
        ("epoch", [f"{row['epoch'] + 1:g}" for row in rows]),
        ("frozen below block", [f"{row['boundary']:g}" for row in rows]),
        ("loss", [f"{row['loss']:.4f}" for row in rows]),
    ]
    for key in judged:
        cells = [f"{row[key]:.3f}" if key in row else "" for row in rows]
        columns.append((f"inner {named(key.removeprefix(SELECTION))}", cells))
    columns.append(("time", [clock(row["seconds"]) for row in rows]))
    telling = [
        (name, cells)
        for name, cells in columns
        if name not in ("stage", "frozen below block") or len(set(cells)) > 1
    ]
    lines = [Row(list(cells)) for cells in zip(*(cells for _, cells in telling), strict=True)]
    table = view.table([name for name, _ in telling], lines, label="Epochs")
    return f"<details><summary>{view.t('{n} epochs', n=len(rows))}</summary>{table}</details>"


def _over(
    rows: Sequence[Facts], key: str, name: str, number: int, *, dashed: bool = False
) -> Series:
    points = [
        Point(i, row[key], title=f"{i}: {row[key]:.3f}")
        for i, row in enumerate(rows, 1)
        if key in row
    ]
    return Series(name, points, number, dashed=dashed)


def _curves(view: View, series: Sequence[Series], name: str, unit: float) -> str:
    every = [p for one in series for p in one.points]
    steps = linear([p.x for p in every])
    whole = tuple((v, said) for v, said in steps.ticks if abs(v - round(v)) < 1e-9)
    x = Axis(1, max(p.x for p in every), tuple(t for t in whole if t[0] >= 1), view.words("epoch"))
    shown = view.words(name) + (", %" if unit > 1 else "")
    ends = [p.y for p in every]
    y = shares(ends) if unit > 1 else linear([0.0, *ends])
    y = Axis(y.low, y.high, y.ticks, shown)
    return chart(x, y, drawn(series, x, y), shown, height=200)


def filters(view: View, found: Facts | None) -> str:
    """Return the first filters before and after, where training has changed them."""
    if not found:
        return ""
    pair = "".join(
        f'<figure class="filters"><img src="{found[when]}" alt="{view.t(said)}">'
        f"<figcaption>{view.t(said)}</figcaption></figure>"
        for when, said in (("before", "before"), ("after", "after"))
    )
    note = view.t("Changed by {change:.1f} %.", change=100 * found["change"])
    return view.section(
        "filters", "First filters", f'<div class="pair">{pair}</div>', _note(escape(note))
    )
