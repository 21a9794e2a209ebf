"""What is known of a backbone before any network is built. No torch here.

An entry binds weights to the preprocessing that they were trained with, so that the two cannot be
mismatched: a network that sees the wrong mean is ruined without a word.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from headstart.data.dataset import Kind
from headstart.data.pictures.images import Preprocess
from headstart.data.texts.tokens import Tokenize
from headstart.errors import BackboneError
from headstart.facts import (
    FactsError,
    Rule,
    listed,
    mapping,
    number,
    one_of,
    read,
    record,
    require_regular,
    text,
    truth,
    whole,
)
from headstart.store import digest_of

Library = Literal["headstart", "torchvision", "timm", "transformers", "model2vec"]

_OF_EITHER: dict[str, Rule] = {
    "name": text(1000),
    "num_classes": whole(0, 10_000_000),
    "source_domain": text(),
    "licence": text(),
    "digest": text(100, "[0-9A-Za-z-]*"),
    "sha256": text(64, "[0-9a-f]{64}", "the sha256 of the weights"),
}

# The libraries also take names with which they ask a network or a folder: hf-hub:, local-dir:.
_ARCHITECTURE = text(200, r"[A-Za-z0-9][\w.\-]*", "the name of an architecture, without : and /")

_OF_PICTURES = record(
    {
        "library": one_of("headstart", "torchvision", "timm"),
        "architecture": _ARCHITECTURE,
        "input_size": listed(whole(1, 4096), 3, 3),
        "resize": whole(1, 8192),
        "interpolation": one_of("bilinear", "bicubic", "nearest"),
        "mean": listed(number(-1000, 1000), 1, 4096),
        "std": listed(number(0, 1000, above=True), 1, 4096),
    },
    _OF_EITHER | {"kind": one_of("image"), "crop": one_of("center", "fit")},
)

_OF_TEXTS = record(
    {
        "library": one_of("headstart", "transformers", "model2vec"),
        "architecture": _ARCHITECTURE,
        "kind": one_of("text"),
    },
    _OF_EITHER,
)

_ENCODER = record(
    {
        "config": mapping,
        "hidden_size": whole(1, 1 << 20),
        "max_length": whole(1, 1 << 24),
        "pooling": one_of("first", "mean", "max", "last", "attention"),
        "normalise": truth,
    }
)


@dataclass(frozen=True)
class Entry:
    """A backbone: which network, which weights, which preprocessing.

    Attributes:
        name: what the user called it.
        kind: "image" or "text".
        library: whose code builds the network.
        architecture: its name in that library.
        preprocess: from an item to the network's input. That of a network whose words are those of
            the training texts has an empty tokenizer until they are known, see `ready`.
        weights: the safetensors file, or None for random weights.
        prefix: of the tensors' names in that file; bundles hold several networks in one.
        config: of an encoder: "config", "hidden_size", "pooling" and "normalise", as
            `headstart.backbones.huggingface.describe` finds them.
        vectors: shape (V, D), word vectors that are never trained, of a network trained here.
        injected: shape (V, D), vectors of its word pieces that are joined to its embeddings, see
            `headstart.backbones.injection`.
        digest: of the weights, as hexadecimal digits; names the random seed if there are none.
        num_classes: outputs of the head that the weights file holds (0: it holds none).
        source_domain: what the backbone learned from.
        licence: of the weights.
    """

    name: str
    kind: Kind
    library: Library
    architecture: str
    preprocess: Preprocess | Tokenize
    weights: Path | None
    digest: str
    num_classes: int = 0
    source_domain: str = ""
    licence: str = ""
    prefix: str = ""
    config: dict[str, Any] = field(default_factory=dict, hash=False)
    vectors: npt.NDArray[np.float32] | None = field(default=None, compare=False, repr=False)
    injected: npt.NDArray[np.float32] | None = field(default=None, compare=False, repr=False)

    @property
    def ready(self) -> bool:
        """Whether it can read items now; if not, training texts must first give it their words."""
        return isinstance(self.preprocess, Preprocess) or bool(self.preprocess.tokenizer)

    @property
    def pretrained(self) -> bool:
        """Whether there are weights that learned something before."""
        return self.weights is not None

    @property
    def network(self) -> str:
        """What decides the network's answers besides its weights and the preprocessing."""
        return f"{self.library}|{self.architecture}|{json.dumps(self.config, sort_keys=True)}"

    def with_channels(self, channels: int) -> Entry:
        """Return the entry for pictures of ``channels`` channels; the first convolution follows.

        Mean and spread are averaged for one channel, repeated in turn for more than three.
        """
        old = self.preprocess
        if not isinstance(old, Preprocess) or channels == old.channels:
            return self

        def spread(values: tuple[float, ...]) -> tuple[float, ...]:
            if channels == 1:
                return (sum(values) / len(values),)
            return tuple(values[i % len(values)] for i in range(channels))

        fitted = replace(old, channels=channels, mean=spread(old.mean), std=spread(old.std))
        return replace(self, preprocess=fitted)

    def with_image_size(self, side: int) -> Entry:
        """Return the entry for squares of ``side`` pixels, with as much of a picture in view.

        Raises:
            BackboneError: it is no backbone for pictures.

        >>> from headstart.backbones.registry import resolve
        >>> resolve("glyphs").with_image_size(24).preprocess.size
        (24, 24)
        """
        old = self.preprocess
        if not isinstance(old, Preprocess):
            raise BackboneError(f"image_size is of pictures, which '{self.name}' does not read.")
        resize = round(old.resize * side / min(old.size))
        return replace(self, preprocess=replace(old, size=(side, side), resize=resize))

    def reading(
        self,
        *,
        pooling: str | None = None,
        max_length: int | None = None,
        clean: bool | None = None,
    ) -> Entry:
        """Return the entry of a text backbone that reads texts in another way; None as it does.

        Args:
            pooling: how token vectors become one.
            max_length: tokens that are read, never more than the encoder can.
            clean: whether entities are resolved and markup is taken out.

        Raises:
            BackboneError: the backbone has no pooling to choose, for it is for pictures, say.
        """
        if pooling is None and max_length is None and clean is None:
            return self
        if not isinstance(self.preprocess, Tokenize) or (pooling and not self.config):
            raise BackboneError(
                f"pooling and max_length are of text encoders, which '{self.name}' is not."
            )
        config = self.config | ({"pooling": pooling} if pooling else {})
        wanted = max_length or self.preprocess.max_length
        length = min(wanted, self.config.get("max_length", wanted))
        cleans = self.preprocess.clean if clean is None else clean
        preprocess = replace(self.preprocess, max_length=length, clean=cleans)
        return replace(self, config=config, preprocess=preprocess)

    def key(self) -> str:
        """Return the digest of everything that decides what the network answers."""
        parts = [self.library, self.architecture, self.digest, self.preprocess.key()]
        if self.config:
            parts.append(json.dumps(self.config, sort_keys=True))
        return hashlib.blake2b("|".join(parts).encode(), digest_size=8).hexdigest()

    def facts(self) -> dict[str, Any]:
        """Return the JSON facts in the layout of a weights directory, see `from_file`.

        How texts become tokens is not among them: `Tokenize.save` has files of its own.
        """
        return {
            "name": self.name,
            "library": self.library,
            "architecture": self.architecture,
            "num_classes": self.num_classes,
            "kind": self.kind,
            **self._input_facts(),
            "source_domain": self.source_domain,
            "licence": self.licence,
        }

    def _input_facts(self) -> dict[str, Any]:
        p = self.preprocess
        if not isinstance(p, Preprocess):
            return {"config": self.config}
        return {
            "input_size": [p.channels, *p.size],
            "resize": p.resize,
            "crop": p.crop,
            "interpolation": p.interpolation,
            "mean": list(p.mean),
            "std": list(p.std),
        }


_WORDS = record(
    {
        "tokenize": record(
            {"tokenizer": text(1 << 28), "max_length": whole(1, 1 << 24)},
            {"pad_id": whole(0, 1 << 31), "clean": truth},
        )
    }
)


def check(facts: Any, where: str) -> None:
    """Hold ``facts``, in the layout of `Entry.facts`, against the schema.

    Raises:
        FactsError: with what came and what is allowed.
    """
    mapping(facts, where)
    if facts.get("kind") != "text":
        return _OF_PICTURES(facts, where)
    _OF_TEXTS(facts, where)
    if facts["library"] == "transformers":
        return record({"config": _ENCODER})(facts, where)
    return None


def facts_digest(facts: dict[str, Any]) -> str:
    """Return what ``facts`` may state as their ``facts``: the digest of all others."""
    return digest_of(facts, "facts")


def preprocess_from(facts: dict[str, Any]) -> Preprocess:
    """Return the preprocessing that ``facts``, the JSON beside a weights file, describes."""
    channels, height, width = facts["input_size"]
    return Preprocess(
        size=(height, width),
        resize=facts["resize"],
        crop=facts.get("crop", "center"),
        interpolation=facts["interpolation"],
        channels=channels,
        mean=tuple(facts["mean"]),
        std=tuple(facts["std"]),
    )


def from_facts(
    facts: dict[str, Any],
    name: str,
    weights: Path | None,
    digest: str,
    tokenize: Tokenize | None = None,
) -> Entry:
    """Return the entry that ``facts`` describe, with ``weights`` whose digest is ``digest``.

    A text backbone reads what its ``tokenize`` makes.
    """
    return Entry(
        name=name,
        kind=facts.get("kind", "image"),
        library=facts["library"],
        architecture=facts["architecture"],
        preprocess=tokenize or preprocess_from(facts),
        weights=weights,
        digest=digest,
        num_classes=facts.get("num_classes", 0),
        source_domain=facts.get("source_domain", ""),
        licence=facts.get("licence", ""),
        config=facts.get("config", {}),
    )


def from_file(path: Path, name: str) -> Entry:
    """Return the entry of ``path`` (``NAME.safetensors``) and the ``NAME.json`` beside it.

    Raises:
        BackboneError: the JSON lacks a field, or the weights are not those that it describes.
    """
    try:
        facts = read(path.with_suffix(".json"), check)
        if facts.get("kind") == "text":
            _WORDS(facts, path.with_suffix(".json").name)
        if facts.get("facts", facts_digest(facts)) != facts_digest(facts):
            raise FactsError("it was changed after it was written")
        require_regular(path)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        tokenize = Tokenize(**facts["tokenize"]) if "tokenize" in facts else None
        entry = from_facts(facts, name, path, digest[:32], tokenize)
    except (OSError, ValueError, TypeError) as error:
        raise BackboneError(
            f"{path.with_suffix('.json')} does not describe {path.name}: {error}. It needs the "
            "fields name, library, architecture, num_classes, input_size, resize, interpolation, "
            "mean and std."
        ) from error
    if facts.get("sha256", digest) != digest:
        raise BackboneError(
            f"{path} is not the file that {path.with_suffix('.json').name} describes: its sha256 "
            f"is {digest}, not {facts['sha256']}. Fetch both again."
        )
    return entry
