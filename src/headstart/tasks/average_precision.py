"""Average precision of boxes as the COCO benchmark defines it, so that pictures can be weighed.

Weights are what an interval needs: a bootstrap draws pictures, and must not match their boxes
anew each time. The figures themselves come from faster-coco-eval, see `headstart.tasks.boxes`;
both are equal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""Overlaps from which a box counts as found; "mAP" is the mean over all of them."""

RECALLS = np.linspace(0.0, 1.0, 101)


def overlaps(found: Numbers, truth: Numbers, crowd: Flags) -> Numbers:
    """Return the share that each box of ``found`` has in common with each of ``truth``.

    That is intersection over union; with a crowd, intersection over the found box's own area.

    Args:
        found: shape (D, 4): left, top, right, bottom.
        truth: shape (G, 4).
        crowd: shape (G,), which of ``truth`` stand for many things at once.

    Returns:
        Shape (D, G), 0..1.

    >>> overlaps(np.array([[0., 0, 2, 2]]), np.array([[1., 0, 3, 2]]), np.array([False])).round(3)
    array([[0.333]])
    """
    low = np.maximum(found[:, None, :2], truth[None, :, :2])
    high = np.minimum(found[:, None, 2:], truth[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(axis=2)
    own = (found[:, 2:] - found[:, :2]).prod(axis=1)[:, None]
    others = (truth[:, 2:] - truth[:, :2]).prod(axis=1)[None]
    return np.asarray(common / np.maximum(np.where(crowd, own, own + others - common), 1e-12))


@dataclass(frozen=True)
class Matches:
    """What was found of one class in all pictures, the most probable first.

    Attributes:
        picture: shape (D,), index of the picture.
        right: shape (T, D), whether it is a thing that no more probable box has found, at each of
            `THRESHOLDS`.
        ignored: shape (T, D), whether it counts neither way, for it lies in a crowd.
        things: shape (N,), how many things of the class each picture shows.
    """

    picture: npt.NDArray[np.int64]
    right: Flags
    ignored: Flags
    things: Numbers

    def precision(self, weights: Numbers | None = None) -> Numbers:
        """Return the average precision at each of `THRESHOLDS`; nan without any thing.

        The mean over 101 recalls of the highest precision at that recall or above (Everingham et
        al. 2010, IJCV 88, section 4.2; 101 points as in the COCO benchmark).

        Args:
            weights: shape (N,), how often each picture counts; None for once.
        """
        weights = np.ones(len(self.things)) if weights is None else weights
        total = float(weights @ self.things)
        if not total:
            return np.full(len(THRESHOLDS), np.nan)
        counted = weights[self.picture]
        right = np.cumsum(self.right * counted, axis=1)
        wrong = np.cumsum((~self.right & ~self.ignored) * counted, axis=1)
        share = right / np.maximum(right + wrong, np.spacing(1))
        best = np.maximum.accumulate(share[:, ::-1], axis=1)[:, ::-1]
        best = np.concatenate([best, np.zeros((len(best), 1))], axis=1)  # of recalls never reached
        at = [np.searchsorted(row / total, RECALLS, side="left") for row in right]
        return np.asarray(np.take_along_axis(best, np.array(at), axis=1).mean(axis=1))


def match(found: list[Numbers], truth: list[Numbers], crowd: list[Flags]) -> Matches:
    """Match what was found of one class to what is there, picture by picture.

    In a picture the most probable box goes first, and takes the thing that it overlaps most among
    those that are left (Lin et al. 2014, arXiv:1405.0312; the rules of its reference code).

    Args:
        found: of N pictures, shape (D, 5): left, top, right, bottom, probability.
        truth: of N pictures, shape (G, 4).
        crowd: of N pictures, shape (G,).
    """
    chances, pictures, right, ignored = [], [], [], []
    for number, (mine, things, many) in enumerate(zip(found, truth, crowd, strict=True)):
        mine = mine[np.argsort(-mine[:, 4], kind="stable")]  # noqa: PLW2901
        hits, passed = _in_picture(overlaps(mine[:, :4], things, many), many)
        chances.append(mine[:, 4])
        pictures.append(np.full(len(mine), number, np.int64))
        right.append(hits)
        ignored.append(passed)
    order = np.argsort(-np.concatenate(chances), kind="stable")
    return Matches(
        np.concatenate(pictures)[order],
        np.concatenate(right, axis=1)[:, order],
        np.concatenate(ignored, axis=1)[:, order],
        np.array([float((~many).sum()) for many in crowd]),
    )


def _in_picture(shares: Numbers, crowd: Flags) -> tuple[Flags, Flags]:
    """Return which boxes, the most probable first, hit a thing, and which lie in a crowd only."""
    n_found, limits = len(shares), np.minimum(THRESHOLDS, 1 - 1e-10)
    hits, passed = np.zeros((2, len(limits), n_found), np.bool_)
    # The last of equals wins, as in the reference code.
    things, crowds = shares[:, ~crowd][:, ::-1], shares[:, crowd]
    free = np.ones((len(limits), things.shape[1]), np.bool_)
    rows = np.arange(len(limits))
    for one in range(n_found):
        if things.shape[1]:
            left = np.where(free, things[one], -1.0)
            best = left.argmax(axis=1)
            hits[:, one] = left[rows, best] >= limits
            free[rows[hits[:, one]], best[hits[:, one]]] = False
        if crowds.shape[1]:
            passed[:, one] = ~hits[:, one] & (crowds[one].max() >= limits)
    return hits, passed
