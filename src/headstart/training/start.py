"""What a run starts from: the head, the seed, and how many threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from headstart.boundary.inputs import Inputs
from headstart.data.pictures.images import Preprocess
from headstart.tasks.head import Head

SMALL_SIDE = 64
"""Pictures up to this many pixels a side are small."""


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch inside the block and leave the caller's random state as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


@contextmanager
def threads(inputs: Inputs) -> Iterator[None]:
    """Train on small pictures with one thread: waiting for a second costs more than it brings."""
    before, p = torch.get_num_threads(), inputs.preprocess
    small = isinstance(p, Preprocess) and min(p.size) <= SMALL_SIDE
    torch.set_num_threads(1 if small else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def start_head(
    n_features: int, n_outputs: int, probe: Head | None, softer: float = 1.0
) -> nn.Linear:
    """Return the linear head that training starts from: ``probe``, ``softer`` so much, or zero.

    From zero the first steps follow the features, not the accident of a random head.
    """
    head = nn.Linear(n_features, n_outputs)
    with torch.no_grad():
        if probe is None:
            head.weight.zero_()
            head.bias.zero_()
        else:
            head.weight.copy_(torch.from_numpy(probe.weight / (probe.temperature * softer)))
            head.bias.copy_(torch.from_numpy(probe.bias / (probe.temperature * softer)))
    return head
