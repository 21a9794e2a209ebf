"""Low-rank adapters, through PEFT: put into a backbone, trained, merged into its weights.

PEFT replaces linear layers by its own, in place, inside the modules that a backbone's blocks hold;
once merged, the network has its own names and shapes again, and nothing after training knows that
there were adapters.
"""

from __future__ import annotations

import re
from typing import Any, cast

import torch
from torch import nn

from headstart.backbones.blocks import Backbone
from headstart.errors import UsageError
from headstart.strategies.plan import Adapters

PROJECTIONS = {
    # Query, key, value and output, as the encoders of `headstart.backbones.huggingface` call them.
    "transformers": (
        r".*\.(query|key|value)(_proj)?|.*\.([qkv]|out)_lin"
        r"|.*\battention\.(output\.)?dense|.*\battn\.([qkvo]|Wqkv|Wo)"
    ),
    "timm": r".*\battn\.(qkv|proj)",
}
"""Paths of the attention's linear layers, by the library that the network comes from.

All four of them are adapted, which Hu et al. 2021, table 5, found as good as any choice. Networks
that read ``layer.weight`` instead of calling the layer would pass an adapter by unnoticed; where
timm does so, its classes are not in `CALLED`, and torchvision does so everywhere.
"""

CALLED = {"SwinTransformer", "VisionTransformer", "VisionTransformerDistilled"}
"""Networks of timm that call their attention's layers."""

MARK = ".lora_"
"""What PEFT's names of adapters have in them, and no other name has."""


def attach(backbone: Backbone, adapters: Adapters, seed: int) -> None:
    """Put adapters into the attention layers of ``backbone``, in place.

    They add nothing yet, so its answers stay the same. Only they need a gradient afterwards.

    Args:
        backbone: a text encoder or one of timm's vision transformers.
        adapters: their rank and strength.
        seed: of their random half.

    Raises:
        UsageError: there is no attention that could be adapted, or PEFT is missing or too old.
    """
    targets = _targets(backbone.net)
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:  # not there, or too old for the transformers that is
        raise UsageError(
            f"'lora' needs the package peft, which is not to be had here ({error}); "
            "run: pip install 'peft>=0.18'"
        ) from error
    # PEFT divides alpha by the rank, so it need not be whole, whatever the annotation says.
    alpha = cast("int", adapters.alpha)
    config = LoraConfig(r=adapters.rank, lora_alpha=alpha, target_modules=targets)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inject_adapter_in_model(config, backbone.net)


def parameters(backbone: Backbone) -> dict[str, nn.Parameter]:
    """Return the parameters of the adapters by their names in ``backbone.net``."""
    return {name: p for name, p in backbone.net.named_parameters() if MARK in name}


def merge(backbone: Backbone) -> None:
    """Add what the adapters learned to the weights beside them, and take them out, in place."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    net = backbone.net
    for path, layer in list(net.named_modules()):
        if isinstance(layer, BaseTunerLayer):
            layer.merge()
            parent, _, name = path.rpartition(".")
            setattr(net.get_submodule(parent), name, layer.get_base_layer())
    del cast("Any", net).peft_config


def _targets(net: nn.Module) -> list[str]:
    """Return the paths of the layers of ``net`` that get an adapter."""
    library = type(net).__module__.partition(".")[0]
    known = library == "transformers" or type(net).__name__ in CALLED
    pattern = PROJECTIONS.get(library) if known else None
    found = [
        name
        for name, module in net.named_modules()
        if pattern and isinstance(module, nn.Linear) and re.fullmatch(pattern, name)
    ]
    if not found:
        raise UsageError(
            f"'lora' adapts attention layers, and finds none in {type(net).__name__}; take a text "
            "encoder (minilm) or a vision transformer (timm:vit_tiny_patch16_224)."
        )
    return found
