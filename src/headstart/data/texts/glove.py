"""Word vectors in GloVe's text format: a word and its numbers a line, separated by one space."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from headstart.data.texts.encoding import is_float
from headstart.data.texts.tokens import Row
from headstart.errors import DataError
from headstart.facts import FactsError, require_regular

_LONGEST = 1 << 20
"""Bytes of a line."""

_WIDEST = 1 << 14
"""Numbers of a word."""


class WordVectors(NamedTuple):
    """Vectors for a vocabulary.

    Attributes:
        matrix: shape (V, D); zeros where the file has no vector for a word.
        covered: shape (V,), whether it has.
    """

    matrix: npt.NDArray[np.float32]
    covered: npt.NDArray[np.bool_]

    def share(self, rows: Sequence[Row]) -> float:
        """Return the share of all tokens of ``rows``, from `Tokenize.encode`, with a vector."""
        total = sum(len(row) for row in rows)
        return sum(int(self.covered[row].sum()) for row in rows) / total if total else 0.0


def read_glove(path: Path, words: Sequence[str]) -> WordVectors:
    """Return the vectors of ``words`` from the file ``path``, which is read line by line.

    The first line gives the dimension D; a line of two whole numbers before it, as fastText and
    word2vec write, is passed over. A word may hold spaces, as a few of GloVe 840B do. Only lines
    of ``words`` have their numbers read; all have them counted. The first line of a word counts.

    Args:
        path: the file, in UTF-8.
        words: the vocabulary, in the order of the ids, see `Tokenize.vocabulary`.

    Raises:
        DataError: names the line that has another dimension, is no number or no UTF-8.
    """
    index = {word: i for i, word in enumerate(words) if word}
    matrix, covered = np.zeros((len(words), 0), np.float32), np.zeros(len(words), np.bool_)
    width = 0
    _require_file(path)
    with path.open("rb") as file:
        for number, line in enumerate(iter(partial(file.readline, _LONGEST), b""), 1):
            if number == 1 and _is_header(line):
                continue
            if not width:
                width = _width(path, number, line)
                matrix = np.zeros((len(words), width), np.float32)
            word, fields = _parts(path, number, line, width)
            at = index.get(word)
            if at is not None and not covered[at]:
                matrix[at], covered[at] = _numbers(path, number, fields), True
    if not width:
        raise DataError(f"{path} holds no word vectors; expected a word and its numbers a line.")
    return WordVectors(matrix, covered)


def _require_file(path: Path) -> None:
    try:
        require_regular(path)
    except FileNotFoundError as error:
        raise DataError(f"no such file of word vectors: '{path}'.") from error
    except (FactsError, OSError) as error:
        raise DataError(f"{path} holds no word vectors: {error}.") from error


def _is_header(line: bytes) -> bool:
    fields = line.split()
    return len(fields) == 2 and all(field.isdigit() for field in fields)


def _width(path: Path, number: int, line: bytes) -> int:
    width = len(line.rstrip(b"\r\n ").split(b" ")) - 1
    if not 2 <= width <= _WIDEST or len(line) >= _LONGEST:
        raise DataError(
            f"{path}, line {number}: expected a word and 2 to {_WIDEST:,} numbers, separated by "
            f"spaces, but found {line[:40]!r}."
        )
    return width


def _parts(path: Path, number: int, line: bytes, width: int) -> tuple[str, list[bytes]]:
    """Return the word of a line and the ``width`` fields after it."""
    word, *fields = line.rstrip(b"\r\n ").rsplit(b" ", width)
    # A word with spaces does not end in a number; one that seems to is a number too many.
    if len(fields) != width or (b" " in word and is_float(word.rpartition(b" ")[2])):
        found = len(line.rstrip(b"\r\n ").split(b" ")) - 1
        raise DataError(
            f"{path}, line {number}: {found} numbers, but the lines before have {width}. The file "
            "may be cut off, or joined from two."
        )
    try:
        return word.decode("utf-8"), fields
    except UnicodeDecodeError as error:
        raise DataError(f"{path}, line {number}: {line[:40]!r} is not UTF-8.") from error


def _numbers(path: Path, number: int, fields: list[bytes]) -> npt.NDArray[np.float32]:
    try:
        values = np.array([float(field) for field in fields], np.float32)
    except ValueError as error:
        raise DataError(f"{path}, line {number}: {error}.") from error
    if not np.isfinite(values).all():
        raise DataError(f"{path}, line {number}: a number is infinite or not a number.")
    return values
