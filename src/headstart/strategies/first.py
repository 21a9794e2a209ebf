"""`first:K`: only the first K blocks and the head train."""

from __future__ import annotations

from dataclasses import dataclass, replace

from headstart.errors import UsageError
from headstart.settings.groups import Options
from headstart.strategies.plan import KEPT, STEPS, Plan, Strategy
from headstart.strategies.warm import train_from


@dataclass(frozen=True)
class First(Strategy):
    """Fine-tune the blocks below ``k`` and the head; freeze those between.

    When: the classes are near those of the source, but the input looks (or sounds) otherwise:
    other cameras, scanners, microphones, noise. When not: new classes of the usual pictures or
    texts, which ask for new upper blocks. It saves no time: every step goes through the whole net.
    Source: Lee et al. 2022, arXiv:2210.11466.
    """

    k: int

    example = "first:2"

    options = STEPS - KEPT

    def plan(self, n_blocks: int, n_train: int, options: Options) -> Plan:
        """Train the blocks 0 to ``k`` - 1 and the head, at the rates of `warm`.

        Raises:
            UsageError: the backbone has fewer blocks than that, or ``k`` is below 1.
        """
        if not 1 <= self.k <= n_blocks:
            raise UsageError(
                f"first:{self.k}: this backbone has {n_blocks} blocks; K goes from 1 to {n_blocks}."
            )
        made = train_from(0, n_blocks, n_train, options)
        (stage,) = made.stages
        # The head's index is below that of every block, so it stays.
        kept = [
            replace(group, blocks=tuple(b for b in group.blocks if b < self.k))
            for group in stage.groups
        ]
        groups = tuple(group for group in kept if group.blocks)
        return replace(made, stages=(replace(stage, groups=groups),))
