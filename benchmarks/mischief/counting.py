"""How a try ended: what it returned, refused, a traceback, a hang."""

import signal
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec

from headstart.errors import HeadstartError

HANG = 10
"""Seconds of processor time; six times as many on the clock, for other work may run beside."""

Counts = Counter[str]
P = ParamSpec("P")


class HangError(BaseException):
    pass


@contextmanager
def limited() -> Iterator[None]:
    """Raise `HangError` in what takes longer than `HANG`, or waits."""

    def late(*_: object) -> None:
        raise HangError

    clocks = {signal.ITIMER_PROF: signal.SIGPROF, signal.ITIMER_REAL: signal.SIGALRM}
    before = [signal.signal(one, late) for one in clocks.values()]
    signal.setitimer(signal.ITIMER_PROF, HANG)
    signal.setitimer(signal.ITIMER_REAL, 6 * HANG)
    try:
        yield
    finally:
        for (clock, one), handler in zip(clocks.items(), before, strict=True):
            signal.setitimer(clock, 0)
            signal.signal(one, handler)


def tried(counts: Counts, do: Callable[P, str], *given: P.args, **named: P.kwargs) -> None:
    """Count how ``do`` ends: what it returns, refused, a traceback, a hang."""
    try:
        with limited():
            counts[do(*given, **named)] += 1
    except HangError:
        counts["HANG"] += 1
    except HeadstartError:
        counts["refused"] += 1
    except (OSError, MemoryError) as error:  # which the command line says in one line
        counts[f"refused ({type(error).__name__})"] += 1
    except Exception as error:
        counts["TRACEBACK"] += 1
        where = traceback.extract_tb(error.__traceback__)[-1]
        print(f"    {type(error).__name__}: {error} at {where.filename}:{where.lineno}", flush=True)


def say(what: str, counts: Counts) -> None:
    print(f"{what}: {counts.total()} tries: {dict(counts)}", flush=True)
