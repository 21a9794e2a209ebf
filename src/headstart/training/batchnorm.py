"""Batch norm of networks that are trained from scratch: statistics that fit the final weights."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from headstart.backbones.blocks import Backbone
from headstart.boundary.engine import Batch
from headstart.boundary.forward import Source, forward
from headstart.compute.running import autocast

ITEMS = 256
"""So many items tell the statistics well enough; more would only take time."""


@torch.no_grad()
def settle(backbone: Backbone, source: Source, batches: Iterable[Batch], device: str) -> None:
    """Give trained batch norm the mean and variance of ``batches`` as the network now is.

    The running averages that training leaves lag behind weights that move fast: after some tens of
    steps from scratch a deep network in eval mode answers the same to everything, and a baseline
    that is broken would flatter every transfer. Each variance is the mean of the batches'.

    Source: Wu and Johnson 2021, arXiv:2105.07576, section 3 ("precise" statistics).
    """
    norms = [
        module
        for name, module in backbone.net.named_modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
        and backbone.owner(name) in backbone.trainable
    ]
    momenta = [norm.momentum for norm in norms]
    backbone.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain average over all batches
        norm.train()
    with autocast(device):
        for batch in batches:
            forward(backbone, source, batch, device)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
