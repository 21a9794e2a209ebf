"""`rank`: backbones in the order of what a linear head reaches on the user's own items."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headstart.backbones.choice import entries_for
from headstart.backbones.entry import Entry
from headstart.backbones.usual import usual
from headstart.boundary.extract import Features, look
from headstart.compute.device import pick
from headstart.data.reading import given
from headstart.data.split import split
from headstart.errors import UsageError
from headstart.evaluation.compare import compare
from headstart.evaluation.design import FOLDS, folded
from headstart.evaluation.suits import agreement, h_score, log_me
from headstart.settings.table import Comparing, Ranking
from headstart.settings.taking import takes
from headstart.tasks.task import Indices, Targets

MANY = 1000
"""Training items from which on there are many."""

NEAR = 0.8
"""Share of the way from knowing nothing to knowing all, from which on a backbone is near."""


@dataclass(frozen=True)
class Ranked:
    """One backbone.

    Attributes:
        backbone: its name.
        mean: cross-validated score of a linear head, inside the training part.
        low: lower end of its 95 % interval.
        high: upper end.
        verdict: "best", "not distinguishable" from the best, or "lower".
        logme: see `headstart.evaluation.suits.log_me`.
        h_score: see `headstart.evaluation.suits.h_score`; None for targets that are no classes.
        n_features: length of its vectors.
        megabytes: of its weights, where they lie in a file.
        seconds: that its features took now; those that were kept take none.
    """

    backbone: str
    mean: float
    low: float
    high: float
    verdict: str
    logme: float
    h_score: float | None
    n_features: int
    megabytes: float | None
    seconds: float


@dataclass(frozen=True)
class Order:
    """Backbones, the best first.

    Attributes:
        rows: the backbones.
        task: name of the task.
        score: name of what the rows are ordered by.
        n: number of training items.
        agreements: Kendall's tau between that order and each of the other columns, -1..1.
        quadrant: small or large data, near or far source: what the textbooks would say.
        floor: the score of the best constant answer, of the largest class say.
    """

    rows: tuple[Ranked, ...]
    task: str
    score: str
    n: int
    agreements: dict[str, float | None]
    quadrant: str
    floor: float

    def to_json(self) -> dict[str, Any]:
        """Return the object that `headstart rank --json` prints."""
        return asdict(self)


@takes(Ranking)
def rank(data: Any, labels: Any = None, *, run: Ranking) -> Order:
    """Rank backbones by the cross-validated linear head on the features of the training part.

    That is the answer; LogME, H-score and size stand beside it as columns, with how far they agree.
    What is held out is not looked at.

    Raises:
        UsageError: an option is unknown, out of range or not for such data.
        DataError: nothing sensible can be learned.
        BackboneError: a backbone or its weights are not here, or it has learned nothing before.
    """
    dataset, device = given(data, labels, run), pick(run.device)
    names = run.backbones or (usual(dataset)[0],)
    groups = {name: entries_for(name, dataset, run, run.seed, []) for name in names}
    require_ready(groups)
    found, features = look(dataset, [*groups.values()], solves=True, device=device, seed=run.seed)
    dataset = found.dataset
    train = split(dataset, found.usable, val=run.val, seed=run.seed).train
    design = folded(dataset, train, FOLDS, run.draws, run.seed)
    comparing = Comparing.of({"strategies": ("frozen",), "draws": run.draws, "seed": run.seed})
    candidates = list(zip(groups, groups.values(), features, strict=True))
    result = compare(dataset, design, candidates, comparing, device=device, workers=1)
    rows = [
        Ranked(
            row.backbone,
            row.mean,
            row.low,
            row.high,
            row.verdict,
            *_beside(kept, train),
            kept.n_features,
            _megabytes(entries),
            kept.seconds,
        )
        for row, (_, entries, kept) in zip(result.summary, candidates, strict=True)
        if kept is not None
    ]
    rows.sort(key=lambda row: -row.mean)
    floor = _floor(dataset.known.take(train))
    return Order(
        tuple(rows),
        result.task,
        result.score,
        len(train),
        _agreements(rows),
        _quadrant(len(train), rows[0].mean, floor),
        floor,
    )


def require_ready(groups: dict[str, tuple[Entry, ...]]) -> None:
    """Raise `UsageError` for networks that have learned nothing yet."""
    bare = [name for name, entries in groups.items() if not all(one.ready for one in entries)]
    if bare:
        raise UsageError(
            f"{', '.join(bare)}: learns its words from training texts and has no features to rank."
        )


def _beside(features: Features, train: Indices) -> tuple[float, float | None]:
    """Return LogME and H-score of the training items."""
    rows = features.rows(train).astype(np.float64)
    targets: Targets = features.dataset.known.take(train)
    try:
        groups = targets.task.groups(targets.values)
    except UsageError:
        values = targets.values.astype(np.float64)
        return log_me(rows, values.reshape(len(values), -1)), None
    columns = (groups[:, None] == np.unique(groups)).astype(np.float64)
    return log_me(rows, columns), h_score(rows, groups)


def _floor(targets: Targets) -> float:
    said = np.repeat(np.asarray(targets.task.constant(targets.values))[None], len(targets), axis=0)
    return float(targets.task.scores(said, targets.values)[targets.task.score].mean())


def _megabytes(entries: tuple[Entry, ...]) -> float | None:
    sizes = [
        Path(one.weights).stat().st_size
        for one in entries
        if isinstance(one.weights, str | Path) and Path(one.weights).is_file()
    ]
    return round(sum(sizes) / 1e6, 1) if len(sizes) == len(entries) else None


def _agreements(rows: list[Ranked]) -> dict[str, float | None]:
    """Return how far the other columns put the backbones in the same order."""
    out: dict[str, float | None] = {}
    means = np.array([row.mean for row in rows])
    for name in ("logme", "h_score", "n_features", "megabytes"):
        values = [getattr(row, name) for row in rows]
        tau = math.nan if None in values else agreement(means, np.array(values, np.float64))
        out[name] = tau if math.isfinite(tau) else None
    return out


def _quadrant(n: int, best: float, floor: float) -> str:
    """Return what the rule of thumb of the four quadrants would say; it decides nothing."""
    near = best >= floor + NEAR * (1 - floor)
    size, where = "large" if n >= MANY else "small", "near" if near else "far"
    advice = {
        ("small", "near"): "a linear head",
        ("large", "near"): "fine-tuning, gently",
        ("small", "far"): "a linear head on earlier layers",
        ("large", "far"): "fine-tuning everything",
    }
    return f"{size} data, {where} source: the rule of thumb says {advice[size, where]}"
