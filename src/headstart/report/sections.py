"""Parts that the pages of a fit and of a comparison have in common."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from headstart.findings import Finding
from headstart.report.svg import Axis, bar, linear, ruler
from headstart.report.terminal import clock
from headstart.report.view import Html, Row, View
from headstart.tasks.shown import percent, span
from headstart.visible import escape

SUSPECTS = 24
"""Items of a finding that a page shows."""

Facts = Mapping[str, Any]


def head(view: View, title: str, lines: Sequence[str]) -> str:
    """Return the title of a page with what it is of."""
    rest = "".join(f'<p class="quiet">{line}</p>' for line in lines if line)
    return f"<header><h1>{escape(title)}</h1>{rest}</header>\n"


def advice(view: View, facts: Facts) -> str:
    """Return the sentence that says what to take, and the one that says what would change it."""
    said = facts.get("advice")
    if not said:
        return ""
    sentences = [said] if isinstance(said, str) else [said.get("sentence"), said.get("more")]
    lines = "".join(f"<p>{view.t(one)}</p>" for one in sentences if one)
    return f'<div class="advice">{lines}</div>'


def findings(view: View, found: Sequence[Finding]) -> str:
    """Return what the checks found; nothing where they found nothing."""
    blocks = [
        f'<div class="check" id="{one.code.lower()}"><h3><code>{one.code}</code> '
        f"{view.t(one.title)}</h3><p>{view.t(one.message)}</p>{_suspects(view, one)}"
        f'<p class="small quiet">{escape(one.anchor)}</p></div>'
        for one in found
    ]
    return view.section("checks", "Before you believe it", *blocks)


def _suspects(view: View, one: Finding) -> str:
    if not one.items:
        return ""
    rows = [(row["item"], _said_of(view, row)) for row in one.items[:SUSPECTS]]
    shown = view.items(rows)
    if len(rows) > 6:
        first = view.items(rows[:6])
        more = view.t("{n} more", n=len(rows) - 6)
        return f"{first}<details><summary>{more}</summary>{view.items(rows[6:])}</details>"
    return shown


def _said_of(view: View, row: Facts) -> str:
    if "likely" in row:
        said = view.t("labelled {label}, looks like {likely}", **{k: row[k] for k in _DOUBT})
    elif "like" in row:
        said = view.t("like {like}", like=row["like"])
    else:
        said = escape(", ".join(f"{k}: {v}" for k, v in row.items() if k != "item"))
    return f"{said}<br>{view.named(row['item'])}" if view.pictures or view.texts else said


_DOUBT = ("label", "likely")


def classes(view: View, rows: Sequence[Facts]) -> str:
    """Return each class with examples, and how many items it has by split."""
    if not rows:
        return ""
    blocks = [
        # A long name breaks between its words.
        f"<div><strong>{escape(row['name']).replace('_', '_<wbr>')}</strong>"
        f'<div class="counts">{view.t("{n} to train, {m} held out", n=row["train"], m=row["held"])}'
        f"</div>{_examples(view, row['items'])}</div>"
        for row in rows
    ]
    most = 24
    if len(blocks) <= most:
        body = f'<div class="classes">{"".join(blocks)}</div>'
    else:
        body = (
            f'<div class="classes">{"".join(blocks[:most])}</div><details><summary>'
            f"{view.t('{n} more', n=len(blocks) - most)}</summary>"
            f'<div class="classes">{"".join(blocks[most:])}</div></details>'
        )
    search = {"search": "1"} if len(rows) > 8 else {}
    return view.section("data", "The data", body, **search)


def _examples(view: View, items: Sequence[str]) -> str:
    shown = "".join(filter(None, map(view.picture, items)))
    if shown:
        return f'<div class="strip">{shown}</div>'
    texts = [view.texts[item] for item in items if item in view.texts]
    return "".join(f'<p class="small">{escape(one)}</p>' for one in texts[:2])


def floors(view: View, rows: Sequence[Facts], score: str) -> str:
    """Return the score as a bar with its interval, above what needs no learning.

    Args:
        view: the page.
        rows: each ``{name, value, low, high}``; the first is the model's.
        score: the name of the figure.
    """
    if len(rows) < 2:
        return ""
    axis = shares(v for row in rows for v in (row["low"], row["high"]))
    lines = [
        Row(
            [
                view.words(row["name"]),
                Html(bar(axis, row["low"], row["value"], row["high"])),
                percent(row["value"]),
                view.words.span(span(row["low"], row["high"])),
            ]
        )
        for row in rows
    ]
    table = view.table(["", Html(ruler(axis)), score, "95 %"], lines, bars=1, label=score)
    return view.section("floors", "Against what needs no learning", table)


def shares(values: Any) -> Axis:
    """Return an axis for shares in percent that ends at 100 at most."""
    known = [min(1.0, max(0.0, v)) for v in values if v is not None]
    axis = linear(known or [0.0, 1.0], unit=100)
    ticks = tuple((v, said) for v, said in axis.ticks if -1e-9 <= v <= 1 + 1e-9)
    return Axis(max(0.0, axis.low), min(1.0, axis.high), ticks, axis.name)


def skipped(view: View, rows: Sequence[Facts]) -> str:
    """Return what was not used, with reasons."""
    lines = [f"{one['item']}: {one['reason']}" for one in rows]
    return view.section("skipped", "Not used", view.listed(lines) if lines else "")


def code(text: str) -> str:
    """Return a block that can be copied."""
    return f"<pre>{escape(text)}</pre>"


def made_with(view: View, facts: Facts) -> str:
    """Return how to make it again: command, versions, seeds, price, whose networks these are."""
    data = facts.get("data", {})
    command, python = facts.get("command"), facts.get("python")
    backbones = facts.get("backbones", [])
    lines = [
        code(command) if command else "",
        code(python) if python else "",
        _sources(view, backbones),
        _price(view, facts.get("seconds")),
        f"<p>{view.t('Seed {seed}, data {data}.', seed=facts['seed'], data=data['fingerprint'])}"
        "</p>"
        if "fingerprint" in data
        else f"<p>{view.t('Seed {seed}.', seed=facts.get('seed', 0))}</p>",
        '<p class="quiet small">headstart '
        + escape(
            ", ".join(
                [
                    str(facts.get("headstart", "")),
                    *(f"{name} {number}" for name, number in facts.get("versions", {}).items()),
                ]
            )
        )
        + "</p>",
    ]
    return view.section("made", "How it was made", *lines)


def _price(view: View, seconds: Facts | float | None) -> str:
    if seconds is None:
        return ""
    if not isinstance(seconds, Mapping):
        return f"<p>{view.t('{time} in all.', time=clock(seconds))}</p>"
    said = view.t(
        "Features {features}, training {train}.",
        features=clock(seconds["features"]),
        train=clock(seconds["train"]),
    )
    return f"<p>{said}</p>"


def _sources(view: View, backbones: Sequence[Facts]) -> str:
    lines = []
    for one in backbones:
        known = one.get("source_domain") or view.words("unknown data")
        said = view.t("{name} learned from {known}.", name=one["name"], known=known)
        licence = one.get("licence")
        lines.append(said + (f" {view.t('Licence: {licence}.', licence=licence)}" * bool(licence)))
    return "".join(f"<p>{line}</p>" for line in lines)


def shell(*words: str) -> str:
    """Return a command line; only what must be is quoted.

    >>> shell("headstart", "predict", "my model")
    "headstart predict 'my model'"
    """
    return shlex.join(words)
