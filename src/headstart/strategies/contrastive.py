"""`contrastive`: a sentence encoder tuned on pairs of few labels, then a convex head."""

from __future__ import annotations

from dataclasses import dataclass

from headstart.settings.groups import Options
from headstart.strategies.plan import STEPS, Plan, Stage, Strategy
from headstart.strategies.warm import train_from

EPOCHS = 10
LEAST_STEPS, MOST_STEPS = 40, 100

_OF_THE_HEAD = {"head_rate", "smoothing", "class_weights", "early_stopping", "soup", "blend"}
"""What concerns a head that is trained, and the epochs that are chosen by it."""


@dataclass(frozen=True)
class Contrastive(Strategy):
    """Draw texts of one class together in the upper half of the blocks, then solve a head.

    When: texts with some tens of labels in all, and a sentence encoder: every pair of examples
    teaches, so few go far. When not: pictures; a class with a single example; thousands of labels,
    where `warm` learns more. All labels tune, and none is kept back to judge by: how sure answers
    are follows what the unchanged encoder reaches (`headstart.tasks.temperature`).
    The same seed gives the same weights on the same number of threads only: sums over all pairs of
    a batch are cut among the threads, and round otherwise. Set OMP_NUM_THREADS to repeat a run.
    Source: Tunstall et al. 2022, arXiv:2209.11055.
    """

    kinds = ("text",)
    needs_classes = True

    options = STEPS - _OF_THE_HEAD | {"head"}

    def plan(self, n_blocks: int, n_train: int, options: Options) -> Plan:
        """Put the boundary at half of the blocks, with about `EPOCHS` epochs and no head.

        A batch holds twice the usual number of texts, for its pairs are what is learned from, and
        a text is soon read. Without a word on epochs the steps stay between the two limits.
        """
        batch = 2 * options.batch
        steps = -(-n_train // batch)
        wanted = min(MOST_STEPS, max(LEAST_STEPS, EPOCHS * steps))
        (stage,) = train_from(n_blocks // 2, n_blocks, n_train, options).stages
        tuned = Stage(
            stage.groups[:-1],
            options.epochs or -(-wanted // steps),
            objective="contrastive",
            batch=batch,
            most_steps=None if options.epochs else MOST_STEPS,
        )
        return Plan((tuned,), solver=options.head)
