"""Greedy soup: the average of the best epochs, as far as averaging helps."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

State = dict[str, Tensor]


def greedy(states: Sequence[State], score: Callable[[State], float]) -> tuple[State, list[int]]:
    """Return the soup, and the indices of the states that went into it.

    Each state in turn is added to the average, and stays only if the score does not fall: the soup
    is never worse than the best state on what ``score`` measures.

    Args:
        states: at least one, the best first; of the same names and shapes.
        score: the higher, the better; is asked once for each state.

    Source: Wortsman et al. 2022, arXiv:2203.05482, recipe 1.

    >>> states = [{"w": torch.tensor(x)} for x in (1.0, 6.0, 3.0)]
    >>> greedy(states, lambda state: -abs(float(state["w"]) - 2.0))
    ({'w': tensor(2.)}, [0, 2])
    """
    kept, soup = [0], states[0]
    best = score(soup)
    for index in range(1, len(states)):
        mixed = average([states[i] for i in (*kept, index)])
        reached = score(mixed)
        if reached >= best:
            kept, soup, best = [*kept, index], mixed, reached
    return soup, kept


def average(states: Sequence[State]) -> State:
    """Return the mean of each tensor of ``states``; one of integers (a count) is the first's.

    Taken as the first plus the mean of the differences, so that equal weights stay what they are.
    """
    return {
        name: first + torch.stack([state[name] - first for state in states]).mean(0)
        if first.is_floating_point()
        else first
        for name, first in states[0].items()
    }
