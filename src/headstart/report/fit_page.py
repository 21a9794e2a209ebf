"""The page of a fitted model: what it can do, where it errs, how to use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from headstart.report import confusion, diagrams, sections
from headstart.report.sections import code, shell
from headstart.report.terminal import clock, mistake
from headstart.report.view import Row, View
from headstart.report.words import Words
from headstart.tasks.registry import restored
from headstart.tasks.shown import Block
from headstart.tasks.task import Task
from headstart.visible import escape

ERRORS = 24
"""Mistakes that are shown."""

LONG = 9
"""Texts among them that are not behind a fold."""

Facts = Mapping[str, Any]


def page(facts: Facts, more: Facts | None = None, words: Words | None = None) -> str:
    """Return the page for the facts of a bundle; every text in it is escaped.

    Args:
        facts: what ``bundle.json`` holds.
        more: what only the run knows, see `headstart.verbs.gathering`; sections that need it are
            left out without.
        words: its language; English without.
    """
    more = more or {}
    view = View(words or Words(), more.get("pictures", {}), more.get("texts", {}))
    task, figures = restored(dict(facts)), facts["metrics"]
    both = {**facts, **more}
    name = more.get("title") or facts.get("title", "")
    what = f"{facts['strategy']}, {'+'.join(one['name'] for one in facts['backbones'])}"
    title = f"{name}: {what}" if name else what
    return view.document(
        f"{title} (headstart)",
        sections.head(view, title, [escape(more.get("date", ""))]),
        sections.advice(view, both) or _advice(view, more.get("floors_shown", [])),
        _headline(view, task, facts),
        sections.findings(view, more.get("findings", [])),
        sections.floors(view, more.get("floors_shown", []), task.score),
        sections.classes(view, more.get("classes_shown", [])),
        *_figures(view, task, figures, more),
        _boxes(view, more.get("boxes", "")),
        _errors(view, task, facts["errors"]),
        diagrams.reliability(view, figures.get("reliability", [])),
        diagrams.feature_map(view, more.get("map")),
        diagrams.epochs(view, facts["history"]),
        diagrams.filters(view, more.get("filters")),
        _use(view, more.get("folder", "model"), view.words(more.get("sample", "new-items"))),
        sections.made_with(view, both),
        _notes(view, more.get("notes", facts["notes"])),
        sections.skipped(view, facts["skipped"]),
    )


def _advice(view: View, floors: Sequence[Facts]) -> str:
    """Return whether to use the model, as far as its interval and the floor tell."""
    if len(floors) < 2:
        return ""
    mine, floor = floors[0], floors[1]
    if mine["low"] <= floor["high"]:
        said = view.t(
            "Do not use it yet: it is not shown to be better than {floor} ({share:.1f} %). More "
            "labels, another backbone or a larger held-out set may show it.",
            floor=floor["name"],
            share=100 * floor["value"],
        )
    else:
        said = view.t(
            "On new items like these expect {low:.1f} to {high:.1f} % right, against {share:.1f} % "
            "for {floor}.",
            low=100 * mine["low"],
            high=100 * min(1.0, mine["high"]),
            floor=floor["name"],
            share=100 * floor["value"],
        )
    return f'<div class="advice"><p>{said}</p></div>'


def _headline(view: View, task: Task, facts: Facts) -> str:
    figures, data = facts["metrics"], facts["data"]
    what, further = task.sentences(figures)
    trained = view.t(
        "Trained on {n} items in {time}.",
        n=data["n_train"],
        time=clock(facts["seconds"]["features"] + facts["seconds"]["train"]),
    )
    return (
        f'<p class="big">{escape(task.headline(figures)[0])}</p><p>{view.t(what)}</p>'
        f'<p class="quiet">{trained} {view.t(further)}</p>'
    )


def _figures(view: View, task: Task, figures: Facts, more: Facts) -> list[str]:
    """Return by-class bars and the confusion where there are such; else the task's own tables."""
    if "confusion" not in figures:
        return [_block(view, one, i) for i, one in enumerate(task.blocks(figures))]
    matrix = figures["confusion"]
    return [
        confusion.by_class(view, figures["per_class"]),
        confusion.confusion(view, task.names, matrix, more.get("mistakes", [])),
    ]


def _boxes(view: View, picture: str) -> str:
    """Return pictures with boxes, drawn before as one ``picture``, a data URI."""
    if not picture:
        return ""
    said = "Dashed: what is there. Solid: what was found, with its probability."
    shown = f'<img alt="" src="{picture}" style="max-width: 100%">'
    return view.section("boxes", "Held-out pictures", shown, f'<p class="quiet">{view.t(said)}</p>')


def _block(view: View, block: Block, number: int) -> str:
    rows = [Row(row) for row in block.rows]
    note = f'<p class="quiet">{view.t(block.note)}</p>' if block.note else ""
    table = view.folded(block.head, rows, sort=True, label=block.title)
    search = {"search": "1"} if len(rows) > 8 else {}
    return view.section(f"figures-{number}", block.title, table, note, **search)


def _errors(view: View, task: Task, rows: Sequence[Facts]) -> str:
    if not rows:
        return ""
    if not view.pictures and not view.texts:
        return view.section(
            "errors", task.worst, view.listed([mistake(task, dict(r)) for r in rows])
        )
    shown = [
        (row["item"], f"{view.t(task.mistake(row))}<br>{view.named(row['item'])}")
        for row in rows[:ERRORS]
    ]
    first = LONG if view.texts else ERRORS
    rest = f"<details><summary>{view.t('{n} more', n=len(shown) - first)}</summary>"
    rest = f"{rest}{view.items(shown[first:])}</details>" if len(shown) > first else ""
    return view.section("errors", task.worst, view.items(shown[:first]), rest)


def _use(view: View, folder: str, sample: str) -> str:
    python = (
        "import headstart\n\n"
        f'for answer in headstart.load("{folder}").predict(["{sample}"]):\n'
        "    print(answer)"
    )
    shown = code(shell("headstart", "predict", folder, sample)) + code(python)
    note = view.t("Where it lies: the folder that this page is in.")
    return view.section("use", "How to use it", shown, f'<p class="quiet small">{note}</p>')


def _notes(view: View, notes: Sequence[str]) -> str:
    return view.section(
        "notes", "Notes", view.listed([view.words(note) for note in notes]) if notes else ""
    )
