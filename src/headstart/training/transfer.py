"""From a data set, a backbone and a strategy to a fitted model, in memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from headstart.backbones.entry import Entry
from headstart.backbones.registry import resolve
from headstart.data.dataset import Dataset
from headstart.data.split import inner
from headstart.errors import UsageError
from headstart.features.extract import Features, extract
from headstart.features.heads import Head, Matrix, solve
from headstart.progress import log, track
from headstart.strategies.plan import Options
from headstart.strategies.registry import strategy

if TYPE_CHECKING:
    from headstart.backbones.blocks import Backbone

Indices = npt.NDArray[np.int64]

LEAST_TO_SELECT = 16
"""Examples of the smallest class from which an inner part is set aside to choose the best epoch;
with fewer, every example is worth more in training."""

SELECTION_SHARE = 0.15


@dataclass(frozen=True)
class Fitted:
    """A fitted model.

    Attributes:
        strategy: how it was fitted, as the user wrote it.
        entries: the backbones it started from, in the order in which their features are joined.
        classes: names of the classes, in the order of the logits.
        head: from features to logits.
        backbone: the trained network; None where the backbones were not changed.
        history: one row an epoch, see `headstart.training.loop.Trained`.
        seconds: that training or solving took, features not counted.
        seed: of everything random.
    """

    strategy: str
    entries: tuple[Entry, ...]
    classes: tuple[str, ...]
    head: Head
    seed: int
    backbone: Backbone | None = None
    history: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0

    def logits(
        self,
        dataset: Dataset,
        indices: Indices,
        *,
        features: Features | None = None,
        device: str = "cpu",
    ) -> Matrix:
        """Return the calibrated logits, shape (len(indices), C), of usable items of ``dataset``.

        ``features`` of the unchanged backbones are used where they are given and apply.
        """
        if self.backbone is None:
            if features is None:
                _, features = extract(dataset, self.entries, device=device, seed=self.seed)
            return self.head.logits(features.rows(indices))
        from headstart.features.engine import torch_engine
        from headstart.training.source import Pictures, in_batches

        run = torch_engine(self.backbone, -1, device)
        pictures = Pictures(dataset, self.entries[0].preprocess, "off", self.seed)
        batches = in_batches(indices, 64)
        try:
            parts = [
                self.head.logits(run(batch))
                for batch in track(pictures.batches(batches, 0), "evaluation", len(batches))
            ]
        finally:
            pictures.close()
        return np.concatenate(parts)


def transfer(
    dataset: Dataset,
    train: Indices,
    entries: Sequence[Entry],
    name: str,
    *,
    options: Options | None = None,
    seed: int = 0,
    device: str = "cpu",
    features: Features | None = None,
    say: Callable[[str], None] = log.info,
) -> Fitted:
    """Carry ``entries`` over to the classes of ``dataset`` with the strategy called ``name``.

    Args:
        dataset: the items; only those at ``train`` are looked at.
        train: indices of the training items, all usable.
        entries: the backbones; more than one only where the head is solved on features.
        name: a strategy, see `headstart.strategies.registry.strategy`.
        options: for training by steps and for the head.
        seed: of everything random.
        device: "cpu", "cuda" or "mps".
        features: of the entries, if they are there already.
        say: gets one line an epoch.

    Raises:
        UsageError: no such strategy, or one that cannot use joined backbones.
    """
    options = options or Options()
    plan_of = strategy(name)
    start = time.perf_counter()
    if plan_of.solves:
        plan = plan_of.plan(0, len(train), options)
        if features is None:
            _, features = extract(dataset, entries, device=device, seed=seed)
            start = time.perf_counter()
        head = solve(
            plan.solver or "logistic",
            features.rows(train),
            dataset.labels[train],
            len(dataset.classes),
            seed=seed,
            widths=features.widths,
        )
        seconds = time.perf_counter() - start
        return Fitted(name, tuple(entries), dataset.classes, head, seed, seconds=seconds)
    if len(entries) > 1:
        raise UsageError(f"joined backbones ({_joined(entries)}) go with 'frozen', not '{name}'.")
    fitted = _by_steps(dataset, train, entries[0], name, options, seed, device, say)
    return replace(fitted, seconds=time.perf_counter() - start)


def _by_steps(
    dataset: Dataset,
    train: Indices,
    entry: Entry,
    name: str,
    options: Options,
    seed: int,
    device: str,
    say: Callable[[str], None],
) -> Fitted:
    from headstart.backbones import vision
    from headstart.training.loop import train as run_loop
    from headstart.training.source import Pictures

    backbone = vision.build(entry, seed=seed)
    plan = strategy(name).plan(backbone.n_blocks, len(train), options)
    if plan.start == "random" and entry.pretrained:
        channels = entry.preprocess.channels
        entry = resolve(f"random:{entry.name}", seed=seed).with_channels(channels)
        backbone = vision.build(entry, seed=seed)
    fit, select = selection(dataset.labels, train, options, seed)
    pictures = Pictures(dataset, entry.preprocess, augment_level(entry, options), seed)
    try:
        trained = run_loop(
            backbone,
            plan,
            pictures,
            dataset.labels,
            len(dataset.classes),
            fit,
            select,
            options,
            seed=seed,
            device=device,
            say=say,
        )
    finally:
        pictures.close()
    return Fitted(name, (entry,), dataset.classes, trained.head, seed, backbone, trained.history)


def selection(
    labels: npt.NDArray[np.int64], train: Indices, options: Options, seed: int
) -> tuple[Indices, Indices]:
    """Return the part of ``train`` to fit on and the part that chooses the best epoch.

    The second is empty with ``early_stopping`` off, or where the smallest class is small.
    """
    smallest = np.bincount(labels[train])[np.unique(labels[train])].min()
    if not options.early_stopping or smallest < LEAST_TO_SELECT:
        return train, train[:0]
    parts = inner(labels, train, fraction=SELECTION_SHARE, seed=seed)
    return parts.train, parts.held_out


def augment_level(entry: Entry, options: Options) -> str:
    """Return the level of augmentation: the user's, else what suits the backbone's pictures."""
    return options.augment or ("off" if min(entry.preprocess.size) <= 64 else "light")


def _joined(entries: Sequence[Entry]) -> str:
    return "+".join(entry.name for entry in entries)
