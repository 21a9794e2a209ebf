"""`compare`: strategies side by side on paired draws."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from math import inf
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart.backbones.choice import entries_for, require_learners
from headstart.backbones.entry import Entry
from headstart.backbones.usual import usual
from headstart.boundary.affordable import affordable
from headstart.boundary.extract import look, needed
from headstart.checks.draws import few_draws
from headstart.checks.held_out import small
from headstart.checks.run import BY_COUNTS, found_in, of_counts, of_split
from headstart.compute.device import pick
from headstart.data.audit import Audit
from headstart.data.dataset import Dataset
from headstart.data.reading import given
from headstart.data.split import Split, require_held_out, split
from headstart.errors import UsageError
from headstart.evaluation.compare import Candidate
from headstart.evaluation.compare import compare as compare_runs
from headstart.evaluation.conclusions import concluded
from headstart.evaluation.design import Design, fixed, folded, folds_for
from headstart.evaluation.record import Record
from headstart.evaluation.runs import Comparison
from headstart.findings import Finding
from headstart.progress import log
from headstart.report import comparison_tables
from headstart.settings.groups import Options
from headstart.settings.option import deciding, table
from headstart.settings.table import Comparing
from headstart.settings.taking import takes
from headstart.store import digest
from headstart.strategies.registry import (
    OFFERED,
    require_kinds,
    require_learned,
    require_targets,
    strategies,
    strategy,
)
from headstart.tasks.intervals import wilson
from headstart.training.earlier import Earlier
from headstart.training.transfer import require_earlier
from headstart.verbs import gathering
from headstart.verbs.probing import earlier_of

READING, RUNNING = 0.5, 0.85
"""Shares of a budget after which no more items are read, and no run is begun or goes on."""


@takes(Comparing, OFFERED)
def compare(data: Any, labels: Any = None, *, run: Comparing) -> Comparison:
    """Measure strategies side by side on paired draws, see `headstart.evaluation.compare`.

    Processes are started anew, so a script that asks for more than one worker needs
    ``if __name__ == "__main__":``.

    With a ``budget`` cheap strategies come first, and what can hardly be the best is dropped; where
    there is not time for all items, a random part of them is read. ``fit`` leaves the fitted
    winner in ``out/model``.

    ``out`` is a folder for ``compare.json``, which is kept up to date, and in the end for
    ``runs.csv`` and ``curves.png``; ``resume`` takes the runs that it holds as done, also where now
    more strategies, backbones, shots or draws are asked for.

    Raises:
        UsageError: an unknown strategy or option, one that no strategy reads, or a number out of
            range; before anything is run.
        DataError: nothing sensible can be trained on.
        BackboneError: a backbone or its weights are not here.
    """
    start = time.monotonic()
    _require_runs(run)
    _require_new(run)
    device = pick(run.device)
    found, candidates = _looked(data, labels, run, start, device)
    named = {name: entries for name, entries, _ in candidates}
    dataset, design = found.dataset, _design(found.dataset, found, run)
    whole = _looks_at_all(run)
    if not whole:
        candidates = _embedded(dataset, design, candidates, run, device)
    _say_short(dataset, design, run)
    record = (
        Record(run.out, _settings(run, dataset, found, design, named, device)) if run.out else None
    )
    moment = inf if run.budget is None else start + RUNNING * run.budget
    result = compare_runs(
        dataset,
        design,
        candidates,
        run,
        device=device,
        workers=run.workers or usual_workers(device),
        moment=moment,
        record=record,
        earlier=_earlier(named, run, dataset.kind, device),
        done=record.runs(dataset.known.take(design.held_out)) if record and run.resume else (),
    )
    result = concluded(result, dataset, design, candidates, run, device=device, moment=moment)
    checked = _checked(found, design, candidates, run.seed, moment, whole=whole)
    result = replace(result, findings=tuple(found_in([*_carried(result), *checked])))
    if record and run.out:
        record.keep(result)
        comparison_tables.save(result, run.out, _gathered(result, found, design, run), run.lang)
    if run.fit:
        _fitted(result, dataset, run)
    return result


def _looked(
    data: Any, labels: Any, run: Comparing, start: float, device: str
) -> tuple[Audit, list[Candidate]]:
    """Read and look at the items, and embed them where a strategy solves on their features."""
    chosen = strategies(run.strategies, run)
    dataset = given(data, labels, run)
    require_kinds(run.strategies, chosen, dataset.kind)
    require_targets(chosen, dataset.known)
    named = _named(dataset, run)
    unlearned = [name for name, found in named.items() if not all(one.ready for one in found)]
    require_learned(run.strategies, chosen, unlearned)
    for name, one in zip(run.strategies, chosen, strict=True):
        require_earlier(one, name, run.probe is not None)
    solves, groups = any(one.solves for one in chosen), [*named.values()]
    how: dict[str, Any] = {"device": device, "seed": run.seed}
    if run.budget is not None and solves:
        dataset = affordable(dataset, groups, start + READING * run.budget, **how)
    found, features = look(dataset, groups, solves=solves and _looks_at_all(run), **how)
    return found, list(zip(named, groups, features, strict=True))


def _fitted(result: Comparison, dataset: Dataset, run: Comparing) -> None:
    """Fit what the advice says, on all training items, to ``out/model``."""
    from headstart.verbs.fit import fit

    assert result.advice is not None and run.out is not None
    shared = {name: getattr(run, name) for name in ("seed", "device", "val", "task")}
    more = {name: getattr(run, name) for name in run.given if name in table(Options)}
    own = _read_by(result.advice.strategy, more)
    made = fit(
        dataset,
        strategy=result.advice.strategy,
        backbone=result.advice.backbone,
        out=run.out / "model",
        **shared,
        **own,
    )
    log.info("fitted: %s", made.bundle)


def _read_by(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return those of the options that the strategy reads."""
    rows, kind = table(Options), type(strategy(name))
    return {key: value for key, value in options.items() if kind.reads(rows[key])}


def _design(dataset: Dataset, found: Audit, run: Comparing) -> Design:
    """Return what each draw trains on and is measured on, and say so where nobody chose it."""
    if n := folds_for(dataset, found.usable, run):
        made = folded(dataset, found.usable, n, run.draws, run.seed)
        if run.folds is None:
            log.info(
                "%d items without a split: each is held out once, in %d folds%s (folds=0 holds out "
                "a share instead)",
                len(found.usable),
                n,
                f", {run.draws} times over" if run.draws > 1 else "",
            )
        return made
    parts = split(dataset, found.usable, val=run.val, seed=run.seed)
    require_held_out(dataset, parts)
    return fixed(parts, run.seed)


def _gathered(result: Comparison, found: Audit, design: Design, run: Comparing) -> dict[str, Any]:
    """Return what the page shows besides the runs."""
    parts = Split(design.train, design.held_out)
    more = gathering.of_data(found.dataset, parts)
    return {
        **more,
        **gathering.shown_items(found.dataset, parts, more, [], result.findings),
        **gathering.called("compare", found.dataset.root.name, run),
        "findings": result.findings,
        "n_held_out": len(parts.held_out),
        "seconds": sum(one.seconds for one in result.runs),
        "seed": run.seed,
        "headstart": gathering.version(),
        "versions": gathering.versions(),
        "skipped": [one._asdict() for one in found.rejected],
    }


def _looks_at_all(run: Comparing) -> bool:
    """Return whether all items are embedded while they are audited, and not few draws alone."""
    return "all" in run.shots or run.budget is not None


def _embedded(
    dataset: Dataset,
    design: Design,
    candidates: Sequence[Candidate],
    run: Comparing,
    device: str,
) -> list[Candidate]:
    """Return the backbones with the features of what is drawn or held out, where heads need them.

    Nothing else is embedded; `needed` reads only what it is asked for.
    """
    if not any(one.solves for one in strategies(run.strategies, run)):
        return list(candidates)
    used = design.used(dataset.known, run.shots, run.draws)
    how: dict[str, Any] = {"device": device, "seed": run.seed}
    return [
        (name, entries, needed(dataset, entries, used, **how) if _ready(entries) else None)
        for name, entries, _ in candidates
    ]


def _ready(entries: Sequence[Entry]) -> bool:
    return all(entry.ready for entry in entries)


def _checked(
    found: Audit,
    design: Design,
    candidates: Sequence[Candidate],
    seed: int,
    moment: float,
    *,
    whole: bool,
) -> list[Finding]:
    """Return what the checks found; label errors by the first backbone with features of all items.

    Of folds they look at the first, but count the items of all; past ``moment`` they do not look.
    """
    if time.monotonic() > moment:
        log.info("the budget was spent: the data were not checked, see headstart audit")
        return []
    entries = [entry for _, each, _ in candidates for entry in each]
    features = next((kept for _, _, kept in candidates if whole and kept is not None), None)
    first = next(design.parts(found.dataset.known, "all", 0))
    parts = Split(first.train, design.held_out[first.rows])
    said = of_split(found, parts, entries, features, seed=seed)
    if design.folds is None:
        return said
    known = found.dataset.known
    every, measured = (known.task.counts(known.values[i]) for i in (design.train, design.held_out))
    rest = [one for one in said if one.code not in BY_COUNTS]
    return found_in([*rest, *of_counts(every, every, measured)])


def _carried(result: Comparison) -> list[Finding]:
    """Return that the held-out items, or the draws, do not tell a score well enough."""
    if not result.kind.share or not result.runs:
        return []
    n, best = len(result.held_out.targets), max(row.mean for row in result.summary)
    return found_in([small(n, wilson(best * n, n)), few_draws(result.runs)])


def usual_workers(device: str) -> int:
    """Return how many fits side by side pay: two processes on a CPU of several cores."""
    return min(2, os.cpu_count() or 1) if device == "cpu" else 1


def _require_new(run: Comparing) -> None:
    """Refuse to replace the runs of an earlier comparison unasked."""
    if run.out and (run.out / "compare.json").exists() and not (run.resume or run.overwrite):
        raise UsageError(
            f"{run.out} holds the runs of an earlier comparison: go on with them, or add to them, "
            "with --resume; start anew with --overwrite; or name another --out."
        )


def _say_short(dataset: Dataset, design: Design, run: Comparing) -> None:
    """Say of which classes there are fewer items than the shots that were asked for."""
    counts = dataset.known.task.counts(dataset.known.values[design.train])
    for shots in run.shots:
        few = [f"{name} ({n})" for name, n in counts.items() if shots != "all" and n < shots]
        if few:
            said = ", ".join(few[:5]) + ", ..." * (len(few) > 5)
            log.info("shots %s: fewer are there to train on, all are used: %s", shots, said)


def _require_runs(run: Comparing) -> None:
    shots = [n for n in run.shots if n != "all" and not (isinstance(n, int) and n >= 1)]
    if not run.strategies or not run.shots or shots:
        raise UsageError(
            "compare needs at least one strategy, and shots of 1 or more (or 'all'); "
            f"got {list(run.strategies)}, {list(run.shots)}."
        )
    if run.fit and run.out is None:
        raise UsageError("fit leaves the fitted winner in out/model; give the folder out.")


def _usual(dataset: Dataset) -> str:
    name, why = usual(dataset)
    log.info("backbone %s, for %s", name, why)
    return name


def _named(dataset: Dataset, run: Comparing) -> dict[str, tuple[Entry, ...]]:
    """Return the backbones by name, each as the items and the settings want it."""
    names = run.backbones or (_usual(dataset),)
    named = {name: entries_for(name, dataset, run, run.seed, []) for name in names}
    require_learners(run, (entry for entries in named.values() for entry in entries))
    return named


def _earlier(
    named: dict[str, tuple[Entry, ...]], run: Comparing, kind: str, device: str
) -> dict[str, Earlier]:
    """Return what each backbone can do on the probe; nothing without one."""
    how: dict[str, Any] = {"device": device, "seed": run.seed}
    found = {name: earlier_of(entries, run, kind, how) for name, entries in named.items()}
    return {name: one for name, one in found.items() if one is not None}


def _settings(
    run: Comparing,
    dataset: Dataset,
    found: Audit,
    design: Design,
    named: dict[str, tuple[Entry, ...]],
    device: str,
) -> dict[str, Any]:
    """Return what all runs of a comparison on disk have in common."""
    return {
        "training items": _fingerprint(dataset, found, design.train),
        "held-out items": _fingerprint(dataset, found, design.held_out),
        "folds": 0 if design.folds is None else int(design.folds.max()) + 1,
        "task": dataset.known.task.name,
        "seed": run.seed,
        "device": device,
        "options": deciding(run, Options),
        "probe": str(run.probe.resolve()) if run.probe else None,
        **{f"backbone {name}": [e.key() for e in entries] for name, entries in named.items()},
    }


def _fingerprint(dataset: Dataset, found: Audit, indices: npt.NDArray[np.int64]) -> str:
    """Return what names these items: how many, their contents, and their labels."""
    labels = [dataset.said(int(i)) for i in indices]
    content = digest(*found.digests[indices].tolist(), *(label.encode() for label in labels))
    return f"{len(indices)}, {content.hex()}"
