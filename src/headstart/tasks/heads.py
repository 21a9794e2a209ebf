"""Convex heads: solved on features, not stepped. No torch here.

Whatever the task and the solver, the result is one `Head`: outputs that are linear in the features
(naive Bayes: linear in the features and their squares), kept as plain arrays. One way to predict,
save and export serves them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from headstart.errors import unknown
from headstart.tasks.head import Head
from headstart.tasks.task import Folds, Indices, Matrix, Solver, Targets, Task

OWN = "own"
"""The name that stands for the head that suits the task."""

HAS_STRENGTH = {"logistic", "svm", "ridge"}

STRENGTHS = tuple(float(c) for c in np.logspace(-2, 2, 7))
"""Inverse regularisation strengths C that the inner cross-validation chooses from, on features
scaled to a mean square length of 10."""

SMALL = 4_000_000
"""Numbers in a feature matrix below which one thread solves fastest."""


@dataclass(frozen=True)
class Examples:
    """Features of items and the targets of the same items, cut together and so always in step.

    Attributes:
        features: shape (N, D).
        targets: of N items; row i of both is one item.
        widths: lengths of the vectors that were joined, where they were; they add up to D.

    Raises:
        ValueError: not as many targets as features.
    """

    features: Matrix
    targets: Targets
    widths: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if len(self.features) != len(self.targets):
            raise ValueError(f"{len(self.features)} features, but {len(self.targets)} targets")


def solve(name: str, examples: Examples, *, seed: int = 0) -> tuple[Head, Task]:
    """Return the head called ``name``, and the task with what the inner folds taught it.

    Its C is chosen and its outputs are calibrated by inner folds; nothing but ``examples``, of the
    training split, is looked at. Where there are no folds, C is 1 and the temperature stays 1.

    Raises:
        UsageError: the task has no such head.

    >>> from headstart.tasks.classes import Classes
    >>> x = np.array([[0.0], [1.0], [2.0], [3.0]], np.float32)
    >>> truth = Targets(Classes(("low", "high")), np.array([0, 0, 1, 1]))
    >>> head, _ = solve("logistic", Examples(x, truth))
    >>> head.logits(x).argmax(axis=1).tolist()
    [0, 0, 1, 1]
    """
    features, values = examples.features, examples.targets.values
    task = examples.targets.task.learned(values)
    name = task.own if name == OWN else name
    if name not in task.solvers:
        raise unknown(f"head of {task.name}", name, task.solvers)
    strengths = STRENGTHS if name in HAS_STRENGTH else (1.0,)
    with _few_threads(features):
        x, unscale = _scaled(features, examples.widths or [features.shape[1]])
        x, unrotate = _rotated(x) if name in HAS_STRENGTH else (x, _same)
        folds, targets = task.folds(values, seed), Targets(task, values)
        strength, temperature, taught = _choose(task.solvers[name], x, targets, strengths, folds)
        head = task.solvers[name](x, values, task.n_outputs, strength)
    chosen = f"C={strength:g}" if name in HAS_STRENGTH else ""
    found = replace(unscale(unrotate(head)), temperature=temperature, chosen=chosen)
    return taught.finished(found, values), taught


def out_of_fold(
    name: str, examples: Examples, *, seed: int = 0, strength: float | None = None
) -> tuple[Indices, Matrix]:
    """Return rows of ``examples`` and their calibrated outputs by heads that have not seen them.

    The heads are solved on the inner folds of the task, as those are by which `solve` chooses C.

    Args:
        name: of the head.
        examples: what is learned from.
        seed: of the folds.
        strength: C, where it is known already; None chooses it as `solve` does.

    Returns:
        rows: shape (M,), of those that are in a test fold; empty where there are no folds.
        outputs: shape (M, K).

    >>> from headstart.tasks.classes import Classes
    >>> x = np.array([[0.0], [1.0], [2.0], [3.0]], np.float32)
    >>> truth = Targets(Classes(("low", "high")), np.array([0, 0, 1, 1]))
    >>> rows, outputs = out_of_fold("logistic", Examples(x, truth))
    >>> outputs[np.argsort(rows)].argmax(axis=1).tolist()
    [0, 0, 1, 1]
    """
    features, values = examples.features, examples.targets.values
    task = examples.targets.task.learned(values)
    name = task.own if name == OWN else name
    solver, folds = task.solvers[name], task.folds(values, seed)
    if not folds:
        return np.empty(0, np.int64), np.empty((0, task.n_outputs), np.float32)
    with _few_threads(features):
        x, _ = _scaled(features, examples.widths or [features.shape[1]])
        x = _rotated(x)[0] if name in HAS_STRENGTH else x
        targets = Targets(task, values)
        chosen = strength or _choose(solver, x, targets, STRENGTHS, folds)[0]
        parts = [
            solver(x[fit], values[fit], task.n_outputs, chosen).logits(x[test])
            for fit, test in folds
        ]
    rows, outputs = np.concatenate([test for _, test in folds]), np.concatenate(parts)
    temperature, _ = task.settled(outputs, values[rows])
    return rows, np.asarray(outputs / temperature, np.float32)


@contextmanager
def _few_threads(x: Matrix) -> Iterator[None]:
    """Solve small problems on one thread: waking a second one costs up to five times more."""
    import scipy.optimize  # noqa: F401 - its libraries must be loaded to be limited
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1 if x.size < SMALL else None):
        yield


def _scaled(x: Matrix, widths: Sequence[int]) -> tuple[Matrix, Callable[[Head], Head]]:
    """Centre the features and divide each backbone's by one number.

    So C means the same for every backbone, and joined ones weigh alike. One number and not one for
    each feature: dividing each by its spread blows up features that hardly ever fire, which few
    shots cannot tell from signal.
    """
    mean = x.mean(axis=0)
    spread = ((x - mean) ** 2).mean(axis=0)
    parts = np.split(spread, np.cumsum(widths)[:-1])
    telling = max(1, sum(part.sum() > 0 for part in parts))  # a part of zeros changes nothing
    lengths = [float(np.sqrt(part.sum() * telling / 10.0)) or 1.0 for part in parts]
    scale = np.repeat(np.asarray(lengths, np.float32), widths)

    def undo(head: Head) -> Head:
        # With z = (x - mean) / scale:  w z + s z^2  multiplied out in x and x^2.
        weight = head.weight / scale
        bias = head.bias - weight @ mean
        if head.square is None:
            return replace(head, weight=weight, bias=bias)
        square = head.square / scale**2
        weight, bias = weight - 2 * square * mean, bias + square @ (mean * mean)
        return replace(head, weight=weight, bias=bias, square=square)

    return ((x - mean) / scale).astype(np.float32), undo


def _rotated(x: Matrix) -> tuple[Matrix, Callable[[Head], Head]]:
    """Express N < D rows in the N directions that they span.

    Exact for every solver that is penalised by |w|^2 or looks at distances: what is orthogonal to
    all rows gets no weight (the representer theorem). It makes few shots on wide features cheap.
    """
    if 2 * len(x) > x.shape[1]:
        return x, _same
    basis = np.linalg.qr(x.T)[0]

    def undo(head: Head) -> Head:
        return replace(head, weight=head.weight @ basis.T)

    return x @ basis, undo


def _same(head: Head) -> Head:
    return head


def _choose(
    solver: Solver, x: Matrix, targets: Targets, strengths: tuple[float, ...], folds: Folds
) -> tuple[float, float, Task]:
    """Return the C with the least loss on the test rows of ``folds``, and what they teach."""
    task, y = targets.task, targets.values
    best = (np.inf, 1.0, 1.0, task)
    if not folds:
        return best[1:]
    judged = np.concatenate([test for _, test in folds])
    for strength in strengths:
        heads = [(solver(x[fit], y[fit], task.n_outputs, strength), test) for fit, test in folds]
        out = np.concatenate([head.logits(x[test]) for head, test in heads])
        temperature, taught = task.settled(out, y[judged])
        loss = task.loss(np.asarray(out / temperature, np.float32), y[judged])
        if loss < best[0]:
            best = (loss, strength, temperature, taught)
    return best[1:]
