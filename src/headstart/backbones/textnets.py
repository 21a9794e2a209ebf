"""Text networks that are trained here from the first step: the baselines that transfer must beat.

Each is a `Backbone`: word embeddings, layers, and a pooling that ends the last layer's block. What
a text gets never depends on how far its batch is padded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the field's own name for it

from headstart.backbones import injection
from headstart.backbones.blocks import Backbone
from headstart.backbones.encoders import State, Tokens
from headstart.backbones.pooling import first, last, mean
from headstart.backbones.static import Table
from headstart.errors import BackboneError, UsageError, unknown

Matrix = npt.NDArray[np.float32]
Builder = Callable[[int, Matrix | None], Backbone]

NETWORKS: dict[str, Builder] = {}
"""From a name to a function of the vocabulary's size and fixed word vectors, or None."""


def build(name: str, vocabulary: int, vectors: Matrix | None = None, *, seed: int = 0) -> Backbone:
    """Return the network called ``name``, with random weights drawn from ``seed``, in eval mode.

    Args:
        name: one of `NETWORKS`.
        vocabulary: V, number of token ids.
        vectors: shape (V, D), word vectors that are never trained; None for embeddings that are.
        seed: of the weights.

    Raises:
        UsageError: no such network, or vectors for another vocabulary.

    >>> build("textcnn", 100).n_features
    300
    """
    if name not in NETWORKS:
        raise unknown("text network", name, NETWORKS)
    if vectors is not None and len(vectors) != vocabulary:
        raise UsageError(f"there are {len(vectors)} word vectors for {vocabulary} words.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return NETWORKS[name](vocabulary, vectors).eval()


def restore(name: str, tensors: Mapping[str, Tensor]) -> Backbone:
    """Return the network called ``name`` with the weights ``tensors``, as a bundle keeps them.

    Raises:
        BackboneError: they are not this network's.
    """
    tables = [tensors.get(f"words.{kind}.weight") for kind in ("fixed", "trained")]
    sizes = [len(table) for table in tables if table is not None]
    if not sizes:
        raise BackboneError(f"the weights are not those of {name}: no table of words in them.")
    fixed = None if tables[0] is None else tables[0].float().numpy()
    backbone = build(name, sizes[0], fixed)
    injection.restore(backbone.net, tensors)
    try:
        backbone.net.load_state_dict(dict(tensors))
    except RuntimeError as error:
        raise BackboneError(f"the weights are not those of {name}: {error}") from error
    return backbone


def looked_up(table: Table) -> Backbone:
    """Return a static encoder: its table, which can be trained, and the mean over the tokens."""
    net = nn.Module()
    net.words = nn.Embedding(*table.vectors.shape)
    net.words.load_state_dict({"weight": torch.from_numpy(table.vectors.copy())})

    def run(net: Any, state: State) -> Tensor:
        ids, mask = state
        found = mean(net.words(ids), mask)
        return F.normalize(found, dim=1) if table.normalise else found

    width = table.vectors.shape[1]
    return Backbone(net, run, Tokens(), width, source="words").eval()


def _register(name: str) -> Callable[[Builder], Builder]:
    def register(builder: Builder) -> Builder:
        if name in NETWORKS:
            raise ValueError(f"two networks are called {name}")
        NETWORKS[name] = builder
        return builder

    return register


@_register("bilstm")
def _bilstm(vocabulary: int, vectors: Matrix | None) -> Backbone:
    """Two bidirectional layers of 100; the states of the first and the last step joined."""
    words = Words(vocabulary, vectors, width=100)
    layers = [Bidirectional(nn.LSTM, inputs, 100) for inputs in (words.width, 200)]
    return _assembled(
        words, layers, 400, lambda h, mask: torch.cat([first(h, mask), last(h, mask)], 1)
    )


@_register("bigru")
def _bigru(vocabulary: int, vectors: Matrix | None) -> Backbone:
    """Three bidirectional layers of 128; the state of the last step."""
    words = Words(vocabulary, vectors, width=128)
    layers = [Bidirectional(nn.GRU, inputs, 128) for inputs in (words.width, 256, 256)]
    return _assembled(words, layers, 256, last)


@_register("textcnn")
def _textcnn(vocabulary: int, vectors: Matrix | None) -> Backbone:
    """Kim 2014, arXiv:1408.5882, "multichannel": fixed and trained vectors side by side."""
    words = Words(vocabulary, vectors, width=100, both=True)
    return _assembled(words, [Convolutions(words.width)], 300, None)


@_register("transformer")
def _transformer(vocabulary: int, vectors: Matrix | None) -> Backbone:
    """Two layers of two heads, 512 feed-forward; the mean over the tokens."""
    words = Words(vocabulary, vectors, width=128, positions=True)
    if words.width % 2:
        raise UsageError(f"two heads cannot share {words.width} dimensions; take an even number.")
    return _assembled(words, [Attention(words.width) for _ in range(2)], words.width, mean)


class Words(nn.Module):
    """From ids (N, L) to vectors (N, L, ``width``).

    Fixed vectors are a buffer and not a parameter, so no strategy can train them by mistake.
    ``both`` puts trained ones beside them, which start from the same; without fixed ones there
    are only trained ones. ``positions`` adds where in the text a word stands.
    """

    def __init__(
        self,
        vocabulary: int,
        vectors: Matrix | None,
        *,
        width: int,
        both: bool = False,
        positions: bool = False,
    ) -> None:
        super().__init__()
        self.fixed = None if vectors is None else Fixed(torch.from_numpy(vectors.copy()))
        self.trained = None
        if self.fixed is None or both:
            size = width if self.fixed is None else self.fixed.weight.shape[1]
            self.trained = nn.Embedding(vocabulary, size)
        if self.fixed is not None and self.trained is not None:
            self.trained.load_state_dict({"weight": self.fixed.weight})
        self.positions = positions
        self.injection: injection.Injection | None = None
        self.width = sum(table.weight.shape[1] for table in self._tables())

    def _tables(self) -> list[Fixed | nn.Embedding]:
        return [table for table in (self.fixed, self.trained) if table is not None]

    def forward(self, ids: Tensor) -> Tensor:
        """Return the vectors."""
        out = torch.cat([table(ids) for table in self._tables()], -1)
        out = out if self.injection is None else self.injection(out, ids)
        return out + sinusoids(ids.shape[1], self.width).to(out) if self.positions else out


class Fixed(nn.Module):
    """A table of vectors that is looked up and never trained."""

    weight: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)

    def forward(self, ids: Tensor) -> Tensor:
        """Return the rows at ``ids``."""
        return F.embedding(ids, self.weight)


def sinusoids(length: int, width: int) -> Tensor:
    """Return the code of each position, shape (length, width): sines, then cosines.

    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.5.
    """
    rate = torch.exp(-np.log(10000.0) * torch.arange(0, width, 2) / width)
    angle = torch.arange(length)[:, None] * rate
    return torch.cat([angle.sin(), angle.cos()], 1)[:, :width]


class Bidirectional(nn.Module):
    """One recurrent layer, read forth and back: (N, L, D) and a mask to (N, L, 2 ``width``).

    Padding stands after the text, and a pass in one direction never looks ahead. So each text is
    turned around by its own length for the way back, and nothing needs to be packed, which
    would be slower here and cannot be exported.
    """

    def __init__(self, kind: type[nn.LSTM] | type[nn.GRU], inputs: int, width: int) -> None:
        super().__init__()
        self.forth: nn.RNNBase = kind(inputs, width, batch_first=True)
        self.back: nn.RNNBase = kind(inputs, width, batch_first=True)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return both directions' states at each step; past a text's end they mean nothing."""
        turned = self.back(turn(hidden, mask))[0]
        return torch.cat([self.forth(hidden)[0], turn(turned, mask)], -1)


def turn(hidden: Tensor, mask: Tensor) -> Tensor:
    """Return ``hidden`` (N, L, D) with the tokens of each text in reverse, padding left behind."""
    steps = torch.arange(mask.shape[1], device=mask.device)
    at = (mask.sum(1, keepdim=True) - 1 - steps).clamp(min=0)
    return hidden.gather(1, at.unsqueeze(-1).expand(-1, -1, hidden.shape[-1]))


class Convolutions(nn.Module):
    """Windows of 3, 4 and 5 words, 100 channels each, the largest answer of each, dropout 0.5."""

    def __init__(
        self, inputs: int, widths: tuple[int, ...] = (3, 4, 5), channels: int = 100
    ) -> None:
        super().__init__()
        self.widths = widths
        self.windows = nn.ModuleList(nn.Conv1d(inputs, channels, width) for width in widths)
        self.dropout = nn.Dropout(0.5)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return shape (N, channels times widths)."""
        words = (hidden * mask.unsqueeze(-1).to(hidden.dtype)).transpose(1, 2)
        found = [
            largest_window(window(F.pad(words, (0, width - 1))).relu(), mask.sum(1), width)
            for window, width in zip(self.windows, self.widths, strict=True)
        ]
        out: Tensor = self.dropout(torch.cat(found, 1))
        return out


def largest_window(answers: Tensor, lengths: Tensor, width: int) -> Tensor:
    """Return the largest of ``answers``, (N, C, L), 0 or more, over the windows within each text.

    A window starts at each step and is ``width`` long; a text shorter than that has one window.
    """
    steps = torch.arange(answers.shape[-1], device=answers.device)
    outside = steps > (lengths - width).clamp(min=0)[:, None]
    return answers.masked_fill(outside.unsqueeze(1), 0.0).amax(2)


class Attention(nn.TransformerEncoderLayer):
    """torch's encoder layer, told what is padding."""

    def __init__(self, width: int) -> None:
        super().__init__(width, 2, dim_feedforward=512, dropout=0.2, batch_first=True)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:  # type: ignore[override]
        """Return shape (N, L, width)."""
        return super().forward(hidden, src_key_padding_mask=mask == 0)


def _assembled(
    words: Words,
    layers: list[Any],
    n_features: int,
    pool: Callable[[Tensor, Tensor], Tensor] | None,
) -> Backbone:
    net = nn.Module()
    net.words, net.layers = words, nn.ModuleList(layers)

    def run(net: Any, state: State) -> Tensor:
        ids, mask = state
        hidden: Tensor = net.words(ids)
        for layer in net.layers:
            hidden = layer(hidden, mask)
        return hidden if pool is None else pool(hidden, mask)

    return Backbone(net, run, Tokens(), n_features, source="words")
