"""Tables and columns that are in memory: pandas, polars, Arrow, Hugging Face, dictionaries.

None of these libraries is imported here but pyarrow: what hands out Arrow's streams, or columns by
name, is a table, whoever made it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.data import folders
from headstart.data.dataset import Split
from headstart.data.injected import Beside, of_rows
from headstart.data.items import missing, packed
from headstart.data.tables import arrow
from headstart.data.tables.stream import Table
from headstart.errors import DataError, ItemError

if TYPE_CHECKING:
    import pyarrow as pa

NAME = Path("frame")
"""What a table in memory is called where a file would have its path."""


def tables_of(data: Any) -> dict[Split, Table] | None:
    """Return the tables of a frame, or of a dictionary of frames by split; None for others.

    Raises:
        DataError: it has no rows, or a column that no table can hold.

    >>> [*tables_of({"text": ["good", "bad"], "label": [1, 0]})[""].names]
    ['text', 'label']
    """
    if isinstance(data, Mapping) and data and all(folders.split_name(str(key)) for key in data):
        return {_split(key): _table(one, f"split '{key}'") for key, one in data.items()}
    found = _arrow(data)
    return None if found is None else {"": arrow.in_memory(found, NAME)}


def with_column(data: Any, values: list[Any]) -> tuple[dict[Split, Table], str]:
    """Return the frame with a column of targets beside it, and what that is called.

    Raises:
        DataError: there are more or fewer targets than rows.
    """
    table = _arrow(data)
    if table is None or table.num_rows != len(values):
        rows = "several tables" if table is None else f"{table.num_rows} rows"
        raise DataError(f"{rows} with {len(values)} labels; give one label a row.")
    name = next(n for n in ("target", "target.1", "target.2") if n not in table.column_names)
    told = table.append_column(name, _column(name, [_word(value) for value in values]))
    return {"": arrow.in_memory(told, NAME)}, name


def column_of(data: Any) -> list[Any] | None:
    """Return the cells of a column: a series, an Arrow array, an array of objects; else None.

    A frame of one column is one as well.

    >>> column_of(np.array(["a", None], object))
    ['a', None]
    """
    if isinstance(data, np.ndarray):
        return data.tolist() if data.ndim == 1 else None
    if is_frame(data):
        table = _arrow(data)
        return None if table is None or len(table.schema) != 1 else table.column(0).to_pylist()
    if hasattr(data, "to_pylist"):
        return list(data.to_pylist())
    if _is_series(data):
        return list(data.to_list())
    return list(data) if type(data).__module__.startswith("datasets.") else None


def columns_of(data: Any) -> list[list[Any]]:
    """Return the cells of each column of a frame."""
    table = _arrow(data)
    return [] if table is None else [column.to_pylist() for column in table.columns]


def parted(data: Any, names: Sequence[str]) -> tuple[pa.Table, Beside]:
    """Return a frame without the columns ``names``, and what stands in them.

    Raises:
        DataError: it is no frame, has no such column, or no other.

    >>> rest, beside = parted({"text": ["a b", "c"], "year": [1990, None]}, ["year"])
    >>> rest.column_names, beside.rows
    (['text'], (('1990',), (None,)))
    """
    table = _arrow(data)
    if table is None:
        raise DataError(
            f"columns={list(names)} are of a frame, and this is of type {type(data).__name__}; "
            "give pandas', polars' or Arrow's, or a dictionary of columns."
        )
    absent = [name for name in names if name not in table.column_names]
    if absent or len(table.column_names) == len(names):
        what = f"has no column {', '.join(absent)}" if absent else "holds nothing but them"
        raise DataError(
            f"columns={list(names)}: the frame {what}; it has {', '.join(table.column_names)}."
        )
    rows = table.select(names).to_pylist()
    beside = of_rows(names, len(rows), rows.__getitem__)
    assert beside is not None
    return table.drop_columns(list(names)), beside


def is_frame(data: Any) -> bool:
    """Return whether ``data`` holds columns by name."""
    kind = type(data)
    named = hasattr(kind, "columns") or hasattr(kind, "column_names")
    table = isinstance(data, Mapping) and not hasattr(data, "shape")  # as SciPy's have
    return named or table or _are_records(data)


def _is_series(data: Any) -> bool:
    return hasattr(data, "to_list") and hasattr(data, "dtype") and hasattr(data, "name")


def _are_records(data: Any) -> bool:
    return isinstance(data, list) and bool(data) and isinstance(data[0], Mapping)


def _split(key: Any) -> Split:
    name = folders.split_name(str(key))
    assert name in ("train", "val", "test")
    return name  # type: ignore[return-value]


def _table(data: Any, what: str) -> Table:
    found = _arrow(data)
    if found is None:
        raise DataError(f"{what} is of type {type(data).__name__}; give a frame or a table.")
    return arrow.in_memory(found, Path(what))


def _arrow(data: Any) -> pa.Table | None:
    """Return what holds columns by name as Arrow's table; None for what does not."""
    import pyarrow as pa

    if not is_frame(data):
        return None
    if isinstance(data, pa.Table):
        found: pa.Table = data
    elif hasattr(data, "collect_schema") and hasattr(data, "collect") and not _streams(data):
        return _arrow(data.collect())  # polars' lazy frames
    elif hasattr(data, "with_format") and hasattr(data, "features"):
        found = data.with_format("arrow")[:]
    elif (
        hasattr(data, "items") and not isinstance(data, Mapping) or isinstance(data, Mapping)
    ):  # pandas
        found = _of_columns({str(name): column for name, column in data.items()})
    elif _are_records(data):
        names = dict.fromkeys(name for row in data for name in row)
        found = _of_columns({str(name): [row.get(name) for row in data] for name in names})
    elif _streams(data):
        found = pa.table(data)
    else:
        return None
    return _with_paths(found)


def _streams(data: Any) -> bool:
    return hasattr(data, "__arrow_c_stream__") or hasattr(data, "__arrow_c_array__")


def _of_columns(columns: Mapping[str, Any]) -> pa.Table:
    import pyarrow as pa

    made = {name: _column(name, column) for name, column in columns.items()}
    if len({len(one) for one in made.values()}) > 1:
        sizes = ", ".join(f"{name}: {len(one)}" for name, one in made.items())
        raise DataError(f"the columns have different numbers of cells: {sizes}")
    return pa.table(made)


def _column(name: str, values: Iterable[Any]) -> pa.Array:
    """Return a column as Arrow's; pictures become what a file would hold of them."""
    import pyarrow as pa

    with suppress(pa.ArrowException, ItemError):  # what Arrow does not know is taken cell by cell
        return pa.array(values, from_pandas=True)
    try:
        return pa.array([None if missing(value) else _cell(value) for value in values])
    except (pa.ArrowException, ItemError) as error:
        kinds = sorted({type(value).__name__ for value in values})
        raise DataError(
            f"frame: column '{name}' holds {', '.join(kinds)}, which no table can hold together "
            f"({str(error).splitlines()[0]}); give texts, numbers, or pictures."
        ) from error


def _cell(value: Any) -> Any:
    if isinstance(value, PathLike):
        return str(value)
    plain = isinstance(value, str | bytes | int | float | bool | list | tuple | np.generic)
    return _word(value) if plain else packed(value)


def _word(value: Any) -> Any:
    """Return a target or a cell as Arrow takes it."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return sorted(map(str, value)) if isinstance(value, set | frozenset | tuple) else value


def _with_paths(table: pa.Table) -> pa.Table:
    """Return the table in which pictures that are known by path alone are those paths.

    A picture column of Hugging Face's is a struct of bytes and path, and has only one of the two.
    """
    import pyarrow as pa
    from pyarrow import compute

    for at, field in enumerate(table.schema):
        if not pa.types.is_struct(field.type) or field.type.get_field_index("path") < 0:
            continue
        column = table.column(at)
        held = field.type.get_field_index("bytes") >= 0
        if not held or compute.struct_field(column, "bytes").null_count == len(column):
            paths = compute.struct_field(column, "path")
            table = table.set_column(at, field.name, paths)
    return table
