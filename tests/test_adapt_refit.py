"""`adapt-refit`: the last blocks as `partial:-2` trains them, then a head solved on all labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import headstart
from conftest import bars
from headstart.errors import UsageError
from headstart.settings.groups import Options
from headstart.strategies.registry import strategy
from headstart.tasks.solvers import softmax

HOW: dict[str, Any] = {"epochs": 3, "batch": 8, "device": "cpu"}


def test_it_is_partial_with_another_head() -> None:
    made, plain = (
        strategy(name).plan(6, 64, Options(epochs=5)) for name in ("adapt-refit", "partial:-2")
    )
    assert (made.stages, made.solver, plain.solver) == (plain.stages, "own", None)
    assert strategy("adapt-refit").plan(1, 9, Options()).stages[0].groups[0].blocks == (0,)


@pytest.mark.parametrize("each", [8, 40])
def test_all_labels_train_and_the_head_is_solved_on_them(each: int) -> None:
    data = bars(each)
    found = headstart.fit(data, strategy="adapt-refit", **HOW)
    model, train = found.fitted.model, found.parts.train
    assert model.backbone is not None
    if each < 16:  # `partial` sets nothing aside either
        plain = headstart.fit(data, strategy="partial:-2", **HOW).fitted.model
        assert plain.backbone is not None
        ours, theirs = (one.net.state_dict() for one in (model.backbone, plain.backbone))
        assert all(np.array_equal(ours[k].numpy(), theirs[k].numpy()) for k in ours)
    features = model.described(data, np.arange(len(data)))
    strength = float(model.head.chosen.removeprefix("C="))
    x = features[train] - features[train].mean(axis=0)
    x *= (10 / (x**2).sum(axis=1).mean()) ** 0.5
    judge = LogisticRegression(C=strength, max_iter=5000, tol=1e-8)
    judge.fit(x, data.labels[train])
    logits = model.head.logits(features[train]) * model.head.temperature
    np.testing.assert_allclose(softmax(logits), judge.predict_proba(x), atol=2e-3)


def test_what_the_solved_head_does_not_read_is_refused() -> None:
    for option in ({"smoothing": 0.1}, {"class_weights": True}, {"soup": 2}, {"blend": True}):
        with pytest.raises(UsageError, match="not for adapt-refit"):
            headstart.fit(bars(), strategy="adapt-refit", **option)
