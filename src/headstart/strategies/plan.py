"""What a strategy decides, as plain values that the one loop then carries out. No torch here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

from headstart.boundary.heads import SOLVERS
from headstart.errors import UsageError

HEAD = -1
"""The head's index in a `Group`: it comes after the last block, whatever their number."""

ADAPTERS = -2
"""The adapters' index in a `Group`: they stand beside the layers of all blocks."""


@dataclass(frozen=True)
class Group:
    """Blocks that learn at one rate.

    ``blocks`` are block indices, `HEAD` for the head, `ADAPTERS` for the adapters; ``rate`` is the
    peak learning rate.
    """

    blocks: tuple[int, ...]
    rate: float


@dataclass(frozen=True)
class Freeze:
    """When a block is frozen for good while training goes on, see `headstart.training.freezing`.

    ``threshold`` is the relative update between two checks that counts as standing still, as a
    share of the largest that any block has made; ``patience`` is how many checks in a row a block
    must do so.
    """

    threshold: float
    patience: int


@dataclass(frozen=True)
class Adapters:
    """Low-rank adapters: beside a frozen W stands ``alpha``/``rank`` B A, B of ``rank`` columns."""

    rank: int
    alpha: float


@dataclass(frozen=True)
class Stage:
    """Some epochs with the boundary in one place; blocks in no group are frozen.

    Attributes:
        groups: what is trained, and how fast.
        epochs: passes over the training split.
        objective: cross-entropy of the classes, or pairs of one class drawn together.
        pull: strength alpha of the pull of trained blocks to the weights that they started from;
            above 0 it stands in place of their pull towards zero.
        freeze: when blocks are frozen during the stage; None for never.
        batch: examples a step; None for the options' number.
        most_steps: after so many steps the stage ends, also within an epoch; None for no limit.
    """

    groups: tuple[Group, ...]
    epochs: int
    objective: Literal["classes", "contrastive"] = "classes"
    pull: float = 0.0
    freeze: Freeze | None = None
    batch: int | None = None
    most_steps: int | None = None

    @property
    def trained(self) -> frozenset[int]:
        """Indices of the blocks that change in this stage."""
        return frozenset(b for group in self.groups for b in group.blocks if b >= 0)

    def boundary(self, n_blocks: int) -> int:
        """Return the freeze boundary: below it nothing changes, so work there is done once.

        Adapters may stand in any block, so with them it is 0, though the blocks are frozen.
        """
        if any(ADAPTERS in group.blocks for group in self.groups):
            return 0
        return min(self.trained, default=n_blocks)

    def n_steps(self, n_train: int, options: Options) -> int:
        """Return the number of steps for ``n_train`` examples, none of them left out early."""
        steps = self.epochs * -(-n_train // (self.batch or options.batch))
        return steps if self.most_steps is None else min(steps, self.most_steps)


@dataclass(frozen=True)
class Plan:
    """A strategy made concrete for one backbone and one number of examples.

    Attributes:
        stages: run one after the other by the loop; none where only a head is solved.
        solver: name of the convex head that is solved on the features that the stages leave, or
            None where the stages train the head.
        start: weights that the backbone starts from.
        batch_statistics: batch norm learns from the batches (from scratch), or keeps what it knows.
        probe: name of the convex head that is solved on the features before the first stage, and
            that training starts from; None for a head that starts from zero.
        adapters: are put into the backbone before the first stage and merged into its weights
            after the last; None for none.
    """

    stages: tuple[Stage, ...] = ()
    solver: str | None = None
    start: Literal["pretrained", "random"] = "pretrained"
    batch_statistics: bool = False
    probe: str | None = None
    adapters: Adapters | None = None


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
        augment: "off", "light" or "strong", see `headstart.boundary.views`; None for light on
            photos and off on glyph-sized pictures, which a mirror turns into other characters.
        early_stopping: keep the weights of the best epoch on an inner part of the training split.
        head: the convex head of strategies that solve one.
        views: augmented views of each picture, computed once; None for fresh ones each epoch, and
            4 where activations are kept.
        cache_limit: gigabytes on disk that kept activations may take; 0 keeps none.
        cache_half: keep activations as 16-bit floats: half the size, answers differ slightly.
        pull: of `l2-sp`: strength of the pull to the pre-trained weights.
        freeze_threshold: of `auto-freeze`: the relative update below which a block stands still,
            as a share of the largest that any block has made, 0..1.
        freeze_patience: of `auto-freeze`: epochs in a row after which such a block is frozen.
        rank: of `lora`: rank of the adapters.
        soup: how many of the best epochs may be averaged where that helps; 0 or 1 for the best
            alone. See `headstart.training.soup`.
        seconds: training stops after so many, the rate having come down by then; equal seeds no
            longer give equal weights. None for no limit.
        pooling: of texts: how token vectors become one; None for the backbone's own way.
        vectors: of text networks that are trained here: path of word vectors in GloVe's format.
        min_frequency: of text networks that are trained here: how often a word must occur.
        image_size: of pictures: pixels a side that are read; None for what it learned from.
            Half the side is a quarter of the work.
        max_length: of texts: tokens that are read; None for the backbone's own limit.
        clean: of texts: resolve entities and take out markup, see `headstart.data.texts`; None for
            networks that are trained here alone: an encoder reads texts as it learned to.
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
    views: int | None = None
    cache_limit: float = 8.0
    cache_half: bool = False
    pull: float = 0.01
    freeze_threshold: float = 0.3
    freeze_patience: int = 2
    rank: int = 8
    soup: int = 0
    seconds: float | None = None
    pooling: str | None = None
    vectors: str | None = None
    min_frequency: int = 2
    image_size: int | None = None
    max_length: int | None = None
    clean: bool | None = None

    def __post_init__(self) -> None:
        """Refuse what is out of range, all faults at once."""
        wrong = [
            f"{name} is {getattr(self, name)}, but must be {allowed}"
            for name, fine, allowed in (
                ("epochs", _is_count(self.epochs), "1 or more"),
                ("batch", _is_count(self.batch), "1 or more"),
                ("body_rate", _is_positive(self.body_rate), "above 0"),
                ("head_rate", _is_positive(self.head_rate), "above 0"),
                ("decay", 0 < self.decay <= 1, "above 0 and at most 1"),
                ("weight_decay", self.weight_decay >= 0, "0 or more"),
                ("smoothing", 0 <= self.smoothing < 1, "from 0 to below 1"),
                ("optimiser", self.optimiser in RATES, " or ".join(RATES)),
                ("augment", self.augment in (None, *AUGMENTS), ", ".join(AUGMENTS)),
                ("head", self.head in SOLVERS, ", ".join(SOLVERS)),
                ("views", _is_count(self.views), "1 or more"),
                ("cache_limit", self.cache_limit >= 0, "0 or more"),
                ("pull", 0 <= self.pull < float("inf"), "0 or more"),
                ("freeze_threshold", 0 < self.freeze_threshold <= 1, "above 0 and at most 1"),
                ("freeze_patience", _is_count(self.freeze_patience), "1 or more"),
                ("rank", _is_count(self.rank), "1 or more"),
                ("soup", self.soup >= 0, "0 or more"),
                ("seconds", _is_positive(self.seconds), "above 0"),
                ("pooling", self.pooling in (None, *POOLINGS), ", ".join(POOLINGS)),
                ("min_frequency", _is_count(self.min_frequency), "1 or more"),
                ("image_size", self.image_size is None or self.image_size >= 8, "8 or more"),
                ("max_length", _is_count(self.max_length), "1 or more"),
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


def _is_count(number: int | None) -> bool:
    return number is None or number >= 1


def _is_positive(number: float | None) -> bool:
    return number is None or 0 < number < float("inf")


RATES = {"adamw": (1e-4, 3e-3), "sgd": (1e-2, 1e-1)}
AUGMENTS = ("off", "light", "strong")
POOLINGS = ("first", "mean", "max", "last", "attention")


class Strategy(ABC):
    """A way to transfer: a small frozen value that makes a plan and runs nothing itself."""

    solves = False
    """Whether a convex head is solved on features, so that a plan needs no network."""

    kinds: tuple[str, ...] = ("image", "text")
    """The kinds of items that it is for."""

    example: str | None = None
    """How its name is written where it takes a number, ``partial:-3`` say; None where it does not.
    """

    @abstractmethod
    def plan(self, n_blocks: int, n_train: int, options: Options) -> Plan:
        """Return the plan for a backbone of ``n_blocks`` blocks and ``n_train`` examples."""
