"""Changes to bytes and to facts, drawn from a seed, as decay or malice would make them."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

VALUES = [
    *(None, True, -1, 0, 1, 10**9, 10**30, 1e308, -0.5, float("nan"), "9" * 400),
    *("", "x", "../../etc/passwd", "/etc/passwd", "hf-hub:a/b", "local-dir:/tmp", "\u202e"),
    *([], [[]], [None], ["a"], {}, {"a": 1}),
]
"""What stands in place of a fact."""


def spots(value: object, path: tuple[object, ...] = ()) -> Iterator[tuple[object, ...]]:
    """Yield the places in a JSON value."""
    items: Iterable[tuple[object, object]] = ()
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, one in items:
        yield (*path, key)
        yield from spots(one, (*path, key))


def changed(facts: Any, chance: random.Random) -> Any:
    """Return ``facts`` with one or two of them gone, or of another kind, size or meaning."""
    made = json.loads(json.dumps(facts))
    for _ in range(chance.choice([1, 1, 1, 2])):
        *way, last = chance.choice(list(spots(made)) or [("format",)])
        at = made
        for key in way:
            at = at[key]
        if chance.random() < 0.15:
            del at[last]
        else:
            at[last] = chance.choice(VALUES)
    return made


def mutated(content: bytes, chance: np.random.Generator) -> bytes:
    """Return ``content`` with a few bytes changed, removed, doubled or zeroed."""
    made = bytearray(content)
    for _ in range(int(chance.integers(1, 5))):
        at = int(chance.integers(len(made)))
        size = int(chance.integers(1, 40))
        how = chance.integers(5)
        if how == 0:
            made[at] ^= 1 << int(chance.integers(8))
        elif how == 1:
            del made[at : at + size]
        elif how == 2:
            made[at:at] = made[at : at + size]
        elif how == 3:
            made[at : at + size] = bytes(len(made[at : at + size]))
        else:
            made[at:at] = bytes(chance.integers(0, 256, size).astype(np.uint8))
        made = made or bytearray(b"\0")
    return bytes(made)


def flipped(content: bytes, chance: random.Random) -> bytes:
    """Return ``content`` with one bit flipped."""
    made = bytearray(content)
    if made:
        made[chance.randrange(len(made))] ^= 1 << chance.randrange(8)
    return bytes(made)
