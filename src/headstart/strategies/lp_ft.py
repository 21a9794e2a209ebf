"""`lp-ft`: a linear probe, then fine-tuning from it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from headstart.settings.groups import Options
from headstart.strategies.plan import KEPT, STEPS, Plan, Strategy
from headstart.strategies.warm import train_from
from headstart.tasks.heads import OWN

SOFTER = 3.0
"""What the outputs of the probe are divided by before the fine-tuning; measured, see
docs/results.md."""


@dataclass(frozen=True)
class ProbeThenTune(Strategy):
    """Solve a logistic head on the features, then fine-tune everything from there.

    When: the answers must also hold away from the training data: from a head that already fits,
    the body need not bend to a random one, and good features stay. When not: features that tell
    the classes badly apart, whose probe is no start; and where `frozen` is enough.
    A probe that is as sure as it is right leaves the body little to learn: a small move of the
    features makes all training items certain, and the gradient is gone. So it starts softer.
    Source: Kumar et al. 2022, arXiv:2202.10054; on the head's part Ren et al. 2023,
    arXiv:2302.05779.
    """

    options = STEPS - KEPT

    def plan(self, n_blocks: int, n_train: int, options: Options) -> Plan:
        """Put the boundary on top for the probe, then at 0, all at half the body's usual rate."""
        whole = train_from(0, n_blocks, n_train, gentle(options))
        return replace(whole, probe=OWN, softer=SOFTER)


def gentle(options: Options) -> Options:
    """Return the options with the rates of a network whose head is solved already.

    At the rate of a new head its first steps would undo that; and the body takes half its usual
    rate, the same for both.
    """
    body = options.body_rate or options.rates[0] / 2
    return replace(options, body_rate=body, head_rate=options.head_rate or body)
