"""Results as tables in a terminal."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart.data.dataset import Rejected
from headstart.report.terminal import clock, percent, span, table
from headstart.store import written_aside

if TYPE_CHECKING:
    from headstart.data.audit import Audit
    from headstart.evaluation.compare import Comparison
    from headstart.evaluation.metrics import Evaluation
    from headstart.verbs.fit import Fit

MOST = 20
"""Rows of a long list; the rest is counted."""


def fit(result: Fit) -> None:
    """Print how good a fit is, on what, and what it cost."""
    figures = result.evaluation
    print(
        f"accuracy {percent(figures.accuracy)} (95 %: {span(*figures.interval)}) on "
        f"{figures.n} held-out items, trained on {len(result.parts.train)}"
    )
    seconds = result.seconds
    print(
        f"{result.fitted.strategy} on {'+'.join(e.name for e in result.fitted.entries)}: "
        f"{clock(seconds['total'])} in all, features {clock(seconds['features'])} "
        f"({result.cache['hits']} kept, {result.cache['misses']} new), "
        f"training {clock(seconds['train'])}"
    )
    per_class(figures)
    skipped(result.audit.rejected)
    print(f"saved: {result.bundle}" if result.bundle else "not saved; add --out DIR")


def evaluation(figures: Evaluation, rejected: Sequence[Rejected]) -> None:
    """Print the figures of a saved model."""
    print(
        f"accuracy {percent(figures.accuracy)} (95 %: {span(*figures.interval)}) "
        f"on {figures.n} items"
    )
    per_class(figures)
    skipped(rejected)


def per_class(figures: Evaluation) -> None:
    """Print recall and precision of each class; of many, the weakest."""
    rows = sorted(figures.per_class(), key=lambda row: row["recall"])
    shown = [
        [
            r["class"],
            str(r["n"]),
            percent(r["recall"]),
            span(*r["interval"]),
            percent(r["precision"]),
        ]
        for r in rows[:MOST]
    ]
    table(["class", "n", "recall", "95 %", "precision"], shown)
    if len(rows) > MOST:
        print(f"... and {len(rows) - MOST} classes with higher recall")


def skipped(rejected: Sequence[Rejected]) -> None:
    """Print what was not used, with reasons."""
    if not rejected:
        return
    print(f"not used: {len(rejected)}")
    for one in rejected[:MOST]:
        print(f"  {one.item}: {one.reason}")
    if len(rejected) > MOST:
        print(f"  ... and {len(rejected) - MOST} more, see skipped.csv in the bundle")


def audit(found: Audit) -> None:
    """Print what an audit found."""
    print(f"{found.n} items, {len(found.usable)} usable")
    table(["class", "usable"], [[name, str(n)] for name, n in found.classes.items()][:200])
    skipped(found.rejected)
    groups: list[tuple[str, Sequence[Any]]] = [
        ("duplicates", found.duplicates),
        ("same content, different classes", found.conflicts),
        ("same content in training and evaluation", found.leaks),
    ]
    for title, listed in groups:
        for group in listed[:MOST]:
            print(f"{title}: {', '.join(group)}")
    for pair in found.near_duplicates[:MOST]:
        where = " (one trains, one is held out)" if pair.across_splits else ""
        print(f"look alike: {pair.item}, {pair.like}{where}")
    if found.tiny:
        print("fewer than five items: " + ", ".join(f"{k} ({v})" for k, v in found.tiny.items()))
    if found.empty_classes:
        print(f"no usable item: {', '.join(found.empty_classes)}")


def comparison(result: Comparison) -> None:
    """Print one row for each backbone, strategy and number of shots; of a sweep, one for each K."""
    if result.sweep():
        sweep(result)
        return
    rows = [
        [
            str(r.shots),
            r.backbone,
            r.strategy,
            percent(r.mean),
            span(r.low, r.high),
            clock(r.seconds),
            r.verdict,
        ]
        for r in result.summary
    ]
    columns = ["shots", "backbone", "strategy", "accuracy", "95 %", "a fit", "against the best"]
    table(columns, rows, left=3)
    _left_out(result)


def sweep(result: Comparison) -> None:
    """Print one row for each number of frozen blocks, with columns for each number of shots."""
    by_k = result.sweep()
    several = len({r.backbone for r in result.summary}) > 1
    cells = {
        (k, r.backbone, r.shots): [percent(r.mean), span(r.low, r.high), clock(r.seconds)]
        for k, rows in by_k.items()
        for r in rows
    }
    columns = list(dict.fromkeys((r.backbone, r.shots) for r in result.summary))
    labels = ["all" if n == "all" else f"{n} a class" for _, n in columns]
    names = [f"{b} {n}" if several else n for (b, _), n in zip(columns, labels, strict=True)]
    table(
        ["frozen", *(c for name in names for c in (name, "95 %", "a fit"))],
        [
            [str(k), *(cell for c in columns for cell in cells.get((k, *c), ["", "", ""]))]
            for k in by_k
        ],
    )
    _left_out(result)


def _left_out(result: Comparison) -> None:
    if result.unfinished:
        print(f"{result.unfinished} runs were left out: the budget was spent")


def save_comparison(result: Comparison, folder: Path) -> None:
    """Write ``runs.csv`` and ``curves.png`` to ``folder``; of a sweep, over the frozen blocks."""
    from headstart.report.pictures import curves, sweep

    rows = [asdict(run) for run in result.runs]
    with (
        written_aside(folder / "runs.csv") as aside,
        aside.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    draw = sweep if result.sweep() else curves
    draw(result, folder / "curves.png")


def predictions(answers: Iterable[dict[str, Any]]) -> None:
    """Print one line an item as it comes: item, label, probability, apart by tabs.

    Where an answer says which labels come ``top``, all of them with their probabilities.
    """
    for answer in answers:
        said = ["", answer["error"]] if "error" in answer else []
        for one in [] if said else answer.get("top", [answer]):
            said += [one["label"], f"{one['probability']:.3f}"]
        print(answer["item"], *said, sep="\t", flush=True)
