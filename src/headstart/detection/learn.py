"""From pictures with boxes, a backbone and a strategy to a detector, in the one loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.backbones.entry import Entry
from headstart.compute.device import pick
from headstart.data.dataset import Dataset
from headstart.data.pictures.images import Preprocess
from headstart.detection import anchors
from headstart.detection.mirrored import with_mirrored
from headstart.detection.model import Finder, no_head
from headstart.errors import UsageError
from headstart.progress import log
from headstart.settings.groups import Options, Steps
from headstart.settings.option import deciding
from headstart.settings.table import Detecting
from headstart.strategies.plan import Plan
from headstart.strategies.registry import strategy
from headstart.tasks.average_precision import Numbers
from headstart.tasks.box_figures import things
from headstart.tasks.boxes import THING
from headstart.tasks.task import Indices
from headstart.training.fitted import Fitted
from headstart.training.resuming import Resuming, checkpoints_of
from headstart.training.selection import selection
from headstart.training.steps import without_weights
from headstart.wording import Said

if TYPE_CHECKING:
    from headstart.boundary.inputs import Inputs
    from headstart.detection.detector import Detector
    from headstart.detection.maps import Maps
    from headstart.training.job import Job

LEAST_EPOCHS, LEAST_STEPS = 12, 1000
"""Training goes on for so many epochs, and so many steps, unless the user says otherwise."""

RATES = (3e-4, 1e-3)
"""Peak learning rates of AdamW for (pre-trained body, detector)."""


def learn(
    dataset: Dataset,
    train: Indices,
    entry: Entry,
    run: Detecting,
    *,
    resuming: Resuming | None = None,
    say: Callable[[str], None] = log.info,
) -> Fitted:
    """Train a detector on the boxes of ``dataset`` on the maps of ``entry``.

    Args:
        dataset: pictures with boxes as targets.
        train: indices of the training pictures.
        entry: the backbone, see `headstart.detection.maps.square`.
        run: the settings.
        resuming: checkpoints of the run; None leaves none.
        say: gets one line an epoch, and how long it will take before it starts.

    Raises:
        UsageError: a strategy that trains nothing by steps, or checkpoints of another run.
        BackboneError: a backbone without maps.
    """
    from headstart.boundary.inputs import Inputs
    from headstart.detection import maps
    from headstart.training.loop import train as run_loop

    start = time.perf_counter()
    backbone = maps.build(entry, seed=run.seed)
    name = run.strategy or f"partial:{backbone.highest}"
    options = _options(run, len(train))
    plan = _plan(name, backbone, len(train), options)
    if plan.start == "random" and entry.pretrained:
        entry = without_weights(entry, run.seed)
        backbone = maps.build(entry, seed=run.seed)
    notes: list[str] = []
    detector = _detector(backbone, dataset, train, run.seed, notes)
    read = entry.preprocess
    assert isinstance(read, Preprocess)
    whole = with_mirrored(dataset, train, read.channels) if run.mirror else dataset
    job = _job(whole, train, plan, options, detector, entry, run)
    inputs = Inputs(whole, read, seed=run.seed)
    try:
        notes.append(_expected(backbone, detector, inputs, job))
        for note in notes:
            say(note)
        facts = {"strategy": name, "seed": run.seed, "device": job.device}
        facts |= {"options": deciding(options, Options)}
        facts |= {"mirror": True} if run.mirror else {}
        found = checkpoints_of(resuming, dataset, entry, job.fit, job.select, facts)
        trained = run_loop(backbone, inputs, job, checkpoints=found, say=say)
    finally:
        inputs.close()
    model = _finder(entry, backbone, detector, trained.unchanged, job)
    seconds = time.perf_counter() - start
    return Fitted(model, name, trained.history, trained.cache, notes, seconds)


def _options(run: Detecting, n_train: int) -> Options:
    """Return what the loop and the strategies read, with a detector's own defaults."""
    options = Options(**run.values(Steps))
    if run.optimiser == "adamw":
        body, head = run.body_rate or RATES[0], run.head_rate or RATES[1]
        options = replace(options, body_rate=body, head_rate=head)
    epochs = options.epochs_for(n_train, default=LEAST_EPOCHS, least_steps=LEAST_STEPS)
    return replace(options, epochs=epochs, augment="off")


def _plan(name: str, backbone: Maps, n_train: int, options: Options) -> Plan:
    plan = strategy(name, options).plan(backbone.n_blocks, n_train, options)
    if plan.solver or plan.probe or plan.adapters:
        raise UsageError(
            f"'{name}' solves a head on features or trains adapters, but boxes need maps; "
            f"take warm, discriminative, l2-sp, scratch or partial:K, K up to {backbone.n_blocks}."
        )
    return plan


def _detector(
    backbone: Maps, dataset: Dataset, train: Indices, seed: int, notes: list[str]
) -> Detector:
    """Return a new detector with anchors like the boxes of the training pictures."""
    import torch

    from headstart.detection.detector import Detector, Spec

    side, levels = backbone.cut.size[-1], backbone.levels
    boxes = shapes(dataset, train) * side
    found = anchors.fitted(boxes, len(levels))
    share = anchors.covered(boxes, found)
    notes.append(
        Said(
            "maps of {n} levels, {fine} to {coarse} pixels a point; anchors of {least:g} to "
            "{most:g} pixels cover {share:.0f} % of the {boxes} training boxes by half",
            n=len(levels),
            fine=levels[0].stride,
            coarse=levels[-1].stride,
            least=found[0][0][0],
            most=found[0][-1][-1],
            share=100 * share,
            boxes=len(boxes),
        )
    )
    spec = Spec(
        tuple(level.channels for level in levels),
        tuple(level.stride for level in levels),
        side,
        *found,
        len(dataset.known.task.names),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Detector(spec)


def shapes(dataset: Dataset, indices: Indices) -> Numbers:
    """Return width and height of each box, shape (B, 2), in shares of a picture's longer side."""
    drawn = np.concatenate([things(row) for row in dataset.labels[indices]])
    drawn = drawn[drawn[:, 5] == THING]
    return np.asarray(drawn[:, 2:4] - drawn[:, :2])


def _job(
    dataset: Dataset,
    train: Indices,
    plan: Plan,
    options: Options,
    detector: Detector,
    entry: Entry,
    run: Detecting,
) -> Job:
    from headstart.detection.objective import Detection
    from headstart.training.job import Job

    targets = dataset.known
    fit, select = selection(targets, train, options, run.seed)
    return Job(
        plan,
        targets,
        fit,
        select,
        options,
        run.seed,
        pick(run.device),
        what=f"{entry.network}|maps",
        module=detector,
        objectives={"targets": partial(Detection.of, mirrored=len(dataset) // 2 * run.mirror)},
    )


def _finder(entry: Entry, backbone: Maps, detector: Detector, unchanged: int, job: Job) -> Finder:
    """Return the model of what was trained."""
    task = job.known.task
    return Finder(
        (entry,),
        no_head(task),
        task,
        job.seed,
        backbone,
        unchanged,
        job.options.cache_limit,
        spec=detector.spec.facts(),
        detector=detector.to("cpu").eval(),
    )


def _expected(backbone: Maps, detector: Detector, inputs: Inputs, job: Job) -> str:
    """Return how long training will take, from two steps of copies that leave nothing behind."""
    import torch

    from headstart.boundary.inputs import in_batches

    stage = job.plan.stages[0]
    n_steps = len(in_batches(job.fit, job.options.batch))
    with torch.random.fork_rng():
        own, head = deepcopy(backbone).to(job.device), deepcopy(detector).to(job.device)
        own.set_trainable(stage.trained, stage.parts)
        step = [_timed(own, head, inputs, job, stage.boundary(own.n_blocks)) for _ in range(2)][-1]
    epochs = sum(one.epochs for one in job.plan.stages)
    total = step * n_steps * epochs
    return Said(
        "training will take about {time} here; epochs: {epochs}; steps in each: {n_steps}, of "
        "{step:.2g} s",
        time=f"{total / 60:.0f} min" if total > 90 else f"{total:.0f} s",
        epochs=epochs,
        n_steps=n_steps,
        step=step,
    )


def _timed(backbone: Maps, detector: Detector, inputs: Inputs, job: Job, boundary: int) -> float:
    import torch

    from headstart.boundary.inputs import PLAIN
    from headstart.compute.running import autocast, to_device
    from headstart.detection.objective import truth

    some = job.fit[: job.options.batch]
    batch: Any = to_device(inputs.collate(list(inputs.rows(some, PLAIN))), job.device)
    side = detector.spec.side
    wanted = [truth(row, side, job.device) for row in job.known.values[some]]
    with autocast(job.device):
        with torch.no_grad():
            x = backbone.forward_to(batch, min(boundary, backbone.highest))
        start = time.perf_counter()
        found = backbone.forward_from(x, min(boundary, backbone.highest))
        detector.loss(found, wanted).backward()  # type: ignore[no-untyped-call]
    return time.perf_counter() - start
