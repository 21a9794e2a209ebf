"""`rehearsal`: fine-tuning with examples of what the backbone knew before."""

from __future__ import annotations

from dataclasses import dataclass, replace

from headstart.settings.groups import Options
from headstart.strategies.plan import KEPT, STEPS, Plan, Strategy
from headstart.strategies.warm import train_from


@dataclass(frozen=True)
class Rehearsal(Strategy):
    """Fine-tune as `warm`, with a share of earlier examples in every batch.

    When: what the backbone could do must stay, and examples of it are at hand (``--probe``); the
    surest way to keep it, at the price of the longer batch. When not: nobody asks for the old task
    again; or there are no examples, where `lwf` and ``--blend`` need none.
    Source: Robins 1995, Connection Science 7(2), 123-146.
    """

    rehearse: float = Options.rehearse

    options = STEPS - KEPT

    needs_earlier = True

    def plan(self, n_blocks: int, n_train: int, options: Options) -> Plan:
        """Put the boundary at 0."""
        made = train_from(0, n_blocks, n_train, options)
        return replace(made, stages=tuple(replace(s, objective="rehearsal") for s in made.stages))
