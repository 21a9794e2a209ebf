"""Kept features as what the one loop reads, and the linear map that may stand on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from headstart.backbones.blocks import Backbone
from headstart.backbones.cut import Cut
from headstart.boundary.engine import Batch
from headstart.boundary.inputs import PLAIN, Indices, Inputs, Row
from headstart.tasks.task import Matrix

RANK = 64
"""Of the map: it may move features along so many directions."""


class _Whole:
    """The preprocessing of what needs none: all rows may go through at once."""

    window = 4096

    def batches(self, rows: Sequence[Any]) -> list[Indices]:
        return [np.arange(len(rows))]


class Vectors(Inputs):
    """Features in memory, (N, D), read as items are: a network above them trains on nothing else.

    >>> rows = Vectors(np.eye(3, dtype=np.float32))
    >>> next(rows.batches([np.array([2, 0])], 0))[0].tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """

    preprocess: Any

    def __init__(self, features: Matrix) -> None:
        self.features = np.ascontiguousarray(features, np.float32)
        self.preprocess, self.level, self.views = _Whole(), None, None

    def close(self) -> None:
        """Nothing lies on disk."""

    def keep_plain(self, indices: Indices) -> None:
        """All is there."""

    def collate(self, rows: list[Row]) -> Batch:
        """Return rows as a batch."""
        return (np.stack(rows),)

    def rows(self, indices: Indices, number: int) -> Iterator[Row]:
        """Yield the features; they have no other view than the plain one."""
        yield from self.features[indices]

    def batches(self, order: list[Indices], epoch: int) -> Iterator[Batch]:
        """Yield the batches of ``order``."""
        yield from ((self.features[batch],) for batch in order)

    def number(self, epoch: int) -> int:
        """Return the plain view's number."""
        return PLAIN


class Map(nn.Module):
    """x + x U V with U (D, R) and V (R, D): a linear map of rank R beside the identity.

    It starts as the identity; a head above it is a head of the features themselves.
    """

    def __init__(self, width: int, rank: int, seed: int) -> None:
        super().__init__()
        drawn = torch.randn(width, rank, generator=torch.Generator().manual_seed(seed))
        self.down = nn.Parameter(drawn / width**0.5)
        self.up = nn.Parameter(torch.zeros(rank, width))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, D) to (N, D)."""
        return x + x @ self.down @ self.up

    def below(self, weight: Matrix) -> Matrix:
        """Return the weight, (K, D), of the head below the map that answers as ``weight`` above."""
        down, up = (p.detach().cpu().numpy() for p in (self.down, self.up))
        found: Matrix = weight + (weight @ up.T) @ down.T
        return found


def above_features(width: int, *, moves: bool, seed: int) -> Backbone:
    """Return what stands between kept features and a head: a `Map`, or nothing at all."""
    net: nn.Module = Map(width, min(RANK, width), seed) if moves else nn.Identity()
    backbone = Backbone(net, lambda found, x: found(x), nn.Identity(), width)
    backbone.cut = Cut((), {}, ())  # one block: there is nothing to look for
    return backbone
