"""From a name such as ``partial:-3`` to a strategy. One dict, one line a strategy."""

from __future__ import annotations

from collections.abc import Callable

from headstart.errors import UsageError, unknown
from headstart.strategies.auto_freeze import AutoFreeze
from headstart.strategies.contrastive import Contrastive
from headstart.strategies.discriminative import Discriminative
from headstart.strategies.first import First
from headstart.strategies.frozen import Frozen
from headstart.strategies.gradual import Gradual
from headstart.strategies.l2_sp import StartingPoint
from headstart.strategies.lora import LowRank
from headstart.strategies.lp_ft import ProbeThenTune
from headstart.strategies.partial import Partial
from headstart.strategies.plan import Strategy
from headstart.strategies.scratch import Scratch
from headstart.strategies.warm import Warm

STRATEGIES: dict[str, type[Strategy]] = {
    "scratch": Scratch,
    "frozen": Frozen,
    "warm": Warm,
    "discriminative": Discriminative,
    "partial": Partial,
    "first": First,
    "gradual": Gradual,
    "lp-ft": ProbeThenTune,
    "l2-sp": StartingPoint,
    "auto-freeze": AutoFreeze,
    "lora": LowRank,
    "contrastive": Contrastive,
}


def strategy(name: str) -> Strategy:
    """Return the strategy that ``name`` describes: a name, with ``:K`` where it takes one.

    Raises:
        UsageError: no such strategy, or its number is missing or is none.

    >>> strategy("partial:-3")
    Partial(k=-3)
    """
    short, colon, number = name.partition(":")
    if short not in STRATEGIES:
        raise unknown("strategy", name, STRATEGIES)
    make: Callable[..., Strategy] = STRATEGIES[short]
    example = STRATEGIES[short].example
    if bool(example) != bool(colon):
        raise UsageError(f"strategy '{name}': write '{example or short}'.")
    if not colon:
        return make()
    try:
        return make(int(number))
    except ValueError:
        raise UsageError(
            f"strategy '{name}': '{number}' is not a whole number; write for example '{example}'."
        ) from None
