"""Convex heads: solved on features, not stepped. No torch here.

Whatever the solver, the result is one `Head`: logits that are linear in the features (naive Bayes:
linear in the features and their squares), kept as plain arrays. One way to predict, save and
export serves them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart.errors import unknown

Matrix = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

Folds = list[tuple[Labels, Labels]]
"""Rows to solve on, and rows to judge by."""

STRENGTHS = tuple(float(c) for c in np.logspace(-2, 2, 7))
"""Inverse regularisation strengths C that the inner cross-validation chooses from, on features
scaled to a mean square length of 10."""

SMALL = 4_000_000
"""Numbers in a feature matrix below which one thread solves fastest."""

ABSENT = -20.0
"""Logit of a class without examples, where the best of the others has 0 or more: it is never
answered, however far an item is from all others, and yet no loss is ruined by it."""

MOST_ROWS_TO_CHOOSE = 4000
"""Rows that choosing C looks at; the final head is solved on all of them."""


@dataclass(frozen=True)
class Examples:
    """Features of items and the classes of the same items, cut together and so always in step.

    Attributes:
        features: shape (N, D).
        labels: shape (N,), 0..``n_classes`` - 1; row i of both is one item.
        n_classes: number of classes, also of those that have no example.
        widths: lengths of the vectors that were joined, where they were; they add up to D.

    Raises:
        ValueError: not as many labels as features.
    """

    features: Matrix
    labels: Labels
    n_classes: int
    widths: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if len(self.features) != len(self.labels):
            raise ValueError(f"{len(self.features)} features, but {len(self.labels)} labels")


@dataclass(frozen=True)
class Head:
    """logits = x @ weight.T + x**2 @ square.T + bias, then divided by ``temperature``.

    Attributes:
        weight: shape (C, D).
        bias: shape (C,).
        square: shape (C, D), or None.
        temperature: above 0; fitted on predictions for items that were not trained on, so that
            probabilities mean what they say (Guo et al. 2017, arXiv:1706.04599).
        chosen: what the inner cross-validation chose, for the report.
    """

    weight: Matrix
    bias: Matrix
    square: Matrix | None = None
    temperature: float = 1.0
    chosen: str = ""

    def logits(self, x: Matrix) -> Matrix:
        """Return the calibrated logits, shape (N, C), of features of shape (N, D)."""
        out = x @ self.weight.T + self.bias
        if self.square is not None:
            out = out + (x * x) @ self.square.T
        return np.asarray(out / self.temperature, np.float32)


def softmax(logits: Matrix) -> Matrix:
    """Return probabilities, shape (N, C), that sum to 1 in each row.

    >>> softmax(np.zeros((1, 2), np.float32)).tolist()
    [[0.5, 0.5]]
    """
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), np.float32)


def fit_temperature(logits: Matrix, labels: Labels) -> float:
    """Return the T that makes softmax(logits / T) most likely for ``labels``, in 0.05..20.

    The likelihood is convex in 1/T (Guo et al. 2017, section 4.2), so a golden-section search
    finds its minimum.
    """
    low, high, ratio = np.log(0.05), np.log(20.0), (np.sqrt(5) - 1) / 2

    def loss(log_t: float) -> float:
        scaled = logits.astype(np.float64) / np.exp(log_t)
        scaled -= scaled.max(axis=1, keepdims=True)
        picked = scaled[np.arange(len(labels)), labels]
        return float((np.log(np.exp(scaled).sum(axis=1)) - picked).mean())

    for _ in range(40):
        a, b = high - ratio * (high - low), low + ratio * (high - low)
        if loss(a) < loss(b):
            high = b
        else:
            low = a
    return float(np.exp((low + high) / 2))


Solver = Callable[[Matrix, Labels, int, float], Head]
"""From features (N, D), labels (N,), the number of classes and C, to a head."""

SOLVERS: dict[str, Solver] = {}
HAS_STRENGTH = {"logistic", "svm", "ridge"}


def solver(name: str) -> Callable[[Solver], Solver]:
    """Register the function that solves the head called ``name``."""

    def register(function: Solver) -> Solver:
        SOLVERS[name] = function
        return function

    return register


def _rows(values: Any, n_classes: int, present: Labels) -> Matrix:
    """Spread what was solved for the ``present`` classes over all; absent ones get none."""
    out = np.zeros((n_classes, *np.shape(values)[1:]), np.float32)
    out[present] = values
    return out


def of_present(n_classes: int, present: Labels, weight: Any, bias: Any, square: Any = None) -> Head:
    """Return the head of all classes from what was solved for the ``present`` ones, one row each.

    Where some are absent, the others' rows are shifted to a mean of zero, which changes no
    probability: the best of them then has a logit of 0 or more on any item, wherever it lies.
    """
    if len(present) < n_classes:
        weight, bias = weight - np.mean(weight, axis=0), bias - np.mean(bias)
        square = None if square is None else square - np.mean(square, axis=0)
    full_bias = np.full(n_classes, ABSENT, np.float32)
    full_bias[present] = bias
    squares = None if square is None else _rows(square, n_classes, present)
    return Head(_rows(weight, n_classes, present), full_bias, squares)


def _from_estimator(estimator: Any, n_classes: int) -> Head:
    """Turn scikit-learn's coefficients into a head; two classes share one row there."""
    present = np.asarray(estimator.classes_, np.int64)
    weight, bias = np.atleast_2d(estimator.coef_), np.atleast_1d(estimator.intercept_)
    if len(present) == 2 and len(weight) == 1:
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return of_present(n_classes, present, weight, bias)


@solver("logistic")
def _logistic(x: Matrix, y: Labels, n_classes: int, strength: float) -> Head:
    """Minimise |W|^2 / 2 + C sum of cross-entropies, the bias free, by L-BFGS.

    The same problem as scikit-learn's LogisticRegression, which the tests hold it against. Solved
    here, because importing scikit-learn takes longer than solving.
    """
    from scipy.optimize import minimize

    present, target = np.unique(y, return_inverse=True)
    n, width, k = len(y), x.shape[1], len(present)
    # Two rows of weights for two classes halve the penalty of the one row that is usual.
    cost = strength / 2 if k == 2 else strength
    data = np.asarray(x, np.float64)
    truth = np.zeros((n, k))
    truth[np.arange(n), target] = 1

    def loss(flat: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        weight, bias = flat[: k * width].reshape(k, width), flat[k * width :]
        logits = data @ weight.T + bias
        logits -= logits.max(axis=1, keepdims=True)
        chance = np.exp(logits)
        total = chance.sum(axis=1, keepdims=True)
        nll = np.log(total).sum() - (logits * truth).sum()
        gap = cost * (chance / total - truth)
        gradient = np.concatenate([(gap.T @ data + weight).ravel(), gap.sum(axis=0)])
        return float(cost * nll + 0.5 * (weight * weight).sum()), gradient

    options = {"maxiter": 2000, "maxfun": 4000, "gtol": 1e-4 * max(cost, 1e-3), "ftol": 1e-10}
    found = minimize(loss, np.zeros(k * (width + 1)), jac=True, method="L-BFGS-B", options=options)
    weight, bias = found.x[: k * width].reshape(k, width), found.x[k * width :]
    return of_present(n_classes, present, weight, bias)


@solver("svm")
def _svm(x: Matrix, y: Labels, n_classes: int, strength: float) -> Head:
    from sklearn.svm import LinearSVC

    # liblinear shuffles; without a seed of its own it would draw on NumPy's global state.
    model = LinearSVC(C=strength, max_iter=10_000, random_state=0)
    return _from_estimator(model.fit(x, y), n_classes)


@solver("ridge")
def _ridge(x: Matrix, y: Labels, n_classes: int, strength: float) -> Head:
    from sklearn.linear_model import RidgeClassifier

    return _from_estimator(RidgeClassifier(alpha=1 / strength).fit(x, y), n_classes)


@solver("centroid")
def _centroid(x: Matrix, y: Labels, n_classes: int, strength: float) -> Head:
    """Nearest class mean: -|x - m|^2, of which the term |x|^2, equal for all, is left out."""
    present = np.unique(y)
    means = np.stack([x[y == c].mean(axis=0) for c in present])
    return of_present(n_classes, present, 2 * means, -(means**2).sum(axis=1))


@solver("bayes")
def _bayes(x: Matrix, y: Labels, n_classes: int, strength: float) -> Head:
    """Gaussian naive Bayes: log prior + log normal densities, multiplied out in x and x^2."""
    from sklearn.naive_bayes import GaussianNB

    # A floor of a hundredth of the largest variance: with few shots a feature that happens to be
    # constant in a class would decide alone.
    model = GaussianNB(var_smoothing=1e-2).fit(x, y)
    mean, var = model.theta_, np.maximum(model.var_, 1e-12)  # 0 where all rows are equal
    density = 0.5 * (np.log(2 * np.pi * var) + mean**2 / var).sum(axis=1)
    bias = np.log(model.class_prior_) - density
    return of_present(n_classes, model.classes_, mean / var, bias, -0.5 / var)


def solve(name: str, examples: Examples, *, seed: int = 0) -> Head:
    """Return the head called ``name``, its C chosen and its temperature fitted by inner folds.

    Nothing but ``examples``, of the training split, is looked at. A class with a single example
    has no part in the inner folds; where fewer than two classes have more, C is 1 and the
    temperature stays 1. A class without any is never answered.

    Raises:
        UsageError: no such head.

    >>> x = np.array([[0.0], [1.0], [2.0], [3.0]], np.float32)
    >>> head = solve("logistic", Examples(x, np.array([0, 0, 1, 1]), 2))
    >>> head.logits(x).argmax(axis=1).tolist()
    [0, 0, 1, 1]
    """
    if name not in SOLVERS:
        raise unknown("head", name, SOLVERS)
    strengths = STRENGTHS if name in HAS_STRENGTH else (1.0,)
    features, labels, n_classes = examples.features, examples.labels, examples.n_classes
    with _few_threads(features):
        x, unscale = _scaled(features, examples.widths or [features.shape[1]])
        x, unrotate = _rotated(x) if name in HAS_STRENGTH else (x, _same)
        folds = _inner_folds(labels, n_classes, seed)
        strength, temperature = _choose(name, x, labels, n_classes, strengths, folds)
        head = SOLVERS[name](x, labels, n_classes, strength)
    chosen = f"C={strength:g}" if name in HAS_STRENGTH else ""
    found = replace(unscale(unrotate(head)), temperature=temperature, chosen=chosen)
    absent = np.bincount(labels, minlength=n_classes) == 0
    # The temperature is not the absent classes' own: they keep their logit under any.
    return replace(found, bias=np.where(absent, np.float32(ABSENT * temperature), found.bias))


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
    lengths = [float(np.sqrt(part.sum() * len(parts) / 10.0)) or 1.0 for part in parts]
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
    name: str, x: Matrix, y: Labels, n_classes: int, strengths: tuple[float, ...], folds: Folds
) -> tuple[float, float]:
    """Return the C with the least log loss on the test rows of ``folds``, and its temperature."""
    best = (np.inf, 1.0, 1.0)
    if not folds:
        return best[1:]
    judged = np.concatenate([test for _, test in folds])
    for strength in strengths:
        heads = [(SOLVERS[name](x[fit], y[fit], n_classes, strength), test) for fit, test in folds]
        out = np.concatenate([head.logits(x[test]) for head, test in heads])
        temperature = fit_temperature(out, y[judged])
        chance = softmax(np.asarray(out / temperature, np.float32))[np.arange(len(out)), y[judged]]
        loss = -np.log(chance + 1e-12).mean()
        if loss < best[0]:
            best = (float(loss), strength, temperature)
    return best[1:]


def _inner_folds(y: Labels, n_classes: int, seed: int) -> Folds:
    """Return up to five folds; none where fewer than two classes have two examples."""
    rows = np.random.default_rng(seed).permutation(len(y))[:MOST_ROWS_TO_CHOOSE]
    counts = np.bincount(y[rows], minlength=n_classes)
    # A class must be in the training part of every fold, or its items would only be in the way.
    rows = rows[counts[y[rows]] >= 2]
    if len(np.unique(y[rows])) < 2:
        return []
    found = _folds(y[rows], min(5, int(counts[counts >= 2].min())), seed)
    return [(rows[train], rows[test]) for train, test in found]


def _folds(y: Labels, n: int, seed: int) -> Iterator[tuple[Labels, Labels]]:
    """Yield (train, test) rows of ``n`` folds with the classes spread evenly over them."""
    order = np.random.default_rng([seed, 4]).permutation(len(y))
    by_class = order[np.argsort(y[order], kind="stable")]
    fold = np.empty(len(y), np.int64)
    fold[by_class] = np.arange(len(y)) % n
    for k in range(n):
        yield np.flatnonzero(fold != k), np.flatnonzero(fold == k)


# Heads with a file of their own register themselves, and are made of what stands above.
for _found in iter_modules([str(Path(__file__).with_name("solvers"))]):
    import_module(f"headstart.boundary.solvers.{_found.name}")
