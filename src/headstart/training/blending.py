"""Weights between before and after: what was learned, without losing more than is needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
from torch import Tensor

from headstart.tasks.task import Matrix
from headstart.training.job import Job
from headstart.training.snapshots import Snapshots, State
from headstart.training.start import start_head

SHARES = tuple(round(0.1 * step, 1) for step in range(11))
"""How far from before (0) to after (1) the weights may stand."""


def between(before: Mapping[str, Tensor], after: State, share: float) -> State:
    """Return ``after``, moved back towards ``before`` where that knows a tensor.

    Args:
        before: some tensors of ``after`` as they once were.
        after: all of them as they are.
        share: 0 gives ``before``, 1 gives ``after``, exactly.

    Source: Wortsman et al. 2022, arXiv:2109.01903, equation 1.

    >>> import torch
    >>> between({"w": torch.tensor(0.0)}, {"w": torch.tensor(4.0)}, 0.25)
    {'w': tensor(1.)}
    """
    return {
        name: before[name] * (1 - share) + now * share if name in before and share < 1 else now
        for name, now in after.items()
    }


def least_change(losses: npt.NDArray[np.floating]) -> int:
    """Return the first row whose losses are not higher than the best row's, as far as one can tell.

    That is, by no more than one standard error of the difference, item by item.

    Args:
        losses: shape (S, N), of N items at S shares, the share of no change first.

    Source: Breiman et al. 1984, "Classification and Regression Trees", section 3.4.3.

    >>> least_change(np.array([[9.0, 9.1], [1.0, 1.2], [1.1, 1.0]]))
    1
    """
    best = int(losses.mean(1).argmin())
    excess = losses - losses[best]
    n = losses.shape[1]
    error = excess.std(1, ddof=1) / np.sqrt(n) if n > 1 else np.zeros(len(losses))
    return int(np.flatnonzero(excess.mean(1) <= error)[0])


def chosen(
    before: Mapping[str, Tensor],
    after: State,
    losses: Callable[[State], npt.NDArray[np.floating]],
) -> tuple[State, float]:
    """Return the weights between ``before`` and ``after`` to end with, and their share.

    ``losses`` says those of the items set aside under given weights, shape (N,).
    """
    states = [between(before, after, share) for share in SHARES]
    at = least_change(np.stack([losses(state) for state in states]))
    return states[at], SHARES[at]


def blend(
    snapshots: Snapshots,
    start: Mapping[str, Tensor],
    after: State,
    outputs: Callable[[], Matrix],
    job: Job,
) -> float:
    """Leave a network and its head between their weights before and ``after``; return the share.

    A head that started from zero was none before, and stays as it is.

    Args:
        snapshots: of the network and the head.
        start: the network's parameters before, by name.
        after: what `Snapshots.take` says now.
        outputs: those of the items that the job set aside, under the weights as they are.
        job: with the head that training started from, if there was one.
    """
    before = {f"net.{name}": weight for name, weight in start.items()}
    if job.probe is not None:
        first = start_head(job.probe.weight.shape[1], len(job.probe.bias), job.probe)
        before |= {f"head.{k}": w.detach().to(job.device) for k, w in first.named_parameters()}
    values = job.known.values[job.select]

    def losses(state: State) -> npt.NDArray[np.floating]:
        snapshots.put_back(state)
        return job.known.task.losses(outputs(), values)

    state, share = chosen(before, after, losses)
    snapshots.put_back(state)
    return share
