"""Pictures: learning curves, first filters, worst errors, boxes. PNG, drawn by matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import shorten
from typing import Any

import matplotlib.font_manager
import numpy as np
import numpy.typing as npt
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from headstart.data.dataset import Dataset
from headstart.data.folders import file_content
from headstart.data.pictures.images import decode
from headstart.errors import ItemError
from headstart.evaluation.runs import Comparison
from headstart.report.canvas import (
    COLOURS,
    QUIET,
    figure_of,
    ink,
    plain,
    readable,
    save,
)
from headstart.tasks.box_figures import things
from headstart.tasks.boxes import SURE
from headstart.tasks.registry import find
from headstart.tasks.shown import named

MARKS = "osD^v<>"
"""How points are drawn, so that nothing is told by colour alone."""

LINES = ("-", "--", ":")
"""How lines are drawn once all colours are taken, and taken again."""

NAME = 0.2
"""Inches of height that a line's name takes."""


def curves(result: Comparison, path: Path, title: str = "") -> None:
    """Draw accuracy against shots, a line a strategy with thin bars for its 95 % intervals.

    Above stand the ``title``, what the data are called, and how much was measured.
    """
    lines = len({(row.backbone, row.strategy) for row in result.summary})
    figure = figure_of(6.4, max(4.2, NAME * lines + 1.2))
    axes = figure.subplots()
    axes.set_title(_measured(result, title), loc="left", **ink(size=10))
    _curves(axes, result)
    save(figure, path)


def _measured(result: Comparison, title: str) -> str:
    draws = max((row.draws for row in result.summary), default=0)
    said = f"{draws} draw{'s' * (draws != 1)}, {len(result.held_out.targets):,} held-out items"
    name = shorten(readable(title, ""), 40, placeholder="…")
    return f"{name}: {said}; bars: 95 %" if name else f"{said}; bars: 95 %"


def _curves(axes: Any, result: Comparison) -> None:
    several = len({row.backbone for row in result.summary}) > 1
    shots = list(dict.fromkeys(row.shots for row in result.summary))
    lines = dict.fromkeys((row.backbone, row.strategy) for row in result.summary)
    apart = min(0.06, 0.5 / len(lines))  # beside each other, so that all intervals show
    ends = []
    for number, (backbone, strategy) in enumerate(lines):
        rows = [r for r in result.summary if (r.backbone, r.strategy) == (backbone, strategy)]
        x = [shots.index(r.shots) + apart * (number - (len(lines) - 1) / 2) for r in rows]
        means = np.array([100 * r.mean for r in rows])
        spans = 100 * np.clip([[r.low, r.high] for r in rows], 0, 1).T
        colour, style = COLOURS[number % len(COLOURS)], LINES[number // len(COLOURS) % len(LINES)]
        mark = MARKS[number % len(MARKS)]
        how: dict[str, Any] = {"color": colour, "lw": 1.6, "ms": 5, "elinewidth": 0.8}
        axes.errorbar(x, means, np.abs(spans - means), fmt=mark, ls=style, **how)
        name = f"{backbone} {strategy}" if several else strategy
        ends.append((float(means[-1]), readable(name, f"line {number + 1}"), colour))
    axes.set_xticks(range(len(shots)), [str(n) for n in shots])
    axes.set_xlabel(find(result.task).shots, **ink())
    axes.set_ylabel(f"{named(result.score)}, %", **ink())
    plain(axes)
    _name_lines(axes, ends)


def sweep(result: Comparison, path: Path) -> None:
    """Draw accuracy, with its 95 % interval, and seconds over the number of frozen blocks."""
    by_k = result.sweep()
    several = len({row.backbone for row in result.summary}) > 1
    lines = list(dict.fromkeys((row.backbone, row.shots) for row in result.summary))
    figure = figure_of(6.4, 5.6)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[1.6, 1])
    ends: tuple[list[tuple[float, str, str]], ...] = ([], [])
    for number, (backbone, shots) in enumerate(lines):
        rows = {
            k: r for k, rs in by_k.items() for r in rs if (r.backbone, r.shots) == lines[number]
        }
        colour = COLOURS[number % len(COLOURS)]
        at = [k + 0.12 * number for k in rows]  # beside each other, so that all intervals show
        means = np.array([100 * r.mean for r in rows.values()])
        spans = np.clip([[100 * r.low, 100 * r.high] for r in rows.values()], 0, 100).T
        above.errorbar(
            at, means, np.abs(spans - means), fmt="o-", color=colour, lw=2, ms=4, elinewidth=0.8
        )
        below.plot(at, [r.seconds for r in rows.values()], "o-", color=colour, lw=2, ms=4)
        name = "all" if shots == "all" else f"{shots} a class"
        name = f"{backbone} {name}" if several else name
        for found, height in zip(ends, (means[-1], list(rows.values())[-1].seconds), strict=True):
            found.append((float(height), name, colour))
    below.set_ylim(bottom=0)
    below.xaxis.set_major_locator(MaxNLocator(integer=True))
    below.set_xlabel("frozen blocks, from the bottom", **ink())
    for axes, label, names in zip(
        (above, below), ("accuracy, %", "seconds a fit"), ends, strict=True
    ):
        axes.set_ylabel(label, **ink())
        plain(axes)
        _name_lines(axes, names)
    save(figure, path)


def _name_lines(axes: Any, ends: list[tuple[float, str, str]]) -> None:
    """Write each line's name at its end, as near to it as the other names leave room."""
    ends = sorted(ends)
    bottom, top = axes.get_ylim()
    gap = NAME * (top - bottom) / (axes.bbox.height / axes.figure.dpi)
    for at, (_, name, colour) in zip(
        spread([height for height, _, _ in ends], gap, bottom, top), ends, strict=True
    ):
        axes.annotate(
            name,
            (1.01, at),
            xycoords=("axes fraction", "data"),
            va="center",
            annotation_clip=False,
            **ink(color=colour, weight="bold"),
        )


def spread(heights: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Return places from ``low`` to ``high`` nearest to ``heights``, ``gap`` apart at least.

    Args:
        heights: ascending.
        gap: between two places; less where there is no room for it.
        low: of the lowest place.
        high: of the highest.

    >>> spread([1.0, 5.0, 5.0, 9.9], 1.0, 0.0, 10.0)
    [1.0, 4.5, 5.5, 9.9]
    """
    from sklearn.isotonic import isotonic_regression

    gap = min(gap, (high - low) / max(1, len(heights) - 1))
    steps = gap * np.arange(len(heights))
    wanted = np.asarray(heights, np.float64) - steps
    top = max(low, high - float(steps[-1]))
    return (isotonic_regression(wanted, y_min=low, y_max=top) + steps).tolist()  # type: ignore[no-any-return]


def demo_picture(result: Comparison, data: Dataset, path: Path) -> None:
    """Draw the curves beside examples: what the backbone learned from, and the new pictures."""
    figure = figure_of(10.2, 3.6)
    left, right = np.ravel(np.asarray(figure.subfigures(1, 2, width_ratios=[1.45, 1])))
    _curves(left.subplots(), result)
    source, target = right.subfigures(2, 1)
    _sheet(source, _printed(), "learned from: printed glyphs")
    chosen = [int(np.flatnonzero(data.labels == c)[row]) for row in range(2) for c in range(10)]
    pictures = [np.asarray(decode(data.content(i), 1)) for i in chosen]
    _sheet(target, pictures, "carried over to: handwritten digits")
    save(figure, path)


def _sheet(part: Any, pictures: Sequence[npt.NDArray[np.uint8]], title: str) -> None:
    part.suptitle(title, fontsize=10, **ink())
    for axes, picture in zip(part.subplots(2, 10).flat, pictures, strict=True):
        axes.imshow(np.squeeze(picture), cmap="gray", vmin=0, vmax=255)
        axes.axis("off")


def _printed() -> list[npt.NDArray[np.uint8]]:
    """Return the ten digits in two of the fonts that the backbone learned from."""
    from PIL import Image, ImageDraw, ImageFont

    out = []
    for family in ("DejaVu Serif", "DejaVu Sans Mono"):
        font = ImageFont.truetype(matplotlib.font_manager.findfont(family), 26)
        for digit in range(10):
            picture = Image.new("L", (32, 32))
            ImageDraw.Draw(picture).text((16, 16), str(digit), 255, font, anchor="mm")
            out.append(np.asarray(picture))
    return out


def filters(before: npt.NDArray[np.float32], after: npt.NDArray[np.float32], path: Path) -> float:
    """Draw the first convolution before and after training, and return the relative change.

    Both are of shape (filters, channels, height, width). Both halves share one scale; filters of
    three channels are drawn in colour, others by the mean of their channels. The change is
    |after - before| / |before|.
    """
    change = relative_change(before, after)
    beside({"before": before, f"after (changed by {100 * change:.2f} %)": after}, path)
    return change


def relative_change(before: npt.NDArray[np.float32], after: npt.NDArray[np.float32]) -> float:
    """Return |after - before| / |before|.

    >>> relative_change(np.ones(4, np.float32), 3 * np.ones(4, np.float32))
    2.0
    """
    return float(np.linalg.norm(after - before) / max(float(np.linalg.norm(before)), 1e-12))


def beside(kernels: dict[str, npt.NDArray[np.float32]], path: Path) -> None:
    """Draw the filters of several first convolutions side by side, each under its name.

    Each is of shape (filters, channels, height, width); they share one scale. Of many, the first
    64 are drawn.
    """
    shown = {name: min(64, len(kernel)) for name, kernel in kernels.items()}
    columns = 8 if max(shown.values()) <= 32 or len(kernels) > 2 else 12
    rows = -(-max(shown.values()) // columns)
    figure = figure_of(max(9.6, 4.2 * len(kernels)), 0.42 * rows + 1.0)
    top = max(float(np.abs(kernel).max()) for kernel in kernels.values()) or 1.0
    parts = np.ravel(np.asarray(figure.subfigures(1, len(kernels), wspace=0.04)))
    for part, (title, kernel) in zip(parts, kernels.items(), strict=True):
        part.suptitle(title, fontsize=11, **ink())
        grid = part.subplots(rows, columns, squeeze=False).flat
        for number, axes in enumerate(grid):
            axes.axis("off")
            if number < shown[title]:
                _kernel(axes, kernel[number], top)
    save(figure, path)


def batch(rows: Sequence[tuple[str, Sequence[npt.NDArray[np.uint8]]]], path: Path) -> None:
    """Draw items as a network sees them, one a row: as it is, then its random views.

    Args:
        rows: what an item is called, and its pictures (H, W, C), the plain one first.
        path: PNG to write.
    """
    columns = max(len(views) for _, views in rows)
    figure = figure_of(1.3 * columns + 1.6, 1.35 * len(rows) + 0.3)
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for number, (name, views) in enumerate(rows):
        for column, axes in enumerate(grid[number]):
            axes.axis("off")
            if column < len(views):
                _pixels(axes, views[column])
            if number == 0:
                axes.set_title("as it is" if column == 0 else f"view {column}", **ink(size=9))
        said = readable(name, f"item {number + 1}")
        first, said = grid[number][0], shorten(said, 18, placeholder="…")
        how = {"ha": "right", "va": "center", "transform": first.transAxes}
        first.text(-0.1, 0.5, said, **how, **ink(size=9))
    save(figure, path)


def _pixels(axes: Any, picture: npt.NDArray[np.uint8]) -> None:
    if picture.shape[2] == 3:
        axes.imshow(picture)
    else:
        axes.imshow(picture.mean(axis=2), cmap="gray", vmin=0, vmax=255)


def _kernel(axes: Any, kernel: npt.NDArray[np.float32], top: float) -> None:
    if kernel.shape[0] == 3:
        axes.imshow(0.5 + kernel.transpose(1, 2, 0) / (2 * top))
    else:
        axes.imshow(kernel.mean(axis=0), cmap="gray", vmin=-top, vmax=top)


def errors(rows: Sequence[dict[str, Any]], root: Path, path: Path) -> int:
    """Draw the most confident mistakes, and return how many pictures could be found."""
    shown = list(rows[:24])
    columns = min(6, max(1, len(shown)))
    lines = -(-max(1, len(shown)) // columns)
    figure = figure_of(1.9 * columns, 2.3 * lines)
    found = 0
    grid = figure.subplots(lines, columns, squeeze=False).flat
    for number, axes in enumerate(grid):
        axes.axis("off")
        if number < len(shown):
            found += _error(axes, shown[number], root)
    save(figure, path)
    return found


def _short(answer: str | float) -> str:
    return answer if isinstance(answer, str) else f"{answer:.3g}"


def _below(root: Path, item: str) -> str:
    """Return the path of an item; names from a file may not lead out of the data."""
    if Path(item).is_absolute() or ".." in Path(item).parts:
        raise ItemError(f"{item} lies outside of {root}")
    return str(root / item)


def _error(axes: Any, row: dict[str, Any], root: Path) -> bool:
    said = readable(_short(row["predicted"]), "another class")
    true = readable(_short(row["label"]), "its class")
    sure = f" {100 * row['probability']:.0f} %" if "probability" in row else ""
    axes.set_title(f"{said}{sure}\nis: {true}", fontsize=8, **ink())
    try:
        picture: Any = decode(file_content(_below(root, row["item"]), "image"), shorter=160)
    except (OSError, ItemError):
        axes.text(0.5, 0.5, "not found", ha="center", va="center", fontsize=8, color=QUIET)
        return False
    axes.imshow(np.asarray(picture))
    return True


def boxes(dataset: Dataset, outputs: npt.NDArray[np.float32], path: Path) -> None:
    """Draw the pictures of ``dataset`` with their boxes dashed, and likely ``outputs`` solid.

    A colour stands for a class; a found box has its class and its probability beside it.
    """
    columns = min(4, max(1, len(dataset)))
    rows = -(-max(1, len(dataset)) // columns)
    figure = figure_of(2.6 * columns, 2.8 * rows)
    for index, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        axes.axis("off")
        if index < len(dataset):
            _boxed(axes, dataset, index, outputs[index])
    save(figure, path)


def _boxed(axes: Any, dataset: Dataset, index: int, found: npt.NDArray[np.float32]) -> None:
    picture = np.asarray(decode(dataset.content(index)))
    longer, names = max(picture.shape[:2]), dataset.classes
    axes.imshow(picture)
    title = readable(dataset.names[index], f"picture {index + 1}")[-30:]
    axes.set_title(title, fontsize=7, **ink())
    drawn = [(one, "--", "") for one in things(dataset.labels[index])]
    sure = [one for one in things(found) if one[5] >= SURE]
    for one, style, said in drawn + [(one, "-", f" {one[5]:.2f}") for one in sure]:
        (left, top, right, bottom), label = one[:4] * longer, int(one[4])
        colour = COLOURS[label % len(COLOURS)]
        how: dict[str, Any] = {"fill": False, "ec": colour, "ls": style, "lw": 1.4}
        axes.add_patch(Rectangle((left, top), right - left, bottom - top, **how))
        if said:
            ground = {"facecolor": colour, "edgecolor": "none", "pad": 0.6}
            name = readable(names[label], f"class {label}") + said
            axes.text(left, top, name, fontsize=6, va="bottom", bbox=ground, **ink(color="white"))
