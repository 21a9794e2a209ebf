"""The pull of fine-tuned weights towards those that they started from."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the field's own name for it


def penalty(parameters: Iterable[Tensor], start: Iterable[Tensor], alpha: float) -> Tensor:
    """Return alpha/2 times the squared distance of ``parameters`` from ``start``.

    Args:
        parameters: the pre-trained weights w, as they are now.
        start: the weights w0 that they started from, in the same order and of the same shapes.
        alpha: strength, 0 or more.

    Source: Li et al. 2018, arXiv:1802.01483, equation 2, the term of the weights that source and
    target share; that of the head, beta/2 |w|^2, is its weight decay.

    >>> float(penalty([torch.tensor([1.0, 3.0])], [torch.tensor([1.0, 1.0])], 0.5))
    1.0
    """
    terms = (F.mse_loss(w, w0, reduction="sum") for w, w0 in zip(parameters, start, strict=True))
    return alpha / 2 * sum(terms, torch.zeros(()))
