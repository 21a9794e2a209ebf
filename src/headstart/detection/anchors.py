"""Anchors: the shapes of box that a detector starts from, taken from the training boxes."""

from __future__ import annotations

import numpy as np

from headstart.tasks.average_precision import Numbers

SIZES, RATIOS = 2, 3
"""Anchors of each level: so many sizes in so many shapes."""

LARGEST = 640
"""Pixels a side of the square that pictures are fitted into, unless the user says otherwise."""

SMALL, MOST = 32, 2.0
"""Half of the things are to be so many pixels high and wide, COCO's border between small ones and
others; for that pictures are enlarged at most so many times."""

Anchors = tuple[tuple[tuple[float, ...], ...], tuple[float, ...]]
"""Sizes of each level, the finest first, and shapes, height over width, of all."""


def side_for(boxes: Numbers, longest: int) -> int:
    """Return the side of the square, in pixels, in which things can be seen.

    The finest maps have a point for four pixels, so a digit of 15 pixels is not four points high.

    Args:
        boxes: shape (B, 2), width and height of things, as shares of a picture's longer side.
        longest: longer side of the largest picture, in pixels.

    >>> side_for(np.array([[0.2, 0.2]]), 96), side_for(np.array([[0.5, 0.5]]), 96)
    (160, 96)
    """
    typical = float(np.median(np.sqrt(boxes.prod(axis=1)))) * longest
    return round(min(LARGEST, longest * min(MOST, max(1.0, SMALL / typical))))


def fitted(boxes: Numbers, n_levels: int) -> Anchors:
    """Return sizes and shapes that the ``boxes`` have.

    Sizes are even quantiles of the square root of the area, so that each level has as many boxes
    to find as the others, small ones where maps are fine; shapes are quantiles too. Distances
    between quantiles are measured in logarithms, as overlaps are.

    Args:
        boxes: shape (B, 2), width and height in pixels of the network's input; above 0.
        n_levels: L, maps that anchors stand on.

    Returns:
        Sizes, L x `SIZES`, ascending; and `RATIOS` shapes, ascending.

    Source: the idea of Redmon and Farhadi 2017, arXiv:1612.08242, section 2 ("dimension clusters"),
    with quantiles for k-means.

    >>> fitted(np.array([[10.0, 10.0], [40.0, 40.0]]), 1)
    (((14.1, 28.3),), (1.0, 1.0, 1.0))
    """
    sizes = np.log(boxes.prod(axis=1)) / 2
    shapes = np.log(boxes[:, 1] / boxes[:, 0])
    at = (np.arange(n_levels * SIZES) + 0.5) / (n_levels * SIZES)
    found = np.exp(np.quantile(sizes, at)).round(1).reshape(n_levels, SIZES)
    ratios = np.exp(np.quantile(shapes, (np.arange(RATIOS) + 0.5) / RATIOS)).round(3)
    return tuple(tuple(level) for level in found.tolist()), tuple(ratios.tolist())


def covered(boxes: Numbers, anchors: Anchors) -> float:
    """Return the share of ``boxes``, (B, 2), that some anchor at their middle overlaps by half."""
    sizes, ratios = anchors
    each = np.array([(s / r**0.5, s * r**0.5) for level in sizes for s in level for r in ratios])
    common = np.minimum(boxes[:, None], each[None]).prod(axis=2)
    union = boxes.prod(axis=1)[:, None] + each.prod(axis=1)[None] - common
    return float(((common / union).max(axis=1) >= 0.5).mean())
