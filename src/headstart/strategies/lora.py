"""`lora`: low-rank adapters beside a frozen network."""

from __future__ import annotations

from dataclasses import dataclass

from headstart.settings.groups import Options
from headstart.strategies.plan import ADAPTERS, HEAD, STEPS, Adapters, Group, Plan, Stage, Strategy


@dataclass(frozen=True)
class LowRank(Strategy):
    """Train small adapters in the attention layers, and the head; everything else is frozen.

    When: large text encoders and vision transformers, whose optimiser state would not fit; a
    body that should change little. When not: networks without attention, and small ones, which
    `warm` trains as fast. Needs the package peft.
    Source: Hu et al. 2021, arXiv:2106.09685.
    """

    rank: int = Options.rank

    options = STEPS - {"decay", "blend"}

    def plan(self, n_blocks: int, n_train: int, options: Options) -> Plan:
        """Freeze all blocks; adapters learn ten times as fast as a body would, or as it is told."""
        epochs = options.epochs_for(n_train, default=10, least_steps=20)
        rate = options.body_rate or 10 * options.rates[0]
        groups = (Group((ADAPTERS,), rate), Group((HEAD,), options.rates[1]))
        # At alpha = rank the adapters' strength does not depend on the rank.
        adapters = Adapters(self.rank, float(self.rank))
        return Plan((Stage(groups, epochs),), adapters=adapters)
