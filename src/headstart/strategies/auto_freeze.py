"""`auto-freeze`: fine-tuning in which blocks that stand still are frozen for good."""

from __future__ import annotations

from dataclasses import dataclass, replace

from headstart.settings.groups import Options
from headstart.strategies.plan import Freeze, Plan, Strategy
from headstart.strategies.warm import train_from


@dataclass(frozen=True)
class AutoFreeze(Strategy):
    """Fine-tune as `warm`; the boundary moves up over blocks whose weights hardly change.

    When: as `warm`, with many epochs or a slow network: what stands still is computed once from
    then on. When not: few epochs, which are over before anything is frozen; where the same blocks
    should be frozen each time (`partial` says which).
    Source: after Liu et al. 2021, arXiv:2102.01386, which compares layers by their gradients; here
    blocks are compared by how far their weights have moved.
    """

    freeze_threshold: float = Options.freeze_threshold
    freeze_patience: int = Options.freeze_patience

    def plan(self, n_blocks: int, n_train: int, options: Options) -> Plan:
        """Put the boundary at 0, with the rule that moves it up."""
        rule = Freeze(self.freeze_threshold, self.freeze_patience)
        made = train_from(0, n_blocks, n_train, options)
        return replace(made, stages=tuple(replace(s, freeze=rule) for s in made.stages))
