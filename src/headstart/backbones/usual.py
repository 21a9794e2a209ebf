"""Which backbone suits a data set where none is named: the items are looked at, and it says why."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator

import numpy as np

from headstart.backbones import huggingface, registry
from headstart.backbones.catalogue import MULTILINGUAL, Offer, offers, short
from headstart.backbones.entry import Entry
from headstart.data.dataset import Dataset
from headstart.data.pictures.images import Decoded, examine
from headstart.data.texts.tokens import Tokenize
from headstart.errors import BackboneError, ItemError
from headstart.wording import Said

SMALL = 64
"""Pictures of up to so many pixels a side may be characters."""

_PICTURES, _TEXTS = 8, 200
_OTHER = 0.3
_UNKNOWN, _SINGLE = 0.05, 0.5


def usual(dataset: Dataset, *, fetch: bool = True) -> tuple[str, str]:
    """Return the backbone for ``dataset``, and why it is that one; ``fetch`` allows to fetch it.

    Small grey pictures get ``glyphs``; others the first usual backbone of the catalogue that is
    here, or else can be fetched now. Texts in Latin script get ``minilm``, others the multilingual
    encoder where it is here or can be fetched.

    Raises:
        BackboneError: there is none for photos; the message names the ways.
    """
    look = _for_texts if dataset.kind == "text" else _for_pictures
    return look(dataset, fetch)


def _for_pictures(dataset: Dataset, fetch: bool) -> tuple[str, str]:
    seen = list(_first(dataset))
    said = _said(seen)
    if seen and all(max(one.width, one.height) <= SMALL and is_grey(one) for one in seen):
        return "glyphs", Said("small grey pictures ({said})", said=said)
    photos = [one for one in offers("image", usual=True) if one.name != "glyphs"]
    here = here_of(photos)
    if here:
        return here[0], Said("photos ({said}): the first of the catalogue that is here", said=said)
    if not fetch:
        why = Said("photos ({said}): the first of the catalogue, to be fetched", said=said)
        return photos[0].name, why
    try:
        registry.resolve(photos[0].name)
    except BackboneError as error:
        raise BackboneError(
            f"{dataset.root} holds photos ({said}), for which a backbone is needed that has "
            f"learned from photos, and none of the catalogue is here.\n{error}\n"
            f"Or name one that is here with --backbone: {', '.join(registry.available())} "
            "(glyphs knows small printed characters alone)."
        ) from error
    return photos[0].name, Said("photos ({said}): the first of the catalogue, fetched", said=said)


def here_of(wanted: Iterable[Offer]) -> list[str]:
    """Return the names of those offers whose weights are on this machine, as they are called here.

    A file in a directory of weights goes by its own name.
    """
    names = registry.available()
    found = []
    for one in wanted:
        plain = short(one.name)
        if plain in names or (plain.startswith("hf:") and huggingface.cached(plain[3:])):
            found.append(plain)
    return found


def _for_texts(dataset: Dataset, fetch: bool) -> tuple[str, str]:
    share = other_script(_sample(dataset))
    if share <= _OTHER:
        return "minilm", Said("texts in Latin script")
    said = Said(
        "texts, {share:.0f} % of whose letters are of other scripts than Latin", share=100 * share
    )
    wanted = [one for one in offers("text") if "languages" in one.reads]
    here = here_of(sorted(wanted, key=lambda one: not one.usual))
    if here:
        return here[0], Said("{said}: a multilingual encoder that is here", said=said)
    if not fetch:
        return MULTILINGUAL, Said("{said}: a multilingual encoder, to be fetched", said=said)
    try:
        registry.resolve(MULTILINGUAL)
    except BackboneError:
        warning = Said(
            "{said}; no multilingual encoder is here, nor can one be fetched. Take one: {command}",
            said=said,
            command=f"headstart fetch {MULTILINGUAL}",
        )
        return "minilm", warning
    return MULTILINGUAL, Said("{said}: a multilingual encoder, fetched", said=said)


def unread(entry: Entry, dataset: Dataset) -> str:
    """Return the warning where an encoder's vocabulary does not know the texts; empty if it does.

    That is where many pieces are unknown, or most are single signs of a script of which the
    vocabulary has few.
    """
    if not isinstance(entry.preprocess, Tokenize) or not entry.ready:
        return ""
    unknown, single = entry.preprocess.strangeness(list(_sample(dataset)))
    if unknown <= _UNKNOWN and single <= _SINGLE:
        return ""
    return Said(
        "'{backbone}' hardly reads these texts: {unknown:.0f} % of their pieces are unknown to it "
        "and {single:.0f} % are single characters; take an encoder of their language, such as "
        "--backbone {other}",
        backbone=entry.name,
        unknown=100 * unknown,
        single=100 * single,
        other=MULTILINGUAL,
    )


def other_script(texts: Iterable[str]) -> float:
    """Return the share of letters that are of another script than Latin.

    >>> other_script(["Größe", "这家店"])
    0.375
    """
    letters = [sign for text in texts for sign in text if sign.isalpha()]
    latin = sum(sign.isascii() or "LATIN" in unicodedata.name(sign, "") for sign in letters)
    return 1 - latin / len(letters) if letters else 0.0


def _spread(dataset: Dataset, count: int) -> list[int]:
    """Return the indices of at most ``count`` items from all over the data set."""
    last = len(dataset) - 1
    return sorted({int(i) for i in np.linspace(0, last, count)}) if last >= 0 else []


def _sample(dataset: Dataset) -> Iterator[str]:
    """Yield some texts from all over the data set."""
    for index in _spread(dataset, _TEXTS):
        try:
            yield dataset.content(index).decode("utf-8", "replace")[:1000]
        except (OSError, ItemError):
            continue


def _first(dataset: Dataset) -> Iterator[Decoded]:
    """Yield some pictures from all over the data set that can be unpacked."""
    for index in _spread(dataset, _PICTURES):
        try:
            yield examine(dataset.content(index))
        except (OSError, ItemError):
            continue


def is_grey(picture: Decoded) -> bool:
    """Return whether a picture has no colours: one channel, or equal ones."""
    values = np.asarray(picture.image)
    if values.ndim == 2 or values.shape[2] == 1:
        return True
    colours = values[:, :, :3].astype(np.int16)
    return bool(np.ptp(colours, axis=2).max(initial=0) <= 8)


def _said(seen: list[Decoded]) -> str:
    if not seen:
        return "none could be looked at"
    colour = "grey" if all(map(is_grey, seen)) else "in colour"
    return f"such as {seen[0].width} x {seen[0].height} pixels, {colour}"
