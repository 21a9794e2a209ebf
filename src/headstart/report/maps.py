"""A map of items: where they lie in the features of a backbone, and which are taken for others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.lines import Line2D

from headstart.report.canvas import (
    COLOURS,
    INK,
    QUIET,
    figure_of,
    fonts,
    ink,
    plain,
    readable,
    save,
)

PICKED = 12
"""Classes that have a colour in a map of items; of more, those with the most mistakes."""


def embedding(
    points: npt.NDArray[np.float64],
    labels: npt.NDArray[np.int64],
    classes: Sequence[str],
    path: Path,
    *,
    wrong: npt.NDArray[np.bool_] | None = None,
    trained: npt.NDArray[np.bool_] | None = None,
    title: str = "",
) -> list[str]:
    """Draw ``points``, shape (N, 2), coloured by class, and return the classes in colour.

    Args:
        points: where the items lie.
        labels: shape (N,), what each is, index into ``classes``.
        classes: their names.
        path: PNG to write.
        wrong: shape (N,), which of them are taken for something else; they are crosses.
        trained: shape (N,), which of them were trained on; they are pale and small.
        title: above the picture.
    """
    nowhere = np.zeros(len(labels), np.bool_)
    wrong, trained = (nowhere if one is None else one for one in (wrong, trained))
    picked = _picked(labels, wrong & ~trained)
    figure = figure_of(9.2, 5.6)
    axes = figure.subplots()
    for label in [-1, *picked]:  # the others first, below all
        of_it = labels == label if label >= 0 else ~np.isin(labels, picked)
        colour = COLOURS[picked.index(label)] if label >= 0 else OTHERS
        for mine, how in (
            (trained, {"s": 9, "alpha": 0.45, "lw": 0, "zorder": 2}),
            (~trained & ~wrong, {"s": 26, "alpha": 0.9, "lw": 0.7, "ec": INK, "zorder": 3}),
            (~trained & wrong, {"s": 34, "marker": "x", "lw": 1.6, "zorder": 4}),
        ):
            axes.scatter(*points[of_it & mine].T, color=colour, **how)
    others = len(np.unique(labels)) - len(picked)
    _legends(axes, [_counted(c, classes, labels, wrong & ~trained) for c in picked], others)
    if title:
        axes.set_title(title, loc="left", **ink(size=10))
    axes.set_xlabel("first principal component", **ink())
    axes.set_ylabel("second", **ink())
    plain(axes)
    save(figure, path)
    return [classes[c] for c in picked]


OTHERS = "#c3cad2"
"""The colour of classes that have none of their own."""


def _picked(labels: npt.NDArray[np.int64], wrong: npt.NDArray[np.bool_]) -> list[int]:
    """Return the classes that are there; of many, those with the most mistakes, the worst first."""
    present, sizes = np.unique(labels, return_counts=True)
    if len(present) <= PICKED:
        return [int(c) for c in present]
    lost = np.array([wrong[labels == c].sum() for c in present])
    order = np.lexsort((present, sizes, -lost))[:PICKED]
    return [int(present[i]) for i in order]


def _counted(
    c: int,
    classes: Sequence[str],
    labels: npt.NDArray[np.int64],
    wrong: npt.NDArray[np.bool_],
) -> str:
    name = shorten(readable(classes[c], f"class {c}"), 30, placeholder="…")
    lost = int(wrong[labels == c].sum())
    return f"{name} ({lost} wrong)" if lost else name


def _legends(axes: Any, names: Sequence[str], others: int) -> None:
    """Write beside the picture which colour is which class, and which mark says what."""
    colours = [*zip(names, COLOURS, strict=False)]
    colours += [(f"{others} other classes", OTHERS)] if others else []
    marks: dict[str, dict[str, Any]] = {
        "trained on": {"marker": "o", "ms": 3, "alpha": 0.45, "mew": 0},
        "not trained on": {"marker": "o", "ms": 5, "mec": INK, "mew": 0.7},
        "taken for another": {"marker": "x", "ms": 6, "mew": 1.6},
    }
    how: dict[str, Any] = {"ls": ""}
    dots = [Line2D([], [], marker="o", color=colour, label=n, **how) for n, colour in colours]
    dots += [Line2D([], [], color=QUIET, label=name, **how, **one) for name, one in marks.items()]
    family = {"family": [name for name, _ in fonts()], "size": 9}
    axes.legend(
        handles=dots, loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, prop=family
    )
