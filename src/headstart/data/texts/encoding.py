"""From the bytes of a text file to text, without guessing silently.

The order: what the user says; a byte-order mark; strict UTF-8; GB18030 if most of it is common
Chinese; else the one-byte encoding whose letters are those of a language, see
`headstart.data.texts.alphabets`. Whatever is not UTF-8 is said. Refused with the place: zero
bytes, what is nearly UTF-8 or nearly GB18030 and so damaged, what is written like Cyrillic, Greek,
Japanese, Korean, ..., and what could be in several encodings.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import BinaryIO

from headstart.data.texts import alphabets
from headstart.errors import ItemError, UsageError
from headstart.progress import log

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_PIECE = 1 << 20
_USUAL = {"utf-8", "utf-8-sig", "utf-16", "utf-32"}

_PAIR = re.compile(rb"[\x80-\xff].", re.DOTALL)
_HALVES = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")
_RUN = re.compile(rb"[\x80-\xff]+")

# Of the pairs of high bytes in Chinese text, this share is punctuation or the 3,755 common signs.
_MOSTLY = 0.7

# Of those, about every second lies in the later half, where Korean has next to nothing.
_LATER, _FEW = 0.1, 20

# So many high bytes in words of three and more of them are no accident.
_FOREIGN = 8


class NearlyUtf8Error(ItemError):
    """A text is in UTF-8, but for a few bytes."""


def of_table(path: Path, said: str | None = None) -> tuple[str, bool]:
    """Return what `of_file` does, and whether all is in it; of UTF-8, some rows may not be."""
    try:
        return of_file(path, said), True
    except NearlyUtf8Error as error:
        log.warning("%s: %s; rows that hold such bytes are left out", path, error)
        return "utf-8", False


def known(name: str) -> str:
    """Return ``name`` as Python calls that encoding.

    Raises:
        UsageError: it knows none of that name.
    """
    try:
        found = codecs.lookup(name)
        "".encode(found.name)
    except (LookupError, ValueError) as error:
        raise UsageError(
            f"no encoding is called '{name}'; try utf-8, cp1252, cp1250, mac-roman, gb18030 ..."
        ) from error
    return found.name


def to_text(content: bytes, said: str | None = None) -> str:
    """Return the text in ``content``; see this module for how its encoding is found.

    >>> to_text("naïve".encode("latin-1")), to_text("汉字编码".encode("gb18030"))
    ('naïve', '汉字编码')
    """
    name = _found(lambda: io.BytesIO(content), said)
    if name not in _USUAL and not said:
        _tell_once(name)
    return content.decode(name).removeprefix("\ufeff")


def of_bytes(content: bytes) -> str:
    """Return the name of the encoding of ``content``, whole lines of a text; see `of_file`."""
    return _recognise(lambda: io.BytesIO(content))


@cache
def _tell_once(name: str) -> None:
    log.info("texts that are not in UTF-8 are read as %s; --encoding says otherwise", name)


def _found(open_: Callable[[], BinaryIO], said: str | None) -> str:
    if said is None:
        return _recognise(open_)
    if (at := _first_bad(open_, said)) is not None:
        raise ItemError(f"byte {at} is not in {said}, which was asked for")
    return said


def of_file(path: Path, said: str | None = None) -> str:
    """Return the name of the encoding of the text file at ``path``, read in pieces.

    Raises:
        ItemError: it is no text; the message says at which byte that shows.
        OSError: it cannot be read.
    """
    name = _found(lambda: path.open("rb"), said)
    if name not in _USUAL and not said:
        log.info("%s is read as %s; --encoding says otherwise", path, name)
    return name


def _recognise(open_: Callable[[], BinaryIO]) -> str:
    with open_() as file:
        start = file.read(4)
    for mark, name in _MARKS:
        if start.startswith(mark):
            return _only(open_, name)
    at = _first_bad(open_, "utf-8")
    if at is None:
        return "utf-8"
    return _older(open_, at)


def _only(open_: Callable[[], BinaryIO], name: str) -> str:
    if (at := _first_bad(open_, name)) is not None:
        raise ItemError(f"its mark says {name}, but byte {at} is not")
    return name


def _first_bad(open_: Callable[[], BinaryIO], name: str) -> int | None:
    """Return the offset of the first byte that does not decode; zero bytes never do."""
    decoder = codecs.getincrementaldecoder(name)()
    zero_allowed, at = name.startswith(("utf-16", "utf-32")), 0
    with open_() as file:
        while True:
            piece = file.read(_PIECE)
            if not zero_allowed and (zero := piece.find(b"\0")) >= 0:
                raise ItemError(f"not a text: a zero byte at offset {at + zero}")
            held = len(decoder.getstate()[0])
            try:
                decoder.decode(piece, final=not piece)
            except UnicodeDecodeError as error:
                return at - held + error.start
            at += len(piece)
            if not piece:
                return None


def _older(open_: Callable[[], BinaryIO], at: int) -> str:
    """Return the name of a one- or two-byte encoding; ``at`` is where UTF-8 breaks."""
    sample = _sample(open_, at)
    if _nearly_utf8(sample):
        raise NearlyUtf8Error(
            f"damaged UTF-8: byte {at} does not decode; save the file as UTF-8 again"
        )
    if _looks_chinese(sample):
        if (bad := _first_bad(open_, "gb18030")) is None:
            return "gb18030"
        if _looks_foreign(sample):
            raise ItemError(f"damaged GB18030: byte {bad} does not decode; save the file as UTF-8")
    if _looks_foreign(sample):
        raise ItemError(
            f"byte {at} is not in UTF-8, UTF-16 with its mark, GB18030 or Latin-1; save the file "
            "as UTF-8, or say --encoding"
        )
    name = alphabets.recognise(sample)
    if name is None:
        raise ItemError(
            f"byte {at} could be in several encodings (Windows-1252, Windows-1250, Mac Roman, DOS "
            "...); say which with --encoding, or save the file as UTF-8"
        )
    # Five bytes mean nothing in Windows-1252, but something in Latin-1.
    if name == "cp1252" and _first_bad(open_, "cp1252") is not None:
        return "latin-1"
    return name


def _sample(open_: Callable[[], BinaryIO], at: int) -> bytes:
    """Return the start of the file and, where that does not hold byte ``at``, the lines around."""
    with open_() as file:
        start = file.read(2 * _PIECE)
        if at >= len(start):
            file.seek(at - _PIECE)
            file.readline(_PIECE)
        return start + file.read(2 * _PIECE)


def _nearly_utf8(sample: bytes) -> bool:
    # Half of a surrogate pair, which some tools write, is three bytes but one mistake.
    text = _HALVES.sub(b"\xff", sample).decode("utf-8", errors="replace")
    good = sum(1 for sign in text if sign > "\x7f" and sign != "\ufffd")
    return good > text.count("\ufffd")


def _looks_chinese(sample: bytes) -> bool:
    pairs = [(lead, trail) for lead, trail in _PAIR.findall(sample) if trail >= 0xA1]
    signs = sum(0xB0 <= lead <= 0xD7 for lead, _ in pairs)
    later = sum(0xC9 <= lead <= 0xD7 for lead, _ in pairs)
    common = signs + sum(0xA1 <= lead <= 0xA3 for lead, _ in pairs)
    korean = signs >= _FEW and later < _LATER * signs
    return common > _MOSTLY * len(_PAIR.findall(sample)) and not korean


def _looks_foreign(sample: bytes) -> bool:
    """Western text has one or two high bytes in a row, or one sign again and again."""
    runs = _RUN.findall(sample)
    long = sum(len(run) for run in runs if len(set(run)) > 2)
    return long >= _FOREIGN and 2 * long > sum(map(len, runs))


def is_float(cell: str | bytes) -> bool:
    """Return whether Python reads a number there, be it infinite or none.

    >>> is_float("1e-3"), is_float("nan"), is_float("3 stars")
    (True, True, False)
    """
    try:
        float(cell)
    except ValueError:
        return False
    return True
