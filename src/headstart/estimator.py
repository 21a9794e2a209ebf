"""The scikit-learn estimators: the same fit, in pipelines, `cross_val_score`, `GridSearchCV`."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from headstart.backbones.choice import as_asked, require_learners
from headstart.backbones.entry import Entry
from headstart.backbones.registry import resolve_all
from headstart.backbones.usual import usual
from headstart.boundary.extract import vectors
from headstart.compute.device import pick
from headstart.data.dataset import Dataset, Kind
from headstart.data.injected import Beside
from headstart.data.items import missing
from headstart.data.memory.arrays import from_items
from headstart.data.memory.frames import column_of, columns_of, is_frame, parted
from headstart.data.memory.handed import items_of, kind_of, targets_of
from headstart.data.scan import scan
from headstart.errors import DataError
from headstart.settings.groups import Carried
from headstart.settings.option import require_kind, require_known, table
from headstart.settings.taking import signature
from headstart.strategies.registry import strategies
from headstart.tasks.solvers import softmax
from headstart.training.fitted import Fitted
from headstart.training.transfer import transfer

_OPTIONS = {k: row for k, row in table(Carried).items() if k not in ("backbone", "strategy")}


class _Transfer(BaseEstimator):  # type: ignore[misc]
    """What both estimators share: items in, a fitted model, its outputs."""

    task = "classes"
    """What is predicted."""

    numeric = False
    """Whether targets are numbers."""

    def __init__(
        self,
        backbone: str | None = None,
        strategy: str = "frozen",
        *,
        image_shape: tuple[int, int] | None = None,
        columns: Sequence[str] | None = None,
        **options: Any,
    ) -> None:
        require_known(options, Carried)
        self.backbone = backbone
        self.strategy = strategy
        self.image_shape = image_shape
        self.columns = columns
        for name, row in _OPTIONS.items():
            setattr(self, name, options.get(name, row.default))

    # scikit-learn reads the names of the parameters from here.
    __init__.__signature__ = signature(  # type: ignore[attr-defined]
        list(inspect.signature(__init__).parameters.values())[:-1], _OPTIONS.values()
    )

    def __sklearn_tags__(self) -> Any:
        """Say what X may be: tables, arrays of pictures, and paths."""
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        return tags

    def _fit(self, items: Any, targets: list[Any], beside: Beside | None) -> None:
        if isinstance(items, np.ndarray) and items.dtype != np.uint8:
            finite = items.astype(np.float64)
            self.value_range_ = (float(finite.min()), float(finite.max()))
        run = self._settings()
        (strategy,), device = strategies([run.strategy], run), pick(run.device)
        entries = self._entries(run, items)
        dataset = self._dataset(items, targets, entries[0].kind, beside)
        features = None
        if strategy.solves and all(entry.ready for entry in entries):
            # Kept: a grid search and cross-validation come by with the same pictures many times.
            faults, features = vectors(dataset, entries, device=device, seed=run.seed, keep=True)
        else:
            faults = {item.index: item.fault for item in scan(dataset) if item.fault}
        _refuse(faults, dataset)
        self.fitted_: Fitted = transfer(
            dataset, np.arange(len(dataset)), entries, run, features=features
        )

    def _settings(self) -> Carried:
        """Return the resolved settings; a parameter at its default counts as not given."""
        own = {"backbone": self.backbone, "strategy": self.strategy}
        rest = {name: getattr(self, name) for name in _OPTIONS}
        return Carried.of(own | {k: v for k, v in rest.items() if v != _OPTIONS[k].default})

    def _entries(self, run: Carried, items: Any) -> tuple[Entry, ...]:
        """Return the backbones as the settings want items read; without a name what suits them."""
        name = self.backbone or usual(self._dataset(items, None, kind_of(items)))[0]
        entries = resolve_all(name, seed=run.seed)
        require_kind(run, entries[0].kind, "X, by its backbone,", self.task)
        require_learners(run, entries)
        entries = as_asked(entries, run)
        return tuple(e.with_channels(run.channels) for e in entries) if run.channels else entries

    def _outputs(self, X: Any) -> npt.NDArray[np.float32]:  # noqa: N803
        """Return the model's outputs for items ``X``, shape (N, K)."""
        check_is_fitted(self)
        items, _ = self._checked(X)
        model = self.fitted_.model
        dataset = self._dataset(items, None, model.kind, self._beside(X))
        faults, _, outputs = model.attempt(dataset, device=pick(self.device))
        _refuse(faults, dataset)
        return outputs

    def _beside(self, X: Any) -> Beside | None:  # noqa: N803
        """Return the cells that are joined to the features; None where no columns are named."""
        return parted(X, self.columns)[1] if self.columns else None

    def _dataset(
        self, items: Any, targets: list[Any] | None, kind: Kind, beside: Beside | None = None
    ) -> Dataset:
        return replace(self._of_items(items, targets, kind), beside=beside)

    def _of_items(self, items: Any, targets: list[Any] | None, kind: Kind) -> Dataset:
        if kind == "image":
            return from_items(self._pixels(items), targets, task=self.task)
        if isinstance(items, np.ndarray):
            raise ValueError(
                f"the backbone '{self.backbone}' reads texts, but X is an array of numbers; give "
                "a list of strings, or a backbone for pictures."
            )
        return from_items(items, targets, "text", task=self.task)

    def _checked(self, X: Any, y: Any = None) -> tuple[Any, Any]:  # noqa: N803
        """Return X as a list of items or an array of pictures, and y as an array."""
        X = parted(X, self.columns)[0] if self.columns else X  # noqa: N806
        labels = None if y is None else _present(targets_of(y), "y")
        items = _listed(X)
        if items is not None:
            return _present(items, "X"), None if labels is None else np.asarray(labels)
        options: dict[str, Any] = {"reset": labels is not None, "allow_nd": True}
        X = items_of(X) if hasattr(X, "detach") and X.ndim > 2 else X  # noqa: N806
        seen = np.asarray(X)
        if seen.ndim <= 2 and seen.dtype != np.uint8:
            options["dtype"] = np.float64
        if y is None:
            return validate_data(self, X, **options), None
        options["y_numeric"] = self.numeric
        return validate_data(self, X, y, **options)  # type: ignore[no-any-return]

    def _pixels(self, items: Any) -> Any:
        """Return pictures as uint8, (N, H, W) or (N, H, W, C); paths as they are."""
        if isinstance(items, list):
            return items
        if items.dtype != np.uint8:
            low, high = self.value_range_
            scaled = (items.astype(np.float64) - low) / ((high - low) or 1.0)
            items = (255 * np.clip(scaled, 0, 1)).round().astype(np.uint8)
        if items.ndim > 2:
            return items
        height, width = self.image_shape or (int(np.ceil(np.sqrt(items.shape[1]))),) * 2
        if height * width < items.shape[1]:
            raise ValueError(
                f"image_shape {self.image_shape} holds {height * width} numbers, but the rows of X "
                f"have {items.shape[1]}."
            )
        padded = np.zeros((len(items), height * width), np.uint8)
        padded[:, : items.shape[1]] = items
        return padded.reshape(-1, height, width)


class TransferClassifier(ClassifierMixin, _Transfer):  # type: ignore[misc]
    """Classify pictures or texts with a pre-trained backbone, as a scikit-learn estimator.

    With a backbone for texts (``minilm``, say) ``X`` is N texts: a list, a column of pandas,
    polars, Arrow or Hugging Face, or a frame of such columns, which are joined. Otherwise one of

    - N paths of picture files, Pillow's pictures, tensors or bytes of files;
    - an array (N, H, W) or (N, H, W, C) of pictures;
    - a table (N, D) of numbers, each row one flattened grey picture: of ``image_shape``, or of the
      smallest square that holds D numbers.

    Numbers that are not uint8 are scaled by the least and the largest value seen in `fit`. Items
    that cannot be read or are missing (None, NaN) stop `fit` and `predict` with an error that names
    them: an estimator must answer for every row. An option that the strategy does not read stops
    `fit`; a grid over strategies gives each its own: ``[{"strategy": ["frozen"]}, {"strategy":
    ["warm"], "epochs": [2, 5]}]``.

    Args:
        backbone: a name, or ``x+y`` to join features; None for what suits the items.
        strategy: "frozen", "warm", "partial:-3", ..., see `headstart.strategies`.
        image_shape: (H, W) of the rows of a table.
        columns: of a frame, what is joined to the features: numbers, categories, vectors.
        **options: those of `headstart.fit` that are not about files, see ``docs/options.md``.

    Attributes:
        classes_: the class labels.
        n_features_in_: D, where X was a table.
        fitted_: the `headstart.training.fitted.Fitted` model.

    >>> X = np.zeros((8, 8, 8), np.uint8); X[4:, :, 4] = 255
    >>> X += np.arange(8, dtype=np.uint8)[:, None, None]
    >>> model = TransferClassifier().fit(X, ["blank"] * 4 + ["line"] * 4)
    >>> model.predict(X[:1]).tolist()
    ['blank']
    """

    def __sklearn_tags__(self) -> Any:
        """Say what X may be, and that rows of a few numbers are no pictures."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = True
        return tags

    def fit(self, X: Any, y: Any) -> TransferClassifier:  # noqa: N803 - scikit-learn's names
        """Fit on items ``X`` with labels ``y``, shape (N,)."""
        if y is None:
            raise ValueError("fit requires y to be passed, but the target y is None")
        items, labels = self._checked(X, y)
        check_classification_targets(labels)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"y has one class, {self.classes_.tolist()}; a classifier needs at least two."
            )
        self._fit(items, codes.tolist(), self._beside(X))
        return self

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:  # noqa: N803
        """Return probabilities, shape (N, C), in the order of ``classes_``."""
        chances = softmax(self._outputs(X)).astype(np.float64)
        return np.asarray(chances / chances.sum(axis=1, keepdims=True))

    def predict(self, X: Any) -> npt.NDArray[Any]:  # noqa: N803
        """Return the most likely class of each item, shape (N,)."""
        chances = self.predict_proba(X)
        return np.asarray(self.classes_[chances.argmax(axis=1)])


class TransferRegressor(RegressorMixin, _Transfer):  # type: ignore[misc]
    """Predict a number from pictures or texts, as a scikit-learn estimator.

    What ``X`` and the options may be says `TransferClassifier`; the head of "frozen" is ridge.

    Attributes:
        n_features_in_: D, where X was a table.
        fitted_: the `headstart.training.fitted.Fitted` model.

    >>> X = np.zeros((40, 8, 8), np.uint8)
    >>> for row, picture in enumerate(X): picture[: row // 5] = 255
    >>> X += np.arange(40, dtype=np.uint8)[:, None, None]
    >>> model = TransferRegressor().fit(X, np.arange(40) // 5 / 8)
    >>> bool(abs(model.predict(X[20:21])[0] - 0.5) < 0.1)
    True
    """

    task = "number"
    numeric = True

    def __sklearn_tags__(self) -> Any:
        """Say what X may be, and that rows of a few numbers are no pictures."""
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True
        return tags

    def fit(self, X: Any, y: Any) -> TransferRegressor:  # noqa: N803 - scikit-learn's names
        """Fit on items ``X`` with numbers ``y``, shape (N,)."""
        if y is None:
            raise ValueError("fit requires y to be passed, but the target y is None")
        items, numbers = self._checked(X, y)
        self._fit(items, np.asarray(numbers, np.float64).tolist(), self._beside(X))
        return self

    def predict(self, X: Any) -> npt.NDArray[np.float64]:  # noqa: N803
        """Return a number an item, shape (N,)."""
        outputs = self._outputs(X)
        answers = self.fitted_.model.task.answers(outputs)
        return np.array([answer["value"] for answer in answers])

    def predict_interval(self, X: Any) -> npt.NDArray[np.float64]:  # noqa: N803
        """Return the ends of each item's 90 % interval, shape (N, 2); nan where not known."""
        outputs = self._outputs(X)
        answers = self.fitted_.model.task.answers(outputs)
        unknown = [np.nan, np.nan]
        return np.array([answer["interval"] or unknown for answer in answers])


def _listed(X: Any) -> list[Any] | None:  # noqa: N803
    """Return texts, paths and pictures as a list; None where X is numbers."""
    if is_frame(X):
        return _texts_in(X)
    column = column_of(X)
    items = list(X) if column is None and isinstance(X, list | tuple) else column
    if not items:
        return None
    first: Any = next((one for one in items if not missing(one)), None)
    item = isinstance(first, str | bytes | PathLike) or hasattr(first, "convert") or first is None
    return items if item or (hasattr(first, "detach") and first.ndim > 1) else None


def _texts_in(frame: Any) -> list[Any] | None:
    """Return the cells of a frame of texts, several columns joined; None for one of numbers."""
    columns = columns_of(frame)
    words = [[isinstance(one, str) for one in cells if not missing(one)] for cells in columns]
    if len(columns) == 1 and not any(isinstance(one, int | float) for one in columns[0]):
        return columns[0]
    if not columns or not all(one and all(one) for one in words):
        return None
    rows = zip(*columns, strict=True)
    return [" ".join(one for one in row if not missing(one)) or None for row in rows]


def _present(values: list[Any], what: str) -> list[Any]:
    """Return ``values``, of which none may be missing."""
    absent = [i for i, value in enumerate(values) if missing(value)]
    if absent:
        rows = ", ".join(map(str, absent[:5])) + ", ..." * (len(absent) > 5)
        raise ValueError(
            f"Input {what} contains NaN or None in {len(absent)} of {len(values)} rows: {rows}; "
            "leave these rows out."
        )
    return values


def _refuse(faults: dict[int, str], dataset: Dataset) -> None:
    """Raise for items that cannot be read: an estimator must answer for every row."""
    if faults:
        index, reason = next(iter(faults.items()))
        raise DataError(f"{len(faults)} items cannot be read: {dataset.names[index]}: {reason}")
