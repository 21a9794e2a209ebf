"""From the vectors of a text's tokens to one vector; padding is never looked at.

Shapes: ``hidden`` (N, L, D), ``mask`` (N, L) with 1 for a token and 0 for padding, result (N, D).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


def first(hidden: Tensor, mask: Tensor) -> Tensor:
    """Return the vector of the first token, BERT's ``[CLS]``."""
    return hidden[:, 0]


def last(hidden: Tensor, mask: Tensor) -> Tensor:
    """Return the vector of the last token before the padding."""
    at = (mask.long().sum(1) - 1)[:, None, None].expand(-1, 1, hidden.shape[-1])
    return hidden.gather(1, at).squeeze(1)


def mean(hidden: Tensor, mask: Tensor) -> Tensor:
    """Return the mean over the tokens (Reimers and Gurevych 2019, arXiv:1908.10084, section 3)."""
    weight = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weight).sum(1) / weight.sum(1)


def largest(hidden: Tensor, mask: Tensor) -> Tensor:
    """Return each feature's maximum over the tokens."""
    lowest = torch.finfo(hidden.dtype).min
    return hidden.masked_fill(mask.unsqueeze(-1) == 0, lowest).amax(1)


def additive(hidden: Tensor, mask: Tensor, keys: Tensor, query: Tensor, score: Tensor) -> Tensor:
    """Return the mean weighted by softmax(score . tanh(keys + query)) over the tokens.

    ``keys`` (N, L, A) and ``query`` (N, A) are projections, ``score`` is (A,).
    Source: Bahdanau et al. 2015, arXiv:1409.0473, appendix A.1.2.
    """
    scores = torch.tanh(keys + query.unsqueeze(1)) @ score
    scores = scores.masked_fill(mask == 0, torch.finfo(scores.dtype).min)
    return (scores.softmax(1).unsqueeze(-1) * hidden).sum(1)


class AttentionPooling(nn.Module):
    """`additive` attention around the mean vector, learned.

    It starts as the mean, since its score starts at zero, and learns which tokens count more.

    >>> hidden = torch.tensor([[[1.0, 3.0], [3.0, 5.0], [9.0, 9.0]]])
    >>> AttentionPooling(2)(hidden, torch.tensor([[1, 1, 0]])).tolist()
    [[2.0, 4.0]]
    """

    def __init__(self, width: int, inner: int = 128) -> None:
        super().__init__()
        self.key = nn.Linear(width, inner)
        self.query = nn.Linear(width, inner, bias=False)
        self.score = nn.Parameter(torch.zeros(inner))

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the weighted mean, shape (N, D)."""
        query = self.query(mean(hidden, mask))
        return additive(hidden, mask, self.key(hidden), query, self.score)


Pooling = Callable[[Tensor, Tensor], Tensor]

POOLINGS: dict[str, Pooling] = {"first": first, "last": last, "max": largest, "mean": mean}
"""Those without weights of their own."""
