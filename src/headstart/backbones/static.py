"""Static text encoders in model2vec's format: a vector a token, looked up and averaged. No torch.

A folder holds ``config.json``, ``tokenizer.json`` and ``model.safetensors`` with the tensors
``embeddings`` (V, D) and perhaps ``weights``, one a token, and ``mapping``, from token to row.
Nothing but the table is read, so a text takes microseconds; what a word means in its sentence is
lost. Source: Tulkens and van Dongen 2024, "Model2Vec", github.com/MinishLab/model2vec.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from headstart.backbones.entry import Entry
from headstart.backbones.fetched import require_stated
from headstart.data.texts.tokens import Tokenize
from headstart.errors import BackboneError
from headstart.facts import require_regular

LIBRARY: Literal["model2vec"] = "model2vec"

MAX_LENGTH = 512
"""Tokens of a text that are read, as model2vec's own default."""

Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Table:
    """The vectors of all tokens.

    Attributes:
        vectors: shape (V, D), each times its token's weight.
        normalise: whether a text's vector gets length 1.
    """

    vectors: Matrix
    normalise: bool

    def __call__(self, ids: npt.NDArray[np.int64], mask: npt.NDArray[np.int64]) -> Matrix:
        """Return the vectors of texts, shape (N, D), from ids and mask, each (N, L).

        >>> table = Table(np.eye(3, dtype=np.float32), normalise=False)
        >>> table(np.array([[1, 2, 0]]), np.array([[1, 1, 0]])).tolist()
        [[0.0, 0.5, 0.5]]
        """
        share = mask.astype(np.float32)
        total = np.einsum("nl,nld->nd", share, self.vectors[ids])
        mean = total / np.maximum(share.sum(axis=1, keepdims=True), 1)
        if self.normalise:
            mean = mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)
        return np.asarray(mean, np.float32)


def is_folder(folder: Path) -> bool:
    """Return whether ``folder`` holds a static encoder."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and config.get("model_type") == LIBRARY


def entry(name: str, folder: Path) -> Entry:
    """Return the entry of the static encoder in ``folder``.

    Raises:
        BackboneError: a file is missing, or is not what it should be.
    """
    weights = folder / "model.safetensors"
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        tokens, unknown = _tokens(folder / "tokenizer.json")
        require_regular(weights)
        with weights.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        length = int(config.get("max_length") or MAX_LENGTH)
        # A text without a known word is one unknown one, whose vector is zero, see `table_of`.
        tokenize = Tokenize(tokens, length, max(unknown, 0), clean=False, drop=unknown)
        tokenize.encode([""])
        facts = {"normalise": bool(config.get("normalize"))}
        require_stated(weights, digest)
    except BackboneError:
        raise
    except Exception as error:  # tokenizers raises plain Exception
        raise BackboneError(
            f"{folder} holds no static encoder that can be read ({error!r}); it needs config.json, "
            "tokenizer.json and model.safetensors as model2vec saves them."
        ) from error
    return Entry(
        name=name,
        kind="text",
        library=LIBRARY,
        architecture="static",
        preprocess=tokenize,
        weights=weights,
        digest=digest[:32],
        source_domain="what its model card says",
        config=facts,
    )


def _tokens(path: Path) -> tuple[str, int]:
    """Return the tokenizer without special tokens around a text, and the id of unknown ones.

    It is -1 where there is none.
    """
    facts = json.loads(path.read_bytes().decode("utf-8"))
    model = facts.get("model", {})
    vocabulary, unknown = model.get("vocab", {}), model.get("unk_token")
    number = model.get("unk_id")
    if number is None and isinstance(vocabulary, dict) and unknown is not None:
        number = vocabulary.get(unknown)
    facts["post_processor"] = None
    return json.dumps(facts, ensure_ascii=False), -1 if number is None else int(number)


def table(entry: Entry) -> Table:
    """Return the vectors of the entry's tokens.

    Raises:
        BackboneError: the file holds others.
    """
    assert entry.weights is not None
    from safetensors.numpy import load_file

    held = load_file(entry.weights)
    return table_of({k.removeprefix(entry.prefix): v for k, v in held.items()}, entry)


def table_of(tensors: Mapping[str, npt.NDArray[Any]], entry: Entry) -> Table:
    """Return the table that ``tensors`` are; see this module."""
    try:
        # Training by steps leaves one table under torch's name for it.
        name = "words.weight" if "words.weight" in tensors else "embeddings"
        vectors = np.asarray(tensors[name], np.float32)
        if vectors.ndim != 2:
            raise ValueError(f"embeddings of shape {vectors.shape}")
        if "mapping" in tensors:
            vectors = vectors[np.asarray(tensors["mapping"], np.int64)]
        if "weights" in tensors:
            vectors = vectors * np.asarray(tensors["weights"], np.float32)[:, None]
        if isinstance(entry.preprocess, Tokenize) and entry.preprocess.drop >= 0:
            vectors = vectors.copy()
            vectors[entry.preprocess.drop] = 0
    except (KeyError, IndexError, ValueError) as error:
        raise BackboneError(f"{entry.weights} holds no table of vectors: {error!r}") from error
    return Table(vectors, bool(entry.config["normalise"]))
