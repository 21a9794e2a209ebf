"""`none`: the source alone; the honest baseline, and always a candidate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from headstart.adaptation.method import Method


@dataclass(frozen=True)
class SourceOnly(Method):
    """Learn from the source, answer the target, change nothing.

    When: the domains hardly differ, or no other method can be trusted. It is what every other
    method must beat.
    """

    own: ClassVar[bool] = False
