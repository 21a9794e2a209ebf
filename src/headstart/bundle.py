"""A bundle: the folder that a fitted model is saved as. Safetensors and JSON, never pickle.

``bundle.json`` says what the model is and how it was made, ``model.safetensors`` holds all its
numbers, backbones included. It loads without the training code, and runs no code from the file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart.backbones import entry as entries
from headstart.backbones.entry import Entry, from_facts
from headstart.backbones.names import tensor_names
from headstart.data.dataset import Kind
from headstart.data.injected import Reader
from headstart.data.texts.tokens import Tokenize
from headstart.errors import BackboneError, BundleError
from headstart.facts import (
    FactsError,
    finite,
    listed,
    mapping,
    number,
    one_of,
    read,
    record,
    require_regular,
    text,
    whole,
)
from headstart.model import Model
from headstart.place import DONE, is_leftover, refuse_links, settle
from headstart.store import digest_of, file_digest, home, note, noted, written_aside
from headstart.tasks.head import Head
from headstart.tasks.registry import restored

FORMAT = 2
"""Format 1 has no task: its models are of classes."""

_TEXTS = listed(text(1 << 20))
_CHECKED = record(
    {
        "kind": one_of("image", "text"),
        "classes": listed(text(1 << 16)),
        "backbones": listed(entries.check, 1, 64),
        "temperature": number(0, 1e9, above=True),
        "weights": text(32, "[0-9a-f]{32}", "the digest of model.safetensors"),
    },
    {
        "task": text(40),
        "task_facts": mapping,
        "seed": whole(0, (1 << 63) - 1),
        "head": text(1000),
        "digest": text(32),
        "tokenizers": mapping,
        "data": record({}, {"columns": _TEXTS}),
        "errors": listed(record({"item": text(1 << 16)}, {"text": text(1 << 16)})),
        "notes": _TEXTS,
        "metrics": mapping,
        "detector": mapping,
    },
)

CHECKPOINTS = "checkpoints"
"""Folder in a bundle's folder where a run that is not finished leaves its state."""


@dataclass(frozen=True)
class Origin:
    """What a model was fitted on.

    Attributes:
        root: the folder or table.
        reading: the options that it was read with.
    """

    root: Path
    reading: dict[str, Any]


_ORIGIN = record({"root": text(1 << 16), "reading": mapping})


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
    def origin(self) -> Origin | None:
        """Where its data were, if it was fitted on this machine; its files are not asked.

        A bundle that said so itself could have anything read.
        """
        found = noted(_note(self.facts["weights"]))
        try:
            _ORIGIN(found, "its origin")
        except FactsError:
            return None
        return Origin(Path(found["root"]), found["reading"])

    @cached_property
    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """All numbers of the model, by name."""
        from safetensors.numpy import load_file

        return dict(load_file(self.path / "model.safetensors"))


def save(model: Model, path: Path, facts: dict[str, Any]) -> Bundle:
    """Write ``model`` to the folder ``path``, which is there, with ``facts`` of how it was made.

    See `headstart.place.filled` for how it comes to its place in one step.

    Raises:
        BundleError: its numbers are not all finite, so that it could answer nothing.
    """
    from safetensors.numpy import save_file

    more, own = model.more()
    tensors = _tensors(model) | more
    _require_finite(tensors.items(), "nothing was saved: the model")
    for i, entry in enumerate(model.entries):
        if isinstance(entry.preprocess, Tokenize):
            entry.preprocess.save(_tokenizer(path, i))
    with written_aside(path / "model.safetensors") as aside:
        save_file(tensors, aside)
    stated = file_digest(path / "model.safetensors")
    _vouch(stated, filter(partial(_unchanged, model), model.entries))
    made: dict[str, Any] = json.loads(json.dumps(finite(_facts(model, stated, path) | own | facts)))
    made["digest"] = whole_digest(made)
    said = json.dumps(made, indent=1, ensure_ascii=False)
    (path / "bundle.json").write_text(said, encoding="utf-8")
    return Bundle(path, made, model)


def _tokenizer(path: Path, number: int) -> Path:
    return path / (f"tokenizer.{number}" if number else "tokenizer")


def check_target(path: Path) -> None:
    """Raise `BundleError` unless a bundle can be written to ``path``; call it before the work."""
    if path.exists() and not path.is_dir():
        raise BundleError(f"{path} is a file; give --out a folder that is new, empty or a bundle.")
    names = {one.name for one in path.iterdir()} if path.is_dir() else set()
    refuse_links(path, {CHECKPOINTS, DONE, *filter(_is_own, names)})
    others = {name for name in names if name != CHECKPOINTS and not is_leftover(name)}
    if others and "bundle.json" not in names and DONE not in names:
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
        with suppress(OSError):  # of a folder that nobody may write to, say
            settle(folder)
        refuse_links(folder, ["bundle.json"])
        facts = read(folder / "bundle.json")
    except FileNotFoundError:
        raise BundleError(
            f"{folder} is not a bundle: it has no bundle.json. `headstart fit DATA --out {folder}` "
            "makes one."
        ) from None
    except (OSError, FactsError) as error:
        raise BundleError(f"{folder / 'bundle.json'} cannot be read: {error}") from error
    from safetensors import SafetensorError

    version = facts.get("format") if isinstance(facts, dict) else None
    if not isinstance(version, int) or not 1 <= version <= FORMAT:
        raise BundleError(
            f"{folder} has bundle format {version!r}; this headstart reads up to {FORMAT}."
        )
    try:
        return _assemble(folder, facts)
    except (OSError, KeyError, TypeError, ValueError, IndexError, SafetensorError) as error:
        if isinstance(error, BundleError):
            raise
        raise BundleError(f"{folder} is damaged: {error}") from error


def _assemble(folder: Path, facts: dict[str, Any]) -> Bundle:
    from safetensors import safe_open

    _CHECKED(facts, "bundle.json")
    if any(one.get("kind", "image") != facts["kind"] for one in facts["backbones"]):
        raise ValueError("bundle.json names a backbone for other items")
    if facts.get("digest", whole_digest(facts)) != whole_digest(facts):
        raise ValueError("bundle.json was changed after it was written")
    refuse_links(folder, _names(len(facts["backbones"])))
    weights = folder / "model.safetensors"
    require_regular(weights)
    found = file_digest(weights)
    if found != facts["weights"]:
        raise ValueError("model.safetensors is not the file that bundle.json describes")
    # Beside a model of pictures may lie the tokenizer of one of texts that was there before.
    texts = facts["kind"] == "text"
    words = _tokenizer_digests(folder, len(facts["backbones"])) if texts else {}
    if facts.get("tokenizers", words) != words:
        raise ValueError("a tokenizer is not the one that bundle.json describes")
    entries = tuple(_entry(folder, weights, facts, i) for i in range(len(facts["backbones"])))
    with safe_open(weights, "np") as file:
        head = _head(file, facts)
        _require_finite(_each(file), "the model")
    task = restored(facts)
    if task.n_outputs != len(head.bias):
        raise ValueError("bundle.json does not describe the head in model.safetensors")
    if "detector" in facts:
        from headstart.detection.model import restored as finder

        return Bundle(folder, facts, finder(entries[0], task, facts, weights))
    columns = tuple(facts.get("data", {}).get("columns", ())) if facts["kind"] == "text" else ()
    beside = Reader.saved(facts["beside"]) if "beside" in facts else None
    model = Model(entries, head, task, facts.get("seed", 0), columns=columns, beside=beside)
    return Bundle(folder, facts, model)


def _head(file: Any, facts: dict[str, Any]) -> Head:
    names = set(file.keys())
    square = file.get_tensor("head.square") if "head.square" in names else None
    weight, bias = file.get_tensor("head.weight"), file.get_tensor("head.bias")
    fits = weight.ndim == 2 and bias.shape == weight.shape[:1]
    if not fits or (square is not None and square.shape != weight.shape):
        raise ValueError(f"a head of shape {weight.shape} with {bias.shape} is none")
    if any(one.dtype != np.float32 for one in (weight, bias, square) if one is not None):
        raise ValueError(f"a head of {weight.dtype} and {bias.dtype} is none")
    return Head(weight, bias, square, float(facts["temperature"]), facts.get("head", ""))


def _each(file: Any) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    for name in file.keys():  # noqa: SIM118 - it is no dict
        yield name, file.get_tensor(name)


def _require_finite(tensors: Iterable[tuple[str, npt.NDArray[Any]]], what: str) -> None:
    """Raise `BundleError` for numbers that are none: such a model answers nothing.

    A single number of a network may be infinite: it is a bound that cuts nothing off.
    """
    for name, value in tensors:
        bound = value.ndim == 0 and name.startswith("backbone.")
        if value.dtype.kind == "f" and not (np.isfinite(value) | (bound & np.isinf(value))).all():
            raise BundleError(
                f"{what} holds numbers that are not finite, in {name}; training has gone astray. "
                "Fit again with a smaller --body-rate and --head-rate."
            )


def _names(backbones: int) -> list[str]:
    """Return what a bundle's own files and folders are called."""
    folders = [_tokenizer(Path(), i).name for i in range(backbones)]
    files = [f"{one}/{name}" for one in folders for name in ("tokenizer.json", "tokenize.json")]
    return ["bundle.json", "model.safetensors", *folders, *files]


def _is_own(name: str) -> bool:
    return name.startswith("tokenizer") or name in ("bundle.json", "model.safetensors")


def whole_digest(facts: dict[str, Any]) -> str:
    """Return the digest of all that ``bundle.json`` says, its own left out."""
    return digest_of(facts)


def _entry(folder: Path, weights: Path, facts: dict[str, Any], number: int) -> Entry:
    one = facts["backbones"][number]
    tokenize = Tokenize.saved(_tokenizer(folder, number)) if facts["kind"] == "text" else None
    # What is kept goes by the digest of the weights: a file from elsewhere that states another's
    # would put its own graph and features in that one's place.
    known = _voucher(facts["weights"], one["digest"]).exists()
    stated = one["digest"] if known else facts["weights"]
    entry = from_facts(one, one["name"], weights, stated, tokenize)
    return replace(entry, prefix=f"backbone.{number}.")


def _vouch(digest: str, entries: Iterable[Entry]) -> None:
    """Note that the weights of ``entries`` are those in the file with this ``digest``."""
    with suppress(OSError):  # without the note their graphs are made once more
        for entry in entries:
            voucher = _voucher(digest, entry.digest)
            voucher.parent.mkdir(parents=True, exist_ok=True)
            voucher.touch()


def remember(bundle: Bundle, root: Path, reading: dict[str, Any]) -> None:
    """Note on this machine what ``bundle`` was fitted on; where nothing can be written, do not."""
    told = {name: _plain(value) for name, value in reading.items() if value is not None}
    note(_note(bundle.facts["weights"]), {"root": str(root.resolve()), "reading": told})


def _plain(option: Any) -> Any:
    if isinstance(option, bool):
        return option
    return list(option) if isinstance(option, list | tuple) else str(option)


def _note(digest: str) -> Path:
    return home() / "bundles" / f"{digest}.json"


def _voucher(digest: str, of: str) -> Path:
    name = hashlib.blake2b(f"{digest}|{of}".encode(), digest_size=16).hexdigest()
    return home() / "bundles" / name


def _facts(model: Model, digest: str, path: Path) -> dict[str, Any]:
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
        "tokenizers": _tokenizer_digests(path, len(model.entries)),
    }


def _tokenizer_digests(path: Path, backbones: int) -> dict[str, str]:
    """Return the digests of the tokenizers' files, by their names."""
    found = [path / name for name in _names(backbones) if name.startswith("tokenizer")]
    return {str(one.relative_to(path)): file_digest(one) for one in found if one.is_file()}


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
