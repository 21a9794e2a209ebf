"""The task `number`: something to measure, with an interval that says how sure it is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from headstart.errors import DataError, UsageError
from headstart.tasks import drawing
from headstart.tasks.cells import Cells
from headstart.tasks.classes import is_number
from headstart.tasks.figures import Measured, measured
from headstart.tasks.head import Head
from headstart.tasks.scores import explained
from headstart.tasks.shown import Block
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
from headstart.wording import Said

if TYPE_CHECKING:
    from torch import Tensor

COVERAGE = 0.9
"""Share of new items whose number lies in the interval that is stated, at least."""

BINS = 10
"""Quantiles that items are divided by, so that all parts hold small and large numbers."""

LEAST_TO_SELECT = 100
"""Training items from which some are set aside to choose the best epoch."""

LEAST_TO_FOLD = 10

LARGEST = 1e100
"""Of squares of what is larger there are soon no sums."""


def _fault(cell: str, large: bool) -> str:
    return f"'{_short(cell)}' is " + (f"beyond ±{LARGEST:g}" if large else "no number")


def _short(cell: str) -> str:
    return cell if len(cell) <= 40 else f"{cell[:40]}…"


def ridge(x: Matrix, y: Values, n_outputs: int, strength: float) -> Head:
    """Minimise |w|^2 + C sum of (w x + b - y)^2, the bias free, in closed form.

    With X and y centred: w = (X'X + 1/C)^-1 X'y (Hoerl and Kennard 1970, Technometrics 12, 55-67).
    """
    centre, mean = x.mean(axis=0, dtype=np.float64), float(y.mean())
    data = x - centre
    gram = data.T @ data + np.eye(x.shape[1]) / strength
    weight = np.linalg.solve(gram, data.T @ (y - mean))
    bias = mean - weight @ centre
    return Head(np.asarray(weight[None], np.float32), np.array([bias], np.float32))


def _on_scale(task: Number, solver: Solver) -> Solver:
    """Return ``solver`` on targets of mean 0 and spread 1, so that C means the same for all."""

    def solve(x: Matrix, y: Values, n_outputs: int, strength: float) -> Head:
        return solver(x, task.scaled(y), n_outputs, strength)

    return solve


@dataclass(frozen=True)
class Number(Task):
    """Each item has a number; outputs are numbers less ``mean``, in units of ``spread``.

    Attributes:
        mean: of the training targets.
        spread: their standard deviation; nan before any were seen.
        half: half the width of the interval around an answer; nan where too few items taught it.
    """

    mean: float = 0.0
    spread: float = math.nan
    half: float = math.nan
    names: tuple[str, ...] = ()
    name: ClassVar[str] = "number"
    score: ClassVar[str] = "r2"
    own: ClassVar[str] = "ridge"
    worst: ClassVar[str] = "Farthest off"
    shots: ClassVar[str] = "labels"
    share: ClassVar[bool] = False

    @property
    def solvers(self) -> Mapping[str, Solver]:  # type: ignore[override]
        """Ridge alone."""
        return {"ridge": _on_scale(self, ridge)}

    def scaled(self, values: Values) -> Values:
        """Return targets as the head's outputs should be."""
        return np.asarray((values - self.mean) / self.spread, np.float32)

    def stated(self, outputs: Matrix) -> Values:
        """Return the numbers that outputs, shape (N, 1), stand for; shape (N,)."""
        return outputs[:, 0].astype(np.float64) * self.spread + self.mean

    # -- targets ----------------------------------------------------------------------------------

    @classmethod
    def fits(cls, cells: Cells) -> bool:
        """Numbers, of which some are not whole: no class is called 0.37."""
        return all(map(is_number, cells.values)) and not all(
            float(value).is_integer() for value in cells.values
        )

    @classmethod
    def read(cls, cells: Cells) -> tuple[Targets, dict[int, str]]:
        """Return the numbers; a cell that is none is a fault."""
        good = [is_number(value) for value in cells.values]
        if not any(good):
            few = ", ".join(map(_short, cells.values[:3]))
            raise DataError(
                f"{cells.where} holds no numbers but {few}; name another column with label_column "
                "(--label-column), or another task."
            )
        numbers = np.array(
            [float(v) if ok else 0.0 for v, ok in zip(cells.values, good, strict=True)]
        )
        large = np.abs(numbers) > LARGEST
        wrong = np.flatnonzero((~np.array(good) | large)[cells.codes])
        faults = {
            int(i): _fault(cells.values[cells.codes[i]], large[cells.codes[i]]) for i in wrong
        }
        numbers[large] = 0
        return Targets(cls(), numbers[cells.codes]), faults

    def said(self, target: Any) -> str:
        """Return the number, to six digits."""
        return f"{float(target):.6g}"

    def counts(self, values: Values) -> dict[str, int]:
        """Numbers have no names to count by."""
        return {}

    def unlearnable(self, values: Values, what: str) -> str:
        """Equal numbers teach nothing."""
        if len(values) < 2 or np.ptp(values) > 0:
            return "" if len(values) > 1 else f"only {len(values)} items are among the {what}"
        return f"all {what} have the same number, {self.said(values[0])}"

    # -- which items ------------------------------------------------------------------------------

    def part(
        self, values: Values, items: Indices, share: float, seeds: list[int]
    ) -> tuple[Indices, Indices]:
        """Return a share of each of ten quantiles."""
        return drawing.stratified(_quantiles(values, items), items, share, seeds)

    def draw(self, values: Values, items: Indices, shots: int, seeds: list[int]) -> Indices:
        """Return ``shots`` items in all, spread over the quantiles; nested."""
        drawing.check(seeds)
        labels, rng = _quantiles(values, items), np.random.default_rng(seeds)
        queues = [rng.permutation(items[labels[items] == b]) for b in np.unique(labels[items])]
        turns = [queue[k] for k in range(len(items)) for queue in queues if k < len(queue)]
        return np.sort(np.array(turns[:shots], np.int64))

    def spares(self, values: Values) -> bool:
        """Return whether there are enough items."""
        return len(values) >= LEAST_TO_SELECT

    def folds(self, values: Values, seed: int) -> Folds:
        """Return five folds over the quantiles; none for fewer than ten items."""
        if len(values) < LEAST_TO_FOLD:
            return []
        return drawing.even_folds(_quantiles(values, np.arange(len(values))), 5, seed)

    def outer(self, values: Values, n: int, seed: int) -> Indices:
        """Return folds over the quantiles."""
        return drawing.spread(_quantiles(values, np.arange(len(values))), n, seed)

    # -- learning ---------------------------------------------------------------------------------

    @property
    def n_outputs(self) -> int:
        """One."""
        return 1

    def learned(self, values: Values) -> Number:
        """Return the task with the mean and the spread of the training targets, if it has none."""
        if math.isfinite(self.spread):
            return self
        return replace(self, mean=float(values.mean()), spread=float(values.std()) or 1.0)

    def criterion(self, values: Values, *, smoothing: float, weighted: bool) -> Criterion:
        """Return the mean squared error, in units of the spread squared."""
        if smoothing or weighted:
            raise UsageError(
                "smoothing and class_weights are about classes; the task 'number' has none."
            )
        import torch
        from torch.nn.functional import mse_loss

        def loss(outputs: Tensor, truth: Values) -> Tensor:
            target = torch.from_numpy(self.scaled(truth)).to(outputs.device)
            return mse_loss(outputs[:, 0], target)

        return loss

    def judge(self, outputs: Matrix, values: Values) -> dict[str, float]:
        """Return the squared error, and R²."""
        return {
            **mean_loss(self.losses(outputs, values), 1.0),
            "selection_r2": r2(self.stated(outputs), values),
        }

    def loss(self, outputs: Matrix, values: Values) -> float:
        """Return the mean squared error, in units of the spread squared."""
        return float(self.losses(outputs, values).mean())

    def settled(
        self, outputs: Matrix, values: Values, around: float | None = None
    ) -> tuple[float, Number]:
        """Return the interval that covers `COVERAGE` of such items.

        Split conformal prediction: of n absolute residuals the ceil((n + 1) coverage)-th, which
        covers a new item from the same source with at least that probability, whatever the
        distribution (Lei et al. 2018, JASA 113, 1094-1111, theorem 2.2). From inner folds the
        residuals are those of heads on a fifth fewer items, so the interval is rather too wide.
        """
        off = np.sort(np.abs(self.stated(outputs) - values))
        rank = math.ceil((len(off) + 1) * COVERAGE)
        return 1.0, replace(self, half=float(off[rank - 1]) if rank <= len(off) else math.nan)

    def notes(self) -> list[str]:
        """Return that there are no intervals, where there are none."""
        if math.isfinite(self.half):
            return []
        return [Said("too few items were set aside to state intervals around the numbers")]

    # -- answering --------------------------------------------------------------------------------

    def answers(self, outputs: Matrix) -> list[dict[str, Any]]:
        """Return ``{value, interval}`` an item; the interval is None where it is not known."""
        return [
            {"value": value, "interval": self._around(value)}
            for value in self.stated(outputs).tolist()
        ]

    def _around(self, value: float) -> list[float] | None:
        return [value - self.half, value + self.half] if math.isfinite(self.half) else None

    def line(self, answer: Mapping[str, Any]) -> tuple[str, str]:
        """Return the number and its interval."""
        ends = answer["interval"]
        return f"{answer['value']:.6g}", f"{ends[0]:.6g} to {ends[1]:.6g}" if ends else ""

    def flat(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """Return the number and the ends of its interval."""
        low, high = answer["interval"] or (None, None)
        return {"value": answer["value"], "low": low, "high": high}

    def evaluate(self, outputs: Matrix, values: Values) -> Measured:
        """Return R², mean absolute and root mean squared error, and the interval's coverage."""
        said = self.stated(outputs)

        def figures(rows: Indices) -> dict[str, float]:
            off = said[rows] - values[rows]
            return {
                "r2": r2(said[rows], values[rows]),
                "mae": float(np.abs(off).mean()) if len(rows) else math.nan,
                "rmse": float(np.sqrt((off**2).mean())) if len(rows) else math.nan,
                "coverage": float((np.abs(off) <= self.half).mean())
                if math.isfinite(self.half) and len(rows)
                else math.nan,
            }

        stated = {"coverage_stated": COVERAGE, "interval_half_width": _known(self.half)}
        return measured("r2", "number", figures, len(values), stated, shares=["coverage"])

    def value(self, outputs: Matrix, values: Values) -> float:
        """Return R²."""
        return r2(self.stated(outputs), values)

    def said_of(self, outputs: Matrix) -> Values:
        """Return the numbers."""
        return self.stated(outputs)

    def losses(self, outputs: Matrix, values: Values) -> Matrix:
        """Return the squared error of each item, in units of the spread squared."""
        return np.asarray((outputs[:, 0] - self.scaled(values)) ** 2, np.float32)

    def scores(self, said: Values, values: Values) -> dict[str, Scores]:
        """Return each item's part of R²."""
        return {"r2": explained(said, values)}

    def constant(self, values: Values) -> float:
        """Return the mean."""
        return float(values.mean())

    def mistakes(self, outputs: Matrix, values: Values, most: int) -> list[tuple[int, Any]]:
        """Return the answers farthest off: ``{label, predicted}``, both numbers."""
        said = self.stated(outputs)
        order = np.argsort(-np.abs(said - values), kind="stable")[:most]
        return [(int(i), {"label": float(values[i]), "predicted": float(said[i])}) for i in order]

    # -- showing ----------------------------------------------------------------------------------

    def headline(self, figures: Mapping[str, Any]) -> tuple[str, str]:
        """Return R²."""
        low, high = figures["r2_interval"]
        return _digits(figures["r2"]), f"{_digits(low)} to {_digits(high)}"

    def sentences(self, figures: Mapping[str, Any]) -> tuple[str, str]:
        """Return what R² is, and how often the intervals hold."""
        what = Said(
            "is R² on {n} items that it was not trained on: 1 is without error, 0 is what the mean "
            "would do. Off by {off} on average.",
            n=figures["n"],
            off=_digits(figures["mae"]),
        )
        if figures["coverage"] is None:
            return what, Said("It states no intervals: too few items.")
        held = f"{100 * figures['coverage']:.0f} %"
        stated = f"{100 * COVERAGE:.0f} %"
        return what, Said(
            "Its {stated} intervals hold the number of {held} of them.", stated=stated, held=held
        )

    def blocks(self, figures: Mapping[str, Any]) -> list[Block]:
        """Return the figures with their intervals."""
        titles = {"r2": "R²", "mae": "mean error", "rmse": "root mean squared error"}
        titles["coverage"] = f"in the {100 * COVERAGE:.0f} % interval"
        rows = [
            [title, _digits(figures[key]), " to ".join(map(_digits, figures[f"{key}_interval"]))]
            for key, title in titles.items()
            if figures[key] is not None
        ]
        return [Block("Figures", ["figure", "value", "95 %"], rows, terse=True)]

    def mistake(self, row: Mapping[str, Any]) -> str:
        """Return what was answered, and what is right."""
        predicted, label = _digits(row["predicted"]), _digits(row["label"])
        return Said("answered {predicted}, is {label}", predicted=predicted, label=label)

    def coloured(self, values: Values) -> tuple[Indices, Sequence[str]]:
        """Return a colour a fifth of the numbers."""
        ends = np.quantile(values, np.linspace(0, 1, 6))
        names = [f"{_digits(a)} to {_digits(b)}" for a, b in zip(ends[:-1], ends[1:], strict=True)]
        return np.searchsorted(ends[1:-1], values).astype(np.int64), names

    @classmethod
    def shown(cls, value: float) -> str:
        """Return a value of R²."""
        return _digits(value)

    @classmethod
    def shown_span(cls, low: float, high: float) -> str:
        """Return an interval of R²."""
        return f"{_digits(low)} to {_digits(high)}"

    # -- saving -----------------------------------------------------------------------------------

    def facts(self) -> dict[str, Any]:
        """Return scale and interval."""
        return {"mean": self.mean, "spread": self.spread, "half": _known(self.half)}

    @classmethod
    def saved(cls, names: tuple[str, ...], facts: Mapping[str, Any]) -> Number:
        """Return the task with its scale and interval."""
        half = facts["half"]
        return cls(
            float(facts["mean"]), float(facts["spread"]), math.nan if half is None else float(half)
        )


def r2(said: Values, values: Values) -> float:
    """Return the share of the variance that is explained, at most 1; nan where there is none.

    >>> r2(np.array([1.0, 2.0]), np.array([1.0, 3.0]))
    0.5
    """
    around = float(((values - values.mean()) ** 2).sum()) if len(values) else 0.0
    return 1 - float(((said - values) ** 2).sum()) / around if around else math.nan


def _quantiles(values: Values, items: Indices) -> Indices:
    """Return the quantile of each value among those of ``items``, shape (N,); 0..`BINS` - 1.

    At least two items a quantile; equal numbers are in one, whatever their order.
    """
    n = max(1, min(BINS, len(items) // 2))
    ends = np.quantile(values[items], np.arange(1, n) / n) if n > 1 else np.empty(0)
    return np.searchsorted(ends, values, side="left").astype(np.int64)


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _digits(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3g}"
