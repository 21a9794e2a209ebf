"""A network without its head, cut into ordered blocks by the places of the freeze boundary."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from headstart.backbones import cut, passage
from headstart.backbones.cut import Boundary, Cut
from headstart.backbones.known import Known
from headstart.backbones.look import BATCH, Run, example
from headstart.backbones.parts import names_of
from headstart.progress import log


class Backbone(nn.Module):
    """A network without its head, cut into blocks: pixels or tokens in, features out.

    ``forward(x)`` equals ``forward_from(forward_to(x, k), k)`` at every cut ``k`` in
    0..``n_blocks``: it is the network's own forward, stopped at the boundary and entered there.
    Between blocks of a text go the token vectors together with the mask, (N, L, D) and (N, L).
    Parameters of the network itself (a class token, say) belong to block 0.

    Args:
        net: the network, under its library's own parameter names.
        run: its forward, from what ``start`` returns to the features.
        start: what comes before block 0 and is never trained: normalisation of the input.
        n_features: length of the feature vector.
        size: (C, H, W) of the pictures; () for texts.
        source: of texts, the path of the module that turns token ids into vectors.
        known: what remembers which cuts are proven; None to prove them each time.

    Attributes:
        held: names of the parameters and buffers that are frozen although their block trains.
        adapters: names of the parameters that train although their block does not.
        batch_statistics: whether batch norm in trained blocks uses and updates the statistics of
            the batch (from scratch) or keeps those it learned before (transfer).
    """

    def __init__(
        self,
        net: nn.Module,
        run: Run,
        start: nn.Module,
        n_features: int,
        *,
        size: tuple[int, ...] = (),
        source: str = "",
        known: Known | None = None,
    ):
        super().__init__()
        self.net = net
        self.start = start
        self.n_features = n_features
        self.held: frozenset[str] = frozenset()
        self.adapters: frozenset[str] = frozenset()
        self.batch_statistics = False
        self._run, self._size, self._source, self._known = run, size, source, known
        self._trainable: frozenset[int] | None = None

    @cached_property
    def cut(self) -> Cut:
        """Where the boundary may stand, found when first asked for, and proven."""
        try:
            with torch.inference_mode(False):  # in it, nothing is known of where a tensor is from
                found = cut.find(self.net, self._run, self._size, self._source)
                x = example(self.net, BATCH - 1, self._size, self._source)
                return passage.proven(self.net, self._run, found, x, self._known)
        except Exception as error:  # networks may do anything with a tensor without numbers
            log.warning("%s stays whole (%s)", type(self.net).__name__, str(error)[:200])
            return Cut((), {}, self._size)

    @property
    def trainable(self) -> frozenset[int]:
        """Indices of the blocks that are trained; the others stay in eval mode, buffers included,
        whatever ``train()`` is told."""
        return frozenset(range(self.n_blocks)) if self._trainable is None else self._trainable

    @property
    def n_blocks(self) -> int:
        """Number of blocks; the boundary ``n_blocks`` freezes the whole backbone."""
        return len(self.cut.boundaries) + 1

    @property
    def highest(self) -> int:
        """The highest boundary that all that is read above comes through."""
        return self.n_blocks

    def forward_to(self, x: Any, k: int) -> Any:
        """Return the activation at boundary ``k``; at 0, the normalised input."""
        return self.forward_between(self.start(x), 0, k)

    def forward_between(self, x: Any, j: int, k: int) -> Any:
        """Return the activation at boundary ``k`` from that at boundary ``j``, which is below."""
        if j == k:
            return x
        if j == 0 and k == self.n_blocks:
            return self._run(self.net, x)
        low, high = self._boundary(j), self._boundary(k)
        return passage.between(self.net, self._run, self.cut, x, low, high)

    def _boundary(self, k: int) -> Boundary | None:
        """Return the boundary below block ``k``; None for the input and the features."""
        return self.cut.boundaries[k - 1] if 0 < k < self.n_blocks else None

    def forward_from(self, x: Any, k: int) -> Tensor:
        """Return the features, shape (N, ``n_features``), from the activation at boundary ``k``."""
        features: Tensor = self.forward_between(x, k, self.n_blocks)
        return features

    def forward(self, x: Any) -> Tensor:
        """Return the features, shape (N, ``n_features``)."""
        return self._run(self.net, self.start(x))

    def owner(self, name: str) -> int:
        """Return the block that the parameter, buffer or module ``net.<name>`` belongs to."""
        return self.cut.owner(name)

    def parameters_of(self, k: int) -> list[nn.Parameter]:
        """Return the parameters of block ``k``."""
        return [p for name, p in self.net.named_parameters() if self.owner(name) == k]

    def set_trainable(self, blocks: Iterable[int], parts: Mapping[int, str] | None = None) -> None:
        """Train only ``blocks``; everything else needs no gradient and goes to eval mode.

        Of a block in ``parts`` only that part trains, see `headstart.backbones.parts`.
        """
        self._trainable = frozenset(blocks)
        parts = parts or {}
        chosen = {part: names_of(self.net, part) for part in set(parts.values())}
        self.held = frozenset(
            name
            for name in self.net.state_dict()
            if (part := parts.get(self.owner(name))) and name not in chosen[part]
        )
        for name, parameter in self.net.named_parameters():
            wanted = self.owner(name) in self.trainable and name not in self.held
            parameter.requires_grad_(wanted or name in self.adapters)
        self.train(self.training)

    def train(self, mode: bool = True) -> Backbone:
        """Set the training mode of trained blocks; frozen ones stay in eval mode."""
        super().train(mode)
        for name, module in self.net.named_modules():
            frozen = name != "" and self._trainable is not None
            frozen = frozen and self.owner(name) not in self.trainable
            keeps = isinstance(module, nn.modules.batchnorm._BatchNorm)
            if frozen or (keeps and not self.batch_statistics):
                module.training = False
        return self

    def frozen_digest(self) -> str:
        """Return a digest of all parameters and buffers that are frozen.

        It must be the same before and after training: a batch-norm buffer that moved, or a weight
        that decayed, is a broken promise and not a detail.
        """
        return self._digest(set(range(self.n_blocks)) - self.trainable, self.held)

    def digest_below(self, k: int) -> str:
        """Return a digest of all parameters and buffers that decide the activation at ``k``."""
        return self._digest(set(range(k)))

    def _digest(self, blocks: set[int], held: frozenset[str] = frozenset()) -> str:
        state = hashlib.blake2b(digest_size=16)
        for name, tensor in sorted(self.net.state_dict().items()):
            if (self.owner(name) in blocks or name in held) and name not in self.adapters:
                state.update(name.encode())
                state.update(
                    tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
                )
        return state.hexdigest()


class Normalise(nn.Module):
    """Pixels 0..255 of shape (N, H, W, C), any number type, to normalised (N, C, H, W) floats.

    Lives inside the network, so training, evaluation, export and serving cannot disagree on it.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Iterable[float], std: Iterable[float]) -> None:
        super().__init__()
        shape = (1, -1, 1, 1)
        self.register_buffer("mean", torch.tensor([255 * m for m in mean]).view(shape), False)
        self.register_buffer("std", torch.tensor([255 * s for s in std]).view(shape), False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Normalise; the permuted view has channels-last strides, fast for convolutions."""
        return (pixels.permute(0, 3, 1, 2).to(self.mean.dtype) - self.mean) / self.std
