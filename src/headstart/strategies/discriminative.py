"""`discriminative`: the head learns ten times faster than the body, lower blocks slower still."""

from __future__ import annotations

from dataclasses import dataclass, replace

from headstart.settings.groups import Options
from headstart.strategies.plan import KEPT, STEPS, Plan, Strategy
from headstart.strategies.warm import train_from


@dataclass(frozen=True)
class Discriminative(Strategy):
    """Fine-tune everything, the head at ten times the body's rate.

    When: as `warm`, with a body that should move a little more and a head a little less; add
    ``decay`` (0.8, say) to slow lower blocks down further. When not: see `warm`.
    Source: Howard and Ruder 2018, arXiv:1801.06146, section 3.2.
    """

    options = STEPS - KEPT

    def plan(self, n_blocks: int, n_train: int, options: Options) -> Plan:
        """Put the boundary at 0, with rates 1 : 10."""
        body = options.body_rate or options.rates[0] * 2
        rates = replace(options, body_rate=body, head_rate=options.head_rate or 10 * body)
        return train_from(0, n_blocks, n_train, rates)
