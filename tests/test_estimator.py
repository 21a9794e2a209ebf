"""The scikit-learn estimator: scikit-learn's own checks, pipelines, searches, paths and arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks

from conftest import bars, save_bars
from headstart import TransferClassifier, TransferRegressor
from headstart.errors import DataError, UsageError


def pictures(**how: int) -> tuple[np.ndarray, np.ndarray]:
    """Return an array of pictures, shape (N, 8, 8), and labels that are texts."""
    import io

    data = bars(**how)
    stacked = np.stack([np.load(io.BytesIO(data.content(i))) for i in range(len(data))])
    return stacked, np.array(data.classes)[data.labels]


@pytest.fixture(autouse=True)
def _graph(glyph_graph: Path) -> None:
    """Every test starts with the exported graph."""


@pytest.mark.slow
@parametrize_with_checks([TransferClassifier()])
def test_checks_of_scikit_learn(estimator: Any, check: Any) -> None:
    check(estimator)


# A batch of another size is summed in another order, and 32 bits round by their last digit.
ROUNDED = {"check_methods_subset_invariance": "asks for 64 bits of numbers near zero"}


@parametrize_with_checks([TransferRegressor()], expected_failed_checks=lambda _: ROUNDED)
def test_checks_of_scikit_learn_on_numbers(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([TransferClassifier(strategy="partial:-1", epochs=1)])
def test_checks_of_scikit_learn_by_steps(estimator: Any, check: Any) -> None:
    check(estimator)


def test_cross_validation() -> None:
    x, y = pictures()
    np.testing.assert_array_equal(cross_val_score(TransferClassifier(), x, y, cv=3), 1.0)


def test_grid_search_over_strategies() -> None:
    x, y = pictures(per_class=8)
    # An option that a strategy does not read is refused, so each has a grid of its own.
    steps = {"strategy": ["partial:-1", "warm"], "epochs": [1]}
    search = GridSearchCV(TransferClassifier(), [{"strategy": ["frozen"]}, steps], cv=2).fit(x, y)
    assert search.best_score_ == 1.0
    assert set(search.cv_results_["param_strategy"]) == {"frozen", "partial:-1", "warm"}
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.predict(x[:2]).tolist() == y[:2].tolist()


def test_a_pipeline() -> None:
    x, y = pictures()
    model = make_pipeline(FunctionTransformer(lambda values: 255 - values), TransferClassifier())
    assert model.fit(x, y).score(x, y) == 1.0


def test_paths(tmp_path: Path) -> None:
    root = save_bars(tmp_path)
    paths = sorted(root.rglob("*.png"))
    labels = [path.parent.name for path in paths]
    model = TransferClassifier().fit(paths, labels)
    assert model.predict(paths).tolist() == labels
    assert model.predict(np.array([str(path) for path in paths])).tolist() == labels
    assert not hasattr(model, "n_features_in_")


@pytest.mark.parametrize("strategy", ["frozen", "partial:-1"])
def test_an_item_that_cannot_be_read_stops_with_its_name(strategy: str, tmp_path: Path) -> None:
    root = save_bars(tmp_path)
    bad = root / "bar 0" / "bad.png"
    bad.write_text("rubbish")
    paths = sorted(root.rglob("*.png"))
    labels = [path.parent.name for path in paths]
    steps = {} if strategy == "frozen" else {"epochs": 1}
    model = TransferClassifier(strategy=strategy, **steps)
    with pytest.raises(DataError, match=r"1 items cannot be read: .*bad.png: not an image"):
        model.fit(paths, labels)
    good = [path for path in paths if path != bad]
    model.fit(good, [path.parent.name for path in good])
    with pytest.raises(DataError, match="bad.png"):
        model.predict([good[0], bad])


def test_rows_of_a_table_are_flattened_pictures() -> None:
    x, y = pictures()
    flat = x.reshape(len(x), -1)
    model, same = TransferClassifier().fit(flat, y), TransferClassifier().fit(x, y)
    np.testing.assert_array_equal(model.predict_proba(flat), same.predict_proba(x))
    assert model.n_features_in_ == 64
    # Numbers of another range come to the same pictures, up to rounding.
    scaled = TransferClassifier().fit((flat - 100.0) / 7, y)
    assert scaled.predict((flat - 100.0) / 7).tolist() == y.tolist()
    wide = TransferClassifier(image_shape=(4, 16)).fit(flat, y)
    assert wide.fitted_.model.task.names == ("0", "1")
    with pytest.raises(ValueError, match="holds 4 numbers, but the rows of X have 64"):
        TransferClassifier(image_shape=(2, 2)).fit(flat, y)


def test_probabilities() -> None:
    x, y = pictures(classes=3)
    model = TransferClassifier().fit(x, y)
    chances = model.predict_proba(x)
    assert chances.shape == (36, 3)
    np.testing.assert_allclose(chances.sum(axis=1), 1)
    assert (
        model.classes_[chances.argmax(axis=1)].tolist() == model.predict(x).tolist() == y.tolist()
    )


def test_a_clone_is_unfitted_and_fits_the_same() -> None:
    x, y = pictures()
    model = TransferClassifier(strategy="partial:-1", epochs=1, seed=3).fit(x, y)
    copy = clone(model)
    assert copy.get_params() == model.get_params()
    with pytest.raises(NotFittedError):
        copy.predict(x)
    np.testing.assert_array_equal(copy.fit(x, y).predict_proba(x), model.predict_proba(x))


def test_bad_input() -> None:
    x, y = pictures()
    flat = x.reshape(len(x), -1).astype(float)
    flat[3, 5] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        TransferClassifier().fit(flat, y)
    with pytest.raises(ValueError, match="one class"):
        TransferClassifier().fit(x, ["same"] * len(x))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        TransferClassifier().fit(x, y[:-1])
    with pytest.raises(UsageError, match="did you mean 'frozen'"):
        TransferClassifier(strategy="frozn").fit(x, y)
    model = TransferClassifier().fit(x, y)
    flat = flat[:, :60]
    with pytest.raises(ValueError, match="NaN"):
        model.predict(flat)


def test_paths_with_too_few_labels(tmp_path: Path) -> None:
    paths = sorted(save_bars(tmp_path).rglob("*.png"))
    with pytest.raises(ValueError, match="one label an item"):
        TransferClassifier().fit(paths, ["a", "b"])


def test_numbers() -> None:
    x, y = pictures(per_class=20, classes=3)
    numbers = np.array([float(name[-1]) * 1.5 for name in y])
    model = TransferRegressor().fit(x[:45], numbers[:45])
    assert model.score(x[45:], numbers[45:]) > 0.9
    ends = model.predict_interval(x[45:])
    assert ends.shape == (15, 2) and (ends[:, 0] < ends[:, 1]).all()
    few = TransferRegressor().fit(x[:6], numbers[:6])
    assert np.isnan(few.predict_interval(x[:2])).all() and np.isfinite(few.predict(x[:2])).all()
    scores = cross_val_score(TransferRegressor(), x, numbers, cv=3)
    assert scores.min() > 0.8
    with pytest.raises(ValueError, match="continuous"):
        TransferClassifier().fit(x, numbers + np.linspace(0, 0.1, len(x)))
    stepped = TransferRegressor(strategy="partial:-1", epochs=1).fit(x, numbers)
    assert stepped.predict(x).shape == (60,)
