"""The best epochs of a stage: which weights it ends with."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from headstart.training import soup
from headstart.training.snapshots import State


class Best:
    """The weights of the best epochs by their loss on the selection part, the least first.

    Attributes:
        losses: of the epochs that are remembered.
        states: their weights.
        since: epochs since the best one.
    """

    def __init__(
        self, most: int, losses: Sequence[float] = (), states: Sequence[State] = (), since: int = 0
    ) -> None:
        self._most = max(1, most)
        self.losses, self.states, self.since = list(losses), list(states), since

    def add(self, loss: float, state: Callable[[], State]) -> None:
        """Remember ``state()`` if its ``loss`` is among the least."""
        self.since = 0 if not self.losses or loss < self.losses[0] else self.since + 1
        at = sum(known <= loss for known in self.losses)
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
