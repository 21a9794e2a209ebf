"""The verbs, as the command line and scripts call them; each is made of public parts."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart import bundle as bundles
from headstart.backbones.entry import Entry
from headstart.backbones.registry import resolve_all
from headstart.bundle import Bundle
from headstart.data.audit import Audit
from headstart.data.audit import audit as audit_dataset
from headstart.data.dataset import Dataset, Rejected
from headstart.data.images import Decoded, Preprocess, examine
from headstart.data.items import arriving
from headstart.data.reading import read
from headstart.data.split import Split, check_share, draw, split
from headstart.data.texts import clean_text
from headstart.device import pick
from headstart.errors import DataError, HeadstartError, ItemError, UsageError
from headstart.evaluation import metrics
from headstart.evaluation.compare import Comparison, Shots
from headstart.evaluation.compare import compare as compare_runs
from headstart.evaluation.metrics import Evaluation
from headstart.evaluation.record import Record
from headstart.features.extract import Features, extract
from headstart.features.heads import softmax
from headstart.progress import log
from headstart.store import digest
from headstart.strategies.plan import Options
from headstart.strategies.registry import strategy as find_strategy
from headstart.training.transfer import Fitted, Resuming, check_kind, transfer

DEFAULT = {"image": "glyphs", "text": "minilm"}
"""The backbone of each kind of items where none is named: both work offline."""

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


def audit(data: str | Path | Dataset, **reading: Any) -> Audit:
    """Return what can be used of ``data``, and what cannot, with reasons; nothing is changed."""
    return audit_dataset(_read(data, reading))


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
    dataset = _read(data, reading)
    check_kind(chosen, strategy, dataset.kind)
    notes: list[str] = []
    entries = _entries(backbone, dataset, channels, seed, notes, options)
    found, features = _look(dataset, entries, chosen.solves, device, seed)
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


def _read(data: str | Path | Dataset, reading: dict[str, Any]) -> Dataset:
    return data if isinstance(data, Dataset) else read(data, **reading)


def _entries(
    backbone: str | None,
    dataset: Dataset,
    channels: int | None,
    seed: int,
    notes: list[str],
    options: Options | None = None,
) -> tuple[Entry, ...]:
    """Return the backbones of the name, as the items and the options want them."""
    backbone = backbone or DEFAULT[dataset.kind]
    entries = resolve_all(backbone, seed=seed)
    if entries[0].kind != dataset.kind:
        raise DataError(
            f"{dataset.root} holds {dataset.kind}s, but the backbone '{backbone}' is for "
            f"{entries[0].kind}s; try '{DEFAULT[dataset.kind]}'."
        )
    o = options or Options()
    if o.image_size:
        entries = tuple(_of_size(entry, o.image_size) for entry in entries)
    if dataset.kind == "text":
        how: dict[str, Any] = {"pooling": o.pooling, "max_length": o.max_length, "clean": o.clean}
        return tuple(entry.reading(**how) for entry in entries)
    return _for_pictures(entries, dataset, channels, notes)


def _of_size(entry: Entry, side: int) -> Entry:
    sized = entry.with_image_size(side)
    if sized != entry:
        from headstart.backbones.build import check_size

        check_size(sized)
    return sized


def _for_pictures(
    entries: tuple[Entry, ...], dataset: Dataset, channels: int | None, notes: list[str]
) -> tuple[Entry, ...]:
    picture = first_picture(dataset)
    wanted = channels or array_channels(picture)
    glyphs = any(entry.name == "glyphs" for entry in entries)
    if glyphs and picture and min(picture.width, picture.height) > 64:
        _note(
            notes,
            "glyphs learned from small printed characters; for photos name a backbone that learned "
            "from photos, such as torchvision:mobilenet_v2",
        )
    if wanted is None:
        return entries
    for entry in entries:
        if isinstance(entry.preprocess, Preprocess) and entry.preprocess.channels != wanted:
            _note(
                notes,
                f"{entry.name}: first convolution adapted from {entry.preprocess.channels} to "
                f"{wanted} channels",
            )
    return tuple(entry.with_channels(wanted) for entry in entries)


def first_picture(dataset: Dataset) -> Decoded | None:
    """Return the first of the data set's pictures that can be unpacked, among the first 20."""
    for index in range(min(len(dataset), 20)):
        try:
            return examine(dataset.content(index))
        except (OSError, ItemError):
            continue
    return None


def array_channels(picture: Decoded | None) -> int | None:
    """Return how many channels a picture from an array file has; None for picture files."""
    if picture is None or not isinstance(picture.image, np.ndarray):
        return None
    return picture.image.shape[2] if picture.image.ndim == 3 else 1


def _look(
    dataset: Dataset, entries: tuple[Entry, ...], solves: bool, device: str, seed: int
) -> tuple[Audit, Features | None]:
    """Audit the data, and compute features in the same pass where the strategy solves on them."""
    if not solves or not all(entry.ready for entry in entries):
        return audit_dataset(dataset).require_usable(), None
    found, features = extract(dataset, entries, device=device, seed=seed)
    return found.require_usable(), features


def _parts(
    dataset: Dataset, found: Audit, val: float, shots: int | None, seed: int, notes: list[str]
) -> Split:
    """Return what to train on and what is held out, and say where classes fall short."""
    parts = split(dataset, found.usable, val=val, seed=seed)
    train = draw(dataset.labels, parts.train, shots, seed=seed)
    counts = np.bincount(dataset.labels[train], minlength=len(dataset.classes))
    short = [f"{dataset.classes[c]} ({n})" for c, n in enumerate(counts) if n < (shots or 1)]
    if shots and short:
        _note(notes, f"fewer than {shots} examples to train on: {', '.join(short)}")
    if (counts > 0).sum() < 2:
        raise DataError(
            f"{dataset.root}: only one class has training items; at least two are needed."
        )
    if found.tiny:
        names = ", ".join(f"{name} ({n})" for name, n in found.tiny.items())
        _note(notes, f"{len(found.tiny)} classes have fewer than five items: {names}")
    _require_held_out(dataset, parts)
    return Split(train, parts.held_out)


def _require_held_out(dataset: Dataset, parts: Split) -> None:
    if not len(parts.held_out):
        raise DataError(
            f"{dataset.root}: nothing is left to measure on, for every class has a single item; "
            "add items, or a val folder."
        )


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


def _note(notes: list[str], text: str) -> None:
    log.info("%s", text)
    notes.append(text)


def backbone_name(entries: Sequence[Entry]) -> str:
    """Return ``x+y`` for the entries x and y."""
    return "+".join(entry.name for entry in entries)


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


def predict(
    bundle: str | Path | Bundle,
    sources: str | Path | Sequence[str | Path],
    *,
    device: str = "auto",
) -> Iterator[dict[str, Any]]:
    """Yield one answer an item of ``sources``, see `Bundle.predict`.

    ``-`` stands for standard input, each line of which is a text; it is answered as it comes.
    """
    loaded = bundle if isinstance(bundle, Bundle) else bundles.load(bundle)
    listed = [sources] if isinstance(sources, str | Path) else list(sources)
    chosen = pick(device)
    for is_input, group in groupby(listed, key=lambda source: str(source) == "-"):
        if is_input:
            for lines in arriving(sys.stdin.buffer):
                yield from loaded.predict_texts(lines, device=chosen)
        else:
            yield from loaded.predict(list(group), device=chosen)


def evaluate(
    bundle: str | Path | Bundle, data: str | Path | Dataset, *, device: str = "auto", **reading: Any
) -> tuple[Evaluation, tuple[Rejected, ...]]:
    """Return the figures of a saved model on ``data``, and the items that could not be used.

    Of data with a split of their own only the held-out part counts: test, else val.

    Raises:
        DataError: none of the classes is one of the bundle's.
    """
    loaded = bundle if isinstance(bundle, Bundle) else bundles.load(bundle)
    dataset = _read(data, reading)
    if dataset.kind != loaded.kind:
        raise DataError(f"the bundle answers {loaded.kind}s, but {dataset.root} holds others.")
    for name in ("test", "val"):
        if (dataset.splits == name).any():
            log.info("measuring on the %s part of %s", name, dataset.root)
            dataset = dataset.take(np.flatnonzero(dataset.splits == name))
            break
    number = {name: i for i, name in enumerate(loaded.classes)}
    mapped = np.array([number.get(name, -1) for name in dataset.classes], np.int64)[dataset.labels]
    if not (mapped >= 0).any():
        raise DataError(
            f"no class of {dataset.root} ({', '.join(dataset.classes[:5])}) is one of the "
            f"bundle's: {', '.join(loaded.classes[:10])}."
        )
    strangers = tuple(
        Rejected(
            dataset.names[int(i)], f"class '{dataset.classes[dataset.labels[i]]}' is not known"
        )
        for i in np.flatnonzero(mapped < 0)
    )
    keep = np.flatnonzero(mapped >= 0)
    known = replace(dataset.take(keep), labels=mapped[keep], classes=loaded.classes)
    found, features = loaded.extract(known, device=pick(device))
    if not len(found.usable):
        found.require_usable()
    chances = loaded.probabilities(known, found.usable, features)
    figures = metrics.evaluate(chances, known.labels[found.usable], loaded.classes)
    return figures, found.rejected + strangers


def features(
    data: str | Path | Dataset,
    *,
    out: str | Path,
    backbone: str | None = None,
    block: int = -1,
    seed: int = 0,
    device: str = "auto",
    channels: int | None = None,
    **reading: Any,
) -> dict[str, Any]:
    """Write the features of ``data`` to the Parquet file ``out``: item, label, split, vector.

    Args:
        data: a folder, a table, or what `read` returned.
        backbone: a name, or ``x+y`` to join vectors.
        out: the file to write; rows are streamed, so memory does not grow with their number.
        block: -1 for the pooled output; else the output of that block, averaged over positions.
        seed: of random weights.
        device: "auto", "cpu", "cuda" or "mps".
        channels: see `fit`.
        **reading: options of `read`.
    """
    from headstart.features.parquet import write

    dataset = _read(data, reading)
    entries = _entries(backbone, dataset, channels, seed, [])
    found, vectors = extract(dataset, entries, block=block, device=pick(device), seed=seed)
    if not len(found.usable):
        found.require_usable()
    write(Path(out), dataset, found.usable, vectors)
    return {
        "out": str(out),
        "n": len(found.usable),
        "n_features": vectors.n_features,
        "backbone": backbone_name(entries),
        "block": block,
        "cache": {"hits": vectors.hits, "misses": vectors.misses},
        "seconds": vectors.seconds,
        "skipped": [one._asdict() for one in found.rejected],
    }


def compare(
    data: str | Path | Dataset,
    *,
    strategies: Sequence[str],
    backbones: Sequence[str] = (),
    shots: Sequence[Shots] = ("all",),
    draws: int = 5,
    val: float = 0.2,
    seed: int = 0,
    budget: float | None = None,
    workers: int | None = 1,
    device: str = "auto",
    options: Options | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    **reading: Any,
) -> Comparison:
    """Measure ``strategies`` side by side on paired draws, see `headstart.evaluation.compare`.

    ``workers`` None stands for two processes on a CPU of several cores. Processes are started
    anew, so a script that asks for more than one needs ``if __name__ == "__main__":``.

    ``out`` is a folder for ``compare.json``, which is up to date after each run; ``resume`` takes
    the runs that it holds as done, also where now more strategies, backbones, shots or draws are
    asked for.

    Raises:
        UsageError: an unknown strategy, or a number out of range; before anything is run.
        DataError: nothing sensible can be trained on.
        BackboneError: a backbone or its weights are not here.
    """
    chosen = [find_strategy(name) for name in strategies]
    check_share("val", val)
    if not chosen or draws < 1 or any(n != "all" and n < 1 for n in shots):
        raise UsageError(
            "compare needs at least one strategy and one draw, and shots of 1 or more (or 'all'); "
            f"got {list(strategies)}, {draws}, {list(shots)}."
        )
    dataset, device = _read(data, reading), pick(device)
    if resume and out is None:
        raise UsageError("resume goes on from the comparison in out; give the folder.")
    solves = any(one.solves for one in chosen)
    candidates = []
    found: Audit | None = None
    for one, name in zip(chosen, strategies, strict=True):
        check_kind(one, name, dataset.kind)
    for name in backbones or [DEFAULT[dataset.kind]]:
        entries = _entries(name, dataset, None, seed, [], options)
        found, features = _look(dataset, entries, solves, device, seed)
        candidates.append((name, entries, features))
    if found is None:
        raise HeadstartError("no backbone was looked at")
    parts = split(dataset, found.usable, val=val, seed=seed)
    _require_held_out(dataset, parts)
    if workers is None:
        workers = min(2, os.cpu_count() or 1) if device == "cpu" else 1
    held: dict[str, Any] = {}
    if out is not None:
        settings = {
            "training items": _fingerprint(dataset, found, parts.train),
            "held-out items": _fingerprint(dataset, found, parts.held_out),
            "seed": seed,
            "device": device,
            "options": asdict(options or Options()),
            **{f"backbone {n}": [one.key() for one in entries] for n, entries, _ in candidates},
        }
        record = Record(Path(out), settings)
        held = {"done": record.runs() if resume else (), "keep": record.keep}
    return compare_runs(
        dataset,
        parts,
        candidates,
        strategies,
        shots=shots,
        draws=draws,
        options=options,
        seed=seed,
        device=device,
        budget=budget,
        workers=workers,
        **held,
    )


def _fingerprint(dataset: Dataset, found: Audit, indices: npt.NDArray[np.int64]) -> str:
    """Return what names these items: how many, their contents, and their labels."""
    labels = [dataset.classes[label] for label in dataset.labels[indices]]
    content = digest(*found.digests[indices].tolist(), *(label.encode() for label in labels))
    return f"{len(indices)}, {content.hex()}"
