"""`partial:K`: the first K blocks frozen; `partial:-K`: only the last K blocks train."""

from __future__ import annotations

from dataclasses import dataclass

from headstart.errors import UsageError
from headstart.settings.groups import Options
from headstart.strategies.plan import Plan, Strategy
from headstart.strategies.warm import train_from


@dataclass(frozen=True)
class Partial(Strategy):
    """Freeze the blocks below ``k`` (from the top if negative) and fine-tune the rest.

    When: between the labels where `frozen` wins and those where `warm` does; what lies below is
    computed once, so it is also much faster than `warm`. When not: a source so far away that its
    first layers are of no use.
    Source: Yosinski et al. 2014, arXiv:1411.1792.
    """

    k: int

    example = "partial:-3"

    def plan(self, n_blocks: int, n_train: int, options: Options) -> Plan:
        """Put the boundary at ``k``.

        Raises:
            UsageError: the backbone has fewer blocks than that.
        """
        if abs(self.k) > n_blocks:
            raise UsageError(
                f"partial:{self.k}: this backbone has {n_blocks} blocks; "
                f"K goes from {-n_blocks} to {n_blocks}."
            )
        first = self.k if self.k >= 0 else n_blocks + self.k
        return train_from(first, n_blocks, n_train, options)
