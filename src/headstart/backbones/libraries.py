"""Weights and facts through torchvision and timm, and their download caches.

What a library hands over is written once into ``HEADSTART_HOME/weights`` in our own layout
(safetensors + JSON); from then on it is found there, without importing the library.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import timm
import torchvision.models
from safetensors.torch import save_file
from timm.data import resolve_model_data_config  # type: ignore[attr-defined]
from torch import nn
from torchvision.transforms import InterpolationMode

from headstart.backbones import entry as entries
from headstart.backbones.entry import Entry
from headstart.backbones.fetched import require_stated, unreachable
from headstart.backbones.surgery import find_head
from headstart.errors import BackboneError, nearest, unknown
from headstart.progress import log
from headstart.store import written_aside


def find(name: str, here: Sequence[str] = ()) -> tuple[str, str]:
    """Return (library, architecture) for ``timm:x``, ``torchvision:x`` or plain ``x``.

    Of names that come near, those that are ``here`` already come first.

    Raises:
        UsageError: no such library.
        BackboneError: no such model; names the nearest ones.
    """
    library, _, architecture = name.rpartition(":")
    if library not in ("", "timm", "torchvision"):
        raise unknown("library", library, ["timm", "torchvision"])
    known = {
        "torchvision": torchvision.models.list_models(module=torchvision.models),
        "timm": timm.list_models(),
    }
    for candidate in [library] if library else ["torchvision", "timm"]:
        base = architecture.split(".")[0] if candidate == "timm" else architecture
        if base in known[candidate]:
            return candidate, architecture
    every = [f"{lib}:{n}" for lib in known for n in known[lib] if library in ("", lib)]
    near = _nearest(name, [*here, *every])
    raise BackboneError(
        f"no backbone is called '{name}'; {near} Give one of headstart's own "
        "(glyphs), a file in a HEADSTART_WEIGHTS directory, torchvision:NAME or timm:NAME."
    )


def _nearest(name: str, every: list[str]) -> str:
    near = nearest(name, every)
    return f"did you mean '{near}'?" if near else "no name comes near."


def describe(name: str, here: Sequence[str] = ()) -> Entry:
    """Return the entry of an architecture with its library's preprocessing, without weights."""
    library, architecture = find(name, here)
    facts = (_timm_facts if library == "timm" else _torchvision_facts)(architecture)
    facts |= {"library": library, "architecture": architecture, "kind": "image"}
    return entries.from_facts(facts, name, None, "none")


def fetch(name: str, folder: Path, *, tried: list[str], here: Sequence[str] = ()) -> Entry:
    """Get the weights of ``name`` through its library, and keep them in ``folder``.

    Raises:
        BackboneError: the weights are not in the library's cache and cannot be downloaded.
    """
    described = describe(name, here)
    try:
        # torch announces downloads on stdout, which belongs to results.
        with contextlib.redirect_stdout(sys.stderr):
            net = _pretrained(described)
    except Exception as error:  # the libraries raise anything from URLError to RuntimeError
        raise BackboneError(_not_here(name, described, tried, error)) from error
    path = folder / f"{described.architecture}.safetensors"
    tensors = {key: value.contiguous().clone() for key, value in net.state_dict().items()}
    with written_aside(path) as aside:
        save_file(tensors, aside)
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    facts = described.facts() | {"num_classes": _outputs(net), "sha256": sha256}
    facts["facts"] = entries.facts_digest(facts)
    with written_aside(path.with_suffix(".json")) as aside:
        aside.write_text(json.dumps(facts, indent=1), encoding="utf-8")
    log.info("kept the weights of %s in %s", name, path)
    return entries.from_file(path, name)


def _pretrained(entry: Entry) -> nn.Module:
    if entry.library == "timm":
        _require_route(entry.architecture)
        net: nn.Module = timm.create_model(entry.architecture, pretrained=True)
        _require_stated(net)
        return net
    weights = torchvision.models.get_model_weights(entry.architecture).DEFAULT
    found: nn.Module = torchvision.models.get_model(entry.architecture, weights=weights)
    return found


def _require_route(architecture: str) -> None:
    """Refuse to ask the hub for weights that it has, where it cannot be asked."""
    config = timm.get_pretrained_cfg(architecture)
    repository = str(getattr(config, "hf_hub_id", None) or "")
    if repository and not _cached(repository) and (reason := unreachable()):
        raise BackboneError(reason)


def _require_stated(net: nn.Module) -> None:
    """Refuse weights of the hub that are not those that it states."""
    for path in _cached(str(getattr(net, "pretrained_cfg", {}).get("hf_hub_id") or "")):
        require_stated(path)


def _cached(repository: str) -> list[Path]:
    """Return the files of weights that the hub's cache has of a ``repository``."""
    from huggingface_hub import try_to_load_from_cache

    names = ("model.safetensors", "pytorch_model.bin") if repository else ()
    found = [try_to_load_from_cache(repository, name) for name in names]
    return [Path(one) for one in found if isinstance(one, str)]


def _outputs(net: nn.Module) -> int:
    try:
        head: Any = net.get_submodule(find_head(net))
    except BackboneError:  # an encoder may have none
        return 0
    return int(getattr(head, "out_features", 0) or head.out_channels)


def _not_here(name: str, entry: Entry, tried: list[str], error: Exception) -> str:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    looked = "\n".join(f"  - {place}" for place in tried)
    return (
        f"the weights of '{name}' are not on this machine and could not be fetched "
        f"({type(error).__name__}: {reason[:200]}).\nLooked for, in this order:\n{looked}\n"
        f"  - {entry.library}'s own cache and download\n"
        f"Either run once where there is a network and copy HEADSTART_HOME/weights over; or put "
        f"{entry.architecture}.safetensors and {entry.architecture}.json into a directory and name "
        f"it in HEADSTART_WEIGHTS; or ask for random weights with random:{name}."
    )


def _timm_facts(architecture: str) -> dict[str, Any]:
    model = timm.create_model(architecture, pretrained=False)
    config: dict[str, Any] = resolve_model_data_config(model)  # type: ignore[no-untyped-call]
    height = config["input_size"][1]
    return {
        "input_size": list(config["input_size"]),
        "resize": int(height / config["crop_pct"]),
        "interpolation": config["interpolation"],
        "mean": list(config["mean"]),
        "std": list(config["std"]),
        "source_domain": "what its model card in timm says",
    }


def _torchvision_facts(architecture: str) -> dict[str, Any]:
    weights = torchvision.models.get_model_weights(architecture).DEFAULT
    preset = weights.transforms()
    names = {InterpolationMode.BILINEAR: "bilinear", InterpolationMode.BICUBIC: "bicubic"}
    return {
        "input_size": [3, preset.crop_size[0], preset.crop_size[0]],
        "resize": preset.resize_size[0],
        "interpolation": names.get(preset.interpolation, "bilinear"),
        "mean": list(preset.mean),
        "std": list(preset.std),
        "source_domain": "ImageNet-1k (ILSVRC-2012)",
    }
