"""From a name to a method. One dict, one line a method."""

from __future__ import annotations

from collections.abc import Sequence

from headstart.adaptation.cdan import ConditionalAdversarial
from headstart.adaptation.coral import CorrelationAlignment
from headstart.adaptation.cycle import LARGEST, Painted
from headstart.adaptation.dann import Adversarial
from headstart.adaptation.gaussian import VirtualSamples
from headstart.adaptation.mcc import ClassConfusion
from headstart.adaptation.method import Method
from headstart.adaptation.none import SourceOnly
from headstart.adaptation.norm import OwnStatistics
from headstart.adaptation.pseudo import PseudoLabels
from headstart.adaptation.reweight import Reweighted
from headstart.adaptation.shot import SourceHypothesis
from headstart.adaptation.translate import Translated
from headstart.errors import UsageError, unknown

METHODS: dict[str, type[Method]] = {
    "none": SourceOnly,
    "norm": OwnStatistics,
    "coral": CorrelationAlignment,
    "mcc": ClassConfusion,
    "dann": Adversarial,
    "cdan": ConditionalAdversarial,
    "shot": SourceHypothesis,
    "pseudo": PseudoLabels,
    "reweight": Reweighted,
    "gaussian": VirtualSamples,
    "translate": Translated,
    "cycle": Painted,
}

AUTO = ("none", "norm", "coral", "mcc")
"""The candidates where nobody names any: the cheap ones, and the one that leads benchmarks."""

PREFERRED = (
    *("mcc", "shot", "cdan", "dann", "pseudo"),
    *("coral", "gaussian", "cycle", "translate", "norm", "reweight", "none"),
)
"""The order in which candidates are believed, see `headstart.adaptation.choice`."""


def methods(word: str, kind: str, *, kept: bool, side: int = 0) -> dict[str, Method]:
    """Return the methods that ``word`` names, the source alone first.

    Args:
        word: "auto", "all", a name, or several with commas.
        kind: of the items, "image" or "text".
        kept: whether they work on kept features, and not above trained blocks.
        side: pixels a side of the pictures that the backbone reads.

    Raises:
        UsageError: there is no such method, or it is not for these items or this strategy.

    >>> list(methods("coral,mcc", "text", kept=True))
    ['none', 'coral', 'mcc']
    """
    names = _names(word)
    for name in names:
        if name not in METHODS:
            raise unknown("method", name, ("auto", "all", *METHODS))
    why = {name: _why_not(METHODS[name], kind, kept, side) for name in names}
    if word == "all":
        names = [name for name in names if not why[name]]
    for name in names:
        if why[name]:
            raise UsageError(f"the method '{name}' {why[name]}.")
    return {name: METHODS[name]() for name in dict.fromkeys(["none", *names])}


def _names(word: str) -> Sequence[str]:
    if word in ("auto", "all"):
        return list(AUTO if word == "auto" else METHODS)
    return [part.strip() for part in word.split(",") if part.strip()]


def _why_not(method: type[Method], kind: str, kept: bool, side: int) -> str:
    if method.translates and kind != "image":
        return f"is for pictures, not for {kind}s"
    if method.translates and not kept:
        return "reads kept features; use it with strategy='frozen' (--strategy frozen)"
    if method.translates == "painted" and side > LARGEST:
        return (
            f"is for small pictures, of {LARGEST} pixels a side at most, and this backbone reads "
            f"{side}; take 'translate', or say image_size={LARGEST} (--image-size {LARGEST})"
        )
    if method.kept_only and not kept:
        return "works on kept features; use it with strategy='frozen' (--strategy frozen)"
    return ""
