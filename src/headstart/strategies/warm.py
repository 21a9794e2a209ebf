"""`warm`: full fine-tuning from the pre-trained weights."""

from __future__ import annotations

from dataclasses import dataclass

from headstart.settings.groups import Options
from headstart.strategies.plan import HEAD, KEPT, STEPS, Group, Plan, Stage, Strategy


def rates_by_block(n_blocks: int, top: float, decay: float) -> list[float]:
    """Return each block's rate: ``top`` for the last, ``decay`` times less for each one below.

    >>> rates_by_block(3, 1.0, 0.5)
    [0.25, 0.5, 1.0]
    """
    return [top * decay ** (n_blocks - 1 - block) for block in range(n_blocks)]


def train_from(first: int, n_blocks: int, n_train: int, options: Options) -> Plan:
    """Return the plan that trains the blocks from ``first`` up and a faster head."""
    body, head = options.rates
    epochs = options.epochs_for(n_train, default=10, least_steps=20)
    rates = rates_by_block(n_blocks, body, options.decay)
    groups = [Group((block,), rates[block]) for block in range(first, n_blocks)]
    if options.decay == 1 and groups:
        groups = [Group(tuple(range(first, n_blocks)), body)]
    return Plan((Stage((*groups, Group((HEAD,), head)), epochs),))


@dataclass(frozen=True)
class Warm(Strategy):
    """Fine-tune everything at one rate; the new head, which knows nothing yet, learns faster.

    When: enough labels (from some tens a class), or a domain away from the backbone's. When not:
    a handful of labels, where the noise of few steps costs more than it brings. Batch norm keeps
    the statistics it learned: re-estimated from small batches they were less steady.
    Source: Yosinski et al. 2014, arXiv:1411.1792.
    """

    options = STEPS - KEPT

    def plan(self, n_blocks: int, n_train: int, options: Options) -> Plan:
        """Put the boundary at 0."""
        return train_from(0, n_blocks, n_train, options)
