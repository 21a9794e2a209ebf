"""From finished runs to what follows: floors, forecasts with their back-test, advice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf

from headstart.data.dataset import Dataset
from headstart.evaluation.choosing import advise, choose
from headstart.evaluation.compare import Candidate
from headstart.evaluation.design import Design
from headstart.evaluation.floors import floors
from headstart.evaluation.forecast import backtest, curve_of, forecasts, goal
from headstart.evaluation.luck import Sample
from headstart.evaluation.names import at_no_labels
from headstart.evaluation.runs import Comparison, samples
from headstart.settings.table import Comparing


def concluded(
    result: Comparison,
    dataset: Dataset,
    design: Design,
    candidates: Sequence[Candidate],
    run: Comparing,
    *,
    device: str,
    moment: float = inf,
) -> Comparison:
    """Return ``result`` with all that follows from its runs; no floor begins after ``moment``.

    Args:
        result: the runs.
        dataset: the items.
        design: what each draw was measured on.
        candidates: the backbones.
        run: shots, draws and the wished score.
        device: "cpu", "cuda" or "mps".
        moment: of the monotonic clock.
    """
    if not result.runs:
        return result
    below = floors(dataset, design, run.shots, run.draws, moment)
    below += at_no_labels(dataset, design, candidates, device, moment)
    told = _told(replace(result, floors=tuple(below)), run.goal)
    trained = {row.cell for row in result.runs}
    return replace(
        told,
        advice=advise(
            told.runs,
            told.kind,
            floors=told.floors,
            forecast=told.forecast,
            goal=told.goal,
            skipped=bool(told.stopped - trained),
        ),
    )


def _told(result: Comparison, wanted: float | None) -> Comparison:
    """Return the comparison with its forecasts; of scores that are no shares there are none."""
    if not result.kind.share:
        return result
    groups: dict[tuple[str, str], dict[int | str, Sample]] = {}
    for (backbone, strategy, shots), one in samples(result.runs).items():
        groups.setdefault((backbone, strategy), {})[shots] = one
    curves = {name: curve_of(group) for name, group in groups.items()}
    known = {name: curve for name, curve in curves.items() if curve}
    chosen = choose(result.runs, result.kind).cell[:2]
    return replace(
        result,
        forecast=tuple(row for name, curve in known.items() for row in forecasts(name, curve)),
        backtest=tuple(row for name, curve in known.items() for row in backtest(name, curve)),
        goal=goal(known[chosen], wanted) if wanted is not None and chosen in known else None,
    )
