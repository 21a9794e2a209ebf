"""Pictures that lie in one file: MNIST's idx files, and NumPy's ``.npz``.

An idx file is four bytes, 0, 0, the type of its numbers and how many sides it has; the sides, four
bytes each, the most significant first; and the numbers (http://yann.lecun.com/exdb/mnist). Nothing
of either format is run, and no more is unpacked than a header has said and `MOST_BYTES` allow.
"""

from __future__ import annotations

import gzip
import io
import math
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from headstart.data.dataset import Dataset, Names, Split
from headstart.data.folders import MOST_BYTES, Entry, entries, shown, split_name
from headstart.data.items import Items, Joined, channels_last, packed
from headstart.data.pictures.pixels import npy_header
from headstart.errors import DataError, ItemError
from headstart.progress import log
from headstart.tasks.registry import of_values

Array = npt.NDArray[Any]

_IDX = re.compile(r"(?P<name>.*?)(?P<what>images|labels)[-._]idx[1-4][-._]ubyte(\.gz)?$")
_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}

_BROKEN = (OSError, EOFError, ValueError, TypeError, RuntimeError, zlib.error, zipfile.BadZipFile)

FORMS = (
    "An idx file is called train-images-idx3-ubyte or the like, with or without .gz, its labels "
    "train-labels-idx1-ubyte beside it; an .npz holds an array of pictures (N, H, W) or "
    "(N, H, W, C) and one of N labels, by split: x_train, y_train, x_test, y_test."
)


@dataclass(frozen=True)
class InFile:
    """An array that stays in its file: one item is read at a time.

    Not mapped into memory, for a file that is cut while it is read would end the process.

    Attributes:
        path: the file.
        dtype: of its numbers.
        shape: N, and the sides of an item.
        start: the byte at which the numbers start.
    """

    path: Path
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int) -> Array:
        size = self.dtype.itemsize * math.prod(self.shape[1:])
        with self.path.open("rb") as file:
            file.seek(self.start + index * size)
            content = file.read(size)
        if len(content) < size:
            raise ItemError(f"{self.path} was changed after it was looked at; start again")
        return np.frombuffer(content, self.dtype).reshape(self.shape[1:])


class Stack(NamedTuple):
    """N pictures of one file.

    Attributes:
        name: how the file, or the array in it, is called in reports.
        pictures: shape (N, H, W) or (N, H, W, C).
        labels: N of them, or None without.
    """

    name: str
    pictures: Array | InFile
    labels: Array | None


class _Numbered(Names):
    """``train-images-idx3-ubyte:17`` for the eighteenth picture: arrays count from 0."""

    def __init__(self, name: str, n: int) -> None:
        self._name, self._n = name, n

    def __len__(self) -> int:
        return self._n

    def name(self, index: int) -> str:
        """Return the name at ``index``."""
        return f"{self._name}:{index}"


def is_stack(path: Path) -> bool:
    """Return whether ``path`` is called like a file of many pictures.

    >>> [is_stack(Path(one)) for one in ("t10k-images.idx3-ubyte.gz", "mnist.npz", "a.npy")]
    [True, True, False]
    """
    return path.suffix.lower() == ".npz" or _IDX.match(path.name.lower()) is not None


def stacks_in(folder: Path) -> dict[Split, Path]:
    """Return the idx files of pictures in ``folder``, or in the one folder in it, by split.

    Raises:
        DataError: several are of one split.
    """
    inside = entries(folder)
    if len(inside) == 1 and inside[0].is_folder:
        inside = entries(inside[0].path)  # MNIST/raw, as torchvision leaves it
    found = [Path(one.path) for one in inside if one.is_file and _is_pictures(one)]
    unpacked = {one.name for one in found}
    found = [one for one in found if one.suffix != ".gz" or one.stem not in unpacked]
    splits = {_split(one.name) if len(found) > 1 else "": one for one in found}
    if len(splits) < len(found):
        names = ", ".join(one.name for one in found)
        raise DataError(f"{folder} holds {len(found)} idx files: {names}. Give the path of one")
    return splits


def _is_pictures(entry: Entry) -> bool:
    found = _IDX.match(entry.name.lower())
    return found is not None and found["what"] == "images"


def _split(name: str) -> Split:
    words = re.split(r"[^a-z0-9]+", name.lower())
    named = "test" if "t10k" in words else next(filter(None, map(split_name, words)), "")
    return cast("Split", named)


def read_stacks(paths: Mapping[Split, Path], root: Path, task: str | None = None) -> Dataset:
    """Return the pictures of the files at ``paths``, by split, as one data set.

    Raises:
        DataError: no labels beside them, another number of labels, or a damaged file; the message
            says what is there.
    """
    found = {
        own or split: one for split, path in paths.items() for own, one in _opened(path).items()
    }
    bare = [one.name for one in found.values() if one.labels is None]
    if bare:
        raise DataError(f"{root}: {bare[0]} has no labels beside it. {FORMS}")
    parts = [*found.values()]
    said = (f"{_said(one)}{f' ({split})' if split else ''}" for split, one in found.items())
    log.info("%s: %s", root, "; ".join(said))
    items = _items(parts)
    values = np.concatenate([one.labels for one in parts if one.labels is not None])
    return Dataset(
        kind="image",
        root=root,
        names=items.names,
        targets=of_values(values.tolist() if values.ndim == 1 else [*values], task),
        splits=np.repeat(np.array([*found], "U5"), [len(one.pictures) for one in parts]),
        content=items.content,
    )


def stack_items(path: Path) -> Items:
    """Return the pictures of one file as items to predict; labels are not needed."""
    return _items([*_opened(path).values()])


def _items(parts: Sequence[Stack]) -> Items:
    names = Joined([_Numbered(shown(one.name), len(one.pictures)) for one in parts])
    return Items(names, partial(_content, names, [one.pictures for one in parts]))


def _content(names: Joined, parts: Sequence[Array | InFile], index: int) -> bytes:
    # A function and not a lambda, so that a data set can be sent to another process.
    part, at = names.place(index)
    return packed(channels_last(parts[part][at]))


def _said(one: Stack) -> str:
    sides = " x ".join(map(str, one.pictures.shape[1:]))
    return f"{len(one.pictures):,} pictures of {sides} from {one.name}"


def _opened(path: Path) -> dict[Split, Stack]:
    with _naming(path):
        return _in_npz(path) if path.suffix.lower() == ".npz" else {"": _in_idx(path)}


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn what damaged files raise into errors that name the file."""
    try:
        yield
    except DataError:
        raise
    except _BROKEN as error:
        raise DataError(f"{path} cannot be read: {error or type(error).__name__}") from error


# -- idx ------------------------------------------------------------------------------------------


def _in_idx(path: Path) -> Stack:
    found = _IDX.match(path.name.lower())
    if found and found["what"] == "labels":
        raise DataError(f"{path} holds labels; give the file of pictures that they are of. {FORMS}")
    pictures, beside = _idx(path), _labels_of(path)
    if len(pictures.shape) not in (3, 4) or 0 in pictures.shape:
        raise DataError(f"{path} holds no pictures: its sides are {pictures.shape}. {FORMS}")
    labels = None if beside is None else _flat(read_idx(beside))
    if labels is not None and beside is not None:
        _require_as_many(path, len(pictures), beside.name, labels)
    return Stack(path.name, pictures, labels)


def _labels_of(path: Path) -> Path | None:
    """Return the file of labels beside one of pictures, also where only one of them is packed."""
    wanted = _bare(path.name.lower().replace("images", "labels"))
    there = [one for one in path.parent.iterdir() if _bare(one.name.lower()) == wanted]
    return min(there, key=lambda one: one.suffix == ".gz", default=None)


def _bare(name: str) -> str:
    return re.sub(r"[-._]idx\d[-._]ubyte(\.gz)?$", "", name)


def read_idx(path: Path) -> Array:
    """Return the array in an idx file, packed or not.

    Raises:
        DataError: it is none, or not as long as its header says.
    """
    with _naming(path):
        found = _idx(path)
    if not isinstance(found, InFile):
        return found
    return np.fromfile(path, found.dtype, offset=found.start).reshape(found.shape)


def _idx(path: Path) -> Array | InFile:
    """Return the array in an idx file; it stays there where it is not packed."""
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    with gzip.open(path) if zipped else path.open("rb") as file:
        dtype, shape, start = _header(path, file)
        size = dtype.itemsize * math.prod(shape)
        if not zipped:
            _require_size(path, path.stat().st_size - start, size)
            return InFile(path, dtype, shape, start)
        if size > MOST_BYTES:
            raise DataError(f"{path} says that it unpacks to {size:,} bytes; unpack it yourself.")
        content = file.read(size + 1)
    _require_size(path, len(content), size)
    return np.frombuffer(content, dtype).reshape(shape)


def _header(path: Path, file: io.BufferedIOBase) -> tuple[np.dtype[Any], tuple[int, ...], int]:
    """Return the type, the sides, and where the numbers start."""
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _TYPES or not 1 <= magic[3] <= 4:
        raise DataError(
            f"{path} is no idx file: it starts with {magic.hex(' ') or 'nothing'}; pictures start "
            "with 00 00 08 03, labels with 00 00 08 01."
        )
    sides = file.read(4 * magic[3])
    if len(sides) < 4 * magic[3]:
        raise DataError(f"{path} is cut off within its header; fetch it again.")
    shape = tuple(int.from_bytes(sides[i : i + 4], "big") for i in range(0, len(sides), 4))
    return np.dtype(_TYPES[magic[2]]), shape, 4 + len(sides)


def _require_size(path: Path, there: int, wanted: int) -> None:
    if there != wanted:
        what = "is cut off: of" if there < wanted else "is longer than its header says: instead of"
        many = f"{there:,}" if there <= wanted else "more"
        raise DataError(f"{path} {what} {wanted:,} bytes {many} are there; fetch it again.")


# -- npz ------------------------------------------------------------------------------------------


def _in_npz(path: Path) -> dict[Split, Stack]:
    """Return the pictures in ``path`` by split, each with the labels that are as many."""
    found = dict(_arrays(path))
    pictures = {key: one for key, one in found.items() if one.ndim >= 3}
    if not pictures:
        raise _strange(path, found)
    stacks: dict[Split, Stack] = {}
    for key, one in pictures.items():
        split = _split(key)
        if split in stacks or one.ndim > 4 or not one.size:
            raise _strange(path, found)
        stacks[split] = Stack(f"{path.name}/{key}", one, _labels_in(path, found, split, len(one)))
    labelled = {split: one for split, one in stacks.items() if one.labels is not None}
    return labelled or stacks


def _labels_in(path: Path, found: Mapping[str, Array], split: Split, n: int) -> Array | None:
    """Return the labels of a split's ``n`` pictures; None where there are none.

    Raises:
        DataError: there are not as many, or two arrays could be them.
    """
    flat = {key: one for key, one in found.items() if one.ndim < 3 and _split(key) == split}
    fitting = [_flat(one) for one in flat.values() if one.ndim and len(one) == n]
    if len(fitting) > 1:
        raise _strange(path, found)
    if flat and not fitting:
        name, one = next(iter(flat.items()))
        _require_as_many(path, n, name, one)
    return fitting[0] if fitting else None


def _arrays(path: Path) -> Iterator[tuple[str, Array]]:
    with zipfile.ZipFile(path) as whole:
        total = sum(one.file_size for one in whole.infolist())
        if total > MOST_BYTES:
            raise DataError(
                f"{path} unpacks to {total:,} bytes, at most {MOST_BYTES:,} are read; save the "
                "pictures as class folders, or as idx files, which need not be unpacked."
            )
        for one in whole.infolist():
            if one.filename.endswith(".npy"):
                yield one.filename[:-4], _array(path, one.filename, whole.read(one))


def _array(path: Path, name: str, content: bytes) -> Array:
    if not content.startswith(b"\x93NUMPY"):
        raise DataError(f"{path}: {name} is no array.")
    try:
        dtype, columns_first, shape, start = npy_header(content)
    except ItemError as error:
        raise DataError(
            f"{path}: {name} is {error}; numbers, or texts of a fixed length, are read, and never "
            "pickled objects."
        ) from error
    _require_size(path / name, len(content) - start, dtype.itemsize * math.prod(shape))
    values = np.frombuffer(content, dtype, offset=start)
    return values.reshape(shape, order="F" if columns_first else "C")


def _strange(path: Path, found: Mapping[str, Array]) -> DataError:
    inside = ", ".join(f"{key} {one.shape}" for key, one in found.items()) or "no arrays"
    what = "which are its pictures, and which their labels, is not clear"
    return DataError(f"{path}: {what}; it holds {inside}. {FORMS}")


def _require_as_many(path: Path, n: int, name: str, labels: Array) -> None:
    if labels.ndim < 1 or len(labels) != n:
        n_labels = len(labels) if labels.ndim else 1
        raise DataError(f"{path} holds {n:,} pictures, and {name} {n_labels:,} labels.")


def _flat(labels: Array) -> Array:
    """Return labels (N, 1) as (N,), as several packages write them."""
    return labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels


__all__ = ["Stack", "is_stack", "read_idx", "read_stacks", "stack_items", "stacks_in"]
