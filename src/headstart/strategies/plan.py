"""What a strategy decides, as plain values that the one loop then carries out. No torch here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import ClassVar, Literal

from headstart.settings.groups import Options
from headstart.settings.option import Setting, table
from headstart.settings.table import Fitting

HEAD = -1
"""The head's index in a `Group`: it comes after the last block, whatever their number."""

ADAPTERS = -2
"""The adapters' index in a `Group`: they stand beside the layers of all blocks."""

MODULES = -3
"""The index in a `Group` of the networks that the stage's objective owns."""

Part = Literal["biases", "norms"]
"""What of a block may train alone, see `headstart.backbones.parts`."""


@dataclass(frozen=True)
class Group:
    """Blocks that learn at one rate.

    ``blocks`` are block indices, `HEAD` for the head, `ADAPTERS` for the adapters, `MODULES` for
    what the objective owns; ``rate`` is the peak learning rate. With ``only`` nothing but such
    parameters of the blocks train.
    """

    blocks: tuple[int, ...]
    rate: float
    only: Part | None = None


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
        objective: what is minimised: "targets", their loss; "contrastive", pairs of one class drawn
            together; or another name that the job explains.
        pull: strength alpha of the pull of trained blocks to the weights that they started from;
            above 0 it stands in place of their pull towards zero.
        freeze: when blocks are frozen during the stage; None for never.
        batch: examples a step; None for the options' number.
        most_steps: after so many steps the stage ends, also within an epoch; None for no limit.
        items: whether its objective reads the items themselves, though nothing below is trained.
    """

    groups: tuple[Group, ...]
    epochs: int
    objective: str = "targets"
    pull: float = 0.0
    freeze: Freeze | None = None
    batch: int | None = None
    most_steps: int | None = None
    items: bool = False

    @property
    def trained(self) -> frozenset[int]:
        """Indices of the blocks that change in this stage."""
        return frozenset(b for group in self.groups for b in group.blocks if b >= 0)

    @property
    def parts(self) -> dict[int, Part]:
        """The blocks of which only a part changes."""
        return {b: group.only for group in self.groups if group.only for b in group.blocks}

    def boundary(self, n_blocks: int) -> int:
        """Return the freeze boundary: below it nothing changes, so work there is done once.

        Adapters may stand in any block, so with them it is 0, though the blocks are frozen.
        """
        if self.items or any(ADAPTERS in group.blocks for group in self.groups):
            return 0
        return min(self.trained, default=n_blocks)

    def n_steps(self, steps: int) -> int:
        """Return the number of steps of the stage, whose epochs have so many ``steps`` each."""
        steps *= self.epochs
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
        softer: what its outputs are divided by there, if they are the scores of classes.
        adapters: are put into the backbone before the first stage and merged into its weights
            after the last; None for none.
    """

    stages: tuple[Stage, ...] = ()
    solver: str | None = None
    start: Literal["pretrained", "random"] = "pretrained"
    batch_statistics: bool = False
    probe: str | None = None
    softer: float = 1.0
    adapters: Adapters | None = None


STEPS = frozenset(name for name, row in table(Fitting).items() if row.by == "steps")
"""Names of the options that strategies read which train by steps."""

KEPT = frozenset({"cache_limit", "cache_half"})
"""Those of them that strategies do not read which never keep an activation."""


class Strategy(ABC):
    """A way to transfer: a small frozen value that makes a plan and runs nothing itself."""

    solves = False
    """Whether a convex head is solved on features, so that a plan needs no network."""

    options: ClassVar[frozenset[str]] = STEPS
    """Names of the options that it reads, besides its own fields and those that all read."""

    kinds: tuple[str, ...] = ("image", "text")
    """The kinds of items that it is for."""

    needs_classes = False
    """Whether it draws items of one class together, and so is for tasks that have classes alone."""

    needs_earlier = False
    """Whether it reads examples of what the backbone knew before."""

    example: str | None = None
    """How its name is written where it takes a number, ``partial:-3`` say; None where it does not.
    """

    names_head = False
    """Whether the name of a head may stand behind a colon in its name."""

    @abstractmethod
    def plan(self, n_blocks: int, n_train: int, options: Options) -> Plan:
        """Return the plan for a backbone of ``n_blocks`` blocks and ``n_train`` examples."""

    @classmethod
    def reads(cls, option: Setting) -> bool:
        """Return whether the strategy, or the loop on its behalf, looks at the option."""
        own = {one.name for one in fields(cls)}  # type: ignore[arg-type]
        return option.by == "all" or option.name in cls.options | own
