"""Folders of images or of text files: one folder a class, in splits or not."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from headstart.data.dataset import Dataset, Kind, Rejected
from headstart.data.texts import encoding
from headstart.errors import DataError, ItemError
from headstart.progress import log
from headstart.tasks.cells import Cells
from headstart.tasks.classes import in_order
from headstart.tasks.registry import read as read_targets

SUFFIXES: dict[Kind, frozenset[str]] = {
    "image": frozenset(
        {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".gif", ".webp", ".tif"}
        | {".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".avif", ".jp2", ".npy", ".heic", ".heif"}
    ),
    "text": frozenset({".txt"}),
}
"""The file names that hold items, by their ending in lower case."""

MOST_BYTES = 1 << 30
"""Bytes of a file that holds one item; a picture of a hundred megapixels has fewer."""

_SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
_NOT_DATA = {"thumbs.db", "desktop.ini", "__macosx", "__pycache__"}

# aclImdb brings 50,000 reviews without labels in a folder beside "pos" and "neg".
_UNLABELLED = {"unsup", "unlabeled", "unlabelled"}

LAYOUTS = (
    "Headstart reads CLASS/*.jpg, {train,val,test}/CLASS/*.jpg, the same with .txt files,"
    " tables (.csv, .tsv, .jsonl, .parquet) with a label column, also one for each split,"
    " MNIST's idx files, and .npz."
)


@dataclass(frozen=True)
class Entry:
    """A file or folder; ``key`` tells two names of one folder apart from two folders."""

    path: str
    is_folder: bool
    is_file: bool
    key: tuple[int, int]

    @property
    def name(self) -> str:
        """The last part of the path."""
        return os.path.basename(self.path)

    @property
    def suffix(self) -> str:
        """The ending of the name, in lower case."""
        return os.path.splitext(self.name)[1].lower()


class _Found(NamedTuple):
    """A file under a class folder."""

    entry: Entry
    label: str
    split: str


def entries(folder: str | Path) -> list[Entry]:
    """Return what lies in ``folder``, sorted by name, without what is clearly not data.

    Links are followed; one that leads nowhere counts as a file, so that reading it is reported.
    """
    with os.scandir(folder) as found:
        names = sorted(one.name for one in found if _may_be_data(one.name))
    return [entry_of(os.path.join(folder, name)) for name in names]


def _may_be_data(name: str) -> bool:
    return not name.startswith(".") and name.lower() not in _NOT_DATA


def entry_of(path: str) -> Entry:
    """Return what lies at ``path``; a link that leads nowhere counts as a file."""
    try:
        state = os.stat(path)
    except OSError:
        return Entry(path, False, True, (0, 0))
    kind = state.st_mode & 0o170000
    return Entry(path, kind == 0o040000, kind == 0o100000, (state.st_dev, state.st_ino))


def walk(folder: Entry, seen: set[tuple[int, int]]) -> Iterator[Entry | Rejected]:
    """Yield the files under ``folder``, depth first; a folder in ``seen`` is not entered again.

    So links in a loop end, and a link to another class does not bring its items in here.
    """
    try:
        inside = entries(folder.path)
    except OSError as error:
        yield Rejected(folder.path, f"cannot be read: {error.strerror or error}")
        return
    for entry in inside:
        if not entry.is_folder:
            yield entry
        elif entry.key not in seen:
            seen.add(entry.key)
            yield from walk(entry, seen)


def shown(path: str, root: Path | None = None) -> str:
    """Return ``path``, relative to ``root``, as text that can be printed and encoded anywhere."""
    path = os.path.relpath(path, root) if root else path
    # Not replaced by one sign for all: two names would become one.
    return os.fsencode(path).decode("utf-8", errors="backslashreplace").replace(os.sep, "/")


def read_folders(
    root: Path,
    kind: Kind | None = None,
    task: str | None = None,
    encoding_: str | None = None,
) -> Dataset:
    """Return the items under the class folders of ``root``, in splits if it has those.

    Raises:
        DataError: there are no class folders with images or texts.
    """
    top = _descend(entry_of(str(root)))
    classes, loose = _layout(top)
    found, rejected, names = _collect(top, classes)
    if kind is None:
        kind = _kind(one.entry for one in found)
    _say_nested(classes)
    good = [one for one in found if not _problem(one.entry, kind)]
    if not good:
        raise _no_items(root, found, loose, names)
    rejected += [
        Rejected(one.entry.path, why) for one in found if (why := _problem(one.entry, kind))
    ]
    rejected += [
        Rejected(one.path, "lies in no class folder")
        for one in loose
        if one.suffix in SUFFIXES[kind]
    ]
    content = partial(_content_of, [one.entry.path for one in good], kind, encoding_)
    return _dataset(kind, root, good, rejected, names, task, content)


def _dataset(
    kind: Kind,
    root: Path,
    found: Sequence[_Found],
    rejected: list[Rejected],
    names: set[str],
    task: str | None,
    content: Callable[[int], bytes],
) -> Dataset:
    values, codes = np.unique([one.label for one in found], return_inverse=True)
    cells = Cells(values.tolist(), codes, f"{root}: the names of its folders", len(found))
    targets, faults = read_targets(cells, task or "classes")
    paths = [one.entry.path for one in found]
    whole = Dataset(
        kind=kind,
        root=root,
        names=[shown(path, root) for path in paths],
        targets=targets,
        splits=np.array([one.split for one in found], "U5"),
        content=content,
        rejected=tuple(Rejected(shown(path, root), why) for path, why in rejected),
        empty_classes=in_order(names - set(values)),
    )
    return whole.without(faults)


def _content_of(paths: list[str], kind: Kind, encoding_: str | None, index: int) -> bytes:
    # A function and not a lambda, so that a data set can be sent to another process.
    return file_content(paths[index], kind, encoding_)


def file_content(path: str, kind: Kind, encoding_: str | None = None) -> bytes:
    """Return the bytes of an image file, or a text file's text in UTF-8.

    Raises:
        ItemError: it is no plain file, but a pipe or a device, say, or far too large.
        OSError: it cannot be read.
    """
    state = os.stat(path)  # looked at before it is opened: a pipe would wait for a writer
    if not stat.S_ISREG(state.st_mode):
        raise ItemError("is no regular file")
    if state.st_size > MOST_BYTES:
        raise ItemError(f"too large: {state.st_size:,} bytes; at most {MOST_BYTES:,}")
    with open(path, "rb") as file:
        content = file.read()
    return content if kind == "image" else encoding.to_text(content, encoding_).encode()


def _descend(top: Entry) -> Entry:
    """Enter a folder that only wraps the data, as unpacked archives do."""
    while True:
        inside = entries(top.path)
        folders = [one for one in inside if one.is_folder]
        if len(folders) != 1 or any(_is_item(one) for one in inside) or split_of(folders[0]):
            return top
        below = [one for one in entries(folders[0].path) if one.is_folder]
        if folders[0].key == top.key or not any(_holds_items(one) for one in below):
            return top
        log.info("reading %s, the only folder in %s", folders[0].path, top.path)
        top = folders[0]


def split_name(name: str) -> str:
    """Return "train", "val" or "test" for what ``name`` says, else "".

    >>> split_name("Validation"), split_name("cats")
    ('val', '')
    """
    return _SPLITS.get(name.strip().lower(), "")


def split_of(entry: Entry) -> str:
    """Return the split that the name of a folder says, else ""."""
    return split_name(entry.name)


def has_classes(root: Path) -> bool:
    """Return whether class folders alone make ``root`` a data set, without a table."""
    inside = [one for one in entries(root) if one.is_folder]
    if any(split_of(one) and _has_classes(one) for one in inside):
        return True
    full = [one for one in inside if _holds_items(one)]
    return len(full) > 1 and not all(map(split_of, full))


def _is_item(entry: Entry) -> bool:
    return entry.is_file and any(entry.suffix in suffixes for suffixes in SUFFIXES.values())


def _holds_items(folder: Entry) -> bool:
    found = walk(folder, {folder.key})
    return any(isinstance(one, Entry) and _is_item(one) for one in found)


def _layout(top: Entry) -> tuple[list[tuple[Entry, str]], list[Entry]]:
    """Return the class folders with their splits, and the files that lie beside them."""
    inside = entries(top.path)
    splits = [one for one in inside if one.is_folder and split_of(one) and _has_classes(one)]
    if not splits:
        classes = [one for one in _class_folders(inside, "") if one[0].key != top.key]
        _refuse_bare_splits([folder for folder, _ in classes])
        return classes, [one for one in inside if _is_item(one)]
    for one in inside:
        if one.is_folder and one not in splits:
            log.warning("not reading %s: it is none of the splits beside it", one.path)
    classes = []
    loose = [one for one in inside if _is_item(one)]
    for one in splits:
        below = entries(one.path)
        classes += _class_folders(below, split_of(one))
        loose += [entry for entry in below if _is_item(entry)]
    return classes, loose


def _refuse_bare_splits(folders: list[Entry]) -> None:
    """Folders named train and test that hold items directly are splits, not two classes."""
    full = [one for one in folders if _holds_items(one)]
    if full and all(map(split_of, full)):
        what = f"{full[0].path} holds items directly, without class folders"
        raise DataError(f"{what}, and no table beside it says their labels. {LAYOUTS}")


def _has_classes(folder: Entry) -> bool:
    return any(one.is_folder and _holds_items(one) for one in entries(folder.path))


def _class_folders(inside: list[Entry], split: str) -> list[tuple[Entry, str]]:
    folders = [one for one in inside if one.is_folder]
    named = [one for one in folders if one.name.lower() not in _UNLABELLED]
    # Of two folders, both are classes; beside two classes, such a folder is none.
    if not split and len(named) < 2:
        named = folders
    for one in folders:
        if one not in named:
            log.warning("not reading %s: its items have no labels", one.path)
    return [(one, split) for one in named]


def _say_nested(classes: list[tuple[Entry, str]]) -> None:
    """Say where class folders hold folders: splits within classes, or a taxonomy."""
    inner: dict[str, list[Entry]] = {}
    for folder, _ in classes:
        with suppress(OSError):  # that it cannot be read is said where its items are
            inner[folder.name] = [one for one in entries(folder.path) if one.is_folder]
    splits = [f"{name}/{one.name}" for name, ones in inner.items() for one in ones if split_of(one)]
    if splits:
        log.warning(
            "%s are read as parts of their class, not as splits; put train and test above the "
            "classes, as in train/CLASS",
            ", ".join(splits[:3]),
        )
    deep = [name for name, ones in inner.items() if any(not split_of(one) for one in ones)]
    if deep:
        few = ", ".join(deep[:3]) + ", ..." * (len(deep) > 3)
        log.info("folders within %s are read as one class each: the uppermost one counts", few)


def _collect(
    top: Entry, classes: list[tuple[Entry, str]]
) -> tuple[list[_Found], list[Rejected], set[str]]:
    found: list[_Found] = []
    rejected: list[Rejected] = []
    names: set[str] = set()
    seen = {top.key, *(folder.key for folder, _ in classes)}
    seen |= {entry_of(os.path.dirname(folder.path)).key for folder, _ in classes}
    for folder, split in classes:
        label = shown(folder.name)
        names.add(label)
        for one in walk(folder, seen):
            if isinstance(one, Rejected):
                rejected.append(one)
            else:
                found.append(_Found(one, label, split))
    return found, rejected, names


def _kind(found: Iterable[Entry]) -> Kind:
    suffixes = [entry.suffix for entry in found]
    images = sum(suffix in SUFFIXES["image"] for suffix in suffixes)
    texts = sum(suffix in SUFFIXES["text"] for suffix in suffixes)
    return "text" if texts > images else "image"


def kind_of(root: Path) -> Kind:
    """Return the kind of most files under ``root``, by their names."""
    top = entry_of(str(root))
    return _kind(one for one in walk(top, {top.key}) if isinstance(one, Entry))


def _problem(entry: Entry, kind: Kind) -> str:
    """Return why the name alone says that ``entry`` is no item; empty if it may be one."""
    if not entry.is_file:
        return "not a regular file"
    if entry.suffix in SUFFIXES[kind]:
        return ""
    ending = f"ends in '{entry.suffix}'" if entry.suffix else "has no ending"
    return f"not {'an image' if kind == 'image' else 'a text'} by its name, which {ending}"


def _no_items(root: Path, found: list[_Found], loose: list[Entry], names: set[str]) -> DataError:
    if loose:
        what = f"{root} holds {len(loose)} items directly, without class folders."
    elif found:
        what = f"none of the {len(found)} files in {root} is an image or a text by its name."
    elif names:
        what = f"no images and no texts in {root}; its class folders are empty: {_few(names)}."
    else:
        what = f"no images and no texts in {root}."
    return DataError(f"{what} {LAYOUTS}")


def _few(names: set[str]) -> str:
    first = sorted(names)[:5]
    return ", ".join(first) + (", ..." if len(names) > len(first) else "")
