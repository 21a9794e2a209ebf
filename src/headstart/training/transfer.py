"""From a data set, a backbone and a strategy to a fitted model, in memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from headstart.backbones import words
from headstart.backbones.entry import Entry
from headstart.boundary.extract import Features, extract, needed
from headstart.compute.device import pick
from headstart.data import injected
from headstart.data.beside import beside
from headstart.data.dataset import Dataset
from headstart.data.pictures.images import Preprocess
from headstart.data.texts.tokens import beginning
from headstart.errors import UsageError
from headstart.model import Model
from headstart.progress import log
from headstart.settings.groups import Carried, Options
from headstart.settings.option import deciding
from headstart.store import digest
from headstart.strategies.registry import require_kinds, require_targets, strategy
from headstart.tasks.head import Head
from headstart.tasks.heads import OWN, Examples, out_of_fold, solve
from headstart.training.earlier import Earlier
from headstart.training.selection import selection, some
from headstart.wording import Said

if TYPE_CHECKING:
    from headstart.backbones.blocks import Backbone
    from headstart.boundary.inputs import Inputs
    from headstart.strategies.plan import Plan, Strategy
    from headstart.training.checkpoint import Checkpoints
    from headstart.training.job import Job
    from headstart.training.objective import Maker, Objective, Scene

Indices = npt.NDArray[np.int64]

HALVED = Said(
    "activations were kept as 16-bit floats: training has seen them rounded (--cache-half)"
)


@dataclass(frozen=True)
class Fitted:
    """A fitted model, and how it was made.

    Attributes:
        model: what answers.
        strategy: how it was fitted, as the user wrote it.
        history: one row an epoch, see `headstart.training.loop.Trained`.
        cache: hits and misses of the kept activations.
        notes: what the user should know.
        seconds: that training or solving took, features not counted.
        augment: the level of the random views that training saw.
    """

    model: Model
    strategy: str
    history: list[dict[str, float]] = field(default_factory=list)
    cache: dict[str, int] = field(default_factory=lambda: {"hits": 0, "misses": 0})
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    augment: str = "off"


@dataclass(frozen=True)
class Resuming:
    """Where a run leaves its checkpoints, and whether it goes on from them.

    Attributes:
        folder: of the checkpoints.
        resume: go on from the newest one; otherwise they are removed first.
        every: seconds between two checkpoints.
    """

    folder: Path
    resume: bool = False
    every: float = 60.0


def transfer(
    dataset: Dataset,
    train: Indices,
    entries: Sequence[Entry],
    run: Carried,
    *,
    features: Features | None = None,
    resuming: Resuming | None = None,
    earlier: Earlier | None = None,
    say: Callable[[str], None] = log.info,
) -> Fitted:
    """Carry ``entries`` over to the targets of ``dataset``, as ``run`` says.

    Args:
        dataset: the items; only those at ``train`` are looked at.
        train: indices of the training items, all usable.
        entries: the backbones; more than one only where the head is solved on features.
        run: strategy, options, seed and device; its backbone is not looked at.
        features: of the entries, if they are there already.
        resuming: checkpoints of training by steps; None leaves none.
        earlier: what the backbone knew before, for strategies that read it.
        say: gets one line an epoch.

    Raises:
        UsageError: no such strategy, one that cannot use joined backbones, this kind of items or
            this task, or checkpoints of another run.
        DataError: the items have no targets.
    """
    name, plan_of = run.strategy, strategy(run.strategy, run)
    require_kinds([name], [plan_of], dataset.kind)
    require_targets([plan_of], dataset.known)
    require_earlier(plan_of, name, earlier is not None)
    if dataset.beside and plan_of.needs_earlier:
        raise UsageError(f"'{name}' reads items of other data, which have no such columns.")
    dataset = _learning(dataset, train)
    ready, notes = _ready(dataset, train, entries, run, say)
    start = time.perf_counter()
    if plan_of.solves:
        if features is None:
            features = needed(dataset, ready, train, device=pick(run.device), seed=run.seed)
            start = time.perf_counter()
        fitted = _solved(dataset, train, ready, run, features)
    elif len(ready) > 1:
        raise UsageError(f"joined backbones ({_joined(ready)}) go with 'frozen', not '{name}'.")
    else:
        fitted = _Steps(dataset, train, ready[0], run, features, earlier, say).run(resuming)
        if run.cache_half and any(fitted.cache.values()):
            notes.append(HALVED)
            say(HALVED)
    return replace(fitted, notes=notes + fitted.notes, seconds=time.perf_counter() - start)


def _solved(
    dataset: Dataset, train: Indices, entries: tuple[Entry, ...], run: Carried, features: Features
) -> Fitted:
    """Return the model with the head that is solved on the ``features`` of the entries."""
    solver = strategy(run.strategy, run).plan(0, len(train), run).solver
    examples = features.of(dataset).examples(train)
    head, task = solve(solver or OWN, examples, seed=run.seed)
    reader = dataset.beside.reader if dataset.beside else None
    model = Model(entries, head, task, run.seed, columns=dataset.columns, beside=reader)
    return Fitted(model, run.strategy)


def _learning(dataset: Dataset, train: Indices) -> Dataset:
    """Return the data set with what its task, and its columns, learn from the training items."""
    known = dataset.known
    learned = replace(known, task=known.task.learned(known.values[train]))
    read = injected.learn(dataset.beside, train).read(dataset.beside) if dataset.beside else None
    return replace(dataset, targets=learned, beside=read)


def _ready(
    dataset: Dataset,
    train: Indices,
    entries: Sequence[Entry],
    options: Options,
    say: Callable[[str], None],
) -> tuple[tuple[Entry, ...], list[str]]:
    """Give networks that are trained here the training texts' words, and vectors if asked to."""
    out, notes = [], []
    for entry in entries:
        if not entry.ready:
            texts = [beginning(dataset.content(int(i))) for i in train]
            learned = words.learn(
                entry, texts, min_frequency=options.min_frequency, vectors=options.vectors
            )
            notes.append(learned.note())
            say(learned.note())
            entry = learned.entry  # noqa: PLW2901
        if options.inject:
            texts = [beginning(dataset.content(int(i))) for i in train]
            entry, note = words.inject(entry, options.inject, options.inject_by, texts)  # noqa: PLW2901
            notes.append(note)
            say(note)
        out.append(entry)
    return tuple(out), notes


@dataclass(frozen=True)
class _Steps:
    """Training by steps of one backbone, with what comes before and after the loop."""

    dataset: Dataset
    train: Indices
    entry: Entry
    settings: Carried
    features: Features | None
    earlier: Earlier | None
    say: Callable[[str], None]

    @property
    def device(self) -> str:
        """Where the work is done."""
        return pick(self.settings.device)

    def run(self, resuming: Resuming | None) -> Fitted:
        """Build the network, run the loop, solve the head where the plan asks for it."""
        from headstart.boundary.inputs import Inputs
        from headstart.training.loop import train as run_loop

        entry, backbone, plan = self._started()
        o, seed = self.settings, self.settings.seed
        job = self._job(entry, plan)
        augment = augment_level(entry, o)
        inputs = Inputs(self._items(), entry.preprocess, augment=augment, seed=seed)
        facts = {"strategy": o.strategy, "seed": seed, "device": self.device}
        if self.earlier is not None:
            facts |= {"earlier": content_of(self.earlier)}
        facts |= {"options": deciding(o, Options)}
        checkpoints = checkpoints_of(resuming, self.dataset, entry, job.fit, job.select, facts)
        try:
            trained = run_loop(backbone, inputs, job, checkpoints=checkpoints, say=self.say)
            assert trained.head is not None and trained.task is not None  # noqa: PT018
            model = Model(
                (entry,),
                trained.head,
                trained.task,
                seed,
                backbone,
                trained.unchanged,
                o.cache_limit,
                self.dataset.columns,
                self.dataset.beside.reader if self.dataset.beside else None,
            )
            if plan.solver:
                model = self._solved(model, plan.solver, inputs, job)
            notes = blend_notes(o, trained.history)
            return Fitted(model, o.strategy, trained.history, trained.cache, notes, augment=augment)
        finally:
            inputs.close()

    def _started(self) -> tuple[Entry, Backbone, Plan]:
        """Return the network as the plan wants it to start, its entry, and the plan."""
        from headstart.backbones.build import build

        entry, o = self.entry, self.settings
        backbone = build(entry, seed=o.seed)
        plan = strategy(o.strategy, o).plan(backbone.n_blocks, len(self.train), o)
        whole = [0 in stage.trained and 0 not in stage.parts for stage in plan.stages]
        if entry.injected is not None and not any(whole):
            raise UsageError(
                f"'{o.strategy}' leaves the embeddings as they are, where vectors are injected; "
                "take warm, discriminative, l2-sp, auto-freeze or scratch."
            )
        if plan.start == "random" and entry.pretrained:
            entry = without_weights(entry, o.seed)
            backbone = build(entry, seed=o.seed)
        return entry, backbone, plan

    def _job(self, entry: Entry, plan: Plan) -> Job:
        from headstart.training.job import Job

        targets, o = self.dataset.known, self.settings
        # No epoch is chosen where the head is solved afterwards, so all labels take part.
        fit, select = self.train, self.train[:0]
        if plan.solver is None:
            fit, select = selection(targets, self.train, o, o.seed)
        probe = self._probe(plan.probe, fit) if plan.probe else None
        return Job(
            plan,
            targets,
            fit,
            select,
            o,
            o.seed,
            self.device,
            what=entry.network,
            probe=probe,
            expected=partial(self._expected, entry, fit),
            objectives=self._objectives(entry),
            beside=self.dataset.beside.matrix if self.dataset.beside else None,
        )

    def _items(self) -> Dataset:
        """Return what training reads: its items, and behind them those that may be rehearsed."""
        if self.earlier is None or not strategy(self.settings.strategy).needs_earlier:
            return self.dataset
        return replace(beside(self.dataset, self.earlier.dataset), targets=self.dataset.targets)

    def _objectives(self, entry: Entry) -> dict[str, Maker]:
        """Return what strategies learn by that look back at what the backbone knew."""
        from headstart.backbones.build import build
        from headstart.backbones.weights import old_head
        from headstart.training.remembering import Distilled, Rehearsal

        def lwf(scene: Scene) -> Objective:
            own = old_head(entry, scene.backbone.n_features)
            old = Head(*own) if own else self.earlier.head if self.earlier else None
            return Distilled(scene, teacher=build(entry, seed=self.settings.seed), old=old)

        found: dict[str, Maker] = {"lwf": lwf}
        if self.earlier is not None:
            first = len(self.dataset)
            found["rehearsal"] = partial(Rehearsal, earlier=self.earlier, first=first)
        return found

    def _solved(self, model: Model, solver: str, inputs: Inputs, job: Job) -> Model:
        """Return the model with the head that ``solver`` finds on its trained features."""
        found = model.features(inputs, self.train, self.device)
        examples = Examples(found, self.dataset.known.take(self.train))
        head, task = solve(solver, examples, seed=self.settings.seed)
        expected = job.expected() if job.expected and task.anchored else None
        if expected is not None:
            # These items have shaped their features, so what the solver's folds say is too sure.
            around = task.anchor(replace(head, temperature=1.0).logits(found), expected)
            head = task.finished(replace(head, temperature=around or 1.0), examples.targets.values)
        return replace(model, head=head, task=task)

    def _probe(self, solver: str, fit: Indices) -> Head:
        """Return the head solved on the features of the unchanged backbone."""
        return solve(solver, self._examples(self.entry, fit), seed=self.settings.seed)[0]

    def _expected(self, entry: Entry, fit: Indices) -> float | None:
        """Return the score of new items that a head on the unchanged network has, by folds.

        One more that is right and one that is wrong are put to them (the rule of succession).
        """
        examples = self._examples(entry, some(fit))
        rows, outputs = out_of_fold(OWN, examples, seed=self.settings.seed)
        n, targets = len(rows), examples.targets
        return (n * targets.task.value(outputs, targets.values[rows]) + 1) / (n + 2) if n else None

    def _examples(self, entry: Entry, items: Indices) -> Examples:
        """Return the features of ``items`` under the network as it is."""
        if self.features is not None and entry is self.entry:
            return self.features.of(self.dataset).examples(items)
        # Only these are needed, so only these are read; with their own targets they are a data
        # set of their own.
        part = self.dataset.take(items)
        _, features = extract(part, [entry], device=self.device, seed=self.settings.seed)
        return features.examples(np.arange(len(part)))


def checkpoints_of(
    resuming: Resuming | None,
    dataset: Dataset,
    entry: Entry,
    fit: Indices,
    select: Indices,
    facts: dict[str, Any],
) -> Checkpoints | None:
    """Return where a run leaves what it has done; None for nowhere.

    Args:
        resuming: the folder, and whether to go on with what lies there.
        dataset: the items.
        entry: the backbone.
        fit: indices of the items to train on.
        select: indices of the items to choose by.
        facts: what else a checkpoint of the same run must agree in, strategy and options say.
    """
    if resuming is None:
        return None
    from headstart.training.checkpoint import Checkpoints

    def content(indices: Indices) -> str:
        parts = (dataset.digest(int(i)) for i in indices)
        return digest(*parts, dataset.labels[indices].tobytes()).hex()

    run = {
        "backbone": entry.name,
        "weights and preprocessing": entry.key(),
        "classes": list(dataset.classes),
        "training items": f"{len(fit)}, {content(fit)}",
        "items to choose by": f"{len(select)}, {content(select)}",
    }
    if dataset.beside and dataset.beside.matrix is not None:
        run["columns"] = digest(dataset.beside.matrix.tobytes()).hex()
    found = Checkpoints(resuming.folder, run | facts, every=resuming.every)
    if not resuming.resume:
        found.clear()
    return found


def content_of(earlier: Earlier) -> str:
    """Return a digest of what may be rehearsed, for checkpoints."""
    items = (earlier.dataset.digest(int(i)) for i in earlier.train)
    return digest(*items, earlier.head.weight.tobytes()).hex()


def without_weights(entry: Entry, seed: int) -> Entry:
    """Return the entry with the same preprocessing and random weights."""
    return replace(
        entry,
        name=f"random:{entry.name}",
        weights=None,
        prefix="",
        digest=f"random-{seed}",
        source_domain="nothing",
    )


def require_earlier(plan_of: Strategy, name: str, given: bool) -> None:
    """Raise `UsageError` where a strategy needs earlier examples and none were given."""
    if plan_of.needs_earlier and not given:
        raise UsageError(
            f"'{name}' mixes in examples of what the backbone knew before; give fit a labelled "
            "set of them with --probe DATA, or try 'lwf', which needs none."
        )


def blend_notes(options: Options, history: Sequence[dict[str, float]]) -> list[str]:
    """Return what became of ``--blend``."""
    if not options.blend:
        return []
    if not history or "blend" not in history[-1]:
        return [Said("nothing is blended: no inner part could be set aside to choose by")]
    share = history[-1]["blend"]
    return [
        Said("blend: {share:.0%} of the way from the weights before to those after", share=share)
    ]


def augment_level(entry: Entry, options: Options) -> str:
    """Return the level of augmentation: the user's, else what suits the backbone's items."""
    if not isinstance(entry.preprocess, Preprocess):
        return "off"
    return options.augment or ("off" if min(entry.preprocess.size) <= 64 else "light")


def _joined(entries: Sequence[Entry]) -> str:
    return "+".join(entry.name for entry in entries)
