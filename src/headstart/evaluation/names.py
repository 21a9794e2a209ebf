"""The point at 0 labels: a text is given the class whose name lies nearest to it.

Name and text go through the same encoder, and the cosine between the two vectors decides (Yin, Hay
and Roth 2019, arXiv:1909.00161, on labels that say what they mean; the prototypes of Snell, Swersky
and Zemel 2017, arXiv:1703.05175, section 2.7, for none but a description of each class).
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from headstart.boundary.extract import vectors
from headstart.data.dataset import Dataset
from headstart.data.memory.arrays import from_items
from headstart.errors import UsageError
from headstart.evaluation.advice import Floor
from headstart.evaluation.compare import Candidate
from headstart.evaluation.design import Design
from headstart.evaluation.luck import Sample, interval
from headstart.findings import listed
from headstart.progress import log
from headstart.tasks.task import Matrix, Targets

NAMES = "class names"

EMPTY = frozenset(("class", "category", "cluster", "group", "id", "label"))
"""Words that are about classes and not about what is in them."""

NOTHING_LEARNED = 10**9
"""Stands for as many training items as it takes for no draw of them to matter: none are used."""


def telling(name: str) -> bool:
    """Return whether the name of a class says what is in it, as far as its letters show.

    Numbers and codes do not, nor do single letters of an alphabet.

    >>> [telling(name) for name in ("Sci/Tech", "pos", "体育", "3", "class_2", "B", "n02085620")]
    [True, True, True, False, False, False, False]
    """
    found = re.findall(r"[^\W\d_]+", name.casefold())
    return any(_is_word(one) for one in found if one not in EMPTY)


def _is_word(letters: str) -> bool:
    """Return whether there are two letters, or one sign that is a word by itself."""
    return len(letters) > 1 or letters >= "\u2e80"


def at_no_labels(
    dataset: Dataset, design: Design, candidates: Sequence[Candidate], device: str, until: float
) -> Iterator[Floor]:
    """Yield what the names alone reach, a floor with 0 shots for each backbone with features.

    Nothing for what is no text, for targets that are not one class an item, and for texts beside
    which columns are read; nothing that would begin after ``until``.
    """
    truth = dataset.known.take(design.held_out)
    known = [(name, entries, kept) for name, entries, kept in candidates if kept is not None]
    if dataset.kind != "text" or dataset.beside is not None or not known or not _one_each(truth):
        return
    names = truth.task.names
    silent = [name for name in names if not telling(name)]
    if silent:
        log.info(
            "no point at 0 labels: these names of classes say nothing (%s); give the classes words "
            "for names to see what those alone can do",
            listed(silent),
        )
        return
    said = from_items([name.replace("_", " ") for name in names], None, "text")
    for backbone, entries, kept in known:
        start = time.monotonic()
        if start > until:
            return
        faults, about = vectors(said, entries, device=device)
        if faults:
            continue
        prototypes = about.rows(np.arange(len(names)))
        answers = nearest(kept.rows(design.held_out), prototypes, kept.widths)
        scores = truth.task.scores(answers, truth.values)[truth.task.score]
        found = interval(Sample(scores[None], NOTHING_LEARNED, truth.task.share))
        yield Floor(NAMES, 0, *found, time.monotonic() - start, backbone)


def nearest(rows: Matrix, prototypes: Matrix, widths: Sequence[int]) -> npt.NDArray[np.int64]:
    """Return the prototype with the largest cosine for each row; joined encoders weigh alike.

    Args:
        rows: shape (N, D).
        prototypes: shape (C, D).
        widths: of the vectors that were joined; they add up to D.

    >>> nearest(np.array([[3.0, 1.0]]), np.array([[0.0, 9.0], [1.0, 0.0]]), [2]).tolist()
    [1]
    """
    ends = np.cumsum(widths)[:-1]
    pairs = zip(np.split(rows, ends, axis=1), np.split(prototypes, ends, axis=1), strict=True)
    cosines = np.sum([_unit(a) @ _unit(b).T for a, b in pairs], axis=0)
    return np.asarray(cosines.argmax(axis=1), np.int64)


def _unit(rows: Matrix) -> Matrix:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))


def _one_each(truth: Targets) -> bool:
    try:
        truth.task.groups(truth.values)
    except UsageError:
        return False
    return True
