"""t-SNE against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.manifold import TSNE, trustworthiness

from headstart.report.tsne import divergence, gradient, joint, tsne


def blobs(n: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 12)) + 4 * rng.normal(size=(4, 12))[np.arange(n) % 4]
    x -= x.mean(axis=0)
    left, spread, _ = np.linalg.svd(x, full_matrices=False)
    return left * spread


@pytest.mark.slow
@pytest.mark.parametrize("n", [40, 200])
def test_as_good_a_map_as_scikit_learn_s(n: int) -> None:
    x, perplexity = blobs(n), min(30.0, (n - 1) / 3)
    mine, wanted = tsne(x, perplexity), joint(x, perplexity)
    judge = TSNE(method="exact", init="pca", perplexity=perplexity, random_state=0)
    theirs = judge.fit_transform(x).astype(np.float64)
    assert divergence(theirs, wanted) == pytest.approx(judge.kl_divergence_, rel=0.02)
    assert divergence(mine, wanted) < 1.1 * divergence(theirs, wanted) + 0.01
    assert trustworthiness(x, mine) > trustworthiness(x, theirs) - 0.03
    assert np.array_equal(mine, tsne(x, perplexity)), "the same again"


def test_the_slope_is_that_of_the_divergence() -> None:
    x = blobs(12)
    wanted, found = joint(x, 3.0), np.random.default_rng(1).normal(size=(12, 2))
    slope, step = gradient(found, wanted), 1e-6
    for i, k in ((0, 0), (5, 1), (11, 0)):
        moved = found.copy()
        moved[i, k] += step
        rise = (divergence(moved, wanted) - divergence(found, wanted)) / step
        assert slope[i, k] == pytest.approx(rise, rel=1e-3)


def test_equal_points_and_few_of_them() -> None:
    assert np.isfinite(tsne(np.zeros((9, 2)), 2.0)).all()
    assert np.isfinite(tsne(np.eye(8)[:, :3] - 1 / 8, 7 / 3)).all()
