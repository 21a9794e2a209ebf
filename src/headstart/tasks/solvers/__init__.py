"""The convex heads of classes: from features and labels to one `Head` each. No torch here.

A file that lies beside this one is found, and registers its head itself.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart.tasks.head import Head
from headstart.tasks.task import Indices as Labels
from headstart.tasks.task import Matrix, Solver

ABSENT = -20.0
"""Logit of a class without examples, where the best of the others has 0 or more: it is never
answered, however far an item is from all others, and yet no loss is ruined by it."""

SOLVERS: dict[str, Solver] = {}


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


def softmax(logits: Matrix) -> Matrix:
    """Return probabilities, shape (N, C), that sum to 1 in each row.

    >>> softmax(np.zeros((1, 2), np.float32)).tolist()
    [[0.5, 0.5]]
    """
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), np.float32)


# Heads with a file of their own are made of what stands above.
for _found in iter_modules(__path__):
    import_module(f"{__name__}.{_found.name}")
