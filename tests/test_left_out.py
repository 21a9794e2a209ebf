"""Answers about each item from all others, against scikit-learn fitted without it."""

from __future__ import annotations

import numpy as np
import pytest

from headstart.checks.left_out import answers, left_out, similar


def clouds(n: int = 30, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.arange(n) % classes
    return rng.normal(size=(n, 6)).astype(np.float32) + np.eye(6)[labels] * 2, labels


def test_the_closed_form_is_leaving_out_one_by_one() -> None:
    from sklearn.kernel_ridge import KernelRidge

    x, labels = clouds()
    kernel = similar(x)
    found = answers(kernel, labels, 0.3)
    target = np.where(labels[:, None] == np.arange(3), 1.0, -1.0)
    for i in range(len(x)):
        rest = np.delete(np.arange(len(x)), i)
        judge = KernelRidge(alpha=0.3, kernel="precomputed")
        judge.fit(kernel[np.ix_(rest, rest)], target[rest])
        assert found[i] == pytest.approx(judge.predict(kernel[[i]][:, rest])[0], abs=1e-8)


def test_the_kernel_is_a_gaussian_of_directions() -> None:
    from sklearn.metrics.pairwise import cosine_distances

    x, _ = clouds()
    apart = 2 * cosine_distances(x - x.mean(axis=0))
    usual = np.median(apart[~np.eye(len(x), dtype=bool)])
    assert similar(x) == pytest.approx(np.exp(-0.5 * apart / usual) + 1)
    scaled = np.concatenate([x[:, :2] * 50, x[:, 2:]], axis=1)
    assert similar(scaled, [2, 4]) == pytest.approx(similar(x, [2, 4])), (
        "joined vectors weigh alike"
    )
    assert np.isfinite(similar(np.ones((4, 3)))).all()


def test_chances_are_calibrated_and_a_lone_item_is_not_judged() -> None:
    x, labels = clouds(90)
    labels[0] = 4
    rows, chances = left_out(x, labels)
    assert rows.tolist() == list(range(1, 90))
    assert chances.shape == (89, 5)
    assert (chances[:, 3:] == 0).all(), "classes that nothing is known of"
    assert chances.sum(axis=1) == pytest.approx(1)
    right = (chances.argmax(axis=1) == labels[rows]).mean()
    assert right > 0.7
    assert chances.max(axis=1).mean() == pytest.approx(right, abs=0.08)
    none, _ = left_out(x[:2], np.array([0, 1]))
    assert not len(none)
