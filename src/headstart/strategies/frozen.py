"""`frozen`: features once, then a convex head solved on them."""

from __future__ import annotations

from dataclasses import dataclass

from headstart.settings.groups import Options
from headstart.strategies.plan import Plan, Strategy


@dataclass(frozen=True)
class Frozen(Strategy):
    """Keep the whole backbone; solve a convex head on its features.

    ``frozen:lda`` names the head, so that several can be compared; else it is the option's.

    When: few labels, a backbone from a near domain, little time: one pass over the data, however
    many heads are tried. When not: many labels, or a domain that the backbone has never seen.
    Source: Razavian et al. 2014, arXiv:1403.6382.
    """

    solver: str = ""

    solves = True

    names_head = True

    options = frozenset({"head"})

    def plan(self, n_blocks: int, n_train: int, options: Options) -> Plan:
        """Put the boundary on top: no stages, a solver."""
        return Plan(solver=self.solver or options.head)
