"""`adapt-refit`: the last blocks take some steps, then a convex head is solved on what came out."""

from __future__ import annotations

from dataclasses import dataclass, replace

from headstart.settings.groups import Options
from headstart.strategies.plan import STEPS, Plan, Strategy
from headstart.strategies.warm import train_from

BLOCKS = 2
"""At the top of the network, that train."""

_BY_AN_INNER_PART = {"early_stopping", "soup", "blend"}
_OF_THE_HEAD_THAT_GOES = {"smoothing", "class_weights"}


@dataclass(frozen=True)
class AdaptThenRefit(Strategy):
    """Train the last two blocks with a head that is then thrown away, and solve another.

    When: few labels, of a domain that `frozen` only half knows; what lies below the two blocks is
    computed once, so it costs little more. When not: many labels, where `warm` learns more. All
    labels train and none is kept back to judge by: how sure answers are follows what the unchanged
    network reaches (`headstart.tasks.temperature`).
    Source: Farina et al. 2025, arXiv:2503.11609.
    """

    options = STEPS - _BY_AN_INNER_PART - _OF_THE_HEAD_THAT_GOES | {"head"}

    def plan(self, n_blocks: int, n_train: int, options: Options) -> Plan:
        """Put the boundary below the last two blocks, then on top."""
        first = max(0, n_blocks - BLOCKS)
        return replace(train_from(first, n_blocks, n_train, options), solver=options.head)
