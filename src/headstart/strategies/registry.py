"""From a name such as ``partial:-3`` to a strategy. One dict, one line a strategy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields

from headstart.errors import UsageError, unknown
from headstart.settings.groups import Options
from headstart.settings.option import Setting, require_read
from headstart.strategies.adapt_refit import AdaptThenRefit
from headstart.strategies.auto_freeze import AutoFreeze
from headstart.strategies.bitfit import BitFit
from headstart.strategies.contrastive import Contrastive
from headstart.strategies.discriminative import Discriminative
from headstart.strategies.first import First
from headstart.strategies.frozen import Frozen
from headstart.strategies.gradual import Gradual
from headstart.strategies.l2_sp import StartingPoint
from headstart.strategies.lora import LowRank
from headstart.strategies.lp_ft import ProbeThenTune
from headstart.strategies.lwf import WithoutForgetting
from headstart.strategies.partial import Partial
from headstart.strategies.plan import Strategy
from headstart.strategies.rehearsal import Rehearsal
from headstart.strategies.scratch import Scratch
from headstart.strategies.warm import Warm
from headstart.tasks.heads import OWN
from headstart.tasks.solvers import SOLVERS
from headstart.tasks.task import Targets

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
    "bitfit": BitFit,
    "contrastive": Contrastive,
    "adapt-refit": AdaptThenRefit,
    "rehearsal": Rehearsal,
    "lwf": WithoutForgetting,
}


OFFERED = {
    "strategies": ", ".join(kind.example or name for name, kind in STRATEGIES.items()),
    "heads": ", ".join((OWN, *SOLVERS)),
}
"""What the registries hold, for the help of the options that choose from them."""


def strategy(name: str, options: Options | None = None) -> Strategy:
    """Return the strategy that ``name`` describes: a name, with ``:K`` or ``:HEAD`` where it fits.

    Its own numbers are handed over from the ``options`` of the same names.

    Raises:
        UsageError: no such strategy, or its number is missing or is none.

    >>> strategy("partial:-3")
    Partial(k=-3)
    >>> strategy("lora", Options(rank=4))
    LowRank(rank=4)
    >>> strategy("frozen:lda")
    Frozen(solver='lda')
    """
    short, colon, number = name.partition(":")
    if short not in STRATEGIES:
        raise unknown("strategy", name, STRATEGIES)
    make: Callable[..., Strategy] = STRATEGIES[short]
    if colon and STRATEGIES[short].names_head:
        if number not in (OWN, *SOLVERS):
            raise unknown("head", number, (OWN, *SOLVERS))
        return make(number)
    example = STRATEGIES[short].example
    if bool(example) != bool(colon):
        raise UsageError(f"strategy '{name}': write '{example or short}'.")
    chosen = options or Options()
    own = {n: getattr(chosen, n) for n in _fields(STRATEGIES[short]) if hasattr(chosen, n)}
    if not colon:
        return make(**own)
    try:
        return make(int(number), **own)
    except ValueError:
        raise UsageError(
            f"strategy '{name}': '{number}' is not a whole number; write for example '{example}'."
        ) from None


def _fields(kind: type[Strategy]) -> list[str]:
    return [one.name for one in fields(kind)]  # type: ignore[arg-type]


def strategies(names: Sequence[str], options: Options) -> tuple[Strategy, ...]:
    """Return the strategies of the names, and see that one of them reads what was given.

    Raises:
        UsageError: see `strategy`; or there is no such head, or an option that none of them reads.
    """
    chosen = tuple(strategy(name, options) for name in names)
    if options.head not in (OWN, *SOLVERS):
        raise unknown("head", options.head, (OWN, *SOLVERS))

    def why_not(option: Setting) -> str | None:
        if any(one.reads(option) for one in chosen):
            return None
        return f"it is for {', '.join(readers(option))}, not for {', '.join(names)}"

    require_read(options, why_not)
    return chosen


def require_kinds(names: Sequence[str], chosen: Sequence[Strategy], kind: str) -> None:
    """Raise `UsageError` unless all the strategies are for items of this ``kind``."""
    for name, one in zip(names, chosen, strict=True):
        if kind not in one.kinds:
            raise UsageError(f"the strategy '{name}' is for {one.kinds[0]}s, not for {kind}s.")


def require_learned(
    names: Sequence[str], chosen: Sequence[Strategy], unlearned: Sequence[str]
) -> None:
    """Raise `UsageError` where a strategy would keep what has learned nothing as it is.

    Args:
        names: of the strategies.
        chosen: the strategies.
        unlearned: names of the backbones that learn here from the first step.
    """
    for name, one in zip(names, chosen, strict=True):
        if one.solves and unlearned:
            raise UsageError(
                f"'{unlearned[0]}' has learned nothing before, and '{name}' would keep its random "
                "weights as they are; take --strategy scratch, which trains it."
            )


def require_targets(chosen: Sequence[Strategy], targets: Targets) -> None:
    """Raise `UsageError` unless all the strategies are for such targets."""
    if any(one.needs_classes for one in chosen):
        targets.task.groups(targets.values)


def readers(option: Setting) -> list[str]:
    """Return the names of the strategies that read ``option``."""
    return [name for name, kind in STRATEGIES.items() if kind.reads(option)]
