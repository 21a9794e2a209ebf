"""Backbones in order: the scores against outside judges, the heads inside the training part."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import kendalltau, multivariate_normal

import headstart
from conftest import bars, sentences
from headstart.errors import UsageError
from headstart.evaluation.suits import agreement, h_score, log_me


def test_log_me_is_the_greatest_evidence_there_is() -> None:
    """Against the normal density of the targets, its two strengths found by a general search."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 4))
    y = x @ [1.0, -0.5, 0.0, 0.3] + rng.normal(0, 0.7, 30)
    centred, target = x - x.mean(0), y - y.mean()

    def against(strengths: np.ndarray) -> float:
        alpha, beta = np.exp(strengths)
        covariance = centred @ centred.T / alpha + np.eye(30) / beta
        return -float(multivariate_normal.logpdf(target, np.zeros(30), covariance))

    found = minimize(against, [0.0, 0.0], method="Nelder-Mead")
    assert log_me(x, y[:, None]) == pytest.approx(-found.fun / 30, abs=1e-3)


@pytest.mark.parametrize("n", [60, 8])
def test_h_score_is_its_formula(n: int) -> None:
    rng = np.random.default_rng(1)
    labels = np.arange(n) % 2
    x = rng.normal(size=(n, 12)) + labels[:, None]
    centred = x - x.mean(0)
    covariance = 0.9 * centred.T @ centred / n + 0.1 * (centred**2).mean() * np.eye(12)
    means = np.stack([centred[labels == c].mean(0) for c in labels])
    between = means.T @ means / n
    assert h_score(x, labels) == pytest.approx(np.trace(np.linalg.inv(covariance) @ between))


def test_agreement_is_kendalls() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.integers(0, 5, 12).astype(float), rng.normal(size=12)
    assert agreement(a, b) == pytest.approx(kendalltau(a, b).statistic)
    assert np.isnan(agreement(np.ones(3), b[:3]))


def test_the_better_backbone_comes_first(glyph_graph: Any) -> None:
    data = bars(per_class=15, classes=3)
    found = headstart.rank(data, backbones=["random:glyphs", "glyphs"], draws=1)
    said = json.loads(json.dumps(found.to_json()))
    assert [row["mean"] for row in said["rows"]] == sorted(
        (row["mean"] for row in said["rows"]), reverse=True
    )
    assert said["n"] == 36, "nothing held out is looked at"
    keys = {"backbone", "mean", "low", "high", "verdict", "logme", "h_score", "n_features"}
    assert all(row.keys() >= keys for row in said["rows"])
    assert said["rows"][0]["verdict"] == "best"
    assert said["quadrant"].startswith("small data")
    assert "logme" in said["agreements"]


def test_what_has_learned_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="has no features to rank"):
        headstart.rank(sentences(), backbones=["textcnn"])
