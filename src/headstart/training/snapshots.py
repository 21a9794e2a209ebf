"""All that training can change, taken and put back: for the best epochs, and for checkpoints."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from torch import Tensor, nn

from headstart.backbones.blocks import Backbone
from headstart.backbones.weights import fill

State = dict[str, Tensor]


@dataclass(frozen=True)
class Snapshots:
    """Copies of the trained blocks of ``backbone``, buffers included, and of the ``head``."""

    backbone: Backbone
    head: nn.Module

    def take(self, changed: Collection[int]) -> State:
        """Return copies of the head, and of the blocks that have ``changed`` or will."""
        own = self.backbone
        net = {
            f"net.{name}": tensor.detach().clone()
            for name, tensor in own.net.state_dict().items()
            if name in own.adapters or own.owner(name) in changed
        }
        head = self.head.state_dict().items()
        return net | {f"head.{name}": tensor.detach().clone() for name, tensor in head}

    def put_back(self, state: State) -> None:
        """Give backbone and head what `take` returned."""
        fill(self.backbone.net, within("net", state))
        self.head.load_state_dict(within("head", state))


def within(prefix: str, tensors: State) -> State:
    """Return the tensors whose names begin with ``prefix.``, without it."""
    start = f"{prefix}."
    return {name.removeprefix(start): t for name, t in tensors.items() if name.startswith(start)}
