"""The optimiser of what a stage trains, and of nothing else; its rate over time; its state."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from headstart.settings.groups import Options
from headstart.strategies.plan import HEAD, Stage


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


def packed(optimiser: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return copies of an optimiser's state: its tensors by name, and the rest as JSON."""
    state = optimiser.state_dict()
    tensors: dict[str, Tensor] = {}
    rest: dict[str, dict[str, Any]] = {}
    for index, values in state["state"].items():
        for key, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"{index}.{key}"] = value.detach().to("cpu", copy=True)
            else:
                rest.setdefault(str(index), {})[key] = value
    return tensors, {"groups": state["param_groups"], "state": rest}


def unpack(
    optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]
) -> None:
    """Give ``optimiser``, a new one over equal parameters, the state that was packed.

    From then on its steps are those of the packed one, bit for bit.
    """
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    state = {int(index): dict(values) for index, values in facts["state"].items()}
    for name, tensor in tensors.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = _laid_out(tensor, parameters[int(index)])
    groups = [
        # JSON knows no tuples, such as the betas of AdamW.
        {key: tuple(v) if isinstance(group.get(key), tuple) else v for key, v in packed.items()}
        for group, packed in zip(optimiser.param_groups, facts["groups"], strict=True)
    ]
    optimiser.load_state_dict({"state": state, "param_groups": groups})


def _laid_out(tensor: Tensor, parameter: Tensor) -> Tensor:
    """Return a copy that lies in memory as ``parameter`` does, channels last for example.

    Fused kernels go through both side by side and do not look at strides; a file has none.
    """
    if tensor.shape != parameter.shape:
        return tensor.clone()
    return torch.empty_like(parameter, dtype=tensor.dtype, device=tensor.device).copy_(tensor)
