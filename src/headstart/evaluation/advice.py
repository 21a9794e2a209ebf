"""What a comparison comes to: what to take, what it is held against, what more labels bring."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from headstart.cards import Card, Record, Shown


@dataclass(frozen=True)
class Advice:
    """What to take.

    Attributes:
        backbone: of the cell to take.
        strategy: of it.
        shots: labels a class that it was measured with.
        sentence: what to take, what to expect, at what price, and what costs a tenth.
        more: what would change the answer: more labels, or a bigger held-out set.
    """

    backbone: str
    strategy: str
    shots: int | Literal["all"]
    sentence: str
    more: str


@dataclass(frozen=True)
class Floor:
    """What needs no backbone or no labels, and what every strategy must therefore pass.

    Attributes:
        name: what it is: the majority class; of texts, tf-idf with logistic regression, and the
            names of the classes.
        shots: labels a class.
        mean: the task's score.
        low: lower end of its 95 % interval.
        high: upper end.
        seconds: that it took.
        backbone: that it needs all the same: the encoder of the names; empty for none.
    """

    name: str
    shots: int | Literal["all"]
    mean: float
    low: float
    high: float
    seconds: float
    backbone: str = ""


@dataclass(frozen=True, repr=False)
class Forecast(Shown):
    """What a strategy should reach with so many labels.

    Attributes:
        backbone: whose.
        strategy: whose.
        shots: labels a class.
        labels: labels in all.
        mean: what is expected.
        low: lower end of the 80 % interval; it holds the luck of draws and of held-out items.
        high: upper end.
        measured: what came out at that size, where the forecast was made from smaller ones.
    """

    backbone: str
    strategy: str
    shots: int
    labels: int
    mean: float
    low: float
    high: float
    measured: float | None = None

    def card(self) -> Card:
        """Return what is expected of so many labels."""
        share = f"{100 * self.mean:.1f} %"
        ends = f"80 %: {100 * self.low:.1f} to {100 * self.high:.1f}"
        name = f"{self.strategy} on {self.backbone} with {self.shots} labels a class"
        return Card(f"forecast of {name}", share, (ends,))

    def records(self) -> list[Record]:
        """Return the one row."""
        return [self.to_json()]

    def to_json(self) -> dict[str, Any]:
        """Return the row as plain values; ``measured`` only where it is known."""
        return {key: value for key, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Goal:
    """How many labels a wished score needs; None for more than ten times those that were measured.

    Attributes:
        score: that is wished.
        labels: in all, as expected.
        low: with luck: where the upper end of the forecast's 80 % interval gets there.
        high: without: where its lower end does.
    """

    score: float
    labels: int | None
    low: int | None
    high: int | None
