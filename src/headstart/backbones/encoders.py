"""Build text backbones from Hugging Face encoders: embeddings, layers, pooling.

Between blocks go the token vectors together with the mask, ``(hidden (N, L, D), mask (N, L))``;
what goes in is ``(ids, mask)``, what comes out one vector a text.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the field's own name for it

from headstart.backbones import injection
from headstart.backbones.blocks import Backbone
from headstart.backbones.known import Known
from headstart.backbones.look import Run
from headstart.backbones.pooling import POOLINGS, AttentionPooling
from headstart.backbones.weights import read_tensors
from headstart.errors import BackboneError, unknown

State = tuple[Tensor, Tensor]
"""What stands between blocks: token ids or vectors, and the mask."""

ATTENTION = "attention_pooling"


ATTENTION_DROPOUT = ("attention_probs_dropout_prob", "attention_dropout")
"""What the encoders' configurations call dropout of attention's weights, which we leave out: it
keeps torch from the fused kernel, and a step of MiniLM then takes twice the time. Dropout of what
comes out of attention and of the layers stays."""


ELSEWHERE = (
    "auto_map",
    "_implementation",
    "quantization",
    "compression",
    "name_or_path",
    "backbone",
)
"""Parts of the names in a configuration that lead to code, kernels or weights from elsewhere."""


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
    words: Any = cast("Any", net).get_input_embeddings().weight
    tables = [path for path, m in net.named_modules() if getattr(m, "weight", None) is words]
    backbone = Backbone(
        net,
        _forward(chosen, normalise=facts["normalise"]),
        Tokens(),
        facts["hidden_size"],
        source=tables[-1],  # T5 has the table twice, and its encoder reads the second
        known=Known(json.dumps([facts["architecture"], facts["config"], chosen]), "transformers"),
    )
    return backbone.eval()


def _forward(pooling: str, *, normalise: bool) -> Run:
    """Return the network's own forward, and then the pooling of what it makes of each token."""

    def run(net: nn.Module, state: State) -> Tensor:
        ids, mask = state
        hidden = net(input_ids=ids, attention_mask=mask)[0]
        pool: Any = POOLINGS.get(pooling) or net.get_submodule(ATTENTION)
        features: Tensor = pool(hidden, mask)
        return F.normalize(features, dim=1) if normalise else features

    return run


def _network(facts: dict[str, Any], tensors: Mapping[str, Tensor] | None) -> nn.Module:
    from transformers import MODEL_FOR_TEXT_ENCODING_MAPPING, MODEL_MAPPING, AutoConfig

    name = facts["architecture"]
    options: dict[str, Any] = {"dtype": torch.float32}
    with _quiet():
        try:
            _require_text_type(name)
            config = AutoConfig.for_model(**{**_own(facts["config"]), "model_type": name})
            for option in ATTENTION_DROPOUT:
                if hasattr(config, option):
                    setattr(config, option, 0.0)
            config.use_cache = False
            # Of a model with a decoder (T5) the encoder alone.
            known: Any = MODEL_MAPPING
            if config.is_encoder_decoder:
                known = MODEL_FOR_TEXT_ENCODING_MAPPING
            model = cast("Any", known[type(config)])
        except (KeyError, ValueError) as error:
            raise BackboneError(f"transformers knows no encoder of type '{name}'.") from error
        except Exception as error:  # of a configuration that makes no sense it raises anything
            raise BackboneError(f"no encoder of type '{name}' is so configured: {error}") from error
        net: Any = _made(model, config, options) if tensors is None else None
        if tensors is not None:
            net = _loaded(model, config, tensors, options)
    if "pooler" in dict(net.named_children()):
        net.pooler = nn.Identity()  # BERT's, of sentence pairs, which no pooling here reads
    injection.restore(cast("nn.Module", net), tensors or {})
    return cast("nn.Module", net)


def _require_text_type(name: str) -> None:
    """Raise KeyError unless ``name`` is a type of networks for texts.

    Some of the others build a part of themselves from a name, which may be one of a hub.
    """
    from transformers import (
        MODEL_FOR_CAUSAL_LM_MAPPING,
        MODEL_FOR_MASKED_LM_MAPPING,
        MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
        MODEL_FOR_TEXT_ENCODING_MAPPING,
    )

    tables: Any = (
        MODEL_FOR_CAUSAL_LM_MAPPING,
        MODEL_FOR_MASKED_LM_MAPPING,
        MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
        MODEL_FOR_TEXT_ENCODING_MAPPING,
    )
    if not any(one.model_type == name for table in tables for one in table):
        raise KeyError(name)


def _own(config: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration without what names code, kernels or weights elsewhere."""
    return {
        name: _own(value) if isinstance(value, dict) else value
        for name, value in config.items()
        if not any(part in str(name) for part in ELSEWHERE)  # id2label has numbers as names
    }


def _made(model: Any, config: Any, options: dict[str, Any]) -> nn.Module:
    try:
        return cast("nn.Module", model._from_config(config, **options))
    except Exception as error:
        raise BackboneError(
            f"no encoder of type '{config.model_type}' is so configured: {error}"
        ) from error


def _loaded(
    model: Any, config: Any, tensors: Mapping[str, Tensor], options: dict[str, Any]
) -> nn.Module:
    """Return ``model`` with ``tensors``; transformers knows their older names and prefixes."""
    others = {name for name in tensors if injection.is_own(name) or name.startswith(ATTENTION)}
    own = {name: t for name, t in tensors.items() if name not in others}
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
