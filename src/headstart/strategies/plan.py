"""What a strategy decides, as plain values that the one loop then carries out. No torch here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

from headstart.errors import UsageError
from headstart.features.heads import SOLVERS

HEAD = -1
"""The head's index in a `Group`: it comes after the last block, whatever their number."""


@dataclass(frozen=True)
class Group:
    """Blocks that learn at one rate.

    ``blocks`` are block indices, `HEAD` for the head; ``rate`` is the peak learning rate.
    """

    blocks: tuple[int, ...]
    rate: float


@dataclass(frozen=True)
class Stage:
    """Some epochs with the boundary in one place; blocks in no group are frozen."""

    groups: tuple[Group, ...]
    epochs: int

    @property
    def trained(self) -> frozenset[int]:
        """Indices of the blocks that change in this stage."""
        return frozenset(b for group in self.groups for b in group.blocks if b != HEAD)

    def boundary(self, n_blocks: int) -> int:
        """Return the freeze boundary: below it nothing changes, so work there is done once."""
        return min(self.trained, default=n_blocks)


@dataclass(frozen=True)
class Plan:
    """A strategy made concrete for one backbone and one number of examples.

    Attributes:
        stages: run one after the other by the loop; none where the head is solved.
        solver: name of the convex head that is solved on features, or None.
        start: weights that the backbone starts from.
        batch_statistics: batch norm learns from the batches (from scratch), or keeps what it knows.
    """

    stages: tuple[Stage, ...] = ()
    solver: str | None = None
    start: Literal["pretrained", "random"] = "pretrained"
    batch_statistics: bool = False


@dataclass(frozen=True)
class Options:
    """What every strategy that trains by steps understands; the loop reads it too.

    Attributes:
        epochs: passes over the training split; None lets the strategy choose by its size.
        batch: examples a step.
        body_rate: peak learning rate of pre-trained blocks; None for the optimiser's usual.
        head_rate: peak learning rate of the new head; None for the optimiser's usual.
        decay: layer-wise decay: each block below the top learns ``decay`` times as fast as the
            one above it; 1 for none.
        optimiser: "adamw" or "sgd" (momentum 0.9).
        weight_decay: strength of the pull towards zero.
        smoothing: label smoothing, 0..1.
        class_weights: weigh classes by the inverse of their number of examples.
        augment: "off", "light" or "strong", see `headstart.training.augment`; None for light on
            photos and off on glyph-sized pictures, which a mirror turns into other characters.
        early_stopping: keep the weights of the best epoch on an inner part of the training split.
        head: the convex head of strategies that solve one.
    """

    epochs: int | None = None
    batch: int = 32
    body_rate: float | None = None
    head_rate: float | None = None
    decay: float = 1.0
    optimiser: str = "adamw"
    weight_decay: float = 0.01
    smoothing: float = 0.0
    class_weights: bool = False
    augment: str | None = None
    early_stopping: bool = True
    head: str = "logistic"

    def __post_init__(self) -> None:
        """Refuse what is out of range, all faults at once."""
        wrong = [
            f"{name} is {got}, but must be {allowed}"
            for name, got, fine, allowed in (
                ("epochs", self.epochs, self.epochs is None or self.epochs >= 1, "1 or more"),
                ("batch", self.batch, self.batch >= 1, "1 or more"),
                ("body_rate", self.body_rate, _is_rate(self.body_rate), "above 0"),
                ("head_rate", self.head_rate, _is_rate(self.head_rate), "above 0"),
                ("decay", self.decay, 0 < self.decay <= 1, "above 0 and at most 1"),
                ("weight_decay", self.weight_decay, self.weight_decay >= 0, "0 or more"),
                ("smoothing", self.smoothing, 0 <= self.smoothing < 1, "from 0 to below 1"),
                ("optimiser", self.optimiser, self.optimiser in RATES, " or ".join(RATES)),
                ("augment", self.augment, self.augment in (None, *AUGMENTS), ", ".join(AUGMENTS)),
                ("head", self.head, self.head in SOLVERS, ", ".join(SOLVERS)),
            )
            if not fine
        ]
        if wrong:
            raise UsageError("; ".join(wrong) + ".")

    @property
    def rates(self) -> tuple[float, float]:
        """Peak learning rates of (pre-trained body, new head)."""
        body, head = RATES[self.optimiser]
        return self.body_rate or body, self.head_rate or head

    def epochs_for(self, n_train: int, *, default: int, least_steps: int) -> int:
        """Return the number of epochs: the user's, else ``default``, more for very few examples.

        Ten examples are one step an epoch; it is steps that move weights, so there are at least
        ``least_steps`` of them.
        """
        steps = max(1, -(-n_train // self.batch))
        return self.epochs or max(default, -(-least_steps // steps))


def _is_rate(rate: float | None) -> bool:
    return rate is None or 0 < rate < float("inf")


RATES = {"adamw": (1e-4, 3e-3), "sgd": (1e-2, 1e-1)}
AUGMENTS = ("off", "light", "strong")


class Strategy(ABC):
    """A way to transfer: a small frozen value that makes a plan and runs nothing itself."""

    solves = False
    """Whether a convex head is solved on features, so that a plan needs no network."""

    @abstractmethod
    def plan(self, n_blocks: int, n_train: int, options: Options) -> Plan:
        """Return the plan for a backbone of ``n_blocks`` blocks and ``n_train`` examples."""
