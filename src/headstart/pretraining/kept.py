"""A network that has learned something, kept as a backbone: NAME.safetensors and NAME.json.

The JSON holds the preprocessing (of texts the tokenizer too) and the card: what it learned from,
by which command, and how well. So it can be used wherever a backbone is named.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart.backbones.entry import Entry, facts_digest
from headstart.backbones.registry import OWN
from headstart.data.texts.tokens import Tokenize
from headstart.errors import UsageError
from headstart.place import claimed
from headstart.store import written_aside

if TYPE_CHECKING:
    from headstart.backbones.blocks import Backbone

_NAME = re.compile(r"\w[\w.-]*")


@dataclass(frozen=True)
class Place:
    """Where a backbone is to be kept; made before the work, so that it is not in vain.

    Attributes:
        folder: of the two files.
        name: of the backbone, as ``--backbone`` will know it.
    """

    folder: Path
    name: str

    @classmethod
    def of(cls, folder: Path, name: str | None, data: Path) -> Place:
        """Return the place, called as the ``data`` are where nobody gives a ``name``.

        Raises:
            UsageError: the name is none, is taken by the registry, or its files are there already.
            BundleError: nothing can be written to ``folder``.
        """
        chosen = name or re.sub(r"[^\w.-]+", "-", data.resolve().stem).strip(".-") or "backbone"
        if not _NAME.fullmatch(chosen):
            raise UsageError(
                f"name is '{chosen}', but must be letters, digits, '_', '-' and '.', for '+' and "
                "':' mean something in the name of a backbone."
            )
        if chosen in OWN:
            raise UsageError(f"'{chosen}' is the registry's own name; give another --name.")
        place = cls(folder, chosen)
        taken = [one for one in (place.weights, place.card) if one.exists()]
        if taken:
            raise UsageError(f"{taken[0]} is there already; give another --name, or remove it.")
        with claimed(folder):  # that it can be, and be written to, is seen before the work
            return place

    @property
    def weights(self) -> Path:
        """The file of the weights."""
        return self.folder / f"{self.name}.safetensors"

    @property
    def card(self) -> Path:
        """The JSON beside it."""
        return self.folder / f"{self.name}.json"

    @property
    def checkpoints(self) -> Path:
        """The folder of what is left while training is not done."""
        return self.folder / f"{self.name}.checkpoints"


def keep(backbone: Backbone, entry: Entry, place: Place, card: dict[str, Any]) -> dict[str, Any]:
    """Write ``backbone`` to its ``place``; return what the user should know of it.

    Args:
        backbone: the trained network, on the CPU.
        entry: what it was made from; says how items become its input.
        place: where it goes.
        card: "source_domain", "origin" and "check", see the JSON of any backbone.
    """
    from safetensors.torch import save_file

    place.folder.mkdir(parents=True, exist_ok=True)
    # Tied weights share memory, which a file cannot.
    state = {k: v.detach().clone().contiguous() for k, v in backbone.net.state_dict().items()}
    with written_aside(place.weights) as aside:
        save_file(state, aside)
    own = {"name": place.name, "num_classes": 0, "n_features": backbone.n_features}
    facts = entry.facts() | own | {"licence": entry.licence if entry.pretrained else ""} | card
    facts["sha256"] = hashlib.sha256(place.weights.read_bytes()).hexdigest()
    if isinstance(entry.preprocess, Tokenize):
        facts["tokenize"] = entry.preprocess.facts()
    facts["facts"] = facts_digest(facts)
    with written_aside(place.card) as aside:
        aside.write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    told = {"name": place.name, "weights": str(place.weights), "card": str(place.card)}
    return told | {"check": card["check"], "source_domain": card["source_domain"]}


def source(entry: Entry, data: Path) -> str:
    """Return what a network learned from that went on from ``entry`` with ``data``."""
    before = f"{entry.source_domain or entry.name}, then " if entry.pretrained else ""
    return f"{before}{data.resolve().name}"
