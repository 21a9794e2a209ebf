"""What each verb reads: the groups of options that it shares, and what is its own.

A verb's settings are one frozen dataclass, so a run is one value, and what reads a group takes any
value that has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from headstart.settings.groups import (
    INPUT,
    Carried,
    Continued,
    HeldOut,
    Input,
    Kept,
    Named,
    Options,
    Overwriting,
    Paged,
    Passes,
    Pictured,
    Placed,
    Reading,
    Resumed,
    Seeded,
    Steps,
    Texts,
    trained,
)
from headstart.settings.option import REQUIRED, Settings, option
from headstart.settings.written import Shots, seconds, shots, words


@dataclass(frozen=True, kw_only=True)
class Probed(Settings):
    """What may be forgotten."""

    probe: Path | None = option(
        None, "Labelled data that the backbone could answer before: what is forgotten of them."
    )


@dataclass(frozen=True, kw_only=True)
class Fitting(Probed, Reading, Resumed, Paged, HeldOut, Carried):
    """Settings of `fit`."""

    strategy: str = option("frozen", "{strategies}; or auto, which measures what is best.")
    budget: float | None = option(
        None,
        "Of auto: time at most for choosing: 90s, 10m, 2h. Default: 5m.",
        parse=seconds,
        least=0,
    )
    shots: int | None = option(None, "Labelled examples a class; the rest is not used.", least=1)
    refit: bool = option(
        False,
        "Train once more on all items, held-out ones too; the figures stay the measured ones.",
    )
    unlabelled: str | None = option(
        None, "Folder or table without labels, or rest: what shots leaves. Used if it helps."
    )
    sure: float = option(
        0.8, "Probability from which an answer counts as a label.", above=0, below=1
    )


@dataclass(frozen=True, kw_only=True)
class Adapting(Reading, Resumed, Paged, HeldOut, Carried):
    """Settings of `adapt`."""

    method: str = option(
        "auto",
        "auto, all, or names with commas to choose from: none, norm, coral, mcc, dann, cdan, shot, "
        "pseudo, reweight, gaussian, translate, cycle.",
    )
    target_labels: int | None = option(
        None, "Labelled target items a class that are learned from as well. Default: none.", least=1
    )
    unlabelled: bool = option(False, "Take the target for unlabelled, whatever folders it has.")


@dataclass(frozen=True, kw_only=True)
class Several(Settings):
    """Which backbones."""

    backbones: tuple[str, ...] = option(
        (), "Names, with commas. Default: what suits the items.", parse=words
    )


@dataclass(frozen=True, kw_only=True)
class Comparing(
    Probed, Several, Reading, Overwriting, Kept, Paged, HeldOut, Placed, Seeded, Options
):
    """Settings of `compare`."""

    strategies: tuple[str, ...] = option(
        ("scratch", "warm", "frozen"), "Names, with commas: {strategies}.", parse=words
    )
    shots: tuple[Shots, ...] = option(
        ("all",), "Labels a class, with commas: 8,64,all.", parse=shots
    )
    draws: int = option(5, "Random choices of the labels, or of the folds.", least=1)
    folds: int | None = option(
        None,
        "Of a cross-validation, in which each item is held out once; 0 holds out a share. Default: "
        "5 for fewer than 1,000 items without a split, unless val is given.",
        least=0,
    )
    budget: float | None = option(
        None,
        "Time at most: 90s, 10m, 2h. Then cheap strategies come first, and what can hardly be the "
        "best is dropped.",
        parse=seconds,
        least=0,
        decides=False,
    )
    goal: float | None = option(
        None, "A score, 0..1; says how many labels it needs.", above=0, below=1, decides=False
    )
    fit: bool = option(False, "Fit what is best, to out/model.", decides=False)
    workers: int = option(
        1,
        "Fits side by side, in processes of their own; 0 for 2 on a CPU, the command line's way.",
        least=0,
        decides=False,
    )


@dataclass(frozen=True, kw_only=True)
class Ranking(Several, Reading, HeldOut, Placed, Seeded, Input):
    """Settings of `rank`."""

    draws: int = option(3, "Random choices of the folds.", least=1)


@dataclass(frozen=True, kw_only=True)
class Describing(Reading, Placed, Seeded, Input, Named):
    """Settings of `features`."""

    out: Path = option(REQUIRED, "Parquet file: item, label, split, vector.")
    block: int = option(-1, "-1: pooled output; else that block's, averaged over positions.")


@dataclass(frozen=True, kw_only=True)
class Evaluating(Placed, Reading):
    """Settings of `evaluate`."""


@dataclass(frozen=True, kw_only=True)
class Predicting(Pictured, Overwriting, Placed):
    """Settings of `predict`."""

    top_k: int | None = option(
        None, "So many labels an item, the likeliest first. Default: one.", least=1
    )
    out: Path | None = option(
        None, "Table to write, .csv, .jsonl or .parquet: a table's own columns, and the answers."
    )


@dataclass(frozen=True, kw_only=True)
class Auditing(Reading, Placed, Seeded, Input, Named):
    """Settings of `audit`, which looks at features too where a backbone is named."""

    out: Path | None = option(None, "CSV of what cannot be used.")


@dataclass(frozen=True, kw_only=True)
class Showing(Settings):
    """Settings of `show`."""

    out: Path | None = option(None, "PNG to write. Default: in the bundle.")
    data: Path | None = option(None, "Where the data are, if they have moved since fit.")


@dataclass(frozen=True, kw_only=True)
class Demonstrating(Settings):
    """Settings of `demo`."""

    draws: int = option(10, "Random choices of the labels.", least=1)
    shots: tuple[Shots, ...] = option((1, 2, 4, 8), "Labels a class, with commas.", parse=shots)
    out: Path | None = option(None, "Picture to write. Default: none, demo.png in a terminal.")
    workers: int = option(1, "Fits side by side, in processes of their own.", least=1)


@dataclass(frozen=True, kw_only=True)
class Pretraining(Seeded):
    """Settings of `pretrain glyphs`."""

    out: Path = option(REQUIRED, "Folder for glyphs.safetensors and .json.")
    steps: int | None = option(None, "Training steps. Default: as the embedded one's.", least=1)


@dataclass(frozen=True, kw_only=True)
class Backed(Settings):
    """Where a backbone of one's own is kept."""

    out: Path = option(
        REQUIRED, "Folder for NAME.safetensors and NAME.json, as HEADSTART_WEIGHTS names some."
    )
    name: str | None = option(None, "What it is called. Default: as the data.", decides=False)


@dataclass(frozen=True, kw_only=True)
class PretrainingSupervised(Reading, Backed, HeldOut, Carried):
    """Settings of `pretrain supervised`."""

    strategy: str = option("warm", "{strategies}.")
    shots: int | None = option(None, "Labelled examples a class; the rest is not used.", least=1)


@dataclass(frozen=True, kw_only=True)
class Learning(Backed, Continued, Passes, Placed, Seeded, Input, Named):
    """What pre-training without labels reads."""

    verb: ClassVar[str]
    usual: ClassVar[int]
    """Epochs of a network that knew nothing before; one that did takes a quarter."""

    rate: float | None = trained(None, "Peak learning rate of the backbone.", above=0)


@dataclass(frozen=True, kw_only=True)
class PretrainingAutoencoder(Learning):
    """Settings of `pretrain autoencoder`."""

    verb = "autoencoder"
    usual = 40

    noise: float = trained(
        0.3, "Share of a picture that is taken out, 0..1; half of it is grain.", above=0, below=1
    )


@dataclass(frozen=True, kw_only=True)
class PretrainingMasked(Texts, Learning):
    """Settings of `pretrain masked`."""

    verb = "masked"
    usual = 8

    share: float = trained(0.15, "Share of the tokens that are asked for.", above=0, below=1)


@dataclass(frozen=True, kw_only=True)
class Detecting(Pictured, Resumed, Paged, HeldOut, Placed, Seeded, Steps, Named):
    """Settings of `detect fit`."""

    strategy: str | None = option(
        None, "warm, scratch, partial:K, ... Default: partial up to the finest map that is read."
    )
    image_size: int | None = option(
        None,
        "Pixels a side of the square that is read. Default: as the pictures, up to twice that "
        "where things are small, 640 at most.",
        least=32,
        panel=INPUT,
    )
    batch: int = trained(4, "Pictures a step.", least=1)
    mirror: bool = option(
        False, "Learn from pictures with left and right changed over, too; not for digits, letters."
    )


@dataclass(frozen=True, kw_only=True)
class Finding(Pictured, Placed):
    """Settings of `detect predict`."""

    threshold: float = option(0.5, "Probability from which a box is answered.", least=0, most=1)


@dataclass(frozen=True, kw_only=True)
class Rating(Pictured, Placed):
    """Settings of `detect evaluate`."""


@dataclass(frozen=True, kw_only=True)
class Listing(Settings):
    """Settings of `backbones`."""

    for_: Path | None = option(None, "Data, for which one is then recommended, with the reason.")


@dataclass(frozen=True, kw_only=True)
class Fetching(Settings):
    """Settings of `fetch`: none."""


VERBS: dict[str, type[Settings]] = {
    "fit": Fitting,
    "compare": Comparing,
    "adapt": Adapting,
    "rank": Ranking,
    "features": Describing,
    "predict": Predicting,
    "evaluate": Evaluating,
    "audit": Auditing,
    "show": Showing,
    "backbones": Listing,
    "fetch": Fetching,
    "demo": Demonstrating,
    "pretrain glyphs": Pretraining,
    "pretrain supervised": PretrainingSupervised,
    "pretrain autoencoder": PretrainingAutoencoder,
    "pretrain masked": PretrainingMasked,
    "detect fit": Detecting,
    "detect predict": Finding,
    "detect evaluate": Rating,
}
"""The settings of each verb."""
