"""From a name such as ``partial:-3`` to a strategy. One dict, one line a strategy."""

from __future__ import annotations

from collections.abc import Callable

from headstart.errors import UsageError, unknown
from headstart.strategies.discriminative import Discriminative
from headstart.strategies.frozen import Frozen
from headstart.strategies.partial import Partial
from headstart.strategies.plan import Strategy
from headstart.strategies.scratch import Scratch
from headstart.strategies.warm import Warm

STRATEGIES: dict[str, Callable[..., Strategy]] = {
    "scratch": Scratch,
    "frozen": Frozen,
    "warm": Warm,
    "discriminative": Discriminative,
    "partial": Partial,
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
    takes_number = STRATEGIES[short] is Partial
    if takes_number != bool(colon):
        example = f"'{short}:-3'" if takes_number else f"'{short}'"
        raise UsageError(f"strategy '{name}': write {example}.")
    if not colon:
        return STRATEGIES[short]()
    try:
        return STRATEGIES[short](int(number))
    except ValueError:
        raise UsageError(
            f"strategy '{name}': '{number}' is not a whole number; write for example '{short}:-3'."
        ) from None
