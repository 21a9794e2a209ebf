"""Training by steps of one backbone, with what comes before and after the loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from headstart.backbones.entry import Entry
from headstart.boundary.extract import Features, extract
from headstart.compute.device import pick
from headstart.data.beside import beside
from headstart.data.dataset import Dataset
from headstart.data.pictures.images import Preprocess
from headstart.errors import UsageError
from headstart.model import Model
from headstart.settings.groups import Carried, Options
from headstart.settings.option import deciding
from headstart.strategies.registry import strategy
from headstart.tasks.head import Head
from headstart.tasks.heads import OWN, Examples, out_of_fold, solve
from headstart.training.earlier import Earlier
from headstart.training.fitted import Fitted
from headstart.training.resuming import Resuming, checkpoints_of, content_of
from headstart.training.selection import anchor, selection, some
from headstart.wording import Said

if TYPE_CHECKING:
    from headstart.backbones.blocks import Backbone
    from headstart.boundary.inputs import Inputs
    from headstart.strategies.plan import Plan
    from headstart.training.job import Job, Maker, Scene
    from headstart.training.objective import Objective

Indices = npt.NDArray[np.int64]

NEAR_ENOUGH = 1.0
"""C of heads that only tell about how many items will be answered right: choosing it takes eight
times as long, and changes the share by an item or two."""


@dataclass(frozen=True)
class Steps:
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
        known = cache(partial(self._examples, entry, fit if plan.probe else some(fit)))
        probe = solve(plan.probe, known(), seed=o.seed)[0] if plan.probe else None
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
            # Measured for classes alone; of a number a third would be another number.
            softer=plan.softer if targets.task.anchored else 1.0,
            expected=partial(self._expected, known),
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
        # These items have shaped their features, so what the solver's folds say is too sure.
        around = anchor(job, partial(replace(head, temperature=1.0).logits, found))
        if around is not None:
            head = task.finished(replace(head, temperature=around), examples.targets.values)
        return replace(model, head=head, task=task)

    def _expected(self, known: Callable[[], Examples]) -> float | None:
        """Return the score of new items that a head on the unchanged network has, by folds.

        One more that is right and one that is wrong are put to them (the rule of succession).
        """
        examples = known()
        rows, outputs = out_of_fold(OWN, examples, seed=self.settings.seed, strength=NEAR_ENOUGH)
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
