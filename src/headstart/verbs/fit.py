"""`fit`: carry a backbone over to the classes of the data, and measure it."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError

from headstart import bundle as bundles
from headstart.backbones.choice import backbone_name, entries_for, require_learners, say
from headstart.backbones.entry import Entry
from headstart.boundary.extract import Features, look, needed
from headstart.bundle import Bundle
from headstart.cards import Card, Record, Shown, spread
from headstart.checks.run import found_in, of_fit, of_split
from headstart.compute.device import pick
from headstart.data.audit import Audit
from headstart.data.dataset import Dataset
from headstart.data.reading import given
from headstart.data.split import Split, draw, require_held_out, split
from headstart.errors import BundleError, DataError, UsageError
from headstart.evaluation.forgetting import forgetting
from headstart.findings import Finding
from headstart.model import Model
from headstart.place import claimed, filled, require_room
from headstart.settings.groups import Reading
from headstart.settings.table import Fitting
from headstart.settings.taking import takes
from headstart.store import digest, written_aside
from headstart.strategies.registry import (
    OFFERED,
    require_kinds,
    require_learned,
    require_targets,
    strategies,
)
from headstart.tasks.shown import named
from headstart.tasks.task import Figures, Matrix, Task
from headstart.training.earlier import Earlier
from headstart.training.transfer import Fitted, Resuming, require_earlier, transfer
from headstart.verbs import gathering, trained
from headstart.verbs.auto import AUTO, Auto, decided
from headstart.verbs.probing import earlier_of
from headstart.verbs.unlabelled import require_rest, with_unlabelled

REFIT = "refit"
"""Folder of the checkpoints of the model of all items, below those of the measured one."""

WORST = 50
"""Confident mistakes that a bundle remembers."""

SEEN = 2000
"""Training items that are answered too, to see what was learned by heart."""


@dataclass(frozen=True, repr=False)
class Fit(Shown):
    """A fitted model, what it was fitted on, and how good it is on what it has not seen.

    Attributes:
        fitted: the model; `save` makes a bundle of it.
        dataset: all items that were read.
        audit: what was found before training.
        parts: indices of the items trained on and held out.
        evaluation: figures on the held-out items.
        seconds: "total", "features" and "train".
        cache: "hits" and "misses" of the feature store.
        errors: the most confident mistakes on the held-out items.
        notes: what the user should know about this fit.
        reading: the options of `read`, to read the same data again.
        forgetting: what was lost of ``probe``, see `headstart.evaluation.forgetting`; None without.
        unlabelled: what items without labels were worth, see
            `headstart.evaluation.selftraining.Outcome`; None without.
        findings: what checks have found, by code, see `docs/checks.md`.
        auto: how the strategy was chosen; None where it was named.
        refitted: the model has learned from the held-out items too, after it was measured.
        shown: what the page shows besides, see `headstart.verbs.gathering`.
        lang: of the page.
    """

    fitted: Fitted
    dataset: Dataset
    audit: Audit
    parts: Split
    evaluation: Figures
    seconds: dict[str, float]
    cache: dict[str, int]
    errors: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)
    reading: dict[str, Any] = field(default_factory=dict)
    bundle: Path | None = None
    forgetting: dict[str, Any] | None = None
    unlabelled: dict[str, Any] | None = None
    findings: list[Finding] = field(default_factory=list)
    refitted: bool = False
    auto: Auto | None = None
    shown: dict[str, Any] = field(default_factory=dict, repr=False)
    lang: str | None = None

    @property
    def model(self) -> Model:
        """What answers."""
        return self.fitted.model

    @property
    def accuracy(self) -> float:
        """The score: of classes, the share of the held-out items answered right, 0..1."""
        return self.evaluation.value

    def card(self) -> Card:
        """Return how good it is, on what, and what the checks found."""
        task, figures = self.model.task, self.evaluation.to_json()
        value, interval = task.headline(figures)
        lines = [
            f"{named(task.score)}, 95 %: {interval}, on {self.evaluation.n} held-out items",
            f"trained on {len(self.parts.train)} items in {self.seconds['train']:.1f} s",
            *(f"{one.code} {one.title}: {one.message}" for one in self.findings),
        ]
        name = f"{self.fitted.strategy} on {backbone_name(self.model.entries)}"
        return Card(f"{self.dataset.root.name}: {name}", value, tuple(lines))

    def records(self) -> list[Record]:
        """Return the figures of each class or label; of other tasks each figure."""
        figures = self.evaluation.to_json()
        rows = figures.get("per_class") or figures.get("per_label")
        if rows:
            return [spread(row) for row in rows]
        names = [name for name in figures if f"{name}_interval" in figures]
        return [
            spread({"figure": n, "value": figures[n], "interval": figures[f"{n}_interval"]})
            for n in names
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the object that `headstart fit --json` prints."""
        return {
            "task": self.model.task.name,
            "score": self.model.task.score,
            **self.evaluation.brief(),
            "n_train": len(self.parts.train),
            "n_val": len(self.parts.held_out),
            "refit": self.refitted,
            "auto": self.auto.to_json() if self.auto else None,
            "classes": list(self.model.task.names),
            "backbone": backbone_name(self.model.entries),
            "strategy": self.fitted.strategy,
            "seed": self.model.seed,
            "seconds": self.seconds,
            "cache": self.cache,
            "skipped": [one._asdict() for one in self.audit.rejected],
            "tiny": self.audit.tiny,
            "temperature": self.model.head.temperature,
            "notes": self.notes,
            "forgetting": self.forgetting,
            "unlabelled": self.unlabelled,
            "checks": [one.to_json() for one in self.findings],
            "bundle": str(self.bundle) if self.bundle else None,
        }

    def save(self, path: str | Path) -> Bundle:
        """Write the bundle to the folder ``path``, with its report, and return it loaded.

        Raises:
            BundleError: the folder holds something else, cannot be written to, or another run
                writes there; or the model's numbers are not finite.
        """
        folder = Path(path)
        bundles.check_target(folder)
        with claimed(folder):
            return self._written(folder)

    def _written(self, folder: Path) -> Bundle:
        """Write to a folder that is claimed: all of it, or nothing."""
        try:
            with filled(folder) as aside:
                made = bundles.save(self.model, aside, self._facts())
                self.audit.write_skipped(aside / "skipped.csv")
                seen = np.concatenate(self.parts) if self.refitted else self.parts.train
                trained.save(aside, self.audit.digests[seen])
                self._write_page(made, folder)
        except (OSError, SafetensorError) as error:
            raise BundleError(f"the model cannot be saved in {folder}: {error}") from error
        bundles.remember(made, self.dataset.root, self.reading)
        return bundles.load(folder)

    def _facts(self) -> dict[str, Any]:
        return {
            "strategy": self.fitted.strategy,
            "augment": self.fitted.augment,
            "history": self.fitted.history,
            "metrics": self.evaluation.to_json(),
            "errors": self.errors,
            "data": {
                "root": self.dataset.root.resolve().name,
                "columns": list(self.dataset.columns),
                "fingerprint": digest(*self.audit.digests[self.parts.train].tolist()).hex(),
                "n_train": len(self.parts.train),
                "n_val": len(self.parts.held_out),
                "refit": self.refitted,
            },
            "seconds": self.seconds,
            "auto": self.auto.to_json() if self.auto else None,
            "notes": self.notes,
            "forgetting": self.forgetting,
            "unlabelled": self.unlabelled,
            "checks": [one.to_json() for one in self.findings],
            "skipped": [one._asdict() for one in self.audit.rejected],
            "versions": gathering.versions(),
        }

    def _write_page(self, made: Bundle, folder: Path) -> None:
        from headstart.report.fit_page import page
        from headstart.report.words import Words, language

        more = {**gathered(self), "folder": folder.resolve().name}
        if found := gathering.filters(self.model, made.tensors if self.fitted.history else {}):
            more["filters"] = found
        with written_aside(made.path / "report.html") as aside:
            aside.write_text(page(made.facts, more, Words(language(self.lang))), encoding="utf-8")


@takes(Fitting, OFFERED)
def fit(data: Any, labels: Any = None, *, run: Fitting) -> Fit:
    """Carry a backbone over to the targets of ``data``, and measure it on held-out items.

    ``data`` is a folder, a table, or what `read` returned. Without ``out`` nothing is written.

    Raises:
        UsageError: an option is unknown, out of range or not read by what was chosen, or the
            checkpoints are of another run.
        DataError: nothing sensible can be trained on.
        BackboneError: the backbone or its weights are not here.

    >>> import numpy as np
    >>> from headstart.data.arrays import from_items
    >>> pictures = np.zeros((8, 8, 8), np.uint8); pictures[4:, :, 4] = 255
    >>> pictures += np.arange(8, dtype=np.uint8)[:, None, None]
    >>> fit(from_items(pictures, ["blank"] * 4 + ["line"] * 4), shots=2).accuracy
    1.0
    """
    if run.out is None:
        return _fit(data, labels, run)
    bundles.check_target(run.out)
    with claimed(run.out):
        return _fit(data, labels, run)


def _fit(data: Any, labels: Any, run: Fitting) -> Fit:
    start = time.perf_counter()
    auto: Auto | None = None
    if run.strategy == AUTO:
        data, labels = given(data, labels, run), None
        run, auto = decided(data, run, lambda found: _parts(found, run, []))
    elif run.budget is not None:
        raise UsageError("budget is the time that strategy='auto' may choose for; name that.")
    (strategy,), device = strategies([run.strategy], run), pick(run.device)
    require_earlier(strategy, run.strategy, run.probe is not None)
    require_rest(run)
    dataset = given(data, labels, run)
    require_kinds([run.strategy], [strategy], dataset.kind)
    require_targets([strategy], dataset.known)
    notes: list[str] = []
    entries = entries_for(run.backbone, dataset, run, run.seed, notes)
    require_learners(run, entries)
    require_learned([run.strategy], [strategy], [one.name for one in entries if not one.ready])
    if run.out:
        require_room(run.out, sum(e.weights.stat().st_size for e in entries if e.weights))
    how: dict[str, Any] = {"device": device, "seed": run.seed}
    solves = strategy.solves and all(entry.ready for entry in entries)
    # Of few shots nothing is embedded but them and what is held out, where the rest is not read.
    whole = run.shots is None or run.unlabelled is not None
    found, (features,) = look(dataset, [entries], solves=solves and whole, **how)
    dataset = found.dataset
    parts = _parts(found, run, notes)
    if solves and features is None:
        features = needed(dataset, entries, np.concatenate(parts), **how)
    earlier = earlier_of(entries, run, dataset.kind, how)
    fitted = transfer(
        dataset,
        parts.train,
        entries,
        run,
        features=features,
        resuming=_resuming(run),
        earlier=earlier,
    )
    outcome = None
    if run.unlabelled is not None:
        fitted, outcome = with_unlabelled(fitted, found, parts, entries, run, features, earlier)
        say(notes, outcome.sentence())
    described = fitted.model.described(dataset, parts.held_out, features=features, device=device)
    outputs = fitted.model.numbers(described)
    made = _checked(_result(fitted, found, parts, outputs, features, notes), features)
    made = replace(made, unlabelled=outcome.to_json() if outcome else None)
    if earlier is not None:
        lost = forgetting(fitted.model, earlier, dataset, parts.held_out, device=device)
        made = replace(made, forgetting=lost)
    shown = _shown(made, described, outputs) | gathering.called("fit", dataset.root.name, run)
    made = replace(made, reading=run.values(Reading), shown=shown, lang=run.lang, auto=auto)
    if run.refit:
        made = _refitted(made, entries, run, features, earlier)
    made.seconds["total"] = time.perf_counter() - start
    return _saved(made, run.out)


def _refitted(
    made: Fit,
    entries: Sequence[Entry],
    run: Fitting,
    features: Features | None,
    earlier: Earlier | None,
) -> Fit:
    """Return the result with a model of all items, under the figures that were measured before."""
    everything = np.sort(np.concatenate(made.parts))
    again = transfer(
        made.dataset,
        everything,
        entries,
        run,
        features=features,
        resuming=_resuming(run, REFIT),
        earlier=earlier,
    )
    notes = list(made.notes)
    say(
        notes,
        f"trained once more on all {len(everything)} items; the figures are those of the model "
        f"that learned from {len(made.parts.train)} of them",
    )
    seconds = made.seconds | {"train": made.seconds["train"] + again.seconds}
    return replace(made, fitted=again, refitted=True, notes=notes, seconds=seconds)


def _resuming(run: Fitting, below: str = "") -> Resuming | None:
    if run.out is None:
        return None
    return Resuming(run.out / bundles.CHECKPOINTS / below, run.resume, run.checkpoint_every)


def _saved(result: Fit, out: Path | None) -> Fit:
    """Return the result with its bundle in ``out``, from which the checkpoints are gone."""
    if out is None:
        return result
    result.save(out)
    shutil.rmtree(out / bundles.CHECKPOINTS, ignore_errors=True)
    return replace(result, bundle=out)


def _parts(found: Audit, run: Fitting, notes: list[str]) -> Split:
    """Return what to train on and what is held out, and say where classes fall short."""
    dataset, shots = found.dataset, run.shots
    parts = split(dataset, found.usable, val=run.val, seed=run.seed)
    train = draw(dataset.known, parts.train, shots, seed=run.seed)
    drawn = dataset.known.take(train)
    counts = drawn.task.counts(drawn.values)
    short = [f"{name} ({n})" for name, n in counts.items() if n < (shots or 1)]
    if shots and short:
        say(notes, f"fewer than {shots} examples to train on: {', '.join(short)}")
    if why := drawn.task.unlearnable(drawn.values, "training items"):
        raise DataError(f"{dataset.root}: {why}.")
    require_held_out(dataset, parts)
    return Split(train, parts.held_out)


def _result(
    fitted: Fitted,
    found: Audit,
    parts: Split,
    outputs: Matrix,
    features: Features | None,
    notes: list[str],
) -> Fit:
    held_out = found.dataset.take(parts.held_out)
    return Fit(
        fitted=fitted,
        dataset=found.dataset,
        audit=found,
        parts=parts,
        evaluation=fitted.model.task.evaluate(outputs, held_out.labels),
        seconds={
            "total": 0.0,
            "features": features.seconds if features else 0.0,
            "train": fitted.seconds,
        },
        cache={
            "hits": features.hits if features else fitted.cache["hits"],
            "misses": features.misses if features else fitted.cache["misses"],
        },
        errors=worst(fitted.model.task, held_out, outputs),
        notes=[*notes, *fitted.notes, *fitted.model.task.notes()],
    )


def _checked(made: Fit, features: Features | None) -> Fit:
    """Return the result with what the checks found."""
    model, parts = made.model, made.parts
    chosen = re.fullmatch(r"C=(\S+)", model.head.chosen)
    strength = float(chosen[1]) if chosen and features else None
    found = of_split(made.audit, parts, model.entries, features, strength=strength, seed=model.seed)
    trained = None
    if features is not None and model.backbone is None:
        some = parts.train[:: max(1, len(parts.train) // SEEN)]
        outputs = model.outputs(made.dataset, some, features=features)
        trained = model.task.value(outputs, made.dataset.labels[some])
    figures = of_fit(
        made.evaluation, trained=trained, n_train=len(parts.train), history=made.fitted.history
    )
    return replace(made, findings=found_in([*found, *figures]))


def _shown(made: Fit, described: Matrix, outputs: Matrix) -> dict[str, Any]:
    """Return what only this moment knows of the held-out items: where they lie, what was wrong."""
    dataset, held_out, task = made.dataset, made.parts.held_out, made.model.task
    rows = task.mistakes(outputs, dataset.labels[held_out], gathering.MISTAKES)
    some = gathering.mapped(len(held_out))
    return {
        "mistakes": [{"item": dataset.names[int(held_out[i])]} | facts for i, facts in rows],
        # Made when a page is: that takes longer than some fits.
        "map": partial(
            gathering.feature_map, dataset, held_out[some], described[some], outputs[some]
        ),
    }


def gathered(made: Fit) -> dict[str, Any]:
    """Return what the page of a fit shows besides its figures; pictures are made here."""
    dataset, parts, figures = made.dataset, made.parts, made.evaluation
    more = gathering.of_data(dataset, parts) | made.shown
    low, high = figures.interval
    mine = {"name": "this model", "value": figures.value, "low": low, "high": high}
    least = gathering.floor(dataset, parts)
    mistakes = [row["item"] for row in more.get("mistakes", [])]
    drawn = more.get("map")
    return {
        **more,
        **gathering.shown_items(dataset, parts, more, mistakes, made.findings),
        "findings": made.findings,
        "floors_shown": [mine, least] if least else [],
        "map": drawn() if callable(drawn) else drawn,
        "sample": "new-pictures" if dataset.kind == "image" else "one sentence",
    }


def worst(task: Task, held_out: Dataset, outputs: Matrix) -> list[dict[str, Any]]:
    """Return the worst mistakes; those of texts with how they begin."""
    rows = task.mistakes(outputs, held_out.labels, WORST)
    return [
        {"item": held_out.names[i]}
        | facts
        | ({"text": gathering.beginning(held_out, i)} if held_out.kind == "text" else {})
        for i, facts in rows
    ]
