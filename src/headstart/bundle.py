"""A bundle: the folder that a fitted model is saved as. Safetensors and JSON, never pickle.

``bundle.json`` says what the model is and how it was made, ``model.safetensors`` holds all its
numbers, backbones included. It loads without the training code, and runs no code from the file.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from headstart.backbones.entry import Entry, from_facts
from headstart.backbones.known import tensor_names
from headstart.boundary.extract import Features, extract, vectors
from headstart.boundary.heads import Head, Matrix, softmax
from headstart.data.dataset import Dataset, Kind
from headstart.data.texts import Tokenize
from headstart.errors import BackboneError, BundleError
from headstart.store import file_digest, home, written_aside
from headstart.training.transfer import Fitted

if TYPE_CHECKING:
    from headstart.data.reading import Items

FORMAT = 1
CHECKPOINTS = "checkpoints"
"""Folder in a bundle's folder where a run that is not finished leaves its state."""

CHUNK = 1024
"""Items that prediction holds the answers of at once."""


@dataclass(frozen=True)
class Bundle:
    """A saved model, ready to answer. Make one with `load`.

    Attributes:
        path: the folder.
        facts: the content of ``bundle.json``.
        entries: its backbones, whose weights lie in the bundle.
        head: from features to logits.
    """

    path: Path
    facts: dict[str, Any]
    entries: tuple[Entry, ...]
    head: Head

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the probabilities."""
        return tuple(self.facts["classes"])

    @property
    def kind(self) -> Kind:
        """What it classifies: "image" or "text"."""
        return "text" if self.facts["kind"] == "text" else "image"

    def predict(
        self, sources: str | Path | Sequence[str | Path], *, device: str = "cpu"
    ) -> Iterator[dict[str, Any]]:
        """Yield ``{item, label, probability, probabilities}``, or ``{item, error}``, in order.

        Args:
            sources: files, folders (read with all below them) and tables, or one of them; for a
                text model also sentences: what has a space in it and is no path.
            device: "cpu", "cuda" or "mps".
        """
        from headstart.data.reading import read_items

        if isinstance(sources, str | Path):
            sources = [sources]
        columns = self.facts.get("data", {}).get("columns") if self.kind == "text" else None
        for spoken, group in groupby(sources, key=self._is_sentence):
            if spoken:
                yield from self.predict_texts([str(one) for one in group], device=device)
            else:
                items = read_items(list(group), self.kind, text_columns=columns)
                yield from self.predict_items(items, device=device)

    def _is_sentence(self, source: str | Path) -> bool:
        if self.kind != "text" or isinstance(source, Path) or not any(map(str.isspace, source)):
            return False
        return not os.path.exists(os.path.expanduser(source))

    def predict_texts(
        self, texts: Sequence[str], *, device: str = "cpu"
    ) -> Iterator[dict[str, Any]]:
        """Yield the answers for ``texts`` themselves, see `predict`.

        Raises:
            BundleError: the model is for pictures.
        """
        from headstart.data.items import of_texts

        if self.kind != "text":
            raise BundleError(f"{self.path} answers pictures, not texts; give it files.")
        yield from self.predict_items(of_texts(texts), device=device)

    def predict_items(self, items: Items, *, device: str = "cpu") -> Iterator[dict[str, Any]]:
        """Yield the answers for ``items``, see `predict`; memory does not grow with them."""
        n = len(items.names)
        for start in range(0, n, CHUNK):
            chunk = range(start, min(start + CHUNK, n))
            dataset = self._dataset(items).take(chunk)
            faults, features = vectors(dataset, self.entries, device=device)
            good = np.array([i for i in range(len(chunk)) if i not in faults], np.int64)
            rows = list(softmax(self.head.logits(features.rows(good)))) if len(good) else []
            answers = iter(rows)
            for i in range(len(chunk)):
                name = dataset.names[i]
                yield (
                    {"item": name, "error": faults[i]}
                    if i in faults
                    else self._answer(name, next(answers))
                )

    def probabilities(
        self, dataset: Dataset, indices: npt.NDArray[np.int64], features: Features
    ) -> Matrix:
        """Return probabilities, shape (len(indices), C), of usable items of ``dataset``."""
        return softmax(self.head.logits(features.rows(indices)))

    def extract(self, dataset: Dataset, *, device: str = "cpu") -> tuple[Any, Features]:
        """Return the audit and the features of ``dataset``, see `headstart.boundary.extract`."""
        return extract(dataset, self.entries, device=device)

    def _dataset(self, items: Items) -> Dataset:
        n = len(items.names)
        return Dataset(
            kind=self.kind,
            root=self.path,
            names=items.names,
            labels=np.zeros(n, np.int64),
            classes=self.classes,
            splits=np.full(n, "", "<U5"),
            content=items.content,
        )

    def _answer(self, name: str, row: npt.NDArray[np.float32]) -> dict[str, Any]:
        best = int(row.argmax())
        return {
            "item": name,
            "label": self.classes[best],
            "probability": float(row[best]),
            "probabilities": dict(zip(self.classes, map(float, row), strict=True)),
        }

    @cached_property
    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """All numbers of the model, by name."""
        from safetensors.numpy import load_file

        return dict(load_file(self.path / "model.safetensors"))


def save(fitted: Fitted, path: Path, facts: dict[str, Any]) -> Bundle:
    """Write ``fitted`` to the folder ``path``, with ``facts`` of the data and the figures.

    The files are written aside and renamed; ``bundle.json``, without which nothing loads, last.

    Raises:
        BundleError: ``path`` is a file, or a folder that holds something else.
    """
    from safetensors.numpy import save_file

    check_target(path)
    path.mkdir(parents=True, exist_ok=True)
    for i, entry in enumerate(fitted.entries):
        if isinstance(entry.preprocess, Tokenize):
            entry.preprocess.save(_tokenizer(path, i))
    with written_aside(path / "model.safetensors") as aside:
        save_file(_tensors(fitted), aside)
    digest = file_digest(path / "model.safetensors")
    _vouch(digest, filter(partial(_unchanged, fitted), fitted.entries))
    with written_aside(path / "bundle.json") as aside:
        text = json.dumps(_facts(fitted, digest) | facts, indent=1, ensure_ascii=False)
        aside.write_text(text, encoding="utf-8")
    return load(path)


def _tokenizer(path: Path, number: int) -> Path:
    return path / (f"tokenizer.{number}" if number else "tokenizer")


def check_target(path: Path) -> None:
    """Raise `BundleError` unless a bundle can be written to ``path``; call it before the work."""
    if path.exists() and not path.is_dir():
        raise BundleError(f"{path} is a file; give --out a folder that is new, empty or a bundle.")
    others = {one.name for one in path.iterdir()} - {CHECKPOINTS} if path.is_dir() else set()
    if others and "bundle.json" not in others:
        raise BundleError(
            f"{path} holds other files; give --out a folder that is new, empty or a bundle."
        )


def load(path: str | Path) -> Bundle:
    """Return the bundle in the folder ``path``. No torch is imported.

    Raises:
        BundleError: it is no bundle, is damaged, or was made by a newer version.
    """
    folder = Path(path)
    try:
        facts = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BundleError(
            f"{folder} is not a bundle: it has no bundle.json. `headstart fit DATA --out {folder}` "
            "makes one."
        ) from None
    except (OSError, ValueError) as error:
        raise BundleError(f"{folder / 'bundle.json'} cannot be read: {error}") from error
    from safetensors import SafetensorError

    version = facts.get("format") if isinstance(facts, dict) else None
    if not isinstance(version, int) or version > FORMAT:
        raise BundleError(
            f"{folder} has bundle format {version!r}; this headstart reads up to {FORMAT}."
        )
    try:
        return _assemble(folder, facts)
    except (OSError, KeyError, TypeError, ValueError, IndexError, SafetensorError) as error:
        raise BundleError(f"{folder} is damaged: {type(error).__name__}: {error}") from error


def _assemble(folder: Path, facts: dict[str, Any]) -> Bundle:
    from safetensors import safe_open

    weights = folder / "model.safetensors"
    found = file_digest(weights)
    if found != facts["weights"]:
        raise ValueError("model.safetensors is not the file that bundle.json describes")
    entries = tuple(_entry(folder, weights, facts, i) for i in range(len(facts["backbones"])))
    with safe_open(weights, "np") as file:
        names = set(file.keys())
        square = file.get_tensor("head.square") if "head.square" in names else None
        head = Head(
            file.get_tensor("head.weight"),
            file.get_tensor("head.bias"),
            square,
            float(facts["temperature"]),
            facts.get("head", ""),
        )
    if len(facts["classes"]) != len(head.bias) or facts["kind"] not in ("image", "text"):
        raise ValueError("bundle.json does not describe the head in model.safetensors")
    return Bundle(folder, facts, entries, head)


def _entry(folder: Path, weights: Path, facts: dict[str, Any], number: int) -> Entry:
    one = facts["backbones"][number]
    tokenize = Tokenize.saved(_tokenizer(folder, number)) if facts["kind"] == "text" else None
    # What is kept goes by the digest of the weights: a file from elsewhere that states another's
    # would put its own graph and features in that one's place.
    known = _voucher(facts["weights"], one["digest"]).exists()
    digest = one["digest"] if known else facts["weights"]
    entry = from_facts(one, one["name"], weights, digest, tokenize)
    return replace(entry, prefix=f"backbone.{number}.")


def _vouch(digest: str, entries: Iterable[Entry]) -> None:
    """Note that the weights of ``entries`` are those in the file with this ``digest``."""
    with suppress(OSError):  # without the note their graphs are made once more
        for entry in entries:
            voucher = _voucher(digest, entry.digest)
            voucher.parent.mkdir(parents=True, exist_ok=True)
            voucher.touch()


def _voucher(digest: str, of: str) -> Path:
    name = hashlib.blake2b(f"{digest}|{of}".encode(), digest_size=16).hexdigest()
    return home() / "bundles" / name


def _facts(fitted: Fitted, digest: str) -> dict[str, Any]:
    from headstart import __version__

    # A trained network answers unlike the one it came from: its graph goes by its own weights.
    # So does one whose random weights are known by a seed alone, or whose words are of this data.
    backbones = [
        entry.facts()
        | {
            "num_classes": 0,
            "digest": entry.digest if _unchanged(fitted, entry) else digest,
        }
        for entry in fitted.entries
    ]
    return {
        "format": FORMAT,
        "headstart": __version__,
        "kind": fitted.entries[0].kind,
        "classes": list(fitted.classes),
        "backbones": backbones,
        "strategy": fitted.strategy,
        "seed": fitted.seed,
        "temperature": fitted.head.temperature,
        "head": fitted.head.chosen,
        "history": fitted.history,
        "weights": digest,
    }


def _unchanged(fitted: Fitted, entry: Entry) -> bool:
    return fitted.backbone is None and entry.pretrained


def _tensors(fitted: Fitted) -> dict[str, npt.NDArray[Any]]:
    out = {"head.weight": fitted.head.weight, "head.bias": fitted.head.bias}
    if fitted.head.square is not None:
        out["head.square"] = fitted.head.square
    for i, entry in enumerate(fitted.entries):
        state = _state(fitted, entry)
        out |= {f"backbone.{i}.{name}": np.asarray(v, order="C") for name, v in state.items()}
    if fitted.backbone is not None and fitted.entries[0].kind == "image":
        out |= _first_convolution(fitted)
    return {name: np.asarray(value, order="C") for name, value in out.items()}


def _state(fitted: Fitted, entry: Entry) -> dict[str, npt.NDArray[Any]]:
    """Return the backbone's tensors; unchanged weights are copied from file to file, no torch."""
    if fitted.backbone is not None:
        return {k: v.detach().numpy() for k, v in fitted.backbone.net.state_dict().items()}
    if entry.weights is None:
        from headstart.backbones.build import build

        net = build(entry, seed=fitted.seed).net
        return {k: v.detach().numpy() for k, v in net.state_dict().items()}
    from safetensors.numpy import load_file

    tensors = {
        name.removeprefix(entry.prefix): value
        for name, value in load_file(entry.weights).items()
        if name.startswith(entry.prefix)
    }
    if entry.kind == "text":
        return tensors
    names = tensor_names(entry)  # the file may hold a head too
    return {name: value for name, value in tensors.items() if name in names}


def _first_convolution(fitted: Fitted) -> dict[str, npt.NDArray[np.float32]]:
    """Return the first convolution as it was before training, for `headstart show filters`."""
    from headstart.backbones import vision
    from headstart.backbones.surgery import first_convolution

    before = vision.build(fitted.entries[0], seed=fitted.seed).net
    try:
        kernel = first_convolution(before)[1].weight.detach().numpy()
    except BackboneError:  # it has none, and so no filters to show
        return {}
    return {"before.first_convolution": kernel}
