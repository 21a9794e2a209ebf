"""`pseudo`: the target's sure answers are taken for labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the field's own name for it

from headstart.adaptation.method import Method, Pair


def pseudo_label_loss(logits: Tensor, threshold: float = 0.9) -> Tensor:
    """Return the cross-entropy with the likeliest class, of items surer than ``threshold``.

    The sum over sure items is divided by all N, so that few sure items pull little; no gradient
    goes through the labels.

    Args:
        logits: of target items, shape (N, K).
        threshold: the probability from which an answer counts, 0 to below 1.

    Source: Lee 2013, "Pseudo-Label"; the threshold as in Sohn et al. 2020, arXiv:2001.07685,
    equation 4, without the augmentation.

    >>> float(pseudo_label_loss(torch.zeros(3, 2)))
    0.0
    """
    with torch.no_grad():
        sure, label = logits.softmax(1).max(1)
    return (F.cross_entropy(logits, label, reduction="none") * (sure >= threshold)).mean()


@dataclass(frozen=True)
class PseudoLabels(Method):
    """Learn the source's labels, and the target's own sure answers.

    When: most answers are right already. When not: a wide gap, where sure answers are often wrong
    and what they teach makes them surer.
    """

    by_steps: ClassVar[bool] = True
    threshold: float = 0.9
    strength: float = 1.0

    def loss(self, pair: Pair) -> Tensor:
        """Return the loss of the sure answers."""
        return self.strength * pseudo_label_loss(pair.target_logits, self.threshold)
