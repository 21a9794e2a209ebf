"""From a name to a backbone's `Entry`: where weights are looked for, in which order.

1. our own names (`OWN`);
2. ``DIR/NAME.safetensors`` with ``NAME.json`` in each directory of ``HEADSTART_WEIGHTS``, or the
   path of such a file;
3. what an earlier run fetched through a library, kept in the same layout under ``HEADSTART_HOME``;
4. ``timm:NAME``, ``torchvision:NAME``, or the plain name, through those libraries.

Text encoders are ``minilm``, a folder with a config.json, or ``hf:NAME``; the text networks that
are trained here, such as ``bilstm``, learn their words from the training texts.

Random weights come only when asked for, as ``random:NAME`` or with the strategy ``scratch``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from headstart.backbones import entry as entries
from headstart.backbones import huggingface, words
from headstart.backbones.entry import Entry
from headstart.errors import BackboneError
from headstart.progress import log
from headstart.store import home


def _glyphs() -> Entry:
    asset = Path(__file__).parent.parent / "assets" / "glyphs.safetensors"
    return entries.from_file(asset, "glyphs")


OWN: dict[str, Callable[[], Entry]] = {
    "glyphs": _glyphs,
    huggingface.OFFLINE: partial(huggingface.entry, huggingface.OFFLINE),
    **{name: partial(words.entry, name) for name in words.NETWORKS},
}


def weight_directories() -> list[Path]:
    """Return the directories named in ``HEADSTART_WEIGHTS``, separated as in ``PATH``."""
    named = os.environ.get("HEADSTART_WEIGHTS", "")
    return [Path(os.path.expanduser(part)) for part in named.split(os.pathsep) if part]


def available() -> list[str]:
    """Return the names of the backbones whose weights are on this machine."""
    folders = [*weight_directories(), home() / "weights"]
    files = [f for folder in folders if folder.is_dir() for f in folder.glob("*.safetensors")]
    return sorted({*OWN, *(f.stem for f in files if f.with_suffix(".json").is_file())})


def resolve(name: str, *, random: bool = False, seed: int = 0) -> Entry:
    """Return the entry of the backbone called ``name``.

    Args:
        name: see the module's docstring; ``random:NAME`` for random weights.
        random: take the architecture only, with random weights drawn from ``seed``.
        seed: of random weights.

    Raises:
        BackboneError: no such backbone, or its weights are not here and cannot be fetched; says
            what was looked for where, and how to put it there.

    >>> resolve("glyphs").source_domain
    'printed glyphs (fonts shipped with matplotlib)'
    """
    plain = name.removeprefix("random:")
    if random or plain != name:
        return _random(plain, seed)
    found = _local(plain)
    if found:
        return found
    from headstart.backbones import libraries  # heavy: only when a library is really asked

    tried = _looked_for(plain)
    return libraries.fetch(plain, home() / "weights", tried=tried, here=available())


def _local(name: str) -> Entry | None:
    """Return the entry of ``name`` if its weights are on this machine."""
    if name in OWN:
        return OWN[name]()
    if _is_encoder(name):
        return huggingface.entry(name)
    file = Path(os.path.expanduser(name))
    if file.suffix == ".safetensors" and file.with_suffix(".json").is_file():
        return entries.from_file(file, file.stem)
    library, _, short = name.rpartition(":")
    for folder in [*weight_directories(), home() / "weights"]:
        path = folder / f"{short}.safetensors"
        if path.is_file() and path.with_suffix(".json").is_file():
            try:
                found = entries.from_file(path, name)
            except BackboneError as error:
                if folder != home() / "weights":
                    raise
                log.warning("fetching damaged weights again: %s", error)
                continue
            if library in ("", found.library):
                return found
    return None


def _random(name: str, seed: int) -> Entry:
    if _is_encoder(name):
        local: Entry | None = huggingface.random_entry(name)
    else:
        local = _local(name)
    if local is None:
        from headstart.backbones import libraries

        local = libraries.describe(name)
    return replace(
        local, name=f"random:{name}", weights=None, digest=f"random-{seed}", source_domain="nothing"
    )


def _is_encoder(name: str) -> bool:
    return name == huggingface.OFFLINE or name.startswith("hf:") or huggingface.is_folder(name)


def _looked_for(name: str) -> list[str]:
    named = weight_directories()
    short = name.rpartition(":")[2]
    return [
        f"the registry's own names ({', '.join(OWN)})",
        *(f"{folder / short}.safetensors" for folder in named),
        *([] if named else ["HEADSTART_WEIGHTS (not set)"]),
        f"{home() / 'weights' / short}.safetensors",
    ]


def resolve_all(name: str, *, seed: int = 0) -> tuple[Entry, ...]:
    """Return the entries of ``x+y``: backbones whose features are joined, all of one kind."""
    parts = [part.strip() for part in name.split("+")]
    if not all(parts):
        raise BackboneError(f"'{name}' names an empty backbone; write x, or x+y to join two.")
    found = tuple(resolve(part, seed=seed) for part in parts)
    if len({entry.kind for entry in found}) > 1:
        raise BackboneError(f"'{name}' joins backbones for pictures with backbones for texts.")
    return found
