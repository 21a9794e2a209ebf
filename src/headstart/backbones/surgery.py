"""Surgery: find and take off the head, fit the first convolution to other channels."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from headstart.errors import BackboneError


def find_head(net: nn.Module) -> str:
    """Return the path of the classifier, whatever it is called: the last linear layer.

    Networks run their layers in the order in which they register them, auxiliary classifiers
    before the main one, so that is the head of every network that ends in one; of one without any
    linear layer (SqueezeNet) it is the last convolution.

    Raises:
        BackboneError: the network has neither.

    >>> find_head(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)))
    '2'
    """
    for kind in (nn.Linear, nn.Conv2d):
        found: list[str] = [name for name, m in net.named_modules() if isinstance(m, kind)]
        if found:
            return found[-1]
    raise BackboneError(f"{type(net).__name__} has no layer that could be its head.")


def take_off_head(net: nn.Module) -> int:
    """Take the head off, in place; return how many features it used to read.

    timm's networks say themselves how. Those that have no head (an encoder) stay as they are.
    """
    said: Any = net
    if hasattr(net, "reset_classifier"):
        said.reset_classifier(0)
        return int(getattr(said, "head_hidden_size", said.num_features))
    path = find_head(net)
    head: Any = net.get_submodule(path)
    parent, _, name = path.rpartition(".")
    setattr(net.get_submodule(parent), name, nn.Identity())
    return int(head.in_features if isinstance(head, nn.Linear) else head.in_channels)


def first_convolution(net: nn.Module) -> tuple[str, nn.Conv2d]:
    """Return the path and the layer of the first convolution.

    Raises:
        BackboneError: the network has none.
    """
    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d):
            return name, module
    raise BackboneError(f"{type(net).__name__} has no convolution that could be adapted or shown.")


def _reads(net: nn.Module) -> int | None:
    """Return the channels of the pictures that timm says a network reads; None if it does not."""
    said: Any = getattr(net, "pretrained_cfg", None) or {}
    size = said.get("input_size")
    return int(size[0]) if size else None


def fit_channels(net: nn.Module, channels: int) -> None:
    """Make the first convolution read ``channels`` channels, in place.

    One channel: the weights are summed, which answers a grey picture exactly as three equal
    channels would have been. More: they are repeated in turn and scaled by C/``channels``, which
    keeps the size of the response (timm's `adapt_input_conv` does the same).
    """
    reads = _reads(net)
    if channels == reads and not any(isinstance(m, nn.Conv2d) for m in net.modules()):
        return
    path, old = first_convolution(net)
    if old.in_channels == channels or (channels == reads and old.in_channels != reads):
        return
    if reads not in (None, old.in_channels):
        raise BackboneError(f"{type(net).__name__} has no convolution that reads pixels.")
    if old.groups != 1:
        raise BackboneError(f"the first convolution ({path}) is grouped and cannot be adapted.")
    new = nn.Conv2d(
        channels,
        old.out_channels,
        (old.kernel_size[0], old.kernel_size[1]),
        stride=(old.stride[0], old.stride[1]),
        padding=old.padding if isinstance(old.padding, str) else (old.padding[0], old.padding[1]),
        dilation=(old.dilation[0], old.dilation[1]),
        bias=old.bias is not None,
        padding_mode=old.padding_mode,
    )
    with torch.no_grad():
        source = [i % old.in_channels for i in range(channels)]
        kernel = old.weight.sum(1, keepdim=True) if channels == 1 else old.weight[:, source]
        new.weight.copy_(kernel if channels == 1 else kernel * (old.in_channels / channels))
        if old.bias is not None and new.bias is not None:
            new.bias.copy_(old.bias)
    parent, _, name = path.rpartition(".")
    setattr(net.get_submodule(parent), name, new)
