"""What stands beside an item in its table, joined to what a backbone makes of the item.

Numbers and vectors are standardised, categories become one number each; mean, spread and
categories are those of the training items alone, and travel with the model.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from headstart.errors import DataError

Matrix = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]
Row = Sequence[str | None]

MOST = 50
"""Categories of a column that are told apart: the most frequent ones."""

LARGEST = 1e100

NUMERIC = 0.9
"""Share of a column's cells that must be numbers, or vectors, for it to be read so."""


@dataclass(frozen=True)
class Beside:
    """Columns of a table, row by row.

    Attributes:
        names: of the C columns.
        rows: of N items, the cells as text; None where one is missing.
        matrix: shape (N, W), as numbers; None before anything was learned.
        reader: what has made the numbers.
    """

    names: tuple[str, ...]
    rows: tuple[Row, ...]
    matrix: Matrix | None = None
    reader: Reader | None = None

    @property
    def width(self) -> int:
        """Numbers of a row; 0 before anything was learned."""
        return 0 if self.matrix is None else self.matrix.shape[1]

    def take(self, indices: Indices) -> Beside:
        """Return the rows at ``indices``."""
        rows = tuple(self.rows[int(i)] for i in indices)
        matrix = None if self.matrix is None else self.matrix[indices]
        return Beside(self.names, rows, matrix, self.reader)

    def key(self, index: int) -> bytes:
        """Return what tells the row from others."""
        return json.dumps(self.rows[index]).encode()


@dataclass(frozen=True)
class Column:
    """How one column becomes numbers.

    Attributes:
        name: of the column.
        kind: what its cells are.
        mean: of each of its numbers on the training items.
        spread: their standard deviation; 0 where all are equal, and of categories 1.
        names: the categories.
    """

    name: str
    kind: Literal["number", "category", "vector"]
    mean: tuple[float, ...]
    spread: tuple[float, ...]
    names: tuple[str, ...] = ()

    def numbers(self, cells: Sequence[str | None]) -> Matrix:
        """Return shape (N, W): 0, the mean of the training items, where nothing is known."""
        width = len(self.mean)
        out = np.zeros((len(cells), width))
        scale = np.array([1 / one if one else 0.0 for one in self.spread])
        for row, cell in zip(out, cells, strict=True):
            found = self._read(cell)
            if found is not None and len(found) == width:
                row[:] = (found - self.mean) * scale
        return np.asarray(out, np.float32)

    def _read(self, cell: str | None) -> npt.NDArray[np.float64] | None:
        if self.kind != "category":
            return vector(cell)
        known = (cell or "").strip()
        if known not in self.names:
            return None
        return np.array([known == name for name in self.names], np.float64)


@dataclass(frozen=True)
class Reader:
    """From cells to numbers, as learned from training items.

    >>> table = Beside(("year", "by"), (("1990", "Ann"), ("2010", "Bob"), ("2000", "Ann")))
    >>> learn(table, np.arange(2)).read(table).matrix.round(2).tolist()
    [[-1.0, 0.5, -0.5], [1.0, -0.5, 0.5], [0.0, 0.5, -0.5]]
    """

    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that are read."""
        return tuple(one.name for one in self.columns)

    def read(self, beside: Beside | None) -> Beside:
        """Return the columns with their numbers.

        Raises:
            DataError: a column is not there.
        """
        held = beside.names if beside else ()
        missing = [name for name in self.names if name not in held]
        if beside is None or missing:
            raise DataError(
                f"the model reads the columns {', '.join(self.names)} beside each item, and "
                f"{', '.join(missing)} is not there; give a table that has them."
            )
        places = [held.index(name) for name in self.names]
        parts = [
            column.numbers([row[at] for row in beside.rows])
            for at, column in zip(places, self.columns, strict=True)
        ]
        return replace(beside, matrix=np.concatenate(parts, axis=1), reader=self)

    def facts(self) -> list[dict[str, Any]]:
        """Return what a bundle keeps; `saved` reads it back."""
        return [asdict(one) for one in self.columns]

    @classmethod
    def saved(cls, facts: Sequence[Mapping[str, Any]]) -> Reader:
        """Return what `facts` was called on."""
        tuples = ("mean", "spread", "names")
        return cls(tuple(Column(**{**one, **{k: tuple(one[k]) for k in tuples}}) for one in facts))


def learn(beside: Beside, train: Indices) -> Reader:
    """Return how the columns become numbers, from the rows at ``train`` alone.

    A column is of numbers, or of vectors of one length, where nearly all of its cells are; else of
    categories.

    Raises:
        DataError: a column has nothing on the training items.
    """
    rows = [beside.rows[int(i)] for i in train]
    return Reader(
        tuple(_column(name, [row[at] for row in rows]) for at, name in enumerate(beside.names))
    )


def _column(name: str, cells: Sequence[str | None]) -> Column:
    full = [cell for cell in cells if (cell or "").strip()]
    if not full:
        raise DataError(f"column '{name}' is empty on the training items; leave it out.")
    found = [one for one in map(vector, full) if one is not None]
    width = Counter(map(len, found)).most_common(1)[0][0] if found else 0
    kept = np.array([one for one in found if len(one) == width])
    if len(kept) < NUMERIC * len(full):
        return _categories(name, [str(cell).strip() for cell in full])
    kind: Literal["number", "vector"] = "number" if width == 1 else "vector"
    mean, spread = kept.mean(axis=0), kept.std(axis=0)
    return Column(name, kind, tuple(mean.tolist()), tuple(spread.tolist()))


def _categories(name: str, cells: Sequence[str]) -> Column:
    names = tuple(one for one, _ in Counter(cells).most_common(MOST))
    share = tuple(cells.count(one) / len(cells) for one in names)
    return Column(name, "category", share, (1.0,) * len(names), names)


def vector(cell: str | None) -> npt.NDArray[np.float64] | None:
    """Return the numbers in a cell, ``3.5``, ``1 2 3`` or ``[1, 2, 3]``; None for others.

    >>> vector("[1, 2.5]").tolist(), vector("Ann")
    ([1.0, 2.5], None)
    """
    parts = (cell or "").strip().strip("[]()").replace(",", " ").replace(";", " ").split()
    try:
        found = [float(part) for part in parts]
    except ValueError:
        return None
    # Of squares of what is larger there are soon no sums; NaN is not smaller than anything.
    return np.array(found) if found and all(abs(one) <= LARGEST for one in found) else None


def joined(features: Matrix, beside: Beside | None, indices: Indices) -> Matrix:
    """Return the features of the items at ``indices``, with their columns' numbers behind."""
    if beside is None or beside.matrix is None:
        return features
    return np.concatenate([features, beside.matrix[indices]], axis=1)


def of_rows(
    names: Sequence[str], n: int, row: Callable[[int], Mapping[str, Any]] | None
) -> Beside | None:
    """Return the columns ``names`` of ``n`` items as ``row`` tells them; None where it does not."""
    if row is None:
        return None
    held = [row(index) for index in range(n)]
    if any(name not in one for one in held for name in names):
        return None
    rows = tuple(tuple(_text(one[name]) for name in names) for one in held)
    return Beside(tuple(names), rows)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
