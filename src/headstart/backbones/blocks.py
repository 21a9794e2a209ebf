"""Cut a network into ordered blocks, so that the freeze boundary can stand between any two.

The cut is written down as a table: one line a family, read by `chain`. A line names submodules in
the order in which the forward pass runs them; ``|`` separates blocks, ``x.*`` makes a block of each
child of ``x``, and words with ``@`` are the few steps that the networks do outside of a module.
The contract test runs every family at every cut against the network's own forward.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the field's own name for it

from headstart.backbones.parts import names_of

Step = Callable[[Tensor], Tensor]

RESNET = "layer1.* | layer2.* | layer3.* | layer4.*"

TORCHVISION = {
    "AlexNet": "features.* | avgpool @flatten | classifier.*",
    "ConvNeXt": "features.* | avgpool classifier.*",
    "DenseNet": "features.* | @relu @pool",
    "EfficientNet": "features.* | avgpool @flatten classifier.*",
    "MNASNet": "layers.* | @mean classifier.*",
    "MobileNetV2": "features.* | @pool classifier.*",
    "MobileNetV3": "features.* | avgpool @flatten | classifier.*",
    "RegNet": "stem | trunk_output.*.* | avgpool @flatten",
    "ResNet": f"conv1 bn1 relu maxpool | {RESNET} | avgpool @flatten",
    "ShuffleNetV2": "conv1 maxpool | stage2.* | stage3.* | stage4.* | conv5 @mean",
    "SwinTransformer": "features.* | norm permute avgpool flatten",
    "VGG": "features.* | avgpool @flatten | classifier.*",
    "VisionTransformer": "@class_tokens encoder.dropout | encoder.layers.* | encoder.ln @first",
}

# `_pos_embed` is the one private name that we lean on: timm has no public one for adding the
# position embedding, and the contract test would notice its change.
TIMM = {
    "ConvNeXt": "stem | stages.* | norm_pre head",
    "DenseNet": "features.* | global_pool",
    "EfficientNet": "conv_stem bn1 | blocks.*.* | conv_head bn2 | global_pool",
    "MobileNetV3": "conv_stem bn1 | blocks.*.* | global_pool conv_head norm_head act2 flatten",
    "RegNet": "stem | s1.* | s2.* | s3.* | s4.* | final_conv head",
    "ResNet": f"conv1 bn1 act1 maxpool | {RESNET} | global_pool",
    "SwinTransformer": "patch_embed | layers.* | norm head",
    "VGG": "features.* | pre_logits | head",
    "VisionTransformer": (
        "patch_embed _pos_embed patch_drop norm_pre | blocks.* | norm pool fc_norm head_drop"
    ),
}

HEADSTART = {"GlyphNet": "stem | blocks.* | pool"}

# What an unlisted network gets: one block, so every strategy but the partial ones applies.
WHOLE = {"torchvision": "@forward", "timm": "forward_features @pre_logits"}

TABLES = {"torchvision": TORCHVISION, "timm": TIMM, "headstart": HEADSTART}


def _class_tokens(net: Any) -> Step:
    """Return the start of torchvision's vision transformer: patches, class token, positions."""

    def step(pixels: Tensor) -> Tensor:
        patches = net.conv_proj(pixels).flatten(2).transpose(1, 2)
        tokens = net.class_token.expand(len(pixels), -1, -1)
        joined: Tensor = torch.cat([tokens, patches], dim=1) + net.encoder.pos_embedding
        return joined

    return step


def _pre_logits(net: Any) -> Step:
    return lambda x: net.forward_head(x, pre_logits=True)


GLUE: dict[str, Callable[[nn.Module], Step]] = {
    "@class_tokens": _class_tokens,
    "@first": lambda net: lambda x: x[:, 0],
    "@flatten": lambda net: lambda x: torch.flatten(x, 1),
    "@forward": lambda net: net.forward,
    "@mean": lambda net: lambda x: x.mean((2, 3)),
    "@pool": lambda net: lambda x: F.adaptive_avg_pool2d(x, 1).flatten(1),
    "@pre_logits": _pre_logits,
    "@relu": lambda net: lambda x: F.relu(x),
}


@dataclass(frozen=True)
class Block:
    """A run of steps between two possible places of the freeze boundary.

    ``words`` are the words of the table that it was made from: paths of submodules, and glue.
    """

    name: str
    steps: tuple[Step, ...]
    words: tuple[str, ...]

    def owns(self, name: str) -> bool:
        """Whether the parameter, buffer or module called ``name`` belongs to this block."""
        return any(name == word or name.startswith(f"{word}.") for word in self.words)

    def __call__(self, x: Tensor) -> Tensor:
        """Run the steps one after the other."""
        for step in self.steps:
            x = step(x)
        return x


def chain(net: nn.Module, library: str) -> list[Block]:
    """Cut ``net``, whose head has been taken off, into blocks.

    Blocks without weights of their own (a ReLU, a pooling), and those with normalisation only, are
    joined to the block before them: a boundary there would separate nothing that is trained.
    """
    line = TABLES[library].get(type(net).__name__) or WHOLE[library]
    blocks: list[Block] = []
    for group in line.split("|"):
        for words in _expand(net, group.split()):
            block = _block(net, words)
            if blocks and not _has_weights(net, block):
                last = blocks.pop()
                block = Block(last.name, last.steps + block.steps, last.words + block.words)
            blocks.append(block)
    return blocks


def _expand(net: nn.Module, words: list[str]) -> Iterator[list[str]]:
    """Turn a group that is one starred path into one group a child; keep any other group whole."""
    if len(words) == 1 and "*" in words[0]:
        yield from ([word] for word in _children(net, words[0]))
    else:
        yield [child for word in words for child in _children(net, word)]


def _children(net: nn.Module, word: str) -> list[str]:
    """Return the paths that ``word`` stands for: itself, or those of the children at each ``*``."""
    head, star, tail = word.partition(".*")
    if not star:
        return [word]
    names = [f"{head}.{name}" for name, _ in net.get_submodule(head).named_children()]
    return [path for name in names for path in _children(net, name + tail)]


def _block(net: nn.Module, words: list[str]) -> Block:
    steps: list[Step] = []
    for word in words:
        step = GLUE[word](net) if word in GLUE else net
        if word not in GLUE:
            for part in word.split("."):
                step = getattr(step, part)
        steps.append(step)
    return Block(words[0].removeprefix("@"), tuple(steps), tuple(words))


def _has_weights(net: nn.Module, block: Block) -> bool:
    """Whether a block trains more than scales and shifts: any parameter of two or more axes."""
    if any(word in ("@class_tokens", *WHOLE["timm"].split(), "@forward") for word in block.words):
        return True
    own = (p for name, p in net.named_parameters() if block.owns(name))
    return any(p.ndim > 1 for p in own)


class Backbone(nn.Module):
    """A network without its head, cut into blocks: pixels or tokens in, features out.

    ``forward(x)`` equals ``forward_from(forward_to(x, k), k)`` at every cut ``k`` in
    0..``n_blocks``. Parameters and modules that no block names (a class token, say) belong to
    block 0.

    Attributes:
        net: the network, under its library's own parameter names.
        blocks: the ordered cut of ``net``.
        start: what comes before block 0 and is never trained: normalisation of the input.
        n_features: length of the feature vector.
        trainable: indices of the blocks that are trained; the others stay in eval mode, buffers
            included, whatever ``train()`` is told.
        held: names of the parameters and buffers that are frozen although their block trains.
        adapters: names of the parameters that train although their block does not.
        batch_statistics: whether batch norm in trained blocks uses and updates the statistics of
            the batch (from scratch) or keeps those it learned before (transfer).
    """

    def __init__(self, net: nn.Module, blocks: list[Block], start: nn.Module, n_features: int):
        super().__init__()
        self.net = net
        self.start = start
        self.blocks = tuple(blocks)
        self.n_features = n_features
        self.trainable = frozenset(range(len(blocks)))
        self.held: frozenset[str] = frozenset()
        self.adapters: frozenset[str] = frozenset()
        self.batch_statistics = False

    @property
    def n_blocks(self) -> int:
        """Number of blocks; the boundary ``n_blocks`` freezes the whole backbone."""
        return len(self.blocks)

    def forward_to(self, x: Any, k: int) -> Any:
        """Return the activation at boundary ``k``; at 0, the normalised input."""
        return self.forward_between(self.start(x), 0, k)

    def forward_between(self, x: Any, j: int, k: int) -> Any:
        """Return the activation at boundary ``k`` from that at boundary ``j``, which is below."""
        for block in self.blocks[j:k]:
            x = block(x)
        return x

    def forward_from(self, x: Any, k: int) -> Tensor:
        """Return the features, shape (N, ``n_features``), from the activation at boundary ``k``."""
        features: Tensor = self.forward_between(x, k, self.n_blocks)
        return features

    def forward(self, x: Any) -> Tensor:
        """Return the features, shape (N, ``n_features``)."""
        return self.forward_from(self.forward_to(x, 0), 0)

    def owner(self, name: str) -> int:
        """Return the block that the parameter, buffer or module ``net.<name>`` belongs to."""
        return next((k for k, block in enumerate(self.blocks) if block.owns(name)), 0)

    def parameters_of(self, k: int) -> list[nn.Parameter]:
        """Return the parameters of block ``k``."""
        return [p for name, p in self.net.named_parameters() if self.owner(name) == k]

    def set_trainable(self, blocks: Iterable[int], parts: Mapping[int, str] | None = None) -> None:
        """Train only ``blocks``; everything else needs no gradient and goes to eval mode.

        Of a block in ``parts`` only that part trains, see `headstart.backbones.parts`.
        """
        self.trainable = frozenset(blocks)
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
            frozen = name != "" and self.owner(name) not in self.trainable
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
