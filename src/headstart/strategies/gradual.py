"""`gradual`: the solved head first, then one group of blocks more per stage, from the top."""

from __future__ import annotations

from dataclasses import dataclass, replace

from headstart.settings.groups import Options
from headstart.strategies.lp_ft import gentle
from headstart.strategies.plan import Plan, Stage, Strategy
from headstart.strategies.warm import train_from
from headstart.tasks.heads import OWN

STAGES = 3
"""Stages at most: every one is a short schedule of its own, and deep networks have many blocks."""


@dataclass(frozen=True)
class Gradual(Strategy):
    """Unfreeze from the top: the head is solved, then more and more blocks train, at last all.

    When: few labels and a body that would forget if it moved before the head knows its way; the
    early stages read what is kept and cost little. When not: many labels, where `warm` reaches the
    same in one schedule. It takes about the epochs of `warm` in all; those left over go to the
    later stages.
    Source: Howard and Ruder 2018, arXiv:1801.06146, section 3.3; the head of the first stage is
    solved and not trained, and the rates are those of `lp-ft` for the same reason.
    """

    def plan(self, n_blocks: int, n_train: int, options: Options) -> Plan:
        """Move the boundary from the top to 0 in at most `STAGES` stages of at least one epoch."""
        epochs = options.epochs_for(n_train, default=10, least_steps=20)
        count = min(STAGES, n_blocks, epochs)
        stages: list[Stage] = []
        for number in range(count):
            first = n_blocks * (count - 1 - number) // count
            share = replace(gentle(options), epochs=(epochs + number) // count)
            stages += train_from(first, n_blocks, n_train, share).stages
        return Plan(tuple(stages), probe=OWN)
