"""`bitfit`: only the biases and the head train."""

from __future__ import annotations

from dataclasses import dataclass, replace

from headstart.settings.groups import Options
from headstart.strategies.plan import KEPT, STEPS, Plan, Strategy
from headstart.strategies.warm import train_from


@dataclass(frozen=True)
class BitFit(Strategy):
    """Train the biases of all blocks, a thousandth of the weights, and the head.

    When: few labels and a large encoder; many tasks over one backbone, each of which then is a
    small file. When not: labels enough for `warm`; networks without biases. It saves the
    optimiser's memory but no time: every step goes through the whole net.
    Source: Ben-Zaken et al. 2022, arXiv:2106.10199.
    """

    options = STEPS - KEPT

    def plan(self, n_blocks: int, n_train: int, options: Options) -> Plan:
        """Put the boundary at 0; biases learn ten times as fast as a body, or as it is told."""
        rate = options.body_rate or 10 * options.rates[0]
        made = train_from(0, n_blocks, n_train, replace(options, body_rate=rate))
        (stage,) = made.stages
        *body, head = stage.groups
        groups = (*(replace(group, only="biases") for group in body), head)
        return replace(made, stages=(replace(stage, groups=groups),))
