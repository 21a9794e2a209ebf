"""What needs no backbone: every strategy must pass it, or nothing was carried over."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from math import inf

import numpy as np
import numpy.typing as npt

from headstart.data.dataset import Dataset
from headstart.data.texts.tokens import beginning, clean_text
from headstart.evaluation.advice import Floor
from headstart.evaluation.design import Design, Part
from headstart.evaluation.luck import Sample, interval
from headstart.settings.written import Shots
from headstart.tasks.task import Targets, Values

WORDS = 3000
"""Words and pairs of words, the most frequent ones, that tf-idf counts."""

STRENGTH = 10.0
"""C of the head on tf-idf vectors of length 1: scikit-learn's usual one is too weak for them."""

CONSTANT, FREQUENCIES = "constant answer", "tf-idf + linear head"

FEW = 1000
"""Texts whose words are counted in a second or two: there is always time for that."""

DRAWS = 3
"""Draws that a floor is measured on: its interval need not be narrow."""


def floors(
    dataset: Dataset, design: Design, shots: Sequence[Shots], draws: int, until: float
) -> list[Floor]:
    """Return the floors; of more than `FEW` texts none that would begin after ``until``.

    They are the best constant answer (of classes: the largest one), and for texts, with each number
    of shots, a logistic regression, or the task's own head, on tf-idf.
    """
    below = [*_measured(dataset, design, "all", 1, CONSTANT, _constant, inf)]
    if dataset.kind == "text":
        until = until if len(dataset) > FEW else inf
        for n in shots:
            below += _measured(
                dataset, design, n, min(draws, DRAWS), FREQUENCIES, _frequencies, until
            )
    return below


def _measured(
    dataset: Dataset,
    design: Design,
    shots: Shots,
    draws: int,
    name: str,
    way: Callable[[Dataset, Part, npt.NDArray[np.int64]], Values],
    until: float,
) -> Iterator[Floor]:
    start = time.monotonic()
    if start > until:
        return
    known = dataset.known
    truth = known.take(design.held_out)
    rows, trained = [], 1
    for number in range(draws if shots != "all" or design.folds is not None else 1):
        said: Values | None = None
        for part in design.parts(known, shots, number):
            answers = np.asarray(way(dataset, part, design.held_out[part.rows]))
            if said is None:
                said = np.empty((len(truth), *answers.shape[1:]), answers.dtype)
            said[part.rows], trained = answers, len(part.train)
        assert said is not None
        rows.append(truth.task.scores(said, truth.values)[truth.task.score])
    if np.isfinite(rows).all():
        found = interval(Sample(np.stack(rows), trained, truth.task.share))
        yield Floor(name, shots, *found, time.monotonic() - start)


def _constant(dataset: Dataset, part: Part, held_out: npt.NDArray[np.int64]) -> Values:
    known = dataset.known
    answer = np.asarray(known.task.constant(known.values[part.train]))
    return np.repeat(answer[None], len(held_out), axis=0)


def _frequencies(dataset: Dataset, part: Part, held_out: npt.NDArray[np.int64]) -> Values:
    from sklearn.feature_extraction.text import TfidfVectorizer

    def texts(indices: npt.NDArray[np.int64]) -> list[str]:
        return [clean_text(beginning(dataset.content(int(i)))) for i in indices]

    count = TfidfVectorizer(
        sublinear_tf=True, ngram_range=(1, 2), max_features=WORDS, token_pattern=r"(?u)\b\w+\b"
    )
    train: Targets = dataset.known.take(part.train)
    task = train.task.learned(train.values)
    rows = count.fit_transform(texts(part.train)).toarray().astype(np.float32)
    head = task.solvers[task.own](rows, train.values, task.n_outputs, STRENGTH)
    found = count.transform(texts(held_out)).toarray().astype(np.float32)
    return task.said_of(head.logits(found))
