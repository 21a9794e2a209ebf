"""A backbone as a detector reads it: its maps at several levels in place of one vector."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from headstart.backbones import vision
from headstart.backbones.blocks import Backbone
from headstart.backbones.entry import Entry
from headstart.backbones.known import Known
from headstart.backbones.look import BATCH, Call, Run, example, look
from headstart.data.pictures.images import Preprocess
from headstart.errors import BackboneError

FINEST = 4
"""Pixels of the input that a point of the finest map stands for, at least; finer maps are large
and hold little but edges."""

SIDE_OF = 32
"""Sides of the input are whole multiples of this, so that most maps halve without a rest."""


class Level(NamedTuple):
    """A map that a pyramid stands on.

    Attributes:
        boundary: where it stands in the network.
        channels: of the map.
        stride: pixels of the input a point.
    """

    boundary: int
    channels: int
    stride: int


class Maps(Backbone):
    """A network whose features are its last map, and which hands out those of `levels` with it.

    All that is read above comes through the lowest level's boundary, so that is the highest one
    where activations can be kept; blocks above it may still be frozen.
    """

    levels: tuple[Level, ...] = ()

    @property
    def highest(self) -> int:
        """The lowest level's boundary."""
        return self.levels[0].boundary

    def forward_from(self, x: Any, k: int) -> Any:
        """Return the maps of all levels, each (N, C, H, W), from the activation at ``k``."""
        out, at = [], k
        for level in self.levels:
            x = self.forward_between(x, at, level.boundary)
            at = level.boundary
            out.append(x)
        return out

    def forward(self, x: Any) -> Any:
        """Return the maps of all levels."""
        return self.forward_from(self.forward_to(x, 0), 0)


def square(entry: Entry, side: int) -> Entry:
    """Return the entry for whole pictures in squares of ``side`` pixels, rounded up.

    Raises:
        BackboneError: it is no backbone for pictures.
    """
    if not isinstance(entry.preprocess, Preprocess):
        raise BackboneError(f"'{entry.name}' is for texts; boxes are found in pictures.")
    side = -(-side // SIDE_OF) * SIDE_OF
    whole = replace(entry.preprocess, size=(side, side), resize=side, crop="fit")
    return replace(entry, preprocess=whole)


def build(entry: Entry, *, seed: int = 0) -> Maps:
    """Return the network of ``entry``, from `square`, as maps; in eval mode.

    Raises:
        BackboneError: it has no maps that a detector could read: a transformer, say.
    """
    plain = vision.build(entry, seed=seed)
    p = entry.preprocess
    assert isinstance(p, Preprocess)
    size = (p.channels, *p.size)
    path = _last_map(plain.net, size)
    if path is None:
        raise BackboneError(_unfit(entry))
    known = Known(f"{entry.network}|{path}", entry.library, size)
    made = Maps(plain.net, _up_to(path), plain.start, 0, size=size, known=known).eval()
    made.levels = _levels(made, p.size[0])
    if not made.levels:
        raise BackboneError(_unfit(entry))
    made.n_features = made.levels[-1].channels
    return made


def _unfit(entry: Entry) -> str:
    return (
        f"'{entry.name}' has no maps to find boxes on; take a convolutional network, such as "
        "glyphs for small grey pictures or torchvision:mobilenet_v2 for photos."
    )


def _last_map(net: nn.Module, size: tuple[int, ...]) -> str | None:
    """Return the outermost module whose answer is the last map that all else comes from."""
    seen = look(net, vision.features, example(net, BATCH, size))
    times = Counter(call.path for call in seen.calls)
    first: dict[Any, Call] = {}
    for call in seen.calls:  # of those that answer the same, the outermost begins first
        out = call.output
        is_map = isinstance(out, Tensor) and out.ndim == 4 and min(out.shape[2:]) > 1
        learns = next(net.get_submodule(call.path).parameters(), None) is not None
        passes = len(call.made) == 1 and call.made[0] in seen.passages
        if is_map and learns and passes and call.path and times[call.path] == 1:
            first.setdefault(call.made[0], call)
    found = max(first.values(), key=lambda one: one.ended, default=None)
    if found is None or 2 * found.ended < len(seen.calls):
        return None  # what most of the network does, it does to something else than maps
    return found.path


def _up_to(path: str) -> Run:
    """Return the network's own forward that hands out what the module at ``path`` answers.

    What comes after it is run too, for the forward is the network's; it is little.
    """

    def run(net: nn.Module, pixels: Tensor) -> Tensor:
        found: list[Tensor] = []
        hook = net.get_submodule(path).register_forward_hook(lambda _, args, out: found.append(out))
        try:
            net(pixels)
        finally:
            hook.remove()
        return found[-1]

    return run


@torch.no_grad()
def _levels(maps: Maps, side: int) -> tuple[Level, ...]:
    """Return of each stride, from `FINEST` up, the deepest map."""
    x = torch.zeros(1, *maps.cut.size)
    found: dict[int, Level] = {}
    for k in range(1, maps.n_blocks + 1):
        x = maps.forward_between(x, k - 1, k)
        stride = side // x.shape[-1] if x.ndim == 4 else 0
        if x.ndim == 4 and x.shape[2] == x.shape[3] and stride >= FINEST and side % stride == 0:
            found[stride] = Level(k, x.shape[1], stride)
    return tuple(found[stride] for stride in sorted(found))
