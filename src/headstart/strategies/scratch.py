"""`scratch`: random weights, everything trained; the baseline that transfer must beat."""

from __future__ import annotations

from dataclasses import dataclass

from headstart.settings.groups import Options
from headstart.strategies.plan import HEAD, KEPT, STEPS, Group, Plan, Stage, Strategy


@dataclass(frozen=True)
class Scratch(Strategy):
    """Train the architecture from random weights.

    When: to see what the pre-trained weights are worth; with very many labels far from anything a
    backbone has seen. When not: with few labels, where it is little better than guessing.
    """

    options = STEPS - KEPT - {"body_rate", "decay", "blend"}

    def plan(self, n_blocks: int, n_train: int, options: Options) -> Plan:
        """Train all blocks and the head at one rate; batch norm learns from the batches."""
        epochs = options.epochs_for(n_train, default=15, least_steps=40)
        # Nothing learned before can be destroyed, so all of it learns as fast as a new head.
        rate = options.rates[1]
        stage = Stage((Group((*range(n_blocks), HEAD), rate),), epochs)
        return Plan((stage,), start="random", batch_statistics=True)
