"""A method above the freeze boundary: blocks are trained, by the plan of any strategy."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from headstart.adaptation.candidates import Candidate, candidate
from headstart.adaptation.domains import Domains
from headstart.adaptation.method import Method
from headstart.adaptation.objective import maker
from headstart.backbones.blocks import Backbone
from headstart.backbones.build import build
from headstart.backbones.entry import Entry
from headstart.boundary.inputs import PLAIN, Indices, Inputs, in_batches
from headstart.data.beside import beside
from headstart.data.dataset import Dataset
from headstart.model import Model
from headstart.settings.groups import Carried, Options
from headstart.settings.option import deciding
from headstart.store import digest
from headstart.strategies.plan import MODULES, Group, Plan
from headstart.strategies.registry import strategy
from headstart.tasks.head import Head
from headstart.tasks.heads import OWN, Examples, solve
from headstart.tasks.task import Matrix, Targets
from headstart.training import batchnorm
from headstart.training.checkpoint import Checkpoints
from headstart.training.job import Job, Trained
from headstart.training.loop import train
from headstart.training.resuming import Resuming, checkpoints_of
from headstart.training.steps import augment_level, without_weights

SETTLING = 64
"""Items a batch, when batch norm is given the target's statistics."""


@dataclass
class Above:
    """Where methods are tried with blocks that train; every attempt is a training of its own.

    Attributes:
        domains: source and target.
        entry: the backbone.
        run: the strategy, and all that it reads.
        device: "cpu", "cuda" or "mps".
        resuming: checkpoints of the trainings, each in a folder below; None for none.
        seconds: of kept features; there are none.
        hits: of kept activations.
        misses: likewise.
    """

    domains: Domains
    entry: Entry
    run: Carried
    device: str
    resuming: Resuming | None = None
    seconds: float = 0.0
    hits: int = 0
    misses: int = 0

    @property
    def seed(self) -> int:
        """Of everything random."""
        return self.run.seed

    def attempt(self, method: Method, few: Indices | None = None) -> Candidate:
        """Return what ``method`` comes to; ``few`` are target items whose labels count."""
        start, d = time.perf_counter(), self.domains
        entry, backbone, plan = self._started()
        trained, inputs, sizes = self._trained(method, few, entry, backbone, plan)
        self.hits += trained.cache["hits"]
        self.misses += trained.cache["misses"]
        model = self._model(entry, backbone, trained)
        source = self._outputs(model, d.source.dataset, d.ours.held_out)
        if method.own and plan.batch_statistics:
            self._settled(backbone, inputs, np.arange(*sizes))
        inputs.close()
        task, values = model.task, d.source.dataset.labels[d.ours.held_out]
        temperature, _ = task.settled(source, values)
        model = replace(model, head=replace(model.head, temperature=temperature))
        target = d.target.dataset
        found = [self._outputs(model, target, part) for part in (d.theirs.train, d.theirs.held_out)]
        return candidate(
            model,
            d,
            (np.asarray(source / temperature, np.float32), found[0], found[1]),
            seconds=time.perf_counter() - start,
            history=trained.history,
        )

    def _started(self) -> tuple[Entry, Backbone, Plan]:
        """Return the backbone as the plan wants it to start."""
        backbone = build(self.entry, seed=self.seed)
        n = len(self.domains.ours.train)
        plan = strategy(self.run.strategy, self.run).plan(backbone.n_blocks, n, self.run)
        if plan.start == "random" and self.entry.pretrained:
            bare = without_weights(self.entry, self.seed)
            return bare, build(bare, seed=self.seed), plan
        return self.entry, backbone, plan

    def _trained(
        self, method: Method, few: Indices | None, entry: Entry, backbone: Backbone, plan: Plan
    ) -> tuple[Trained, Inputs, tuple[int, int]]:
        """Run the loop; return what it gives, its inputs, and from where to where target lies."""
        d = self.domains
        target = d.target.dataset
        some = np.empty(0, np.int64) if few is None else few
        source = d.source.dataset.take(d.ours.train)
        items = beside(source, target.take(some), target.take(d.theirs.train))
        values = [d.source.dataset.labels[d.ours.train]]
        if len(some):
            values.append(target.labels[some])
        targets = Targets(d.source.dataset.known.task, np.concatenate(values))
        n, m = len(targets), len(items)
        labelled = np.arange(len(d.ours.train), n)
        again = np.resize(labelled, len(d.ours.train)) if len(labelled) else labelled
        fit = np.concatenate([np.arange(len(d.ours.train)), again])
        inputs = Inputs(
            items, entry.preprocess, augment=augment_level(entry, self.run), seed=self.seed
        )
        job = Job(
            adapting(plan, method),
            targets,
            fit,
            fit[:0],
            self.run,
            self.seed,
            self.device,
            what=entry.network,
            probe=self._probe(backbone, inputs, targets) if plan.probe else None,
            objectives={"adapt": maker(method, np.arange(n, m), judged=not plan.batch_statistics)},
        )
        checkpoints = self._checkpoints(method, entry, items)
        return train(backbone, inputs, job, checkpoints=checkpoints), inputs, (n, m)

    def _checkpoints(self, method: Method, entry: Entry, items: Dataset) -> Checkpoints | None:
        """Return where the training of ``method`` leaves what it has done."""
        if self.resuming is None:
            return None
        own = replace(self.resuming, folder=self.resuming.folder / type(method).__name__)
        facts = {
            "method": repr(method),
            "strategy": self.run.strategy,
            "seed": self.seed,
            "device": self.device,
            "options": deciding(self.run, Options),
            "items of both domains": digest(*np.asarray(items.digests).tolist()).hex(),
        }
        source, train = self.domains.source.dataset, self.domains.ours.train
        return checkpoints_of(own, source, entry, train, train[:0], facts)

    def _probe(self, backbone: Backbone, inputs: Inputs, targets: Targets) -> Head:
        """Return the head solved on the features of the backbone as it starts."""
        from headstart.boundary.forward import features

        rows = features(backbone, inputs, np.arange(len(targets)), self.device)
        return solve(OWN, Examples(rows, targets), seed=self.seed)[0]

    def _settled(self, backbone: Backbone, inputs: Inputs, target: Indices) -> None:
        """Give batch norm the target's statistics."""
        backbone.to(self.device)
        drawn = np.random.default_rng([self.seed, 29]).permutation(target)[: batchnorm.ITEMS]
        parts = in_batches(drawn, SETTLING)
        seen = (inputs.collate(list(inputs.rows(part, PLAIN))) for part in parts)
        batchnorm.settle(backbone, inputs, seen, self.device)
        backbone.to("cpu")

    def _model(self, entry: Entry, backbone: Backbone, trained: Trained) -> Model:
        assert trained.head is not None and trained.task is not None  # noqa: PT018
        return Model(
            (entry,),
            trained.head,
            trained.task,
            self.seed,
            backbone,
            trained.unchanged,
            self.run.cache_limit,
            self.domains.source.dataset.columns,
        )

    def _outputs(self, model: Model, dataset: Dataset, indices: Indices) -> Matrix:
        if not len(indices):
            return np.empty((0, model.task.n_outputs), np.float32)
        return model.outputs(dataset, indices, device=self.device)


def adapting(plan: Plan, method: Method) -> Plan:
    """Return the plan whose stages learn from both domains, where the method has a loss.

    What sees no source item comes after the source has been learned.
    """
    if not method.has_loss:
        return plan
    own = max(group.rate for stage in plan.stages for group in stage.groups)
    stages = tuple(
        replace(stage, objective="adapt", groups=(*stage.groups, Group((MODULES,), own)))
        for stage in plan.stages
    )
    return replace(plan, stages=(*plan.stages, *stages) if method.source_free else stages)
