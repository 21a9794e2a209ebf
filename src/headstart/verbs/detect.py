"""`detect`: find things in pictures, with a detector on a backbone's maps.

>>> from headstart.verbs import detect
>>> detect.fit("/no/such/place")  # doctest: +ELLIPSIS
Traceback (most recent call last):
headstart.errors.DataError: no such file or folder: '/no/such/place'. Headstart reads boxes from ...
"""

from __future__ import annotations

import shutil
import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from headstart import bundle as bundles
from headstart.backbones.choice import entries_for, say
from headstart.backbones.entry import Entry
from headstart.bundle import Bundle
from headstart.compute.device import pick
from headstart.data.dataset import Rejected
from headstart.data.split import Split, require_held_out, split
from headstart.detection import reading
from headstart.detection.anchors import side_for
from headstart.detection.audit import Checked, check
from headstart.detection.learn import learn, shapes
from headstart.detection.model import Finder
from headstart.errors import BundleError, DataError, UsageError, meant
from headstart.place import claimed
from headstart.progress import log
from headstart.settings.groups import Input, Pictured
from headstart.settings.option import require_read
from headstart.settings.table import Detecting, Finding, Rating
from headstart.settings.taking import takes
from headstart.strategies.registry import strategy
from headstart.tasks import box_figures
from headstart.tasks.figures import Measured
from headstart.tasks.task import Matrix, Targets, Task
from headstart.training.fitted import Fitted
from headstart.training.resuming import Resuming
from headstart.verbs import gathering
from headstart.verbs.fit_result import WORST, Fit
from headstart.wording import Said

SHOWN = 12
"""Held-out pictures that a report shows with their boxes."""


@takes(Detecting)
def fit(data: str | Path, run: Detecting) -> Fit:
    """Train a detector on the boxes of ``data``, and measure it on held-out pictures.

    ``data`` is a COCO file or a folder, see `headstart.detection.reading.LAYOUTS`. Without ``out``
    nothing is written.

    Raises:
        UsageError: an option is unknown, out of range or not read; faster-coco-eval is missing.
        DataError: nothing sensible can be trained on.
        BackboneError: the backbone is not here, or has no maps.
    """
    box_figures.require()
    _require_read(run)
    if run.out is None:
        return _fit(data, run)
    bundles.check_target(run.out)
    with claimed(run.out):
        return _fit(data, run)


def _fit(data: str | Path, run: Detecting) -> Fit:
    start = time.perf_counter()
    notes: list[str] = []
    checked = check(reading.read(data, run.images, anywhere=run.anywhere))
    for note in checked.notes:
        say(notes, note)
    parts = _parts(checked, run)
    entry = _entry(checked, parts, run, notes)
    resuming = None
    if run.out:
        folder = run.out / bundles.CHECKPOINTS
        resuming = Resuming(folder, run.resume, run.checkpoint_every)
    fitted = learn(checked.dataset, parts.train, entry, run, resuming=resuming)
    outputs = fitted.model.outputs(checked.dataset, parts.held_out, device=pick(run.device))
    result = _result(fitted, checked, parts, outputs, [*notes, *fitted.notes], run.lang)
    asked = gathering.called("detect fit", checked.dataset.root.name, run)
    result = replace(result, reading=run.values(Pictured), shown=asked)
    result.seconds["total"] = time.perf_counter() - start
    return _saved(result, outputs, run.out)


def _require_read(run: Detecting) -> None:
    name = run.strategy or "partial:1"
    chosen = strategy(name)
    require_read(run, lambda row: None if chosen.reads(row) else f"it is not for {name}")


def _parts(checked: Checked, run: Detecting) -> Split:
    dataset, usable = checked.dataset, checked.audit.usable
    if not len(usable):
        checked.audit.require_usable()
    parts = split(dataset, usable, val=run.val, seed=run.seed)
    why = dataset.known.task.unlearnable(dataset.labels[parts.train], "training pictures")
    if why:
        raise DataError(f"{dataset.root}: {why}.")
    require_held_out(dataset, parts)
    return parts


def _entry(checked: Checked, parts: Split, run: Detecting, notes: list[str]) -> Entry:
    """Return the backbone, for whole pictures in a square in which things can be seen."""
    from headstart.detection.maps import square

    entries = entries_for(run.backbone, checked.dataset, Input(), run.seed, notes)
    if len(entries) > 1:
        raise UsageError(f"boxes are found on the maps of one backbone, not of '{run.backbone}'.")
    side = run.image_size or side_for(shapes(checked.dataset, parts.train), checked.longest)
    if side > checked.longest and not run.image_size:
        larger = Said(
            "pictures are enlarged to {side} pixels a side, for half of the things are small "
            "(--image-size)",
            side=side,
        )
        say(notes, larger)
    return square(entries[0], side)


def _result(
    fitted: Fitted,
    checked: Checked,
    parts: Split,
    outputs: Matrix,
    notes: list[str],
    lang: str | None,
) -> Fit:
    held_out, task = checked.dataset.take(parts.held_out), fitted.model.task
    return Fit(
        fitted=fitted,
        dataset=checked.dataset,
        audit=checked.audit,
        parts=parts,
        evaluation=task.evaluate(outputs, held_out.labels),
        seconds={"total": 0.0, "features": 0.0, "train": fitted.seconds},
        cache=fitted.cache,
        errors=[
            {"item": held_out.names[i]} | facts
            for i, facts in task.mistakes(outputs, held_out.labels, WORST)
        ],
        notes=notes,
        lang=lang,
    )


def _saved(result: Fit, outputs: Matrix, out: Path | None) -> Fit:
    """Return the result with its bundle in ``out``, whose page shows pictures with boxes."""
    if out is None:
        return result
    with TemporaryDirectory() as folder:
        path = Path(folder) / "boxes.png"
        _drawn(result, outputs, path)
        picture = b64encode(path.read_bytes()).decode()
        shown = {**result.shown, "boxes": f"data:image/png;base64,{picture}"}
        replace(result, shown=shown).save(out)
        shutil.copyfile(path, out / path.name)
    shutil.rmtree(out / bundles.CHECKPOINTS, ignore_errors=True)
    return replace(result, bundle=out)


def _drawn(result: Fit, outputs: Matrix, path: Path) -> None:
    """Draw held-out pictures with their boxes, half of them those with most mistakes."""
    from headstart.report.pictures import boxes

    task, held_out = result.model.task, result.dataset.take(result.parts.held_out)
    worst = [i for i, _ in task.mistakes(outputs, held_out.labels, SHOWN // 2)]
    others = [i for i in range(len(held_out)) if i not in worst]
    chosen = np.array([*worst, *others][:SHOWN], np.int64)
    boxes(held_out.take(chosen), outputs[chosen], path)


@takes(Finding)
def predict(bundle: str | Path | Bundle, sources: Any, run: Finding) -> list[dict[str, Any]]:
    """Return ``{item, boxes, width, height}`` or ``{item, error}`` for each picture of ``sources``.

    Each box has its label, the label's id in the data that the model learned from, a probability,
    and [left, top, right, bottom] in pixels of the upright picture.
    """
    return list(stream_of(bundle, sources, run))


@takes(Finding)
def stream(bundle: str | Path | Bundle, sources: Any, run: Finding) -> Iterator[dict[str, Any]]:
    """Yield the answers of `predict` as they come; memory does not grow with their number."""
    return stream_of(bundle, sources, run)


def stream_of(bundle: str | Path | Bundle, sources: Any, run: Finding) -> Iterator[dict[str, Any]]:
    """Yield the answers under settings that are resolved already."""
    model, n, surest = finder(bundle), 0, 0.0
    for answer in model.stream(sources, device=pick(run.device), beside=run):
        if "boxes" not in answer:
            yield answer
            continue
        n, surest = n + 1, max([surest, *(one["probability"] for one in answer["boxes"])])
        yield answer | {"boxes": [b for b in answer["boxes"] if b["probability"] >= run.threshold]}
    if n and surest < run.threshold:
        said = "no box reaches %g, on none of %d pictures; the surest has %.2f (--threshold)"
        log.info(said, run.threshold, n, surest)


def finder(bundle: str | Path | Bundle) -> Finder:
    """Return the model in a bundle that `fit` made.

    Raises:
        BundleError: it is a bundle of another verb.
    """
    loaded = bundle if isinstance(bundle, Bundle) else bundles.load(bundle)
    if not isinstance(loaded.model, Finder):
        raise BundleError(
            f"{loaded.path} answers with {loaded.model.task.name}, not with boxes; "
            "`headstart detect fit` makes one that does, and this one is for headstart predict."
        )
    return loaded.model


@takes(Rating)
def evaluate(
    bundle: str | Path | Bundle, data: str | Path, run: Rating
) -> tuple[Measured, Sequence[Rejected]]:
    """Return the figures of a saved detector on ``data``, and what could not be used.

    Classes go by their names, whatever their ids. Of data with a split of their own only the
    held-out part counts: test, else val.

    Raises:
        DataError: none of the classes is one that the bundle knows.
    """
    box_figures.require()
    model = finder(bundle)
    checked = check(reading.read(data, run.images, anywhere=run.anywhere), training=False)
    for note in checked.notes:
        log.info("%s", note)
    dataset, usable = checked.dataset, checked.audit.usable
    for name in ("test", "val"):
        if (dataset.splits[usable] == name).any():
            log.info("measuring on the %s part of %s", name, dataset.root)
            usable = usable[dataset.splits[usable] == name]
            break
    if not len(usable):
        checked.audit.require_usable()
    values, _ = model.task.translated(Targets(dataset.known.task, dataset.labels[usable]))
    if strange := _strangers(dataset.known.take(usable), model.task):
        log.warning("boxes of classes that the model does not know are left out: %s", strange)
    outputs = model.outputs(dataset, usable, device=pick(run.device))
    figures = model.task.evaluate(outputs, values)
    assert isinstance(figures, Measured)
    return figures, checked.audit.rejected


def _strangers(targets: Targets, known: Task) -> str:
    """Return the classes of boxes that a model has not learned, and which may be meant by them."""
    counts = targets.task.counts(targets.values)
    others = [name for name, n in counts.items() if n and name not in known.names]
    found = ", ".join(f"'{name}' (on {counts[name]} pictures)" for name in others)
    return found and f"{found}.{meant(others, known.names)}"
