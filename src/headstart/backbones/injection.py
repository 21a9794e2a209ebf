"""Word vectors from elsewhere, joined to a text network's own embeddings.

Words that a network has seldom or never met come with what another corpus says of them. They are
aligned to the network's word pieces: a piece that begins a word has that word's vector, all others
have none, and nothing is added to those.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the field's own name for it

NAME = "injection"
"""What the module is called beside the embeddings; no other tensor's path has it."""

SPEED = 30.0
"""The gate is so many times its parameter, and so learns as fast as a new head at a body's rate."""


class Injection(nn.Module):
    """h + g * P v, or h + g * P [h; v], where a word has a vector v; h where it has none.

    The gate g, one number a dimension, starts at 0: the network begins as it was. The vectors stay
    as they are; the projection P and the gate are learned.

    Args:
        vectors: shape (V, D), rows of zeros for pieces without a vector.
        width: of the embeddings.
        concat: whether the projection reads the embedding too.
    """

    vectors: Tensor

    def __init__(self, vectors: Tensor, width: int, *, concat: bool = False) -> None:
        super().__init__()
        self.register_buffer("vectors", vectors)
        inputs = vectors.shape[1] + (width if concat else 0)
        self.projection = nn.Linear(inputs, width, bias=False)
        self.gate = nn.Parameter(torch.zeros(width))
        self.concat = concat

    def forward(self, hidden: Tensor, ids: Tensor) -> Tensor:
        """Return the joined vectors, shape (N, L, width), of embeddings and token ids (N, L)."""
        found = F.embedding(ids, self.vectors)
        known = (found != 0).any(-1, keepdim=True)
        read = torch.cat([hidden, found], -1) if self.concat else found
        joined: Tensor = hidden + SPEED * self.gate * self.projection(read) * known
        return joined


class Embedding(nn.Embedding):
    """A table of embeddings, under its own names, with an `Injection` behind it."""

    def __init__(self, table: nn.Embedding, injection: Injection) -> None:
        n, width = table.weight.shape
        super().__init__(n, width, padding_idx=table.padding_idx, _weight=table.weight.detach())
        self.weight = table.weight
        self.add_module(NAME, injection)

    def forward(self, ids: Tensor) -> Tensor:
        """Return the joined vectors of ``ids``."""
        inner = cast("Injection", self.get_submodule(NAME))
        joined: Tensor = inner(super().forward(ids), ids)
        return joined


def attach(
    net: nn.Module, vectors: npt.NDArray[np.float32], *, concat: bool = False, seed: int = 0
) -> None:
    """Join ``vectors``, a row a token id, to the embeddings of ``net``, in place.

    Args:
        net: of `headstart.backbones.textnets`, or an encoder of transformers.
        vectors: shape (V, D).
        concat: see `Injection`.
        seed: of the projection.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        _put(net, torch.from_numpy(vectors.copy()), concat)


def _put(net: nn.Module, vectors: Tensor, concat: bool) -> None:
    words: Any = dict(net.named_children()).get("words")
    if words is not None and hasattr(words, NAME):
        words.injection = Injection(vectors, words.width, concat=concat)
        return
    table = cast("Any", net).get_input_embeddings()
    padded = vectors.new_zeros(len(table.weight), vectors.shape[1])
    padded[: len(vectors)] = vectors[: len(padded)]  # some tables have rows for nothing
    made = Embedding(table, Injection(padded, table.weight.shape[1], concat=concat))
    for path in [path for path, module in net.named_modules() if module is table]:
        parent, _, name = path.rpartition(".")
        setattr(net.get_submodule(parent), name, made)


def restore(net: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Put back, in place, what ``tensors`` hold of an injection; nothing where they hold none."""
    own = {name.partition(f"{NAME}.")[2]: t for name, t in tensors.items() if is_own(name)}
    if not own:
        return
    concat = own["projection.weight"].shape[1] > own["vectors"].shape[1]
    _put(net, own["vectors"].float(), concat)
    inner = next(m for m in net.modules() if isinstance(m, Injection))
    inner.load_state_dict(own)


def is_own(name: str) -> bool:
    """Return whether a tensor of this name is of an injection."""
    return f"{NAME}." in name
