"""The page in a bundle: one file without scripts or links, readable on a phone."""

from __future__ import annotations

from html import escape
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from headstart.report.terminal import clock, mistake
from headstart.store import written_aside
from headstart.tasks.registry import restored
from headstart.tasks.shown import Block, named
from headstart.tasks.task import LOSS, SELECTION, Task

if TYPE_CHECKING:
    from headstart.bundle import Bundle

STYLE = """
:root { color-scheme: light dark; --ink: #1f2933; --quiet: #616e7c; --line: #e4e7eb;
  --back: #fff; --good: 11, 110, 79; --bad: 200, 85, 61; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e7eb; --quiet: #9aa5b1; --line: #323f4b;
  --back: #16191d; --good: 63, 190, 150; --bad: 235, 120, 95; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--back);
  max-width: 46rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.2rem; margin: 0 0 .2rem; overflow-wrap: anywhere; }
h2 { font-size: 1rem; margin: 2.2rem 0 .5rem; }
.big { font-size: 3rem; line-height: 1.1; font-weight: 650; margin: 1rem 0 0; }
p { margin: .3rem 0; } .quiet { color: var(--quiet); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; min-width: 60%; }
th, td { text-align: right; padding: .25rem .55rem .25rem 0; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
th { font-weight: 500; color: var(--quiet); white-space: normal; vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; white-space: normal; min-width: 5.5rem;
  overflow-wrap: anywhere; }
.cell { text-align: center; padding: .25rem .6rem; }
li { overflow-wrap: anywhere; }
"""


def write_report(bundle: Bundle) -> None:
    """Write ``report.html`` into ``bundle``, from what its ``bundle.json`` holds."""
    with written_aside(bundle.path / "report.html") as aside:
        aside.write_text(page(bundle.facts), encoding="utf-8")


def page(facts: dict[str, Any]) -> str:
    """Return the page for the facts of a bundle; every text in it is escaped."""
    task = restored(facts)
    backbones = "+".join(one["name"] for one in facts["backbones"])
    parts = [
        f"<h1>{escape(facts['strategy'])} on {escape(backbones)}</h1>",
        _headline(task, facts),
        *map(_block, task.blocks(facts["metrics"])),
        _errors(task, facts["errors"]),
        _list("Notes", facts["notes"]),
        _list("Not used", [f"{one['item']}: {one['reason']}" for one in facts["skipped"]]),
        _history(facts["history"]),
        _made(facts),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(facts['strategy'])} on {escape(backbones)}: headstart</title>"
        f"<style>{STYLE}</style></head>\n<body>\n"
        + "\n".join(filter(None, parts))
        + "\n</body></html>\n"
    )


def _headline(task: Task, facts: dict[str, Any]) -> str:
    figures, data = facts["metrics"], facts["data"]
    what, more = task.sentences(figures)
    return (
        f'<p class="big">{escape(task.headline(figures)[0])}</p>'
        f"<p>{escape(what)}</p>"
        f'<p class="quiet">Trained on {data["n_train"]} items in '
        f"{clock(facts['seconds']['features'] + facts['seconds']['train'])}. {escape(more)}</p>"
    )


def _block(block: Block) -> str:
    tones = block.tones or [[]] * len(block.rows)
    rows = [
        [_cell(cell, tone) for cell, tone in zip_longest(row, line)]
        for row, line in zip(block.rows, tones, strict=True)
    ]
    return _table(block.title, block.head, rows, block.note)


def _cell(text: str, tone: float | None) -> str:
    if not tone:
        return escape(text) if text != "·" else '<div class="cell">·</div>'
    name = "good" if tone > 0 else "bad"
    style = f' style="background: rgba(var(--{name}), {0.75 * abs(tone):.2f})"'
    return f'<div class="cell"{style}>{escape(text)}</div>'


def _table(title: str, head: list[str], rows: list[list[str]], note: str = "") -> str:
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    after = f'<p class="quiet">{escape(note)}</p>' if note else ""
    return (
        f'<h2>{escape(title)}</h2><div class="wide"><table><thead><tr>{top}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>{after}"
    )


def _errors(task: Task, rows: list[dict[str, Any]]) -> str:
    return _list(task.worst, [mistake(task, row) for row in rows[:20]])


def _list(title: str, lines: list[str]) -> str:
    if not lines:
        return ""
    shown = "".join(f"<li>{escape(line)}</li>" for line in lines[:200])
    more = f'<p class="quiet">... and {len(lines) - 200} more</p>' if len(lines) > 200 else ""
    return f"<h2>{escape(title)}</h2><ul>{shown}</ul>{more}"


def _history(rows: list[dict[str, float]]) -> str:
    """Return the table of epochs; columns that say the same in all of them are left out."""
    if not rows:
        return ""
    judged = sorted({key for row in rows for key in row if key.startswith(SELECTION)} - {LOSS})
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
    note = "Chosen: the epoch with the least loss on an inner part of the training items."
    lines = [list(cells) for cells in zip(*(cells for _, cells in telling), strict=True)]
    return _table("Training", [name for name, _ in telling], lines, note if judged else "")


def _made(facts: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    sources = "; ".join(
        f"{one['name']} learned from {one['source_domain'] or 'unknown data'}"
        + (f" (licence {one['licence']})" if one["licence"] else "")
        for one in facts["backbones"]
    )
    return (
        f'<h2>Made with</h2><p class="quiet">{escape(sources)}. Seed {facts["seed"]}, data '
        f"{escape(facts['data']['fingerprint'])}. headstart {facts['headstart']}, "
        f"{escape(versions)}.</p>"
    )
