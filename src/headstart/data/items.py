"""Items to predict: files, folders, tables, and what is in memory already, without targets."""

from __future__ import annotations

import codecs
import io
import os
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from headstart.data import folders
from headstart.data.dataset import Kind, Names, Rejected
from headstart.data.texts import encoding
from headstart.errors import ItemError

_CHANNELS = (1, 3, 4)
_IN_PNG = {"1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16"}


class Own(NamedTuple):
    """What the user's table holds besides the items, to be handed back beside the answers.

    Attributes:
        columns: their names, in the order of the table.
        row: from an index to the cells by column.
    """

    columns: tuple[str, ...]
    row: Callable[[int], Mapping[str, Any]]


class Items(NamedTuple):
    """Items without labels.

    Attributes:
        names: how each is called, in the order in which they were given.
        content: from an index to the bytes, as in `headstart.data.dataset.Dataset`.
        own: the rows of the tables that they come from, where somebody wants them.
    """

    names: Sequence[str]
    content: Callable[[int], bytes]
    own: Own | None = None


class Joined(Names):
    """Several sequences of names read as one, without copying any."""

    def __init__(self, parts: Sequence[Sequence[str]]) -> None:
        self.parts = parts
        self._ends = list(accumulate(map(len, parts)))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def place(self, index: int) -> tuple[int, int]:
        """Return the part that ``index`` lies in, and where in that part."""
        if not 0 <= index < len(self):
            raise IndexError(f"item {index} of {len(self)}")
        part = bisect_right(self._ends, index)
        return part, index - (self._ends[part - 1] if part else 0)

    def name(self, index: int) -> str:
        """Return the name at ``index``."""
        part, at = self.place(index)
        return self.parts[part][at]


def join(parts: Iterable[Items]) -> Items:
    """Return the items of all ``parts``, one after the other."""
    kept = list(parts)
    names = Joined([part.names for part in kept])
    content = _JoinedContent(names, [part.content for part in kept])
    return Items(names, content, _joined_rows(kept, names))


@dataclass(frozen=True)
class _JoinedContent:
    """The content of several parts; no closure, so that a data set can go to another process."""

    names: Joined
    parts: Sequence[Callable[[int], bytes]]

    def __call__(self, index: int) -> bytes:
        part, at = self.names.place(index)
        return self.parts[part](at)


def _joined_rows(parts: Sequence[Items], names: Joined) -> Own | None:
    """Return the rows of all ``parts``, with all of their columns; None if no part is a table."""
    tables = [part.own for part in parts if part.own]
    if not tables:
        return None

    def row(index: int) -> Mapping[str, Any]:
        part, at = names.place(index)
        own = parts[part].own
        return own.row(at) if own else {}

    return Own(tuple(dict.fromkeys(c for own in tables for c in own.columns)), row)


def of_file(path: Path, kind: Kind) -> Items:
    """Return one file as the only item; what it holds is looked at when it is read."""

    def content(index: int) -> bytes:
        if not path.exists():
            pattern = bool({"*", "?", "["} & set(str(path)))
            raise ItemError("no such file" + "; nothing matches this pattern" * pattern)
        return folders.file_content(str(path), kind)

    return Items([folders.shown(str(path))], content)


def failed(path: Path, reason: str) -> Items:
    """Return ``path`` as the only item, which cannot be read for that ``reason``."""

    def content(index: int) -> bytes:
        raise ItemError(reason)

    return Items([folders.shown(str(path))], content)


def of_folder(root: Path, kind: Kind) -> Items:
    """Return all images, or all text files, under ``root``, sorted; other files are left out."""
    top = folders.entry_of(str(root))
    found = list(_inside(top, kind))

    def content(index: int) -> bytes:
        one = found[index]
        if isinstance(one, Rejected):
            raise ItemError(one.reason)
        return folders.file_content(one.path, kind)

    paths = [one.item if isinstance(one, Rejected) else one.path for one in found]
    return Items([folders.shown(path) for path in paths], content)


def _inside(top: folders.Entry, kind: Kind) -> Iterator[folders.Entry | Rejected]:
    for one in folders.walk(top, {top.key}):
        if isinstance(one, Rejected) or one.suffix in folders.SUFFIXES[kind]:
            yield one


def of_texts(texts: Sequence[str]) -> Items:
    """Return ``texts`` themselves as items, each called by what it says."""
    return Items(texts, lambda index: texts[index].encode("utf-8", "replace"))


def of_memory(held: Sequence[Any], numbers: Sequence[int], kind: Kind) -> Items:
    """Return what is in memory as items: pictures, arrays, tensors, bytes; of texts also strings.

    Args:
        held: N items; None and NaN become items that cannot be read.
        numbers: what each is called by.
        kind: what they are.
    """

    def content(index: int) -> bytes:
        one = held[index]
        if missing(one):
            raise ItemError("no item: None or NaN")
        if kind == "text" and isinstance(one, str):
            return one.encode("utf-8", "replace")
        return encoding.to_text(one).encode() if kind == "text" else packed(one)

    return Items([f"item {number}" for number in numbers], content)


def missing(value: Any) -> bool:
    """Return whether a cell is empty: None, NaN, or what pandas has for that.

    >>> missing(None), missing(float("nan")), missing("nan")
    (True, True, False)
    """
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float | np.floating) and bool(np.isnan(value))


def packed(picture: Any) -> bytes:
    """Return a Pillow picture, an array or bytes as the content of a file; nothing is lost.

    Raises:
        ItemError: it is something else.
    """
    if isinstance(picture, bytes | bytearray | memoryview):
        return bytes(picture)
    buffer = io.BytesIO()
    if hasattr(picture, "save") and hasattr(picture, "convert"):
        plain = picture if picture.mode in _IN_PNG else picture.convert("RGB")
        plain.save(buffer, "PNG", exif=picture.getexif())
    elif hasattr(picture, "__array__"):
        np.save(buffer, np.ascontiguousarray(channels_last(picture)), allow_pickle=False)
    else:
        raise ItemError(
            f"{type(picture).__name__} is no item; give a path, bytes, an array or a picture"
        )
    return buffer.getvalue()


def channels_last(picture: Any) -> npt.NDArray[Any]:
    """Return one picture, an array or a tensor on any device, as (H, W) or (H, W, C).

    >>> channels_last(np.zeros((3, 8, 8))).shape, channels_last(np.zeros((8, 8, 3))).shape
    ((8, 8, 3), (8, 8, 3))
    """
    array = plain_array(picture)
    first = array.ndim == 3 and array.shape[0] in _CHANNELS and array.shape[2] not in _CHANNELS
    return np.moveaxis(array, 0, -1) if first else array


def plain_array(values: Any) -> npt.NDArray[Any]:
    """Return an array or a tensor, of whatever type and on whatever device, as NumPy's."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        values = values.float() if str(values.dtype) == "torch.bfloat16" else values
    return np.asarray(values)


def arriving(stream: BinaryIO) -> Iterator[list[str]]:
    """Yield the lines of ``stream``, as many at a time as are there, without waiting.

    A person who types gets an answer to each line; a file is read in large pieces. What is not
    ASCII says by its first lines in which encoding all are, as in tables.

    Raises:
        ItemError: they are in none that is known.
    """
    held, rest = b"", ""
    decoder: codecs.IncrementalDecoder | None = None
    while piece := os.read(stream.fileno(), 1 << 16):
        held += piece
        if decoder is None and held[:2] not in _MARKS:
            whole = held[: held.rfind(b"\n") + 1]
            if whole.isascii():
                held = held[len(whole) :]
                if whole:
                    yield _lines(whole.decode("ascii")[:-1])
                continue
            decoder = _decoder(whole)
        decoder = decoder or _decoder(held)
        *lines, rest = (rest + decoder.decode(held)).split("\n")
        held = b""
        if lines:
            yield _lines("\n".join(lines))
    if held:
        decoder = decoder or _decoder(held)
    rest += decoder.decode(held, final=True) if decoder else ""
    if rest:
        yield _lines(rest)


_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def _decoder(lines: bytes) -> codecs.IncrementalDecoder:
    name = "utf-16" if lines[:2] in _MARKS else encoding.of_bytes(lines)
    return codecs.getincrementaldecoder(name)("replace")


def _lines(text: str) -> list[str]:
    return [line.rstrip("\r") for line in text.split("\n")]
