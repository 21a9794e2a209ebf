"""A bundle: the folder that a fitted model is saved as. Safetensors and JSON, never pickle.

``bundle.json`` says what the model is and how it was made, ``model.safetensors`` holds all its
numbers, backbones included. It loads without the training code, and runs no code from the file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart.backbones.entry import Entry, from_facts
from headstart.backbones.known import tensor_names
from headstart.data.dataset import Kind
from headstart.data.injected import Reader
from headstart.data.texts import Tokenize
from headstart.errors import BackboneError, BundleError
from headstart.model import Model
from headstart.store import file_digest, home, written_aside
from headstart.tasks.heads import Head
from headstart.tasks.registry import restored

FORMAT = 2
"""Format 1 has no task: its models are of classes."""

CHECKPOINTS = "checkpoints"
"""Folder in a bundle's folder where a run that is not finished leaves its state."""


@dataclass(frozen=True)
class Bundle:
    """A saved model, ready to answer. Make one with `load`.

    Attributes:
        path: the folder.
        facts: the content of ``bundle.json``.
        model: what answers; the weights of its backbones lie in the bundle.
    """

    path: Path
    facts: dict[str, Any]
    model: Model

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes or labels, in the order of the probabilities."""
        return self.model.task.names

    @property
    def kind(self) -> Kind:
        """What it answers: "image" or "text"."""
        return self.model.kind

    def predict(self, sources: Any, *, device: str = "cpu") -> list[dict[str, Any]]:
        """Return an answer an item of ``sources``, see `headstart.model.Model.stream`."""
        return self.model.predict(sources, device=device)

    @cached_property
    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """All numbers of the model, by name."""
        from safetensors.numpy import load_file

        return dict(load_file(self.path / "model.safetensors"))


def save(model: Model, path: Path, facts: dict[str, Any]) -> Bundle:
    """Write ``model`` to the folder ``path``, with ``facts`` of how it was made.

    The files are written aside and renamed; ``bundle.json``, without which nothing loads, last.

    Raises:
        BundleError: ``path`` is a file, or a folder that holds something else.
    """
    from safetensors.numpy import save_file

    check_target(path)
    path.mkdir(parents=True, exist_ok=True)
    tensors, own = model.more()
    for i, entry in enumerate(model.entries):
        if isinstance(entry.preprocess, Tokenize):
            entry.preprocess.save(_tokenizer(path, i))
    with written_aside(path / "model.safetensors") as aside:
        save_file(_tensors(model) | tensors, aside)
    digest = file_digest(path / "model.safetensors")
    _vouch(digest, filter(partial(_unchanged, model), model.entries))
    with written_aside(path / "bundle.json") as aside:
        text = json.dumps(_facts(model, digest) | own | facts, indent=1, ensure_ascii=False)
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
    task = restored(facts)
    if task.n_outputs != len(head.bias) or facts["kind"] not in ("image", "text"):
        raise ValueError("bundle.json does not describe the head in model.safetensors")
    if "detector" in facts:
        from headstart.detection.model import restored as finder

        return Bundle(folder, facts, finder(entries[0], task, facts, weights))
    columns = tuple(facts.get("data", {}).get("columns", ())) if facts["kind"] == "text" else ()
    beside = Reader.saved(facts["beside"]) if "beside" in facts else None
    model = Model(entries, head, task, facts.get("seed", 0), columns=columns, beside=beside)
    return Bundle(folder, facts, model)


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


def _facts(model: Model, digest: str) -> dict[str, Any]:
    from headstart import __version__

    # A trained network answers unlike the one it came from: its graph goes by its own weights.
    # So does one whose random weights are known by a seed alone, or whose words are of this data.
    backbones = [
        entry.facts()
        | {
            "num_classes": 0,
            "digest": entry.digest if _unchanged(model, entry) else digest,
        }
        for entry in model.entries
    ]
    return {
        "format": FORMAT,
        "headstart": __version__,
        "kind": model.kind,
        "task": model.task.name,
        "task_facts": model.task.facts(),
        "classes": list(model.task.names),
        "backbones": backbones,
        "seed": model.seed,
        "temperature": model.head.temperature,
        "head": model.head.chosen,
        "weights": digest,
        **({"beside": model.beside.facts()} if model.beside else {}),
    }


def _unchanged(model: Model, entry: Entry) -> bool:
    return model.backbone is None and entry.pretrained


def _tensors(model: Model) -> dict[str, npt.NDArray[Any]]:
    out = {"head.weight": model.head.weight, "head.bias": model.head.bias}
    if model.head.square is not None:
        out["head.square"] = model.head.square
    for i, entry in enumerate(model.entries):
        state = _state(model, entry)
        out |= {f"backbone.{i}.{name}": np.asarray(v, order="C") for name, v in state.items()}
    if model.backbone is not None and model.kind == "image":
        out |= _first_convolution(model)
    return {name: np.asarray(value, order="C") for name, value in out.items()}


def _state(model: Model, entry: Entry) -> dict[str, npt.NDArray[Any]]:
    """Return the backbone's tensors; unchanged weights are copied from file to file, no torch."""
    if model.backbone is not None:
        return {k: v.detach().numpy() for k, v in model.backbone.net.state_dict().items()}
    if entry.weights is None:
        from headstart.backbones.build import build

        net = build(entry, seed=model.seed).net
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


def _first_convolution(model: Model) -> dict[str, npt.NDArray[np.float32]]:
    """Return the first convolution as it was before training, for `headstart show filters`."""
    from headstart.backbones import vision
    from headstart.backbones.surgery import first_convolution

    before = vision.build(model.entries[0], seed=model.seed).net
    try:
        kernel = first_convolution(before)[1].weight.detach().numpy()
    except BackboneError:  # it has none, and so no filters to show
        return {}
    return {"before.first_convolution": kernel}
