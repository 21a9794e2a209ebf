"""Build the network of any entry: one door for pictures and texts."""

from __future__ import annotations

from headstart.backbones import encoders, injection, static, textnets, vision
from headstart.backbones.blocks import Backbone
from headstart.backbones.entry import Entry
from headstart.backbones.known import Known
from headstart.backbones.weights import tensors_of
from headstart.data.pictures.images import Preprocess
from headstart.data.texts.tokens import Tokenize
from headstart.errors import BackboneError


def build(entry: Entry, *, seed: int = 0) -> Backbone:
    """Return the backbone that ``entry`` describes, in eval mode, its head taken off.

    Args:
        entry: which network, weights and preprocessing.
        seed: of random weights, when the entry has no weights file.

    Raises:
        BackboneError: the weights do not fit the architecture, or the entry is not ready.
    """
    if entry.kind == "image":
        backbone = vision.build(entry, seed=seed)
        names = Known(entry.network, entry.library)
        if names.read("names") is None:
            names.note("names", list(backbone.net.state_dict()))
        return backbone
    backbone = _text(entry, seed)
    if entry.injected is not None:
        concat = entry.config.get("inject") == "concat"
        injection.attach(backbone.net, entry.injected, concat=concat, seed=seed)
    return backbone


def _text(entry: Entry, seed: int) -> Backbone:
    tensors = tensors_of(entry) if entry.weights else None
    if entry.library == static.LIBRARY:
        return textnets.looked_up(static.table(entry))
    if entry.library == "transformers":
        facts = {**entry.config, "architecture": entry.architecture, "weights": []}
        return encoders.build(facts, tensors, seed=seed)
    if tensors is not None:
        return textnets.restore(entry.architecture, tensors)
    if not isinstance(entry.preprocess, Tokenize) or not entry.ready:
        raise BackboneError(f"{entry.name} has no words yet; it learns them from training texts.")
    words = len(entry.preprocess.vocabulary)
    return textnets.build(entry.architecture, words, entry.vectors, seed=seed)


def check_size(entry: Entry) -> None:
    """Raise `BackboneError` unless the network can read pictures of the entry's size."""
    import torch

    p = entry.preprocess
    assert isinstance(p, Preprocess)
    backbone = build(entry)
    try:
        with torch.inference_mode():
            backbone(torch.zeros(1, *p.size, p.channels, dtype=torch.uint8))
    except (AssertionError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise BackboneError(
            f"'{entry.name}' cannot read pictures of {p.size[0]} pixels a side ({reason}); "
            "choose another --image-size, or leave it out."
        ) from error
