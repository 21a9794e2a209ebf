"""Build text backbones from Hugging Face encoders: embeddings, layers, pooling.

Between blocks go the token vectors together with the mask, ``(hidden (N, L, D), mask (N, L))``;
what goes in is ``(ids, mask)``, what comes out one vector a text.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the field's own name for it

from headstart.backbones.blocks import Backbone, Block
from headstart.backbones.huggingface import FAMILIES, WHOLE, Family
from headstart.backbones.pooling import POOLINGS, AttentionPooling, Pooling
from headstart.backbones.weights import read_tensors
from headstart.errors import BackboneError, unknown

State = tuple[Tensor, Tensor]
"""What stands between blocks: token ids or vectors, and the mask."""

ATTENTION = "attention_pooling"


ATTENTION_DROPOUT = ("attention_probs_dropout_prob", "attention_dropout")
"""What the encoders' configurations call dropout of attention's weights, which we leave out: it
keeps torch from the fused kernel, and a step of MiniLM then takes twice the time. Dropout of what
comes out of attention and of the layers stays."""


class Tokens(nn.Module):
    """The start of every text backbone: ids and mask, of any integer type, as 64-bit integers."""

    def forward(self, x: State) -> State:
        """Return (ids, mask), each (N, L)."""
        ids, mask = x
        return ids.long(), mask.long()


def build(
    facts: dict[str, Any],
    tensors: Mapping[str, Tensor] | None = None,
    *,
    pooling: str | None = None,
    seed: int = 0,
) -> Backbone:
    """Return the encoder that ``facts`` describe, in eval mode.

    Block 0 is the embeddings, then comes one block a layer; the last one ends in the pooling. A
    learned pooling is a block of its own, so that it can be trained without any layer.

    Args:
        facts: from `headstart.backbones.huggingface.describe`.
        tensors: the weights by name; None reads the files that ``facts`` name, or, where they name
            none, draws random ones.
        pooling: "first", "mean", "max", "last" or "attention"; None for the encoder's own.
        seed: of random weights, and of the learned pooling.

    Raises:
        BackboneError: transformers does not know the type, or the weights do not fit it.
        UsageError: no such pooling.
    """
    chosen = pooling or facts["pooling"]
    if chosen not in (*POOLINGS, "attention"):
        raise unknown("pooling", chosen, [*POOLINGS, "attention"])
    if tensors is None and facts["weights"]:
        tensors = read_tensors([Path(path) for path in facts["weights"]])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = _network(facts, tensors)
        if chosen == "attention":
            net.add_module(ATTENTION, _attention(facts["hidden_size"], tensors))
    blocks = _blocks(net, facts["architecture"], chosen, facts["normalise"])
    return Backbone(net, blocks, Tokens(), facts["hidden_size"]).eval()


def _network(facts: dict[str, Any], tensors: Mapping[str, Tensor] | None) -> nn.Module:
    from transformers import MODEL_MAPPING, AutoConfig

    name = facts["architecture"]
    family = FAMILIES.get(name, WHOLE)
    options: dict[str, Any] = {"dtype": torch.float32}
    if family is not WHOLE:
        options["attn_implementation"] = family.attention
    with _quiet():
        try:
            config = AutoConfig.for_model(**{**facts["config"], "model_type": name})
            for option in ATTENTION_DROPOUT:
                if hasattr(config, option):
                    setattr(config, option, 0.0)
            model = cast("Any", MODEL_MAPPING[type(config)])
        except (KeyError, ValueError) as error:
            raise BackboneError(f"transformers knows no encoder of type '{name}'.") from error
        if tensors is None:
            from transformers import AutoModel

            net: Any = cast("Any", AutoModel).from_config(config, **options)
        else:
            net = _loaded(model, config, tensors, options)
    if "pooler" in dict(net.named_children()):
        net.pooler = None  # BERT's classifier of sentence pairs, which no pooling here reads
    return cast("nn.Module", net)


def _loaded(
    model: Any, config: Any, tensors: Mapping[str, Tensor], options: dict[str, Any]
) -> nn.Module:
    """Return ``model`` with ``tensors``; transformers knows their older names and prefixes."""
    own = {name: t for name, t in tensors.items() if not name.startswith(ATTENTION)}
    try:
        net, report = model.from_pretrained(
            None, config=config, state_dict=own, output_loading_info=True, **options
        )
    except Exception as error:
        raise BackboneError(f"the weights do not fit {config.model_type}: {error}") from error
    missing = sorted(name for name in report["missing_keys"] if not name.startswith("pooler."))
    if missing:
        raise BackboneError(
            f"the weights do not fit {config.model_type}: {len(missing)} tensors are missing "
            f"({', '.join(missing[:3])})."
        )
    return cast("nn.Module", net)


def _attention(width: int, tensors: Mapping[str, Tensor] | None) -> AttentionPooling:
    pool = AttentionPooling(width)
    prefix = f"{ATTENTION}."
    saved = {k.removeprefix(prefix): v for k, v in (tensors or {}).items() if k.startswith(prefix)}
    if saved:
        pool.load_state_dict(saved)
    return pool


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers' loading bar and notes on unused tensors off the screen."""
    from transformers.utils import logging as notes

    level = notes.get_verbosity()
    notes.set_verbosity(logging.ERROR)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        notes.set_verbosity(level)


def _blocks(net: nn.Module, architecture: str, pooling: str, normalise: bool) -> list[Block]:
    """Cut ``net`` by its family's line; see `headstart.backbones.blocks` for the words."""
    family = FAMILIES.get(architecture, WHOLE)
    blocks = _cut(net, family) if family is not WHOLE else [_whole(net)]
    if pooling == "attention":
        blocks.append(_made("pooling", [_pooled(net.get_submodule(ATTENTION))], [ATTENTION]))
    else:
        blocks[-1] = _with(blocks[-1], _pooled(POOLINGS[pooling]))
    if normalise:
        blocks[-1] = _with(blocks[-1], lambda x: F.normalize(x, dim=1))
    return blocks


def _cut(net: nn.Module, family: Family) -> list[Block]:
    first, layers = (part.strip() for part in family.blocks.split("|"))
    parent = layers.removesuffix(".*")
    # ELECTRA projects its embeddings only where they are narrower than its layers.
    known = dict(net.named_modules())
    words = [word for word in first.split() if word in known]
    blocks = [_made("embeddings", [_embedding([known[word] for word in words])], words)]
    for number, layer in net.get_submodule(parent).named_children():
        blocks.append(
            _made(f"layer.{number}", [_layer(net, layer, family)], [f"{parent}.{number}"])
        )
    return blocks


def _whole(net: Any) -> Block:
    def step(state: State) -> State:
        ids, mask = state
        return net(input_ids=ids, attention_mask=mask)[0], mask

    names = [name for name, _ in net.named_children() if name != ATTENTION]
    return _made("encoder", [step], names)


def _embedding(modules: list[nn.Module]) -> Callable[[State], State]:
    def step(state: State) -> State:
        hidden, mask = state
        for module in modules:
            hidden = module(hidden)
        return hidden, mask

    return step


def _layer(net: Any, layer: nn.Module, family: Family) -> Callable[[State], State]:
    def step(state: State) -> State:
        hidden, mask = state
        extra = {}
        if family.attention == "eager":  # MPNet's layers share one table of relative positions
            extra["position_bias"] = net.encoder.compute_position_bias(hidden)
        out = layer(hidden, _extended(mask, hidden, family.attention), **extra)
        return (out[0] if isinstance(out, tuple) else out), mask

    return step


def _extended(mask: Tensor, hidden: Tensor, attention: str) -> Tensor:
    """Return the mask of shape (N, 1, 1, L) that attention reads: what to see, or what to add.

    As truth values where torch attends, for they go with any number type under autocast.
    """
    wide = mask[:, None, None, :] != 0
    if attention == "sdpa":
        return wide
    return (~wide).to(hidden.dtype) * torch.finfo(hidden.dtype).min


def _pooled(pool: Pooling | nn.Module) -> Callable[[State], Tensor]:
    return lambda state: cast("Tensor", pool(*state))


def _made(name: str, steps: list[Callable[..., Any]], words: list[str]) -> Block:
    return Block(name, tuple(steps), tuple(words))


def _with(block: Block, step: Callable[..., Any]) -> Block:
    return Block(block.name, (*block.steps, step), block.words)
