"""`l2-sp`: fine-tuning that is pulled back to the pre-trained weights."""

from __future__ import annotations

from dataclasses import dataclass, replace

from headstart.settings.groups import Options
from headstart.strategies.plan import KEPT, STEPS, Plan, Strategy
from headstart.strategies.warm import train_from


@dataclass(frozen=True)
class StartingPoint(Strategy):
    """Fine-tune as `warm`, with the body pulled to where it started and not towards zero.

    When: as `warm`, with so few labels that the body would wander off from what it knows.
    When not: a source that has little to do with the data, where its weights are no place to stay.
    ``pull`` says how strongly; the head is pulled towards zero, as ``weight_decay`` says.
    Source: Li et al. 2018, arXiv:1802.01483, equation 2.
    """

    pull: float = Options.pull

    options = STEPS - KEPT

    def plan(self, n_blocks: int, n_train: int, options: Options) -> Plan:
        """Put the boundary at 0, with the pull."""
        made = train_from(0, n_blocks, n_train, options)
        return replace(made, stages=tuple(replace(s, pull=self.pull) for s in made.stages))
