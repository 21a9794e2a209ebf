"""`backbones` and `fetch`: what is here, what is worth fetching, and what suits some data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from headstart.backbones.catalogue import Offer, offers, short
from headstart.backbones.registry import available, resolve
from headstart.backbones.usual import here_of, usual
from headstart.data.reading import given
from headstart.errors import BackboneError
from headstart.settings.groups import Reading
from headstart.settings.table import Listing
from headstart.settings.taking import takes


@dataclass(frozen=True)
class Listed:
    """The backbones.

    Attributes:
        here: names whose weights are on this machine.
        offers: of the catalogue; with data, those for their kind of items.
        chosen: what is taken for the data where no backbone is named; empty without data, and
            where there is none.
        why: the reason, or why there is none.
    """

    here: tuple[str, ...]
    offers: tuple[Offer, ...]
    chosen: str = ""
    why: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the object that `headstart backbones --json` prints."""
        mine = [asdict(one) | {"here": self.is_here(one)} for one in self.offers]
        return {
            "here": list(self.here),
            "catalogue": mine,
            "default": self.chosen or None,
            "why": self.why,
        }

    def is_here(self, one: Offer) -> bool:
        """Return whether the weights of an offer are on this machine."""
        return short(one.name) in self.here or bool(here_of([one]))


@takes(Listing)
def backbones(run: Listing) -> Listed:
    """Return the backbones that are here and those that are worth fetching.

    Raises:
        DataError: the data cannot be read.
    """
    here = tuple(available())
    if run.for_ is None:
        return Listed(here, tuple(offers()))
    data = given(run.for_, None, Reading())
    mine = tuple(offers(data.kind))
    try:
        return Listed(here, mine, *usual(data, fetch=False))
    except BackboneError as error:
        return Listed(here, mine, why=str(error))


def fetch(name: str) -> dict[str, Any]:
    """Bring the weights of a backbone to this machine, for later; what is here is not fetched.

    Returns:
        ``name``, ``kind``, ``weights`` (where they lie now) and ``licence``.

    Raises:
        BackboneError: no such backbone, or its weights cannot be fetched.
    """
    found = resolve(name)
    if found.weights is None:
        raise BackboneError(f"'{name}' is trained here from the first step: nothing is to fetch.")
    return {
        "name": name,
        "kind": found.kind,
        "weights": str(found.weights),
        "licence": found.licence or "see its model card",
    }
