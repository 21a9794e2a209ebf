"""Whether a class can be told by what has nothing to do with it: size, border, length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from headstart.checks.shift import auc
from headstart.findings import Finding, finding, listed
from headstart.tasks.classes import Classes
from headstart.tasks.heads import Examples, out_of_fold
from headstart.tasks.task import Indices, Targets

TELLS = 0.9
"""Share of pairs that a shortcut must surely tell apart to be said; 0.5 is chance."""

LEAST = 10
"""Items of a class, and of all others, below which nothing is said."""

GROUPS: dict[str, tuple[str, ...]] = {
    "size": ("width", "height"),
    "border colour": ("red", "green", "blue"),
    "brightness": ("brightness", "contrast"),
    "text length": ("characters",),
}
"""What a shortcut is called, and the traits that it is made of."""

_STRENGTH = 10.0


def shortcuts(
    traits: Mapping[str, npt.NDArray[np.float32]],
    items: Indices,
    labels: Indices,
    names: Sequence[str],
) -> Finding | None:
    """Return the classes that one group of traits alone tells from the others.

    A logistic head on the logarithms of the traits and their squares, judged on folds of its own.

    Args:
        traits: of all items, see `headstart.data.audit.Audit.traits`.
        items: indices of the items to look at.
        labels: shape (len(items),), their classes.
        names: of the classes.
    """
    told = [
        (names[c], what, share)
        for what, parts in GROUPS.items()
        if set(parts) <= traits.keys()
        for c, share in _told(np.stack([traits[p][items] for p in parts], axis=1), labels, names)
    ]
    if not told:
        return None
    told.sort(key=lambda one: -one[2])
    return finding(
        "HS008",
        "some classes can be told by {what} alone: {shown}. If that is chance of how the data were "
        "gathered, the model learns it in place of what you mean; gather the classes alike.",
        what=" / ".join(dict.fromkeys(what for _, what, _ in told)),
        shown=listed([f"{name} ({what}, {100 * share:.0f} %)" for name, what, share in told]),
        classes=[{"class": name, "by": what, "auc": round(s, 3)} for name, what, s in told],
    )


def _told(
    values: npt.NDArray[np.float32], labels: Indices, names: Sequence[str]
) -> list[tuple[int, float]]:
    known = np.isfinite(values).all(axis=1)
    values, labels = np.log1p(values[known]), labels[known]
    spread = values.std(axis=0) if len(values) else np.zeros(1)
    if len(np.unique(labels)) < 2 or not (spread > 1e-6).any():
        return []
    x = (values - values.mean(axis=0)) / np.maximum(spread, 1e-6)
    x = np.concatenate([x, x * x], axis=1).astype(np.float32)
    examples = Examples(x, Targets(Classes(tuple(names)), labels))
    rows, outputs = out_of_fold("logistic", examples, strength=_STRENGTH)
    out, truth = [], labels[rows]
    for c in np.unique(truth):
        mine = truth == c
        if min(mine.sum(), (~mine).sum()) < LEAST:
            continue
        others = np.delete(outputs, c, axis=1).max(axis=1)
        share, error = auc(outputs[:, c] - others, mine)
        if share - 1.96 * error >= TELLS:
            out.append((int(c), share))
    return out
