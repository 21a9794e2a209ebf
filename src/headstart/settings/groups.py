"""Every option once: name, type, default, range, help, and who reads it.

A group is a frozen dataclass of options that are read together; `headstart.settings.table` says
which verb reads which.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headstart.errors import UsageError
from headstart.settings.option import Settings, option
from headstart.settings.written import words

TRAINING, KEPT = "Training by steps", "Activations that are kept"
INPUT, TABLES = "What is read of an item", "Tables"

RATES = {"adamw": (1e-4, 3e-3), "sgd": (1e-2, 1e-1)}
"""Usual peak learning rates of (pre-trained body, new head) for each optimiser."""

DEVICES = ("auto", "cpu", "cuda", "mps")
AUGMENTS = ("off", "light", "strong")
POOLINGS = ("first", "mean", "max", "last", "attention")


def trained(default: Any, help: str, **facts: Any) -> Any:
    """Return an option of training by steps."""
    return option(default, help, **{"panel": TRAINING, "by": "steps"} | facts)


@dataclass(frozen=True, kw_only=True)
class Input(Settings):
    """How a backbone reads an item."""

    image_size: int | None = option(
        None,
        "Of pictures: pixels a side that are read; fewer are faster. Default: as it learned.",
        least=8,
        most=4096,
        items="image",
        panel=INPUT,
    )
    channels: int | None = option(
        None,
        "Of pictures; adapts the first convolution. Default: the backbone's, or an array's.",
        least=1,
        most=4096,
        items="image",
        panel=INPUT,
    )
    pooling: str | None = option(
        None,
        f"Of texts: how token vectors become one: {', '.join(POOLINGS)}. Default: as it learned.",
        choices=POOLINGS,
        items="text",
        panel=INPUT,
    )
    max_length: int | None = option(
        None,
        "Of texts: tokens that are read. Default: the backbone's limit.",
        least=1,
        most=1 << 24,
        items="text",
        panel=INPUT,
    )
    clean: bool | None = option(
        None,
        "Of texts: resolve entities, take out markup. Default: for bilstm, textcnn, ... alone.",
        items="text",
        panel=INPUT,
    )


@dataclass(frozen=True, kw_only=True)
class Passes(Settings):
    """How often items come by, and how many at once."""

    epochs: int | None = trained(None, "Passes; default by size.", least=1)
    batch: int = trained(32, "Examples a step.", least=1, most=1 << 24)


@dataclass(frozen=True, kw_only=True)
class Steps(Passes):
    """What all training by steps depends on, whatever is learned."""

    optimiser: str = trained("adamw", "adamw or sgd (momentum 0.9).", choices=tuple(RATES))
    body_rate: float | None = trained(
        None, "Peak learning rate of the body; default by optimiser and strategy.", above=0
    )
    head_rate: float | None = trained(
        None, "Peak learning rate of the head; default by optimiser and strategy.", above=0
    )
    decay: float = trained(
        1.0, "Each block learns so many times as fast as the one above it.", above=0, most=1
    )
    weight_decay: float = trained(0.01, "Strength of the pull towards zero.", least=0)
    early_stopping: bool = trained(
        True, "End with the latest epoch that is not clearly worse than the best on an inner part."
    )
    soup: int = trained(0, "Best epochs that may be averaged, where that helps.", least=0)
    max_seconds: float | None = trained(
        None, "Of training; equal seeds then no longer give equal weights.", above=0
    )
    cache_limit: float = trained(
        8.0,
        "GB on disk that activations may take; 0 keeps none.",
        least=0,
        most=1e9,
        panel=KEPT,
        decides=False,
    )
    cache_half: bool = trained(
        False, "Keep activations as 16-bit floats: half the size, answers differ.", panel=KEPT
    )

    @property
    def rates(self) -> tuple[float, float]:
        """Peak learning rates of (pre-trained body, new head)."""
        body, head = RATES[self.optimiser]
        return self.body_rate or body, self.head_rate or head

    def epochs_for(self, n_train: int, *, default: int, least_steps: int) -> int:
        """Return the number of epochs: the user's, else ``default``, more for very few examples.

        Ten examples are one step an epoch; it is steps that move weights, so there are at least
        ``least_steps`` of them.
        """
        steps = max(1, -(-n_train // self.batch))
        return self.epochs or max(default, -(-least_steps // steps))


@dataclass(frozen=True, kw_only=True)
class Options(Steps, Input):
    """What a model depends on, besides its data, its backbone, its strategy and the seed."""

    head: str = option(
        "own", "The head that is solved: {heads}; own is the one that suits the task.", by="head"
    )
    inject: str | None = option(
        None,
        "Word vectors in GloVe's format that are joined to the embeddings, whatever network.",
        items="text",
        by="steps",
        panel=INPUT,
    )
    inject_by: str = option(
        "add",
        "How: add, or concat, where the projection reads the embedding too.",
        choices=("add", "concat"),
        items="text",
        by="steps",
        panel=INPUT,
    )
    vectors: str | None = option(
        None,
        "Word vectors in GloVe's format, for bilstm, textcnn, ...",
        items="text",
        learns_words=True,
        panel=INPUT,
    )
    min_frequency: int = option(
        2,
        "How often a word must occur, for bilstm, textcnn, ...",
        least=1,
        items="text",
        learns_words=True,
        panel=INPUT,
    )
    smoothing: float = trained(
        0.0, "Label smoothing.", least=0, below=1, tasks=("classes", "labels")
    )
    class_weights: bool = trained(False, "Weigh rare classes more.", tasks=("classes", "labels"))
    augment: str | None = trained(
        None,
        "off, light or strong. Default: light, but off for small pictures.",
        choices=AUGMENTS,
        items="image",
    )
    views: int | None = trained(
        None,
        "Fixed views of each picture. Default: 4 where activations are kept, else fresh ones.",
        least=1,
        items="image",
        panel=KEPT,
    )
    pull: float = trained(0.01, "Strength of the pull to the start.", least=0, by="field")
    freeze_threshold: float = trained(
        0.3,
        "Update of a block at rest, as a share of the largest, 0..1.",
        above=0,
        most=1,
        by="field",
    )
    freeze_patience: int = trained(
        2, "Epochs in a row at rest, after which a block is frozen.", least=1, by="field"
    )
    rehearse: float = trained(
        0.5, "Earlier examples in a batch, as a share of the new ones.", above=0, by="field"
    )
    distil: float = trained(1.0, "Strength of the old answers.", least=0, by="field")
    blend: bool = trained(
        False, "End between the weights before and after, as the inner part chooses."
    )
    rank: int = trained(8, "Rank of the adapters.", least=1, most=1 << 16, by="field")


@dataclass(frozen=True, kw_only=True)
class Pictured(Settings):
    """Where the pictures lie that a table, or a file of boxes, names."""

    images: Path | None = option(
        None,
        "Folder of the pictures that a table or a file of boxes names, if not beside it.",
        panel=TABLES,
    )
    anywhere: bool = option(
        False, "Whether it may name pictures outside of that folder.", panel=TABLES
    )


BESIDE = Pictured()
"""They lie beside what names them."""


@dataclass(frozen=True, kw_only=True)
class Texts(Settings):
    """Where a table has its texts."""

    text_column: tuple[str, ...] | None = option(
        None,
        "Text column of a table; several, with commas, are joined.",
        parse=words,
        panel=TABLES,
    )


@dataclass(frozen=True, kw_only=True)
class Reading(Texts, Pictured):
    """How data are read where they do not say it themselves."""

    task: str | None = option(
        None,
        "What is predicted: classes, labels or number. Default: what the data say.",
        choices=("classes", "labels", "number"),
    )
    image_column: str | None = option(None, "Picture column of a table.", panel=TABLES)
    label_column: tuple[str, ...] | None = option(
        None,
        "Label column of a table; of several, with commas, each marks one label.",
        parse=words,
        panel=TABLES,
    )
    columns: tuple[str, ...] | None = option(
        None,
        "Columns of a table, with commas, that are joined to the features: numbers, categories, "
        "vectors.",
        parse=words,
        panel=TABLES,
    )
    kind: str | None = option(
        None,
        "image or text, where the data could be taken for either.",
        choices=("image", "text"),
        panel=TABLES,
    )
    encoding: str | None = option(
        None, "Of text files and tables: utf-8, cp1250 ... Default: found by looking.", panel=TABLES
    )
    labelled: bool = option(
        True, "Whether items have labels; without, all that lies there is read."
    )


@dataclass(frozen=True, kw_only=True)
class Placed(Settings):
    """Where the work is done."""

    device: str = option("auto", f"{', '.join(DEVICES)}.", choices=DEVICES, decides=False)


@dataclass(frozen=True, kw_only=True)
class Seeded(Settings):
    """What is random."""

    seed: int = option(0, "Of everything random.", least=0, most=(1 << 63) - 1)


@dataclass(frozen=True, kw_only=True)
class HeldOut(Settings):
    """What is measured on."""

    val: float = option(0.2, "Share held out if the data have no split.", above=0, below=1)


@dataclass(frozen=True, kw_only=True)
class Named(Settings):
    """Which backbone."""

    backbone: str | None = option(
        None,
        "Name, or x+y to join features; random:x for random weights. Default: what suits the "
        "items, and it says why; none for audit.",
    )


@dataclass(frozen=True, kw_only=True)
class Carried(Placed, Seeded, Options, Named):
    """What the estimators are told, and `fit`."""

    strategy: str = option("frozen", "{strategies}.")


@dataclass(frozen=True, kw_only=True)
class Continued(Settings):
    """Whether a long run goes on."""

    resume: bool = option(False, "Go on with what is in out.", decides=False)


@dataclass(frozen=True, kw_only=True)
class Overwriting(Settings):
    """Whether what is there may be replaced."""

    overwrite: bool = option(
        False, "Replace what is in out: an earlier comparison, or a table.", decides=False
    )


@dataclass(frozen=True, kw_only=True)
class Kept(Continued):
    """Where a long run leaves what it made."""

    out: Path | None = option(
        None, "Folder for what is made, and for what is done on the way.", decides=False
    )

    def __post_init__(self) -> None:
        """Refuse to go on from nowhere."""
        super().__post_init__()
        if self.resume and self.out is None:
            raise UsageError("resume goes on from what is in out; give the folder.")


@dataclass(frozen=True, kw_only=True)
class Paged(Settings):
    """How the page that is made looks."""

    lang: str | None = option(
        None,
        "Language of the page: en or zh. Default: the locale's, else en.",
        choices=("en", "zh"),
        decides=False,
    )


@dataclass(frozen=True, kw_only=True)
class Resumed(Kept):
    """How often training leaves what it has done."""

    checkpoint_every: float = trained(
        60.0, "Seconds between two checkpoints.", least=0, decides=False
    )
