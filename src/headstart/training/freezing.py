"""When a block has come to rest: the rule that moves the freeze boundary up during training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from headstart.strategies.plan import Freeze

TINY = 1e-12


class Watch:
    """Compares blocks with how they were at the last check, and freezes them from the bottom up.

    A block stands still where its relative update is less than the rule's threshold times the
    largest update that any block has made so far: a share, so that it means the same at any rate,
    with any optimiser and any number of steps. It is frozen for good once it has stood still for
    ``patience`` checks in a row and all blocks below it are frozen, so that the boundary only
    moves up.

    Attributes:
        rule: threshold and patience.
        frozen: number of lowest blocks that are frozen for good.
        largest: the largest relative update of any block so far.
    """

    def __init__(self, rule: Freeze) -> None:
        self.rule = rule
        self.frozen = 0
        self.largest = 0.0
        self._last: dict[int, list[Tensor]] = {}
        self._still: dict[int, int] = {}

    def check(self, blocks: Mapping[int, Sequence[Tensor]]) -> int:
        """Return how many of the lowest blocks are now frozen for good.

        Args:
            blocks: the parameters of each block that may still move, by its index; the first check
                only remembers them. A block without parameters stands still.
        """
        updates = {
            block: relative_update(parameters, self._last[block])
            for block, parameters in blocks.items()
            if block in self._last
        }
        self.largest = max(self.largest, *updates.values(), 0.0)
        for block, parameters in blocks.items():
            still = updates.get(block, math.inf) <= self.rule.threshold * self.largest
            self._still[block] = self._still.get(block, 0) + 1 if still else 0
            self._last[block] = [p.detach().clone() for p in parameters]
        while self._still.get(self.frozen, 0) >= self.rule.patience:
            del self._last[self.frozen], self._still[self.frozen]
            self.frozen += 1
        return self.frozen

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return what a checkpoint keeps: tensors by name, and values that JSON can hold."""
        tensors = {f"{b}.{i}": w for b, kept in self._last.items() for i, w in enumerate(kept)}
        still = [[block, count, len(self._last[block])] for block, count in self._still.items()]
        return tensors, {"frozen": self.frozen, "largest": self.largest, "still": still}

    @classmethod
    def restore(cls, rule: Freeze, tensors: Mapping[str, Tensor], values: dict[str, Any]) -> Watch:
        """Return the watch that `state` described; it decides as the first one would have."""
        watch = cls(rule)
        watch.frozen, watch.largest = values["frozen"], values["largest"]
        for block, count, length in values["still"]:
            watch._still[block] = count
            watch._last[block] = [tensors[f"{block}.{i}"] for i in range(length)]
        return watch


def relative_update(now: Sequence[Tensor], last: Sequence[Tensor]) -> float:
    """Return |now - last| / |last|, over all tensors together.

    >>> round(relative_update([torch.tensor([3.0, 4.5])], [torch.tensor([3.0, 4.0])]), 6)
    0.1
    """
    # A restored watch may lie in main memory while the network is on a GPU.
    moved = _norm([w - w0.to(w.device) for w, w0 in zip(now, last, strict=True)])
    return moved / (_norm(last) + TINY)


@torch.no_grad()
def _norm(tensors: Sequence[Tensor]) -> float:
    """Return the length of all ``tensors`` as one vector."""
    return math.hypot(*(float(torch.linalg.vector_norm(w)) for w in tensors))
