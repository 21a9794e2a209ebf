"""Results as tables in a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from headstart.data.dataset import Rejected
from headstart.findings import Finding
from headstart.report.forgotten import forgetting
from headstart.report.terminal import clock, narrow, say, table
from headstart.tasks.registry import find
from headstart.tasks.shown import named
from headstart.tasks.task import Task
from headstart.visible import visible

if TYPE_CHECKING:
    from headstart.data.audit import Audit
    from headstart.verbs.adapt import Adapted
    from headstart.verbs.backbones import Listed
    from headstart.verbs.evaluate import Evaluated
    from headstart.verbs.fit_result import Fit
    from headstart.verbs.rank import Order

MOST = 20
"""Rows of a long list; the rest is counted."""

FEW = 3
"""Names that a headline shows."""


SUSPECTS = 5
"""Items of a finding that a terminal shows."""


def fit(result: Fit) -> None:
    """Print how good a fit is, on what, and what it cost."""
    task, figures = result.model.task, result.evaluation.to_json()
    say(
        f"{_score(task, figures)} on {result.evaluation.n} held-out items, "
        f"trained on {len(result.parts.train)}{_absent(task, figures)}"
    )
    seconds = result.seconds
    say(
        f"{result.fitted.strategy} on {'+'.join(e.name for e in result.model.entries)}: "
        f"{clock(seconds['total'])} in all, features {clock(seconds['features'])} "
        f"({result.cache['hits']} kept, {result.cache['misses']} new), "
        f"training {clock(seconds['train'])}"
    )
    if result.auto:
        one = result.auto
        say(
            f"chosen among {one.tried} in {clock(one.seconds)}: inside the training part "
            f"{task.shown(one.estimate)} ({task.shown_span(one.low, one.high)}); "
            f"{task.shown(one.uncorrected)} before the luck of being chosen was taken off"
        )
        if one.untried:
            say(f"no time for {', '.join(one.untried)}; a longer --budget would measure that too")
    blocks(task, figures)
    forgetting(result.forgetting)
    checks(result.findings)
    skipped(result.audit.rejected)
    say(f"saved: {result.bundle}" if result.bundle else "not saved; add --out DIR")


def adaptation(result: Adapted) -> None:
    """Print every candidate, which one was taken and why, and what that cost."""
    task, found = result.fit.model.task, result.to_json()
    measured = result.oracle is not None
    rows = [
        [
            f"{name} *" if name == result.method else name,
            task.shown(one.source_accuracy),
            f"{one.scores.entropy:.3f}",
            f"{one.scores.spread:.3f}",
            f"{one.scores.mixval:.3f}",
            *([task.shown(one.target.value)] if one.target else []),
        ]
        for name, one in result.candidates.items()
    ]
    table(["method", "source", "entropy", "spread", "mixval", *["target"] * measured], rows)
    hoped = task.shown(result.expected)
    say(f"by its own doubt, the source-only model is right in {hoped} of the target")
    for name, reason in result.why.items():
        say(f"not {name}: {reason}")
    sizes = f"{found['n_source']} source items, {found['n_target']} target items without labels"
    say(f"taken: {result.method}, chosen without labels of the target; {sizes}")
    if measured:
        _against_labels(task, found)
    skipped(result.fit.audit.rejected)
    say(f"saved: {result.fit.bundle}" if result.fit.bundle else "not saved; add --out DIR")


def _against_labels(task: Task, found: dict[str, Any]) -> None:
    low, high = found["interval"]
    say(
        f"target {named(task.score)} {task.shown(found['accuracy'])} "
        f"(95 %: {task.shown_span(low, high)}) on {found['n_test']} items; the best candidate by "
        f"labels is {found['oracle_method']} with {task.shown(found['oracle'])}, a gap of "
        f"{100 * found['oracle_gap']:.1f} points"
    )
    for shots, one in found["with_labels"].items():
        more = f"{task.shown(one['accuracy'])} (95 %: {task.shown_span(*one['interval'])})"
        items = f"{shots} labelled target item{'s' * (shots != '1')} a class"
        say(f"with {items} it would be {more}")


def evaluation(task: Task, found: Evaluated) -> None:
    """Print the figures of a saved model, and first what must be known of them."""
    figures = found.figures.to_json()
    say(f"{_score(task, figures)} on {found.figures.n} items{_absent(task, figures)}")
    if found.unseen:
        n, unseen = found.unseen.n, found.unseen.to_json()
        say(
            f"{_score(task, unseen)} on the {n} others of these, which the model was not trained "
            f"on{_absent(task, unseen)}"
        )
    for line in found.notes():
        say(f"note: {line}")
    blocks(task, figures)
    skipped(found.rejected)


def _score(task: Task, figures: dict[str, Any]) -> str:
    value, interval = task.headline(figures)
    return f"{named(task.score)} {value} (95 %: {interval})"


def _absent(task: Task, figures: dict[str, Any]) -> str:
    """Return what stands behind a headline that says nothing of some classes."""
    absent = task.unmeasured(figures)
    few = ", ".join(absent[:FEW]) + ", ..." * (len(absent) > FEW)
    return f"; without {few} (not measured)" if absent else ""


def blocks(task: Task, figures: dict[str, Any]) -> None:
    """Print the task's tables; of long ones the first rows, which are the weakest."""
    for block in task.blocks(figures):
        if block.terse:
            table(block.head, block.rows[:MOST])
        if block.terse and len(block.rows) > MOST:
            say(f"... and {len(block.rows) - MOST} more, which are better")


def skipped(rejected: Sequence[Rejected], rest: str = "see skipped.csv in the bundle") -> None:
    """Print what was not used, with reasons; ``rest`` says where those are that do not fit."""
    if not rejected:
        return
    say(f"not used: {len(rejected)}")
    for one in rejected[:MOST]:
        say(f"  {one.item}: {one.reason}")
    if len(rejected) > MOST:
        say(f"  ... and {len(rejected) - MOST} more, {rest}")


def _suspect(row: dict[str, Any]) -> str:
    """Return an item of a finding with what there is to say of it, by name."""
    said = []
    for name, value in row.items():
        word = name.replace("_", " ")
        if name != "item" and value is not False:
            said.append(word if value is True else f"{word} {value}")
    return f"{row['item']}: {', '.join(said)}"


def checks(findings: Sequence[Finding]) -> None:
    """Print what the checks found, a line each, and the items that come first."""
    for one in findings:
        say(f"{one.code}  {one.title}: {one.message}")
        for row in one.items[:SUSPECTS]:
            say(f"       {_suspect(row)}")
        if len(one.items) > SUSPECTS:
            say(f"       ... and {len(one.items) - SUSPECTS} more with --json")


def audit(found: Audit) -> None:
    """Print what an audit found."""
    say(f"{found.n} items, {len(found.usable)} usable")
    if found.classes:
        splits = list(next(iter(found.by_split.values()), {}))
        rows = [
            [name, str(n), *(str(found.by_split[name][split]) for split in splits)]
            for name, n in found.classes.items()
        ]
        table(["class", "usable", *splits], rows[:200])
        if len(rows) > 200:
            say(f"... and {len(rows) - 200} more classes with --json")
    skipped(found.rejected, "listed with --out FILE.csv")
    groups: list[tuple[str, Sequence[Any]]] = [
        ("duplicates", found.duplicates),
        ("same content, different classes", found.conflicts),
        ("same content in training and evaluation", found.leaks),
    ]
    for title, listed in groups:
        for group in listed[:MOST]:
            say(f"{title}: {', '.join(group)}")
        if len(listed) > MOST:
            say(f"... and {len(listed) - MOST} more with --json")
    for pair in found.near_duplicates[:MOST]:
        where = " (one trains, one is held out)" if pair.across_splits else ""
        say(f"look alike: {pair.item}, {pair.like}{where}")
    if len(found.near_duplicates) > MOST:
        say(f"... and {len(found.near_duplicates) - MOST} more pairs with --json")
    if found.empty_classes:
        say(f"no usable item: {', '.join(found.empty_classes)}")
    checks(found.findings)


def backbones(found: Listed) -> None:
    """Print the backbones: those here, the catalogue, and what suits the data."""
    if found.chosen:
        say(f"taken where none is named: {found.chosen}, for {found.why}")
    elif found.why:
        say(found.why)
    say(f"here: {', '.join(found.here)}")
    say("worth having:")
    for one in found.offers:  # a line for the name alone: one that is cut cannot be typed
        size = "here" if found.is_here(one) else f"{one.megabytes} MB"
        speed = f"{one.speed:.0f} a second here" if one.speed else "speed unknown"
        facts = [size, one.licence, one.reads, one.figure, speed]
        say(f"  {one.name}\n      {', '.join(filter(None, facts))}")
    say("headstart fetch NAME brings one; any other of timm, torchvision and the hub works too")


def ranking(result: Order) -> None:
    """Print the backbones, the best first, and how far the other columns agree."""
    task = find(result.task)
    rows = [
        [
            row.backbone,
            task.shown(row.mean),
            task.shown_span(row.low, row.high),
            row.verdict,
            f"{row.logme:.3f}",
            "" if row.h_score is None else f"{row.h_score:.2f}",
            str(row.n_features),
            "" if row.megabytes is None else f"{row.megabytes:.0f}",
        ]
        for row in result.rows
    ]
    columns = ["backbone", named(result.score), "95 %", "against the best", "LogME", "H-score"]
    most = len(columns) if narrow() else None
    table([*columns, "features", "MB"][:most], [row[:most] for row in rows])
    say(f"floor: constant answer {task.shown(result.floor)}")
    known = {name: tau for name, tau in result.agreements.items() if tau is not None}
    if known:
        said = ", ".join(f"{AGREEING.get(name, name)} {tau:+.2f}" for name, tau in known.items())
        say(f"agreement with the order of the heads (Kendall's tau): {said}")
    say(result.quadrant)


AGREEING = {"logme": "LogME", "h_score": "H-score", "n_features": "features", "megabytes": "MB"}
"""What is held against the order of the heads, as a person would write it."""


def failures(answers: Iterable[dict[str, Any]]) -> int:
    """Print on stderr which items could not be answered and why; return how many could."""
    good = 0
    for answer in answers:
        if "error" in answer:
            say(f"{visible(answer['item'])}: {visible(answer['error'])}", sys.stderr)
        good += "error" not in answer
    return good


def predictions(task: Task, answers: Iterable[dict[str, Any]]) -> int:
    """Print one line an item as it comes: item, answer, how sure, apart by tabs.

    Where an answer says which labels come ``top``, all of them with their probabilities. What could
    not be answered is said on stderr. Returns how many could.
    """
    good = 0
    for answer in answers:
        if "error" in answer:
            failures([answer])
            continue
        good += 1
        said: list[str] = []
        for one in answer.get("top", []):
            said += [one["label"], f"{one['probability']:.3f}"]
        line = (answer["item"], *(said or task.line(answer)))
        print(*map(visible, line), sep="\t", flush=True)
    return good
