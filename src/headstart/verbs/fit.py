"""`fit`: carry a backbone over to the classes of the data, and measure it."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np

from headstart import bundle as bundles
from headstart.boundary.extract import Features, look
from headstart.boundary.heads import softmax
from headstart.bundle import Bundle
from headstart.compute.device import pick
from headstart.data.audit import Audit
from headstart.data.dataset import Dataset
from headstart.data.reading import given
from headstart.data.split import Split, check_share, draw, require_held_out, split
from headstart.data.texts import clean_text
from headstart.errors import DataError, UsageError
from headstart.evaluation import metrics
from headstart.evaluation.metrics import Evaluation
from headstart.store import digest
from headstart.strategies.plan import Options
from headstart.strategies.registry import strategy as find_strategy
from headstart.training.transfer import Fitted, Resuming, check_kind, transfer
from headstart.verbs.choice import backbone_name, entries_for, say

WORST = 50
"""Confident mistakes that a bundle remembers."""


BEGINNING = 200
"""Characters of a text that are shown."""


@dataclass(frozen=True)
class Fit:
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
    """

    fitted: Fitted
    dataset: Dataset
    audit: Audit
    parts: Split
    evaluation: Evaluation
    seconds: dict[str, float]
    cache: dict[str, int]
    errors: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)
    reading: dict[str, Any] = field(default_factory=dict)
    bundle: Path | None = None

    @property
    def accuracy(self) -> float:
        """Share of the held-out items answered right, 0..1."""
        return self.evaluation.accuracy

    def to_json(self) -> dict[str, Any]:
        """Return the object that `headstart fit --json` prints."""
        return {
            "accuracy": self.evaluation.accuracy,
            "interval": list(self.evaluation.interval),
            "n_train": len(self.parts.train),
            "n_val": len(self.parts.held_out),
            "classes": list(self.fitted.classes),
            "backbone": backbone_name(self.fitted.entries),
            "strategy": self.fitted.strategy,
            "seed": self.fitted.seed,
            "seconds": self.seconds,
            "cache": self.cache,
            "skipped": [one._asdict() for one in self.audit.rejected],
            "tiny": self.audit.tiny,
            "per_class": self.evaluation.per_class(),
            "calibration_error": self.evaluation.calibration_error,
            "temperature": self.fitted.head.temperature,
            "notes": self.notes,
            "bundle": str(self.bundle) if self.bundle else None,
        }

    def save(self, path: str | Path) -> Bundle:
        """Write the bundle to the folder ``path``, with its report, and return it loaded."""
        from headstart.report.html import write_report

        folder = Path(path)
        facts = {
            "metrics": self.evaluation.to_json(),
            "errors": self.errors,
            "data": {
                "root": str(self.dataset.root.resolve()),
                "columns": list(self.dataset.columns),
                "reading": {k: _plain(v) for k, v in self.reading.items() if v is not None},
                "fingerprint": digest(*self.audit.digests[self.parts.train].tolist()).hex(),
                "n_train": len(self.parts.train),
                "n_val": len(self.parts.held_out),
            },
            "seconds": self.seconds,
            "notes": self.notes,
            "skipped": [one._asdict() for one in self.audit.rejected],
            "versions": _versions(),
        }
        made = bundles.save(self.fitted, folder, facts)
        self.audit.write_skipped(folder / "skipped.csv")
        write_report(made)
        return made


def fit(
    data: str | Path | Dataset,
    *,
    backbone: str | None = None,
    strategy: str = "frozen",
    val: float = 0.2,
    shots: int | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    resume: bool = False,
    every: float = 60.0,
    device: str = "auto",
    channels: int | None = None,
    options: Options | None = None,
    **reading: Any,
) -> Fit:
    """Carry ``backbone`` over to the classes of ``data``, and measure it on held-out items.

    Args:
        data: a folder, a table, or what `read` returned.
        backbone: a name, or ``x+y`` to join features; None for `DEFAULT`.
        strategy: a name, see ``headstart.strategies``.
        val: share held out where the data have no split of their own, between 0 and 1.
        shots: examples a class drawn from the training items; None for all.
        seed: of everything random.
        out: folder for the bundle, and for checkpoints on the way; None keeps it in memory.
        resume: go on from the newest checkpoint in ``out``, if there is one.
        every: seconds between two checkpoints.
        device: "auto", "cpu", "cuda" or "mps".
        channels: of the pictures; by default what the backbone reads, or array files hold.
        options: for training by steps and for the head.
        **reading: options of `read`.

    Raises:
        UsageError: an option is unknown or out of range, or the checkpoints are of another run.
        DataError: nothing sensible can be trained on.
        BackboneError: the backbone or its weights are not here.
    """
    start = time.perf_counter()
    chosen, device = find_strategy(strategy), pick(device)
    if out is not None:
        bundles.check_target(Path(out))
    check_share("val", val)
    if shots is not None and shots < 1:
        raise UsageError(f"shots is {shots}, but must be 1 or more.")
    if resume and out is None:
        raise UsageError("resume goes on from the checkpoints in out; give the folder.")
    dataset = given(data, reading)
    check_kind(chosen, strategy, dataset.kind)
    notes: list[str] = []
    entries = entries_for(backbone, dataset, channels, seed, notes, options)
    found, features = look(dataset, entries, solves=chosen.solves, device=device, seed=seed)
    parts = _parts(dataset, found, val, shots, seed, notes)
    fitted = transfer(
        dataset,
        parts.train,
        entries,
        strategy,
        options=options,
        seed=seed,
        device=device,
        features=features,
        resuming=Resuming(Path(out) / bundles.CHECKPOINTS, resume, every) if out else None,
    )
    logits = fitted.logits(dataset, parts.held_out, features=features, device=device)
    made = _result(fitted, dataset, found, parts, softmax(logits), features, notes)
    result = replace(made, reading=reading)
    if out is not None:
        result.save(out)
        result = replace(result, bundle=Path(out))
        shutil.rmtree(Path(out) / bundles.CHECKPOINTS, ignore_errors=True)
    result.seconds["total"] = time.perf_counter() - start
    return result


def _parts(
    dataset: Dataset, found: Audit, val: float, shots: int | None, seed: int, notes: list[str]
) -> Split:
    """Return what to train on and what is held out, and say where classes fall short."""
    parts = split(dataset, found.usable, val=val, seed=seed)
    train = draw(dataset.labels, parts.train, shots, seed=seed)
    counts = np.bincount(dataset.labels[train], minlength=len(dataset.classes))
    short = [f"{dataset.classes[c]} ({n})" for c, n in enumerate(counts) if n < (shots or 1)]
    if shots and short:
        say(notes, f"fewer than {shots} examples to train on: {', '.join(short)}")
    if (counts > 0).sum() < 2:
        raise DataError(
            f"{dataset.root}: only one class has training items; at least two are needed."
        )
    if found.tiny:
        names = ", ".join(f"{name} ({n})" for name, n in found.tiny.items())
        say(notes, f"{len(found.tiny)} classes have fewer than five items: {names}")
    require_held_out(dataset, parts)
    return Split(train, parts.held_out)


def _result(
    fitted: Fitted,
    dataset: Dataset,
    found: Audit,
    parts: Split,
    probabilities: Any,
    features: Features | None,
    notes: list[str],
) -> Fit:
    held_out = dataset.take(parts.held_out)
    return Fit(
        fitted=fitted,
        dataset=dataset,
        audit=found,
        parts=parts,
        evaluation=metrics.evaluate(probabilities, held_out.labels, dataset.classes),
        seconds={
            "total": 0.0,
            "features": features.seconds if features else 0.0,
            "train": fitted.seconds,
        },
        cache={
            "hits": features.hits if features else fitted.cache["hits"],
            "misses": features.misses if features else fitted.cache["misses"],
        },
        errors=_worst(held_out, probabilities),
        notes=[*notes, *fitted.notes],
    )


def _worst(held_out: Dataset, probabilities: Any) -> list[dict[str, Any]]:
    """Return the confident mistakes; those of texts with how they begin."""
    rows = metrics.worst(probabilities, held_out.labels, held_out.names, held_out.classes, WORST)
    if held_out.kind == "image":
        return rows
    number = {name: i for i, name in enumerate(held_out.names)}
    contents = (held_out.content(number[row["item"]]) for row in rows)
    texts = (clean_text(content.decode("utf-8", "replace")) for content in contents)
    return [
        row | {"text": shorten(text, BEGINNING, placeholder=" …")}
        for row, text in zip(rows, texts, strict=True)
    ]


def _plain(option: Any) -> Any:
    return list(option) if isinstance(option, list | tuple) else str(option)


def _versions() -> dict[str, str]:
    import platform
    from importlib.metadata import version

    names = ("torch", "torchvision", "timm", "transformers", "tokenizers") + (
        "onnxruntime",
        "scikit-learn",
        "numpy",
        "Pillow",
    )
    return {"python": platform.python_version()} | {name: version(name) for name in names}
