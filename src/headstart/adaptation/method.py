"""What a method of adaptation is: a small frozen value; each stands in a file of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from headstart.errors import UsageError

Style = Literal["", "exchanged", "painted"]
"""How source pictures get the target's style: not at all, by their spectrum, by a network."""


@dataclass(frozen=True)
class Pair:
    """What one step sees of both domains.

    Attributes:
        source: features of source items, shape (N, D).
        target: features of target items, shape (M, D).
        source_logits: the head's answers for them, shape (N, K).
        target_logits: likewise, shape (M, K).
        modules: the networks that the method asked for.
        progress: the share of the training that is done, 0 to below 1.
    """

    source: Tensor
    target: Tensor
    source_logits: Tensor
    target_logits: Tensor
    modules: nn.ModuleDict
    progress: float


class Method:
    """A way to adapt; what it does not say stays as it is for the source alone.

    Attributes:
        own: whether each domain is brought to its own statistics.
        by_steps: whether it has a loss, and so trains by steps; otherwise a head is solved.
        moves: whether its loss is on the features, so that something below the head must train.
        source_free: whether its steps see no source item; the source has spoken before.
        translates: how it gets source pictures in the target's style, to learn from them too.
        kept_only: whether it works on kept features alone.
    """

    own: ClassVar[bool] = True
    by_steps: ClassVar[bool] = False
    moves: ClassVar[bool] = False
    source_free: ClassVar[bool] = False
    translates: ClassVar[Style] = ""
    kept_only: ClassVar[bool] = False

    @property
    def has_loss(self) -> bool:
        """Whether it can train blocks: some have a loss beside a closed form on kept features."""
        return type(self).loss is not Method.loss

    def matrix(self, source: Tensor, target: Tensor) -> Tensor | None:
        """Return what source features, (N, D), are multiplied with: (D, D), or None for nothing."""
        return None

    def weights(self, source: Tensor, target: Tensor) -> Tensor | None:
        """Return how much each source item counts, with mean 1, shape (N,); None for equally."""
        return None

    def examples(
        self, source: Tensor, labels: Tensor, n_classes: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return the features and labels that a head is solved on."""
        return source, labels

    def modules(self, n_features: int, n_classes: int) -> dict[str, nn.Module]:
        """Return the networks that its loss needs besides the model."""
        return {}

    def loss(self, pair: Pair) -> Tensor:
        """Return the loss of a step, besides that of the source's labels."""
        raise UsageError(f"{type(self).__name__} has no steps.")
