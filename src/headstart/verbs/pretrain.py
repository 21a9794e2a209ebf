"""`pretrain`: a backbone of one's own, from a labelled set, or from items without labels.

Each verb writes NAME.safetensors and NAME.json to a folder; with ``HEADSTART_WEIGHTS`` naming it,
or by the path of the file, the result is a backbone like any other, also to pre-train further.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart.backbones.choice import backbone_name, entries_for
from headstart.backbones.entry import Entry
from headstart.compute.device import pick
from headstart.data.audit import audit
from headstart.data.dataset import Dataset
from headstart.data.pictures.images import Preprocess
from headstart.data.reading import given
from headstart.data.texts.tokens import Tokenize
from headstart.errors import DataError, UsageError
from headstart.progress import log
from headstart.settings.groups import Options, Reading
from headstart.settings.option import table
from headstart.settings.table import (
    Fitting,
    Learning,
    PretrainingAutoencoder,
    PretrainingMasked,
    PretrainingSupervised,
)
from headstart.settings.taking import takes
from headstart.strategies.registry import OFFERED, strategy
from headstart.verbs.fit import fit

Indices = npt.NDArray[np.int64]

HELD = 0.1
"""Share of the items without labels that is not trained on but measured by."""

MOST_HELD = 500

FRESH, TUNED = 1e-3, 1e-4
"""Peak learning rates of networks that knew nothing before, and of those that did."""


@takes(PretrainingSupervised, OFFERED)
def supervised(data: Any, run: PretrainingSupervised) -> dict[str, Any]:
    """Train a backbone on the labelled ``data``, and keep it as a backbone; return what was made.

    As `headstart.fit`, but what is kept is the network without its head.

    Raises:
        UsageError: the name is taken, or the strategy trains no network.
    """
    from headstart.pretraining.kept import Place, keep, source

    place = Place.of(run.out, run.name, _root(data))
    if strategy(run.strategy, run).solves:
        raise UsageError(
            f"'{run.strategy}' leaves the backbone as it is, so there is nothing to keep; try warm."
        )
    own = {name: getattr(run, name) for name in run.given - {"out", "name"} if name in _FIT}
    result = fit(data, **own | {"strategy": run.strategy})
    model, figures = result.model, result.evaluation
    assert model.backbone is not None
    (entry,), task, (low, high) = model.entries, model.task, figures.interval
    score = f"{task.score} {task.shown(figures.value)} ({task.shown_span(low, high)})"
    card = {
        "source_domain": source(entry, result.dataset.root),
        "origin": f"headstart pretrain supervised: {entry.name}, {run.strategy}, "
        f"{len(result.parts.train)} items, seed {run.seed}",
        "check": f"{score} on {figures.n} held-out items of {result.dataset.root.resolve().name}",
    }
    told = {k: v for k, v in result.to_json().items() if k != "bundle"}
    return told | keep(model.backbone, entry, place, card)


_FIT = table(Fitting)


@takes(PretrainingAutoencoder)
def autoencoder(data: Any, run: PretrainingAutoencoder) -> dict[str, Any]:
    """Train a backbone to mend spoilt pictures of ``data``, whose labels are not looked at.

    Raises:
        UsageError: the name is taken, or the data hold texts.
        DataError: nothing there can be read.
    """
    import torch

    from headstart.pretraining.denoising import Denoising, explained, target

    work = _Work.of(data, run, "image")
    p = work.entry.preprocess
    assert isinstance(p, Preprocess)
    _, channels, high, wide = target(torch.zeros(1, p.channels, *p.size)).shape
    made = work.trained(partial(Denoising, noise=run.noise, shape=(channels, high, wide)))
    share = explained(made.backbone, made.modules["decoder"], [_pixels(b) for b in made.held])
    right = f"{share:.1%} is put right" if share > 0 else "nothing is put right; try more --epochs"
    check = f"of the variance of {len(work.held)} pictures not trained on {right}"
    return made.kept(check) | {"explained": share}


def _pixels(batch: Any) -> Any:
    import torch

    return torch.from_numpy(batch[0])


@takes(PretrainingMasked)
def masked(data: Any, run: PretrainingMasked) -> dict[str, Any]:
    """Train an encoder to fill gaps in the texts of ``data``, whose labels are not looked at.

    Raises:
        UsageError: the name is taken, or the data hold pictures.
        BackboneError: the backbone is no encoder of transformers, or knows no gaps.
    """
    from headstart.pretraining.masking import Masked, Vocabulary, embeddings, filled

    work = _Work.of(data, run, "text")
    if work.entry.library != "transformers":
        raise UsageError(
            f"'{work.entry.name}' learns its words from labelled texts; masked tokens are for "
            "encoders of transformers, such as minilm."
        )
    assert isinstance(work.entry.preprocess, Tokenize)
    words = Vocabulary.of(work.entry.preprocess, work.entry.name)
    made = work.trained(partial(Masked, share=run.share, words=words))
    assert len(embeddings(made.backbone)) >= words.size
    right = filled(made.backbone, made.modules["guesser"], made.held, words)
    check = f"{right:.1%} of the gaps in {len(work.held)} texts not trained on get the very word"
    return made.kept(check) | {"filled": right}


@dataclass(frozen=True)
class _Work:
    """Pre-training without labels: on what, of which network, and where it goes."""

    run: Learning
    dataset: Dataset
    entry: Entry
    place: Any
    fit: Indices
    held: Indices
    notes: list[str]

    @classmethod
    def of(cls, data: Any, run: Learning, kind: str) -> _Work:
        from headstart.pretraining.kept import Place

        place = Place.of(run.out, run.name, _root(data))
        dataset, notes = _items(data, run, kind), list[str]()
        entries = entries_for(run.backbone, dataset, run, run.seed, notes)
        if len(entries) > 1:
            raise UsageError(f"one backbone is trained at a time, not {backbone_name(entries)}.")
        found = audit(dataset).require_usable()
        order = np.random.default_rng([run.seed, 19]).permutation(found.usable)
        n_held = min(MOST_HELD, round(HELD * len(order)))
        if not n_held:
            raise DataError(f"{dataset.root}: {len(order)} usable items; ten are the least.")
        parts = np.sort(order[n_held:]), np.sort(order[:n_held])
        return cls(run, found.dataset, entries[0], place, *parts, notes)

    def trained(self, maker: Callable[..., Any]) -> _Made:
        """Run the loop with the objective that ``maker`` makes of its scene."""
        from headstart.backbones.build import build
        from headstart.boundary.inputs import Inputs
        from headstart.training.checkpoint import Checkpoints
        from headstart.training.job import Job
        from headstart.training.loop import train

        run, start = self.run, time.perf_counter()
        backbone = build(self.entry, seed=run.seed)
        made: list[Any] = []

        def kept(scene: Any) -> Any:
            made.append(maker(scene))
            return made[-1]

        plan = self.plan(backbone.n_blocks)
        job = Job(
            plan,
            None,
            self.fit,
            self.fit[:0],
            Options(batch=run.batch, weight_decay=0.05),
            run.seed,
            pick(run.device),
            objectives={"own": kept},
        )
        inputs = Inputs(self.dataset, self.entry.preprocess, seed=run.seed)
        facts = {"settings": _plain(run), "weights and preprocessing": self.entry.key()}
        checkpoints = Checkpoints(self.place.checkpoints, facts | {"items": len(self.fit)})
        if not run.resume:
            checkpoints.clear()
        try:
            history = train(backbone, inputs, job, checkpoints=checkpoints).history
            held = [inputs.collate(list(inputs.rows(at, -1))) for at in _cut(self.held, run.batch)]
        finally:
            inputs.close()
        seconds = time.perf_counter() - start
        return _Made(self, backbone, made[-1].modules, held, history, seconds)

    def plan(self, n_blocks: int) -> Any:
        """Return one stage that trains all blocks, and the objective's own networks faster."""
        from headstart.strategies.plan import MODULES, Group, Plan, Stage

        run, fresh = self.run, not self.entry.pretrained
        rate = run.rate or (FRESH if fresh else TUNED)
        groups = (Group(tuple(range(n_blocks)), rate), Group((MODULES,), max(rate, FRESH)))
        epochs = run.epochs or (run.usual if fresh else -(-run.usual // 4))
        stage = Stage(groups, epochs, objective="own")
        return Plan((stage,), start="random" if fresh else "pretrained", batch_statistics=fresh)


@dataclass(frozen=True)
class _Made:
    """What pre-training has come to."""

    work: _Work
    backbone: Any
    modules: Any
    held: list[Any]
    history: list[dict[str, float]]
    seconds: float

    def kept(self, check: str) -> dict[str, Any]:
        """Write the backbone and its card; return what the user should know."""
        from headstart.pretraining.kept import keep, source

        work = self.work
        card = {
            "source_domain": source(work.entry, work.dataset.root),
            "origin": f"headstart pretrain {work.run.verb}: {work.entry.name}, {len(work.fit)} "
            f"items, {len(self.history)} epochs, seed {work.run.seed}",
            "check": check,
        }
        told = keep(self.backbone, work.entry, work.place, card)
        from headstart.training.checkpoint import Checkpoints

        Checkpoints(work.place.checkpoints, {}).clear()
        facts = {"backbone": work.entry.name, "n_train": len(work.fit), "n_val": len(work.held)}
        losses = [row["loss"] for row in self.history]
        rest = {"seed": work.run.seed, "epochs": len(losses), "loss": losses[-1]}
        return told | facts | rest | {"seconds": self.seconds, "notes": work.notes}


def _items(data: Any, run: Learning, kind: str) -> Dataset:
    """Return the items of ``data`` without their targets."""
    if isinstance(data, Dataset):
        found = replace(data, targets=None)
    else:
        columns = getattr(run, "text_column", None)
        # A folder says by itself what it holds; a list of strings may be of texts or of paths.
        told = None if isinstance(data, str | Path) and Path(data).is_dir() else kind
        reading = Reading.of({"labelled": False, "kind": told, "text_column": columns})
        found = given(data, None, reading)
    if found.kind != kind:
        other = {"image": "autoencoder", "text": "masked"}[found.kind]
        raise UsageError(
            f"{found.root} holds {found.kind}s, but this is for {kind}s; see headstart pretrain "
            f"{other}."
        )
    log.info("items: %d %ss; labels, if there are any, are not looked at", len(found), kind)
    return found


def _root(data: Any) -> Path:
    if isinstance(data, Dataset):
        return data.root
    return Path(data) if isinstance(data, str | Path) else Path("items")


def _cut(indices: Indices, batch: int) -> Sequence[Indices]:
    return np.array_split(indices, max(1, -(-len(indices) // batch)))


def _plain(run: Learning) -> dict[str, Any]:
    rows = table(type(run)).values()
    return {row.name: str(getattr(run, row.name)) for row in rows if row.decides}
