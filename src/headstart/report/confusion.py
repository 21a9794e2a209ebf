"""By class, and which classes are taken for which: cells open the items that fell into them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from typing import Any

from headstart.report.sections import shares
from headstart.report.svg import bar, ruler
from headstart.report.view import Html, Row, View
from headstart.tasks.class_blocks import pairs
from headstart.tasks.shown import percent, span
from headstart.visible import escape

WHOLE = 20
"""Classes up to which the confusion is shown whole; of more, those that are confused most."""

OPENED = 12
"""Items that a cell opens."""

OTHERS = 100
"""Pairs of classes that are listed besides."""

Facts = Mapping[str, Any]


def by_class(view: View, rows: Sequence[Facts]) -> str:
    """Return recall with its interval and precision of each class, the worst first.

    Classes without held-out items stand apart, for nothing was measured of them.
    """
    measured = sorted((row for row in rows if row["n"]), key=lambda row: row["recall"])
    missing = [row["class"] for row in rows if not row["n"]]
    if not measured:
        return ""
    axis = shares([0.0, 1.0])
    lines = [
        Row(
            [
                row["class"],
                str(row["n"]),
                Html(bar(axis, row["interval"][0], row["recall"], row["interval"][1])),
                percent(row["recall"]),
                view.words.span(span(*row["interval"])),
                percent(row["precision"]),
            ],
            {3: row["recall"], 4: row["interval"][0], 5: row["precision"]},
        )
        for row in measured
    ]
    columns = ["class", "items", Html(ruler(axis)), "recall", "95 %", "precision"]
    table = view.folded(columns, lines, sort=True, bars=2, label="By class")
    apart = ""
    if missing:
        said = view.t("Not measured, for no item is held out: {n} classes.", n=len(missing))
        apart = f"<p>{said} {escape(', '.join(missing))}</p>"
    search = {"search": "1"} if len(rows) > 8 else {}
    return view.section("classes", "By class, worst first", table, apart, **search)


def confusion(view: View, names: Sequence[str], confused: Any, mistakes: Sequence[Facts]) -> str:
    """Return the matrix of what is taken for what, and the items of each cell that is wrong.

    Args:
        view: the page.
        names: of the classes.
        confused: true class by answered class, as figures hold it.
        mistakes: items with ``label`` and ``predicted``, the most confident first.
    """
    held: dict[tuple[str, str], list[Facts]] = {}
    for row in mistakes:
        held.setdefault((row["label"], row["predicted"]), []).append(row)
    counts = [Counter[int]() for _ in names]
    for c, other, n in pairs(confused):
        counts[c][other] += n
    chosen = _chosen(counts)
    if not chosen:
        return ""
    cells = "".join(
        _opened(view, names, c, other, held.get((names[c], names[other]), []))
        for c in chosen
        for other in chosen
        if c != other and counts[c][other]
    )
    note = "Rows: what an item is. Columns: what it was taken for."
    said = view.t(note)
    if len(chosen) < len(names):
        said += " " + view.t(
            "Only the {n} of {of} classes that are confused most.", n=len(chosen), of=len(names)
        )
    return view.section(
        "confusion",
        "What is taken for what",
        _matrix(view, names, counts, chosen, held),
        f'<p class="quiet">{said} {view.t("A number that is a link shows its items.")}</p>',
        cells,
        _others(view, held, {names[c] for c in chosen}),
    )


def _others(view: View, held: Mapping[tuple[str, str], Sequence[Facts]], shown: Set[str]) -> str:
    """Return the pairs that are not in the table, those with the most items first."""
    rest = [(pair, len(rows)) for pair, rows in held.items() if not set(pair) <= shown]
    rest.sort(key=lambda one: -one[1])
    lines = [f"{view.words('{a} taken for {b}', a=a, b=b)}: {n}" for (a, b), n in rest[:OTHERS]]
    if not lines:
        return ""
    inside = "".join(f"<li>{escape(line)}</li>" for line in lines)
    title = view.t("The other pairs")
    return f"<details><summary>{title}</summary><ul>{inside}</ul></details>"


def _chosen(counts: Sequence[Counter[int]]) -> list[int]:
    n = len(counts)
    if n <= WHOLE:
        return list(range(n))
    most = sorted(
        ((count, c, o) for c in range(n) for o, count in sorted(counts[c].items()) if c != o),
        key=lambda one: -one[0],
    )
    chosen: dict[int, None] = {}
    for _, c, other in most:
        if len(chosen | {c: None, other: None}) > WHOLE:
            break
        chosen |= {c: None, other: None}
    return sorted(chosen)


def _matrix(
    view: View,
    names: Sequence[str],
    counts: Sequence[Counter[int]],
    chosen: Sequence[int],
    held: Mapping[tuple[str, str], Sequence[Facts]],
) -> str:
    top = "".join(f'<th scope="col"><span>{escape(names[o])}</span></th>' for o in chosen)
    lines = []
    for c in chosen:
        total = counts[c].total()
        cells = "".join(
            _cell(counts[c][o], total, c, o, (names[c], names[o]) in held) for o in chosen
        )
        lines.append(f'<tr><th scope="row">{escape(names[c])}</th>{cells}</tr>')
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{view.t("Confusion")}">'
        f'<table class="matrix"><thead><tr><td></td>{top}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _cell(n: int, total: int, c: int, other: int, linked: bool) -> str:
    if not n:
        return "<td></td>"
    tone = "good" if c == other else "bad"
    shade = f"background: rgba(var(--{tone}-soft), {0.08 + 0.4 * n / max(1, total):.2f})"
    inside = f'<a href="#cell-{c}-{other}">{n}</a>' if linked and c != other else f"<b>{n}</b>"
    return f'<td style="{shade}">{inside}</td>'


def _opened(view: View, names: Sequence[str], c: int, other: int, rows: Sequence[Facts]) -> str:
    if not rows:
        return ""
    title = view.t("{a} taken for {b}", a=names[c], b=names[other])
    shown = view.items([(row["item"], sure(view, row)) for row in rows[:OPENED]])
    more = view.t("{n} more", n=len(rows) - OPENED) if len(rows) > OPENED else ""
    back = f'<a href="#confusion">{view.t("back to the table")}</a>'
    inside = f"<h3>{title}</h3>{shown}<p>{more} {back}</p>"
    return f'<div class="cell" id="cell-{c}-{other}">{inside}</div>'


def sure(view: View, row: Facts) -> str:
    """Return how sure a mistake was, and of which item."""
    said = percent(row["probability"]) if "probability" in row else ""
    return f"{said} {view.named(row['item'])}"
