"""Checks of items that are the same, or look it."""

from __future__ import annotations

from collections.abc import Collection

from headstart.data.audit import Audit
from headstart.findings import Finding, finding


def leaks(found: Audit, train: Collection[str], held_out: Collection[str]) -> Finding | None:
    """Return the items held out that were trained on, or look or read like it.

    Args:
        found: what the audit found. Exact copies never train; they are named all the same.
        train: names of the training items.
        held_out: names of the held-out items.
    """
    near = [
        {"item": one, "like": other, "same_class": not pair.across_classes}
        for pair in found.near_duplicates
        for one, other in [(pair.item, pair.like), (pair.like, pair.item)]
        if one in held_out and other in train
    ]
    exact = [{"item": group[0], "like": group[-1], "exact": True} for group in found.leaks]
    if not near and not exact:
        return None
    n = len({row["item"] for row in near})
    return finding(
        "HS004",
        "{n} of {of} held-out items look or read like a training item, and {exact} more were also "
        "in the training part, from where they were taken out. Figures on such items are too good; "
        "keep what belongs together (one scene, one patient, one text) in one part.",
        items=[*near, *exact],
        n=n,
        of=len(held_out),
        exact=len(exact),
    )


def conflicts(found: Audit) -> Finding | None:
    """Return what has the same content and different labels; none of it is used."""
    if not found.conflicts:
        return None
    return finding(
        "HS014",
        "{n} contents appear with different labels. Nobody knows which is right, so none of these "
        "{copies} items is used.",
        items=[{"item": group[0], "like": group[1]} for group in found.conflicts],
        n=len(found.conflicts),
        copies=sum(map(len, found.conflicts)),
    )
