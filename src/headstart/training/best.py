"""The best epochs of a stage: which weights it ends with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import Any

from headstart.training import soup
from headstart.training.snapshots import State


class Best:
    """The weights to end with, by the loss of epochs on the selection part.

    One epoch is the latest whose loss is within one standard error of the least (the rule of
    Breiman, Friedman, Olshen and Stone 1984, "Classification and Regression Trees", section 3.4.3):
    the rate has fallen furthest there, and a handful of items cannot tell epochs apart, so the
    least loss would be luck's. Several, for an average, are those of the least losses.

    Attributes:
        losses: of the epochs that are remembered.
        states: their weights.
        since: epochs since the last one that was worth remembering first.
    """

    def __init__(
        self,
        most: int,
        losses: Sequence[float] = (),
        states: Sequence[State] = (),
        since: int = 0,
        least: Sequence[float] = (inf, 0.0),
    ) -> None:
        self._most = max(1, most)
        self.losses, self.states, self.since = list(losses), list(states), since
        self._least = (least[0], least[1])

    def facts(self) -> dict[str, Any]:
        """Return all but the weights as plain values, from which it goes on."""
        return {"losses": self.losses, "since": self.since, "least": self._least}

    def add(self, loss: float, error: float, state: Callable[[], State]) -> None:
        """Remember ``state()`` if its ``loss``, of this standard ``error``, is good enough."""
        first = loss < self._least[0]
        if first:
            self._least = loss, error
        if self._most == 1:
            first = first or loss < sum(self._least)
            at = 0 if first else 1
        else:
            at = sum(known <= loss for known in self.losses)
        self.since = 0 if first else self.since + 1
        if at < self._most:
            self.losses.insert(at, loss)
            self.states.insert(at, state())
        del self.losses[self._most :], self.states[self._most :]

    def choose(self, score: Callable[[State], float]) -> tuple[State | None, int]:
        """Return the weights to end with, and of how many epochs they are the average.

        With several, as far as averaging raises ``score``, see `headstart.training.soup`.
        """
        if len(self.states) < 2:
            return (self.states[0], 1) if self.states else (None, 0)
        mixed, used = soup.greedy(self.states, score)
        return mixed, len(used)
