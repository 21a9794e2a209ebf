"""What a stage reads: items below boundary 0, kept activations above it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from headstart.backbones.blocks import Backbone
from headstart.boundary.activations import VIEWS, Activations
from headstart.boundary.forward import Source
from headstart.boundary.inputs import Indices, Inputs
from headstart.training import batchnorm
from headstart.training.interrupts import Interrupts
from headstart.training.job import Job
from headstart.training.objective import Objective


class Sources:
    """The sources of one run.

    Attributes:
        cache: items whose activations were there before ("hits"), and that were computed
            ("misses").
        settling: indices of the items that tell batch norm its statistics, see
            `headstart.training.batchnorm`.
    """

    def __init__(
        self, backbone: Backbone, inputs: Inputs, job: Job, interrupts: Interrupts
    ) -> None:
        self.backbone, self.inputs, self.job = backbone, inputs, job
        self.interrupts = interrupts
        self.cache = {"hits": 0, "misses": 0}
        shuffled = np.random.default_rng(job.seed).permutation(job.fit)
        self.settling: Indices = shuffled[: batchnorm.ITEMS]

    def at(self, boundary: int, objective: Objective, epochs: Iterable[int]) -> Source:
        """Return what ``epochs`` read at ``boundary``, computed and kept where that is wanted.

        That is what the ``objective`` reads, and what it judges by.
        """
        reads, judges = objective.reads, objective.judges
        boundary = min(boundary, self.backbone.highest)
        o, inputs, job = self.job.options, self.inputs, self.job
        # What is kept has fixed views; what is read anew in each epoch need not.
        inputs.views = o.views or (VIEWS if boundary else None)
        parts = [reads, judges] if inputs.level is None else [judges]
        if job.plan.batch_statistics:
            parts.append(self.settling)
        plain = np.unique(np.concatenate(parts))
        if boundary == 0:
            inputs.keep_plain(plain)
            return inputs
        kept = Activations(
            inputs,
            self.backbone.eval(),
            boundary,
            job.device,
            what=job.what,
            limit=o.cache_limit,
            half=o.cache_half,
        )
        with self.interrupts.released():
            kept.fill(judges, reads, epochs)
        self.cache["hits"] += kept.hits
        self.cache["misses"] += kept.misses
        if not kept.kept:
            inputs.keep_plain(plain)
        return kept
