"""`lwf`: fine-tuning that goes on giving the answers it gave before."""

from __future__ import annotations

from dataclasses import dataclass, replace

from headstart.settings.groups import Options
from headstart.strategies.plan import KEPT, STEPS, Plan, Strategy
from headstart.strategies.warm import train_from


@dataclass(frozen=True)
class WithoutForgetting(Strategy):
    """Fine-tune as `warm`, with the old network's answers to the new items as soft targets.

    When: what the backbone could do must stay, and no examples of it are at hand. The answers are
    those of the head that came with the weights; else of the head for ``--probe``; else the
    features themselves. When not: new items that have nothing of the old ones, whose old answers
    mean little. Each step takes a third longer, and the network is held twice.
    Source: Li and Hoiem 2016, arXiv:1606.09282.
    """

    distil: float = Options.distil

    options = STEPS - KEPT

    def plan(self, n_blocks: int, n_train: int, options: Options) -> Plan:
        """Put the boundary at 0."""
        made = train_from(0, n_blocks, n_train, options)
        return replace(made, stages=tuple(replace(s, objective="lwf") for s in made.stages))
