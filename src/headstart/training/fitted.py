"""What comes out of a transfer."""

from __future__ import annotations

from dataclasses import dataclass, field

from headstart.model import Model


@dataclass(frozen=True)
class Fitted:
    """A fitted model, and how it was made.

    Attributes:
        model: what answers.
        strategy: how it was fitted, as the user wrote it.
        history: one row an epoch, see `headstart.training.loop.Trained`.
        cache: hits and misses of the kept activations.
        notes: what the user should know.
        seconds: that training or solving took, features not counted.
        augment: the level of the random views that training saw.
    """

    model: Model
    strategy: str
    history: list[dict[str, float]] = field(default_factory=list)
    cache: dict[str, int] = field(default_factory=lambda: {"hits": 0, "misses": 0})
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    augment: str = "off"
