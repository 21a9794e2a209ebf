"""What needs no backbone is in every comparison, measured as plain scikit-learn would."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from conftest import bars, sentences
from headstart.data.split import split
from headstart.evaluation import floors as module
from headstart.evaluation.design import fixed
from headstart.evaluation.floors import floors

NOW = float("-inf")


def test_the_constant_answer_is_there_however_late_it_is() -> None:
    data = bars(per_class=20)
    design = fixed(split(data, np.arange(40), val=0.5, seed=0), 0)
    (found,) = floors(data, design, ["all"], 1, NOW)
    assert (found.name, found.mean) == ("constant answer", pytest.approx(0.5))


def test_few_texts_are_always_counted_and_many_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    data = sentences(per_class=20)
    design = fixed(split(data, np.arange(40), val=0.5, seed=0), 0)
    names = [one.name for one in floors(data, design, [2, "all"], 2, NOW)]
    assert names == ["constant answer", "tf-idf + linear head", "tf-idf + linear head"]
    monkeypatch.setattr(module, "FEW", 10)
    assert [one.name for one in floors(data, design, ["all"], 1, NOW)] == ["constant answer"]


def test_tf_idf_is_scikit_learns() -> None:
    from sklearn.dummy import DummyClassifier
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    data = sentences(per_class=30)
    wrong = np.random.default_rng(0).permutation(60)[:20]
    labels = data.known.values.copy()
    labels[wrong] = 1 - labels[wrong]
    data = replace(data, targets=replace(data.known, values=labels))
    parts = split(data, np.arange(60), val=0.5, seed=0)
    texts = [data.content(i).decode() for i in range(60)]
    truth = labels
    judge = make_pipeline(
        TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), token_pattern=r"(?u)\b\w+\b"),
        LogisticRegression(C=10.0),
    )
    train, test = parts.train, parts.held_out
    judge.fit([texts[i] for i in train], truth[train])
    right = judge.score([texts[i] for i in test], truth[test])
    constant = DummyClassifier().fit(train[:, None], truth[train]).score(test[:, None], truth[test])
    assert 0.5 < right < 0.9
    found = floors(data, fixed(parts, 0), ["all"], 1, NOW)
    assert [one.mean for one in found] == pytest.approx([constant, right])
