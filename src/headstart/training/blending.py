"""Weights between before and after: what was learned, without losing more than is needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from torch import Tensor

from headstart.tasks.task import LOSS, Matrix
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


def chosen(
    before: Mapping[str, Tensor],
    after: State,
    loss: Callable[[State], float],
) -> tuple[State, float]:
    """Return the weights between ``before`` and ``after`` to end with, and their share.

    Those of the least ``loss``, which says that of the items set aside; of equals the least change.
    """
    # One state at a time: eleven of a large network would fill the memory.
    losses = [loss(between(before, after, share)) for share in SHARES]
    share = SHARES[int(np.argmin(losses))]
    return between(before, after, share), share


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
        job: with the probe that training started from, if there was one; ``before`` is the probe
            as it answers, however soft that start was.
    """
    before = {f"net.{name}": weight for name, weight in start.items()}
    if job.probe is not None:
        first = start_head(job.probe.weight.shape[1], len(job.probe.bias), job.probe)
        before |= {f"head.{k}": w.detach().to(job.device) for k, w in first.named_parameters()}
    values = job.known.values[job.select]

    def loss(state: State) -> float:
        snapshots.put_back(state)
        # As epochs are compared: what the temperature takes off later must not count, or the
        # surer weights would lose to those that have hardly moved.
        return job.known.task.judge(outputs(), values)[LOSS]

    state, share = chosen(before, after, loss)
    snapshots.put_back(state)
    return share
