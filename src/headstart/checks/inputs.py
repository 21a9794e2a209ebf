"""Checks of whether a backbone reads these items as it should."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from headstart.backbones.entry import Entry
from headstart.data.pictures.images import Preprocess
from headstart.data.texts.tokens import Tokenize
from headstart.findings import Finding, finding

SAMPLE = 400
"""Texts that are looked at."""

_UNKNOWN, _SINGLE = 0.1, 0.5
_CUT = 0.05
_ENLARGED = 0.6
_CENTRE, _SPREAD = 1.8, (0.25, 3.0)


def texts(entry: Entry, sample: Sequence[str]) -> list[Finding]:
    """Return that a text backbone does not know the script, or does not read to the end."""
    if not isinstance(entry.preprocess, Tokenize) or not entry.ready or not sample:
        return []
    return [one for one in (_script(entry, sample), _cut_off(entry, sample)) if one]


def _script(entry: Entry, sample: Sequence[str]) -> Finding | None:
    assert isinstance(entry.preprocess, Tokenize)
    unknown, single = entry.preprocess.strangeness(sample)
    if unknown < _UNKNOWN and single < _SINGLE:
        return None
    return finding(
        "HS011",
        "{name} does not know this script or language: {unknown:.0f} % of the pieces are unknown "
        "to it and {single:.0f} % are single characters. Take an encoder that learned from such "
        "texts, a multilingual one for example.",
        name=entry.name,
        unknown=100 * unknown,
        single=100 * single,
    )


def _cut_off(entry: Entry, sample: Sequence[str]) -> Finding | None:
    assert isinstance(entry.preprocess, Tokenize)
    most = entry.preprocess.max_length
    lengths = np.array(entry.preprocess.lengths(sample))
    share = float((lengths > most).mean())
    if share < _CUT:
        return None
    lost = float(np.maximum(lengths - most, 0).sum() / lengths.sum())
    return finding(
        "HS012",
        "{share:.0f} % of the texts are longer than the {most} tokens that {name} reads, and "
        "{lost:.0f} % of all tokens are not read. --max-length reads more where the encoder can.",
        share=100 * share,
        most=most,
        name=entry.name,
        lost=100 * lost,
    )


def pictures(entry: Entry, traits: Mapping[str, npt.NDArray[np.float32]]) -> list[Finding]:
    """Return that pictures are much smaller than what a backbone reads, or look unlike it.

    Args:
        entry: the backbone.
        traits: of the items, see `headstart.data.audit.Audit.traits`.
    """
    read = entry.preprocess
    if not isinstance(read, Preprocess) or "width" not in traits or not len(traits["width"]):
        return []
    return [one for one in (_tiny(entry, read, traits), _strange(entry, read, traits)) if one]


def _tiny(
    entry: Entry, read: Preprocess, traits: Mapping[str, npt.NDArray[np.float32]]
) -> Finding | None:
    side = float(np.nanmedian(np.minimum(traits["width"], traits["height"])))
    better = max(32, 32 * round(side / 32))
    if not side < _ENLARGED * min(read.size) or better >= min(read.size):
        return None
    return finding(
        "HS011",
        "the pictures are {side:.0f} pixels wide and {name} reads {size}: they are blown up, which "
        "costs time and brings nothing. --image-size {better} reads them faster.",
        side=side,
        name=entry.name,
        size=min(read.size),
        better=better,
    )


def _strange(
    entry: Entry, read: Preprocess, traits: Mapping[str, npt.NDArray[np.float32]]
) -> Finding | None:
    bright, contrast = traits["brightness"] / 255, traits["contrast"] / 255
    centre = (float(np.nanmean(bright)) - float(np.mean(read.mean))) / float(np.mean(read.std))
    within, between = float(np.nanmean(contrast**2)), float(np.nanvar(bright))
    spread = float(np.sqrt(within + between)) / float(np.mean(read.std))
    if abs(centre) <= _CENTRE and _SPREAD[0] <= spread <= _SPREAD[1]:
        return None
    return finding(
        "HS011",
        "the pictures look unlike what {name} learned from: normalised, their mean is {centre:.1f} "
        "(about 0 is usual) and their spread {spread:.1f} (about 1). Drawings, scans and inverted "
        "pictures do; train more of the network, or take one that learned from such.",
        name=entry.name,
        centre=centre,
        spread=spread,
    )
