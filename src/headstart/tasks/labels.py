"""The task `labels`: several labels an item, or none."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from headstart.errors import DataError
from headstart.tasks import drawing
from headstart.tasks.cells import Cells
from headstart.tasks.classes import in_order
from headstart.tasks.figures import Measured, measured
from headstart.tasks.iterative import iterative
from headstart.tasks.label_blocks import blocks, ends, share
from headstart.tasks.label_figures import Ranked, best_threshold, f1
from headstart.tasks.label_solvers import one_against_rest
from headstart.tasks.scores import macro_f1
from headstart.tasks.shown import Block
from headstart.tasks.solvers import SOLVERS
from headstart.tasks.task import (
    Criterion,
    Folds,
    Indices,
    Matrix,
    Scores,
    Solver,
    Targets,
    Task,
    Values,
    mean_loss,
)
from headstart.tasks.temperature import Prior, least, softened
from headstart.wording import Said

if TYPE_CHECKING:
    from torch import Tensor

LEAST_TO_SELECT = 100
"""Training items from which some are set aside to choose the best epoch."""

LEAST_TO_FOLD = 10

LEAST_TO_CHOOSE = 5
"""Items with a label from which its threshold is chosen; with fewer it is one half."""

SEPARATOR = ";"

_MARKS = {"0", "1", "0.0", "1.0", "false", "true"}


@dataclass(frozen=True)
class Labels(Task):
    """Each item has any of several labels; a target is a row of booleans, one a label.

    Attributes:
        thresholds: probability from which an item is said to have a label, one each; empty for
            one half.
    """

    names: tuple[str, ...] = ()
    thresholds: tuple[float, ...] = ()
    name: ClassVar[str] = "labels"
    score: ClassVar[str] = "macro_f1"
    worst: ClassVar[str] = "Most surprising items"
    shots: ClassVar[str] = "items a label"
    blank: ClassVar[str | None] = "[]"
    solvers: ClassVar[Mapping[str, Solver]] = {
        name: one_against_rest(solver) for name, solver in SOLVERS.items()
    }

    # -- targets ----------------------------------------------------------------------------------

    @classmethod
    def fits(cls, cells: Cells) -> bool:
        """Lists, or names with ``;`` between them that come back in other company."""
        if all(cell.startswith("[") for cell in cells.values):
            return all(_listed(cell) is not None for cell in cells.values)
        if not any(SEPARATOR in cell for cell in cells.values):
            return False
        found = [part for cell in cells.values for part in set(_parts(cell))]
        again = sum(found.count(part) > 1 for part in set(found))
        return 2 * again >= len(set(found))

    @classmethod
    def marked(cls, sample: Sequence[str]) -> bool:
        """A column of 0 and 1, or of false and true."""
        found = {cell.strip().casefold() for cell in sample} - {""}
        return bool(found) and (found <= {"0", "1"} or found <= _MARKS)

    @classmethod
    def read(cls, cells: Cells) -> tuple[Targets, dict[int, str]]:
        """Return which item has which label; an empty list is an item without any."""
        sets = [_parts(cell) for cell in cells.values]
        names = in_order(part for parts in sets for part in parts)
        if not names:
            raise DataError(f"{cells.where} holds no label; write them as a;b, or as a list.")
        number = {name: i for i, name in enumerate(names)}
        rows = np.zeros((len(sets), len(names)), np.bool_)
        for row, parts in zip(rows, sets, strict=True):
            row[[number[part] for part in parts]] = True
        return Targets(cls(names), rows[cells.codes]), {}

    def said(self, target: Any) -> str:
        """Return the names of the labels, ``a;b``."""
        return SEPARATOR.join(self.names[k] for k in np.flatnonzero(target))

    def counts(self, values: Values) -> dict[str, int]:
        """Return how many items have each label."""
        return dict(zip(self.names, values.sum(axis=0).tolist(), strict=True))

    def unlearnable(self, values: Values, what: str) -> str:
        """A label that all or none have teaches nothing."""
        counts = values.sum(axis=0)
        if ((counts > 0) & (counts < len(values))).any():
            return ""
        return f"among the {what} there is no label that some have and some have not"

    def lost(self, values: Values, training: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Return the items with labels of which no training item has any."""
        known = values[training].any(axis=0)
        return np.asarray(values.any(axis=1) & ~values[:, known].any(axis=1))

    def joined(self, values: Values) -> Values | None:
        """An item that lies in several places has the labels of all of them."""
        return np.asarray(values.any(axis=0))

    def translated(self, targets: Targets) -> tuple[Values, npt.NDArray[np.bool_]]:
        """Match labels by name; those that are not known are left out."""
        theirs = {name: i for i, name in enumerate(targets.task.names)}
        if not set(theirs) & set(self.names):
            raise DataError(
                f"no label ({', '.join([*theirs][:5])}) is one of the bundle's: "
                f"{', '.join(self.names[:10])}."
            )
        rows = np.zeros((len(targets), len(self.names)), np.bool_)
        for k, name in enumerate(self.names):
            if name in theirs:
                rows[:, k] = targets.values[:, theirs[name]]
        return rows, np.ones(len(rows), np.bool_)

    # -- which items ------------------------------------------------------------------------------

    def part(
        self, values: Values, items: Indices, share: float, seeds: list[int]
    ) -> tuple[Indices, Indices]:
        """Return a share of each label, by iterative stratification; what is out can be learned."""
        drawing.check(seeds)
        rng, has = np.random.default_rng(seeds), values[items]
        out = iterative(has, [1 - share, share], rng) == 1
        for label in range(has.shape[1]):
            bearers = np.flatnonzero(has[:, label])
            if len(bearers) and out[bearers].all():
                out[bearers[0]] = False
        return items[~out], items[out]

    def draw(self, values: Values, items: Indices, shots: int, seeds: list[int]) -> Indices:
        """Return ``shots`` items with each label, and as many without any."""
        drawing.check(seeds)
        columns = [*values[items].T, ~values[items].any(axis=1)]
        drawn = [
            np.random.default_rng([*seeds, k]).permutation(items[has])[:shots]
            for k, has in enumerate(columns)
        ]
        return np.unique(np.concatenate(drawn))

    def spares(self, values: Values) -> bool:
        """Return whether there are enough items."""
        return len(values) >= LEAST_TO_SELECT

    def folds(self, values: Values, seed: int) -> Folds:
        """Return five folds by iterative stratification; none for fewer than ten items."""
        if len(values) < LEAST_TO_FOLD:
            return []
        parts = iterative(values, [0.2] * 5, np.random.default_rng([seed, 4]))
        return [(np.flatnonzero(parts != k), np.flatnonzero(parts == k)) for k in range(5)]

    def outer(self, values: Values, n: int, seed: int) -> Indices:
        """Return folds by iterative stratification."""
        return iterative(values, [1 / n] * n, np.random.default_rng([seed, 4]))

    # -- learning ---------------------------------------------------------------------------------

    @property
    def n_outputs(self) -> int:
        """One logit a label."""
        return len(self.names)

    def criterion(self, values: Values, *, smoothing: float, weighted: bool) -> Criterion:
        """Return the mean binary cross-entropy; ``weighted``: rare labels as if they were not."""
        import torch
        from torch.nn import functional as F  # noqa: N812 - the field's own name for it

        counts = np.maximum(values.sum(axis=0), 1)
        scale = torch.from_numpy(((len(values) - counts) / counts).astype(np.float32))

        def loss(outputs: Tensor, truth: Values) -> Tensor:
            target = torch.from_numpy(truth.astype(np.float32)).to(outputs.device)
            target = target * (1 - smoothing) + smoothing / 2
            weight = scale.to(outputs.device) if weighted else None
            return F.binary_cross_entropy_with_logits(outputs, target, pos_weight=weight)

        return loss

    def judge(self, outputs: Matrix, values: Values) -> dict[str, float]:
        """Return the log loss, softened, and macro-F1."""
        temperature = self._temperature(outputs, values)
        return {
            **mean_loss(self.losses(softened(outputs, temperature), values), np.log(2)),
            "selection_macro_f1": self.value(outputs, values),
        }

    def loss(self, outputs: Matrix, values: Values) -> float:
        """Return the mean log loss over items and labels, in nats."""
        return float(_log_losses(outputs, values).mean())

    def _temperature(self, outputs: Matrix, values: Values, prior: Prior | None = None) -> float:
        return least(lambda log_t: self.loss(outputs / np.exp(log_t), values), prior, outputs.size)

    def settled(
        self, outputs: Matrix, values: Values, around: float | None = None
    ) -> tuple[float, Labels]:
        """Return the temperature, and the thresholds with the best F1 of each label."""
        temperature = self._temperature(outputs, values, Prior())
        chances = sigmoid(outputs / temperature)
        thresholds = [
            best_threshold(chances[:, k], values[:, k])
            if values[:, k].sum() >= LEAST_TO_CHOOSE
            else 0.5
            for k in range(len(self.names))
        ]
        return temperature, replace(self, thresholds=tuple(thresholds))

    def notes(self) -> list[str]:
        """Return that no threshold was chosen, where none was."""
        if self.thresholds:
            return []
        return [Said("too few items were set aside to choose thresholds: all labels have one half")]

    # -- answering --------------------------------------------------------------------------------

    def has(self, outputs: Matrix) -> npt.NDArray[np.bool_]:
        """Return which labels are above their thresholds, shape (N, L)."""
        limits = np.array(self.thresholds or [0.5] * len(self.names))
        return np.asarray(sigmoid(outputs) >= limits)

    def answers(self, outputs: Matrix) -> list[dict[str, Any]]:
        """Return ``{labels, probabilities}`` an item."""
        return [
            {
                "labels": [self.names[k] for k in np.flatnonzero(has)],
                "probabilities": dict(zip(self.names, row.tolist(), strict=True)),
            }
            for has, row in zip(self.has(outputs), sigmoid(outputs), strict=True)
        ]

    def line(self, answer: Mapping[str, Any]) -> tuple[str, str]:
        """Return the labels and their probabilities."""
        chances = [f"{answer['probabilities'][name]:.3f}" for name in answer["labels"]]
        return SEPARATOR.join(answer["labels"]) or "no label", SEPARATOR.join(chances)

    def flat(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """Return the labels, ``a;b``, and their probabilities likewise."""
        chances = [f"{answer['probabilities'][name]:.4g}" for name in answer["labels"]]
        return {
            "labels": SEPARATOR.join(answer["labels"]),
            "probabilities": SEPARATOR.join(chances),
        }

    def evaluate(self, outputs: Matrix, values: Values) -> Measured:
        """Return macro- and micro-F1, mean average precision, and how many items are all right."""
        said, ranked = self.has(outputs), Ranked(outputs, values)

        def figures(rows: Indices) -> dict[str, float]:
            found, truth = said[rows], values[rows]
            return {
                "macro_f1": _mean(f1(found, truth)),
                "micro_f1": float(f1(found.reshape(-1, 1), truth.reshape(-1, 1))[0]),
                "map": ranked.mean_precision(rows),
                "exact": float((found == truth).all(axis=1).mean()) if len(rows) else np.nan,
            }

        everyone = np.arange(len(values))
        each = zip(self.names, f1(said, values), ranked.precisions(everyone), strict=True)
        rows = [
            {
                "label": name,
                "n": int(n),
                "f1": _known(score),
                "average_precision": _known(precision),
            }
            for (name, score, precision), n in zip(each, values.sum(axis=0), strict=True)
        ]
        limits = list(self.thresholds or [0.5] * len(self.names))
        more = {"per_label": rows, "thresholds": dict(zip(self.names, limits, strict=True))}
        shares = ["macro_f1", "micro_f1", "map", "exact"]
        return measured("macro_f1", "labels", figures, len(values), more, shares=shares)

    def value(self, outputs: Matrix, values: Values) -> float:
        """Return macro-F1."""
        return _mean(f1(self.has(outputs), values))

    def said_of(self, outputs: Matrix) -> Values:
        """Return which labels each item is said to have."""
        return self.has(outputs)

    def losses(self, outputs: Matrix, values: Values) -> Matrix:
        """Return the log loss of each item, the mean over its labels, in nats."""
        return np.asarray(_log_losses(outputs, values).mean(axis=1), np.float32)

    def scores(self, said: Values, values: Values) -> dict[str, Scores]:
        """Return each item's part of macro-F1."""
        return {"macro_f1": macro_f1(said, values)}

    def constant(self, values: Values) -> Values:
        """Return all labels that some item has: nothing else without looking has a better F1."""
        return np.asarray(values.any(axis=0))

    def mistakes(self, outputs: Matrix, values: Values, most: int) -> list[tuple[int, Any]]:
        """Return the items with a wrong label, those with the largest loss first."""
        said = self.has(outputs)
        losses = _log_losses(outputs, values)
        wrong = np.flatnonzero((said != values).any(axis=1))
        order = wrong[np.argsort(-losses[wrong].sum(axis=1), kind="stable")][:most]
        return [
            (
                int(i),
                {
                    "label": self.said(values[i]),
                    "predicted": self.said(said[i]),
                    "probability": float(np.exp(-losses[i].sum())),
                },
            )
            for i in order
        ]

    # -- showing ----------------------------------------------------------------------------------

    def headline(self, figures: Mapping[str, Any]) -> tuple[str, str]:
        """Return macro-F1."""
        return share(figures["macro_f1"]), ends(figures["macro_f1_interval"])

    def sentences(self, figures: Mapping[str, Any]) -> tuple[str, str]:
        """Return what macro-F1 is of, and how many items are all right."""
        return (
            Said(
                "is macro-F1, the mean over labels of how well each is found, on {n} items that it "
                "was not trained on; the 95 % interval goes from {ends} %.",
                n=figures["n"],
                ends=ends(figures["macro_f1_interval"]),
            ),
            Said("Of {share} of them all labels are right.", share=share(figures["exact"])),
        )

    def blocks(self, figures: Mapping[str, Any]) -> list[Block]:
        """Return the figures with their intervals, and each label's."""
        return blocks(figures)

    def mistake(self, row: Mapping[str, Any]) -> str:
        """Return what was answered, and what is right."""
        return Said(
            "answered {predicted}, is {label}",
            predicted=row["predicted"] or "no label",
            label=row["label"] or "without labels",
        )

    def coloured(self, values: Values) -> tuple[Indices, Sequence[str]]:
        """Return a colour a set of labels."""
        sets, codes = np.unique(values, axis=0, return_inverse=True)
        return codes.reshape(-1), [self.said(one) or "none" for one in sets]

    # -- saving -----------------------------------------------------------------------------------

    def facts(self) -> dict[str, Any]:
        """Return the thresholds."""
        return {"thresholds": list(self.thresholds)}

    @classmethod
    def saved(cls, names: tuple[str, ...], facts: Mapping[str, Any]) -> Labels:
        """Return the task of the labels called ``names``."""
        thresholds = tuple(map(float, facts["thresholds"]))
        if len(thresholds) not in (0, len(names)):
            raise ValueError(f"{len(thresholds)} thresholds for {len(names)} labels")
        return cls(names, thresholds)


def sigmoid(outputs: Values) -> Values:
    """Return the probabilities of logits, each by itself.

    >>> sigmoid(np.zeros(1)).tolist()
    [0.5]
    """
    from scipy.special import expit

    return np.asarray(expit(outputs))


def _log_losses(outputs: Values, values: Values) -> Values:
    logits = np.asarray(outputs, np.float64)
    return np.asarray(np.logaddexp(0, np.where(values, -logits, logits)))


def _listed(cell: str) -> list[str] | None:
    """Return the labels of a JSON list; None where the cell is none."""
    try:
        found = json.loads(cell)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, list) or any(isinstance(one, list | dict) for one in found):
        return None
    return [str(one).strip() for one in found if one is not None and str(one).strip()]


def _parts(cell: str) -> list[str]:
    found = _listed(cell) if cell.startswith("[") else None
    if found is not None:
        return found
    return [part.strip() for part in cell.split(SEPARATOR) if part.strip()]


def _mean(values: Values) -> float:
    """Return the mean of what is defined."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else np.nan


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
