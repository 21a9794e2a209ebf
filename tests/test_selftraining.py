"""Items without labels: used only where the answers inside the labelled ones get better."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import headstart
from conftest import bars, sentences
from headstart.backbones.registry import resolve_all
from headstart.boundary.extract import extract
from headstart.data.dataset import Dataset
from headstart.errors import DataError, UsageError
from headstart.evaluation.selftraining import Learner
from headstart.settings.groups import Carried
from headstart.tasks.task import Targets


def learner(data: Dataset, unlabelled: np.ndarray, sure: float = 0.8, **how: Any) -> Learner:
    found, features = extract(data, resolve_all("glyphs"))
    run = Carried(**how)
    said = lambda line: None  # noqa: E731
    return Learner(
        found.dataset, unlabelled, resolve_all("glyphs"), run, sure, features, None, said
    )


def test_the_true_targets_of_items_without_labels_are_never_looked_at(glyph_graph: Path) -> None:
    data = bars(20, 3)
    train, rest = np.arange(24), np.arange(24, 60)
    shuffled = data.labels.copy()
    shuffled[rest] = 0
    lied = replace(data, targets=Targets(data.known.task, shuffled))
    outcomes = []
    for one in (data, lied):
        work = learner(one, rest)
        fitted, outcome = work.selftrained(work.fitted(train, one.labels), train)
        outcomes.append((outcome, fitted.model.head.weight))
    assert outcomes[0][0] == outcomes[1][0]
    np.testing.assert_array_equal(outcomes[0][1], outcomes[1][1])


def test_sure_answers_against_softmax(glyph_graph: Path) -> None:
    data = bars(20, 3)
    train, rest = np.arange(9), np.arange(9, 60)
    for sure in (0.5, 0.9, 0.999):
        work = learner(data, rest, sure)
        first = work.fitted(train, data.labels)
        outputs = work.outputs(first, rest)
        raised = np.exp(outputs - outputs.max(1, keepdims=True))
        chance = raised / raised.sum(1, keepdims=True)
        values, chosen = work.guesses(first)
        np.testing.assert_array_equal(chosen, rest[chance.max(1) >= sure])
        np.testing.assert_array_equal(values[rest], chance.argmax(1))
        np.testing.assert_array_equal(values[train], data.labels[train])


def test_kept_only_where_the_test_says_so(
    glyph_graph: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = bars(20, 3)
    train, rest = np.arange(30), np.arange(30, 60)
    work = learner(data, rest, 0.3)
    first = work.fitted(train, data.labels)
    truth = data.labels[train]
    right, wrong = 4 * np.eye(3, dtype=np.float32)[truth], np.zeros((30, 3), np.float32)
    noise = np.random.default_rng(0).normal(0, 1.0, right.shape).astype(np.float32)
    for sides, kept in (((wrong, right + noise), True), ((right + noise, wrong), False),
                        ((right + noise, right + noise), False)):  # fmt: skip
        monkeypatch.setattr(Learner, "_by_folds", lambda self, rows, s=sides: (truth, s))
        fitted, outcome = work.selftrained(first, train)
        assert outcome.kept == kept
        assert (fitted is not first) == kept
        assert (outcome.gain > 0) == (outcome.interval[0] > 0) or not kept
        assert ("are used" in outcome.sentence()) == kept
    monkeypatch.setattr(Learner, "_by_folds", lambda self, rows: None)
    fitted, outcome = work.selftrained(first, train)
    assert fitted is first
    assert "too few labels" in outcome.sentence()


@pytest.mark.parametrize("strategy", ["frozen", "partial:-1"])
def test_the_rest_of_the_training_items(strategy: str, glyph_graph: Path, tmp_path: Path) -> None:
    how: dict[str, Any] = {} if strategy == "frozen" else {"epochs": 1}
    result = headstart.fit(
        bars(20, 3), shots=4, unlabelled="rest", strategy=strategy, out=tmp_path / "out", **how
    )
    found = result.to_json()["unlabelled"]
    assert found["n"] == 60 - 12 - 12
    assert 0 <= found["sure"] <= found["n"]
    assert set(found["inner"]) == {"without", "with"}
    assert any("unlabelled items" in note for note in result.notes)
    assert headstart.load(tmp_path / "out").facts["unlabelled"] == found


def test_a_folder_without_labels_and_without_what_is_held_out(
    glyph_graph: Path, tmp_path: Path
) -> None:
    data = bars(10, 2)
    pictures = [np.load(io.BytesIO(data.content(i))) for i in range(20)]
    for i, picture in enumerate(pictures):
        folder = tmp_path / "data" / data.said(i)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder / f"{i}.png")
    loose = tmp_path / "loose"
    loose.mkdir()
    more = bars(10, 2, seed=5)
    for i in range(20):
        picture = np.load(io.BytesIO(more.content(i)))
        Image.fromarray(picture).save(loose / f"{i}.png")
    Image.fromarray(pictures[0]).save(loose / "copy.png")
    (loose / "damaged.png").write_bytes(b"no picture")
    result = headstart.fit(tmp_path / "data", unlabelled=str(loose))
    assert result.unlabelled is not None
    assert result.unlabelled["n"] == 20
    assert result.accuracy == 1.0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"unlabelled": "rest"}, "what --shots N leaves"),
        ({"unlabelled": "x", "refit": True}, "do not go together"),
        ({"sure": 0.9}, "give unlabelled too"),
        ({"unlabelled": "rest", "shots": 2, "sure": 1.5}, "sure is 1.5"),
    ],
)
def test_what_means_nothing_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        headstart.fit(bars(), **options)


def test_nothing_there(tmp_path: Path, glyph_graph: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        headstart.fit(bars(), unlabelled=str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="no usable items without labels"):
        headstart.fit(bars(12), shots=12, val=0.2, unlabelled="rest")
    table = tmp_path / "texts.csv"
    table.write_text("text\n" + "".join(f"a word {i} of many\n" for i in range(9)))
    with pytest.raises(DataError, match="no images|no usable items"):
        headstart.fit(bars(), unlabelled=str(tmp_path))
    assert headstart.fit(
        sentences(20), backbone="textcnn", strategy="scratch", epochs=1, unlabelled=str(table)
    ).unlabelled
