"""The page of a comparison: what to take, what it costs, what more labels would bring."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from headstart.report import sections
from headstart.report.sections import shares
from headstart.report.svg import (
    Axis,
    Point,
    Series,
    bar,
    chart,
    drawn,
    legend,
    logarithmic,
    ruler,
)
from headstart.report.terminal import clock
from headstart.report.view import Html, Row, View
from headstart.report.words import Words
from headstart.tasks.registry import find
from headstart.tasks.shown import named
from headstart.visible import escape

Facts = Mapping[str, Any]
Key = tuple[str, str]

NOTHING = 2
"""Times the fewest labels that the point without any lies below them, on a scale without a 0."""

FEW = 4
"""Lines of a chart whose bands are always seen; of more only that under the pointer."""


def page(facts: Facts, more: Facts | None = None, words: Words | None = None) -> str:
    """Return the page for what `headstart compare --json` prints; every text in it is escaped.

    ``advice``, ``forecast``, ``backtest`` and ``floors`` are drawn where ``facts`` have them.

    Args:
        facts: the comparison as plain values.
        more: what only the run knows, see `headstart.verbs.gathering`.
        words: the language; English without.
    """
    more = more or {}
    view = View(words or Words(), more.get("pictures", {}), more.get("texts", {}))
    both, rows = {**facts, **more}, facts["summary"]
    name = more.get("title", "")
    title = f"{name}: {view.words('comparison')}" if name else view.words("comparison")
    return view.document(
        f"{title} (headstart)",
        sections.head(view, title, [escape(more.get("date", "")), _about(view, facts, more)]),
        sections.advice(view, both),
        sections.findings(view, more.get("findings", [])),
        _forest(view, facts, rows),
        _curves(view, facts, rows),
        _back_test(view, facts),
        _cost(view, facts, rows),
        sections.classes(view, more.get("classes_shown", [])),
        _next(view, more, rows),
        sections.made_with(view, both),
        sections.skipped(view, more.get("skipped", [])),
    )


def _about(view: View, facts: Facts, more: Facts) -> str:
    draws = len({run["draw"] for run in facts["runs"]})
    said = [view.t("{n} runs, {draws} draws of the labels.", n=len(facts["runs"]), draws=draws)]
    if "n_held_out" in more:
        said.append(view.t("Measured on {n} held-out items.", n=more["n_held_out"]))
    if facts.get("unfinished"):
        said.append(view.t("{n} runs were left out: the budget was spent", n=facts["unfinished"]))
    return " ".join(said)


# -- forest -------------------------------------------------------------------------------------


def _forest(view: View, facts: Facts, rows: Sequence[Facts]) -> str:
    """Return an interval bar for each backbone, strategy and number of labels, the best first."""
    floors = floor_rows(facts.get("floors"))
    task = find(facts["task"])
    ends = [v for row in rows for v in (row["low"], row["high"])]
    axis = shares([*ends, *(value for _, _, value in floors)])
    order = sorted(rows, key=lambda row: (-_size(row["shots"]), -row["mean"]))
    several = len({row["backbone"] for row in rows}) > 1
    lines = [
        Row(
            [
                Html(_whose(row, several=several)),
                str(row["shots"]),
                Html(bar(axis, row["low"], row["mean"], row["high"], _below(floors, row["shots"]))),
                task.shown(row["mean"]),
                view.words.span(task.shown_span(row["low"], row["high"])),
                clock(row["seconds"]),
                view.words(_verdict(row)),
            ],
            {1: _size(row["shots"]), 3: row["mean"], 4: row["low"], 5: row["seconds"]},
            {
                "shots": str(row["shots"]),
                "backbone": row["backbone"],
                "strategy": row["strategy"],
            },
        )
        for row in order
    ]
    columns = [
        "strategy",
        "shots",
        Html(ruler(axis)),
        named(facts["score"]),
        "95 %",
        "a fit",
        "against the best",
    ]
    table = view.table(columns, lines, sort=True, left=(0, 6), bars=2, label="All side by side")
    note = _floor_note(view, floors)
    return view.section("forest", "All side by side", table, note, filter="shots backbone strategy")


def _whose(row: Facts, *, several: bool) -> str:
    name = f"<strong>{escape(row['strategy'])}</strong>"
    return f'{name} <span class="quiet">{escape(row["backbone"])}</span>' if several else name


def _verdict(row: Facts) -> str:
    return "stopped early" if row.get("stopped") else str(row["verdict"])


def _size(shots: Any) -> float:
    return float("inf") if shots == "all" else float(shots)


def floor_rows(floors: Any) -> list[tuple[str, Any, float]]:
    """Return (name, shots, value) of each floor; those without labels stand with the curves."""
    return [(row["name"], row["shots"], row["mean"]) for row in floors or () if row["shots"] != 0]


def _below(floors: Sequence[tuple[str, Any, float]], shots: Any) -> list[float]:
    return [value for _, at, value in floors if at == shots]


def _floor_note(view: View, floors: Sequence[tuple[str, Any, float]]) -> str:
    if not floors:
        return ""
    best: dict[str, float] = {}
    for name, _, value in floors:
        best[name] = max(value, best.get(name, 0.0))
    said = ", ".join(f"{view.words(name)} {100 * v:.1f} %" for name, v in best.items())
    return f'<p class="quiet small">{view.t("Dotted: what needs no transfer.")} {escape(said)}</p>'


# -- over labels --------------------------------------------------------------------------------


def _curves(view: View, facts: Facts, rows: Sequence[Facts]) -> str:
    """Return the score over the labels with its band, and the forecast dashed."""
    forecast = facts.get("forecast") or []
    labels = {row["trained"] for row in rows} | {row["labels"] for row in forecast}
    if len(labels) < 2:
        return ""
    series = _lines(rows, forecast)
    none = _at_none(view, facts, min(labels) / NOTHING, len(series))
    series += none
    ticks = [(float(n), str(n)) for n in _spread(sorted(labels))]
    ticks += [(one.points[0].x, "0") for one in none[:1]]
    x = logarithmic([at for at, _ in ticks], view.words("labels in all"))
    x = Axis(x.low, x.high, tuple(ticks), x.name, True)
    y = shares(v for one in series for p in one.points for v in (p.y, p.low, p.high))
    y = Axis(y.low, y.high, y.ticks, f"{view.words(named(facts['score']))}, %")
    css = "many" if len(series) > FEW else ""
    label = view.words("Score over the number of labels")
    note = view.t("Bands: 95 % intervals.")
    if forecast:
        note += " " + view.t("Dashed and hollow: the forecast, with its 80 % interval.")
    if none:
        note += " " + view.t("Hollow, at 0: the names of the classes alone.")
    return view.section(
        "curves",
        "How many labels",
        chart(x, y, drawn(series, x, y), label, height=320, css=css),
        legend(series),
        f'<p class="quiet small">{note}</p>',
    )


def _at_none(view: View, facts: Facts, x: float, first: int) -> list[Series]:
    """Return a point for each backbone of what the names of the classes reach, drawn at ``x``."""
    rows = [row for row in facts.get("floors") or () if row["shots"] == 0]
    found = []
    for number, row in enumerate(rows, first):
        name = view.words(row["name"])
        name = f"{name} ({row['backbone']})" if len(rows) > 1 else name
        said = f"{name}, 0: {100 * row['mean']:.1f} %"
        point = Point(x, row["mean"], row["low"], row["high"], said)
        found.append(Series(name, [point], number, dashed=True))
    return found


def _lines(rows: Sequence[Facts], forecast: Sequence[Facts]) -> list[Series]:
    keys = list(dict.fromkeys((row["backbone"], row["strategy"]) for row in rows))
    several = len({backbone for backbone, _ in keys}) > 1
    out = []
    for number, key in enumerate(keys):
        name = f"{key[0]} {key[1]}" if several else key[1]
        mine = _points([row for row in rows if _key(row) == key], "trained", name)
        out.append(Series(name, mine, number, band=True))
        ahead = _points([row for row in forecast if _key(row) == key], "labels", name)
        if ahead:
            joined = [Point(mine[-1].x, mine[-1].y, mine[-1].y, mine[-1].y), *ahead]
            out.append(Series(f"{name} …", joined, number, dashed=True, band=True))
    return out


def _key(row: Facts) -> Key:
    return row["backbone"], row["strategy"]


def _points(rows: Sequence[Facts], labels: str, name: str) -> list[Point]:
    return [
        Point(
            row[labels],
            row["mean"],
            row["low"],
            row["high"],
            f"{name}, {row[labels]}: {100 * row['mean']:.1f} %",
        )
        for row in sorted(rows, key=lambda row: row[labels])
    ]


def _spread(shots: Sequence[int]) -> list[int]:
    """Return those of ``shots`` that are far enough apart to be written beside each other."""
    out: list[int] = []
    for n in shots:
        if not out or n / out[-1] >= (shots[-1] / shots[0]) ** (1 / 9):
            out.append(n)
    return out


def _back_test(view: View, facts: Facts) -> str:
    """Return what the same forecast said of sizes that were measured."""
    rows = facts.get("backtest") or []
    if not rows:
        return ""
    lines = [
        Row(
            [
                f"{row['backbone']} {row['strategy']}",
                str(row["shots"]),
                f"{100 * row['mean']:.1f} %",
                f"{100 * row['low']:.1f} – {100 * row['high']:.1f}",
                f"{100 * row['measured']:.1f} %",
                view.words("yes" if row["low"] <= row["measured"] <= row["high"] else "no"),
            ]
        )
        for row in rows
        if "measured" in row
    ]
    columns = ["strategy", "shots", "forecast", "80 %", "measured", "inside"]
    note = view.t("The same forecast, made from the smaller sizes alone.")
    table = view.folded(columns, lines, label="How good the forecast is") if lines else ""
    return view.section(
        "backtest", "How good the forecast is", f'<p class="quiet">{note}</p>{table}' * bool(table)
    )


# -- cost ---------------------------------------------------------------------------------------


def _cost(view: View, facts: Facts, rows: Sequence[Facts]) -> str:
    """Return the score against the time of a fit, at the most labels that were measured."""
    most = max((row["shots"] for row in rows), key=_size)
    mine = [row for row in rows if row["shots"] == most]
    if len(mine) < 2:
        return ""
    several = len({row["backbone"] for row in mine}) > 1
    named_ = _namer(several)
    series = [
        Series(
            named_(row),
            [
                Point(
                    max(row["seconds"], 1e-3),
                    row["mean"],
                    row["low"],
                    row["high"],
                    f"{named_(row)}: {100 * row['mean']:.1f} %, {clock(row['seconds'])}",
                )
            ],
            number,
        )
        for number, row in enumerate(mine)
    ]
    x = logarithmic([p.x for one in series for p in one.points], view.words("seconds a fit"))
    y = shares(v for row in mine for v in (row["low"], row["high"]))
    y = Axis(y.low, y.high, y.ticks, f"{view.words(named(facts['score']))}, %")
    label = view.words("Score against the time of a fit")
    note = view.t("With all labels.")
    if most != "all":
        note = view.t("With {shots} labels a class.", shots=most)
    return view.section(
        "cost",
        "What it costs",
        chart(x, y, drawn(series, x, y), label),
        legend(series),
        f'<p class="quiet small">{note}</p>',
    )


def _namer(several: bool) -> Callable[[Facts], str]:
    return lambda row: f"{row['backbone']} {row['strategy']}" if several else str(row["strategy"])


# -- going on -----------------------------------------------------------------------------------


def _next(view: View, more: Facts, rows: Sequence[Facts]) -> str:
    """Return the command that fits the best of them."""
    most = max((row["shots"] for row in rows), key=_size)
    best = max((row for row in rows if row["shots"] == most), key=lambda row: row["mean"])
    data = more.get("title") or "DATA"
    words = ["--backbone", best["backbone"], "--strategy", best["strategy"], "--out", "model"]
    command = sections.shell("headstart", "fit", data, *words)
    python = (
        "import headstart\n\n"
        f"fit = headstart.fit({data!r}, backbone={best['backbone']!r}, "
        f"strategy={best['strategy']!r}, out='model')"
    )
    return view.section("use", "How to go on", sections.code(command), sections.code(python))
