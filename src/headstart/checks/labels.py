"""Checks of the labels and of how many items there are of each."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from headstart.findings import Finding, finding, listed

FEW = 5
"""A class with fewer items than this is called small."""

UNEVEN = 20
"""The largest class has so many times the items of the smallest before it is said."""


def alike(names: Sequence[str]) -> Finding | None:
    """Return the names that differ only in case, spaces, marks or how a number is written.

    >>> alike(["World", "world", "Sport"]).message[:42]
    'labels that may be the same: World = world'
    >>> alike(["01", "1", "2"]).facts["groups"]
    [['01', '1']]
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(_key(name), []).append(name)
    same = [group for group in groups.values() if len(group) > 1]
    if not same:
        return None
    return finding(
        "HS005",
        "labels that may be the same: {shown}. They are learned as different classes; if they are "
        "one, write them alike in the data.",
        shown=listed([" = ".join(group) for group in same]),
        groups=same,
    )


def _key(name: str) -> str:
    try:
        return f"{float(name):g}"
    except ValueError:
        return re.sub(r"[\W_]+", "", name.casefold()) or name


def few(counts: Mapping[str, int]) -> Finding | None:
    """Return the classes with some items, but fewer than `FEW`."""
    small = {name: n for name, n in counts.items() if 0 < n < FEW}
    if not small:
        return None
    return finding(
        "HS003",
        "{n} of {of} classes have fewer than {few} items ({shown}): what is learned and measured "
        "of them is mostly luck. Add items, or join classes.",
        n=len(small),
        of=len(counts),
        few=FEW,
        shown=listed([f"{name}: {n}" for name, n in sorted(small.items(), key=lambda x: x[1])]),
        counts=small,
    )


def uneven(counts: Mapping[str, int]) -> Finding | None:
    """Return that always answering the largest class would look good."""
    full = {name: n for name, n in counts.items() if n}
    if len(full) < 2 or max(full.values()) < UNEVEN * min(full.values()):
        return None
    largest, smallest = max(full, key=full.__getitem__), min(full, key=full.__getitem__)
    return finding(
        "HS013",
        "'{largest}' has {times:.0f} times the items of '{smallest}': who always answers "
        "'{largest}' is right in {share:.1f} % of the cases. Look at the recall of each class and "
        "not at the accuracy; --class-weights weighs rare classes more.",
        largest=largest,
        smallest=smallest,
        times=full[largest] / full[smallest],
        share=100 * full[largest] / sum(full.values()),
    )


def unmeasured(trained: Mapping[str, int], held_out: Mapping[str, int]) -> Finding | None:
    """Return the classes that are learned, and of which nothing is held out."""
    missing = [name for name, n in trained.items() if n and not held_out.get(name)]
    if not missing:
        return None
    return finding(
        "HS002",
        "{n} of {of} classes have no held-out item ({shown}): nothing is known of how well they "
        "are answered, and the figures say nothing of them.",
        n=len(missing),
        of=len([name for name, n in trained.items() if n]),
        shown=listed(missing),
        classes=missing,
    )
