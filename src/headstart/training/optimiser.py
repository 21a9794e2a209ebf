"""The optimiser of what a stage trains, and of nothing else; and its learning rate over time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from headstart.strategies.plan import HEAD, Options, Stage


def build(
    stage: Stage,
    boundary: int,
    parameters: Callable[[int], Iterable[nn.Parameter]],
    options: Options,
    *,
    fused: bool,
) -> torch.optim.Optimizer:
    """Return the optimiser of what ``stage`` trains from ``boundary`` up.

    Args:
        stage: its groups have the peak rates.
        boundary: blocks below it are left out.
        parameters: of a block, of the head (`HEAD`) or of the adapters.
        options: which optimiser, and how strong the decay is.
        fused: one pass over all weights, a fifth of the step of a small network otherwise.
    """
    groups: list[dict[str, Any]] = []
    for group in stage.groups:
        blocks = [b for b in group.blocks if b < 0 or b >= boundary]
        for decayed in (True, False):
            # Scales, shifts and biases are not pulled towards zero (He et al. 2019).
            found = [p for b in blocks for p in parameters(b) if (p.ndim > 1) == decayed]
            pulled = decayed and not (stage.pull and HEAD not in blocks)
            decay = options.weight_decay if pulled else 0.0
            groups.append({"params": found, "lr": group.rate, "weight_decay": decay})
    groups = [group for group in groups if group["params"]]
    if options.optimiser == "sgd":
        return torch.optim.SGD(groups, momentum=0.9)
    return torch.optim.AdamW(groups, fused=fused)


def cosine(step: float, n_steps: int) -> float:
    """Return the share of the peak rate at ``step``: a tenth of the steps up, then a cosine down.

    Source: Loshchilov and Hutter 2017, arXiv:1608.03983, equation 5, without restarts.

    >>> [round(cosine(s, 20), 2) for s in (0, 1, 2, 11, 19)]
    [0.5, 1.0, 1.0, 0.5, 0.01]
    """
    warm = max(1, n_steps // 10)
    if step < warm:
        return min(1.0, (step + 1) / warm)
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, n_steps - warm)))
