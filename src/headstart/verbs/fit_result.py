"""What `fit` returns: the model, how good it is, its bundle and its page."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError

from headstart import bundle as bundles
from headstart.backbones.choice import backbone_name
from headstart.bundle import Bundle
from headstart.cards import Card, Record, Shown, spread
from headstart.data.audit import Audit
from headstart.data.dataset import Dataset
from headstart.data.split import Split
from headstart.errors import BundleError
from headstart.findings import Finding
from headstart.model import Model
from headstart.place import claimed, filled
from headstart.progress import log
from headstart.store import digest, written_aside
from headstart.tasks.shown import named
from headstart.tasks.task import Figures, Matrix, Task
from headstart.training.fitted import Fitted
from headstart.verbs import gathering, trained
from headstart.verbs.auto import Auto

WORST = 50
"""Confident mistakes that a bundle remembers."""


DRAWN = tuple(f"{one}.png" for one in ("batch", "embedding", "errors", "filters"))
"""What `headstart show` leaves in a bundle; it tells of one model alone."""


def _kind_of(folder: Path) -> str:
    """Return what the bundle in ``folder`` answers, "image" or "text"; empty without one."""
    with suppress(OSError, ValueError, AttributeError):
        return str(json.loads((folder / "bundle.json").read_text("utf-8")).get("kind", ""))
    return ""


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
        earlier = _kind_of(folder)
        if earlier not in ("", self.model.kind):
            said = "%s held a model of %ss, which this one of %ss replaces"
            log.info(said, folder, earlier, self.model.kind)
        try:
            with filled(folder) as aside:
                made = bundles.save(self.model, aside, self._facts())
                self.audit.write_skipped(aside / "skipped.csv")
                seen = np.concatenate(self.parts) if self.refitted else self.parts.train
                trained.save(aside, self.audit.digests[seen])
                self._write_page(made, folder)
        except (OSError, SafetensorError) as error:
            raise BundleError(f"the model cannot be saved in {folder}: {error}") from error
        for name in DRAWN:  # of the model that was here before
            (folder / name).unlink(missing_ok=True)
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

        # As they were said, not as JSON has them: the page may be in another language.
        more = {**gathered(self), "notes": self.notes, "folder": folder.resolve().name}
        if found := gathering.filters(self.model, made.tensors if self.fitted.history else {}):
            more["filters"] = found
        with written_aside(made.path / "report.html") as aside:
            aside.write_text(page(made.facts, more, Words(language(self.lang))), encoding="utf-8")


def shown(made: Fit, described: Matrix, outputs: Matrix) -> dict[str, Any]:
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
