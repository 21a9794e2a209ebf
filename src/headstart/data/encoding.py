"""From the bytes of a text file to text, without guessing silently.

The order: a byte-order mark; strict UTF-8; GB18030 if most of it is common Chinese; else
Windows-1252, which every Latin-1 text is. Refused with the place: zero bytes, what is nearly UTF-8
or nearly GB18030 and so damaged, and what is written like Cyrillic, Greek, Japanese, Korean, ...
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from headstart.errors import ItemError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_PIECE = 1 << 20

_PAIR = re.compile(rb"[\x80-\xff].", re.DOTALL)
_RUN = re.compile(rb"[\x80-\xff]+")

# Of the pairs of high bytes in Chinese text, this share is punctuation or the 3,755 common signs.
_MOSTLY = 0.7

# Of those, about every second lies in the later half, where Korean has next to nothing.
_LATER, _FEW = 0.1, 20

# So many high bytes in words of three and more of them are no accident.
_FOREIGN = 8


def to_text(content: bytes) -> str:
    """Return the text in ``content``; see this module for how its encoding is found.

    >>> to_text("naïve".encode("latin-1")), to_text("汉字编码".encode("gb18030"))
    ('naïve', '汉字编码')
    """
    name = _recognise(lambda: io.BytesIO(content))
    return content.decode(name).removeprefix("\ufeff")


def of_bytes(content: bytes) -> str:
    """Return the name of the encoding of ``content``, whole lines of a text; see `of_file`."""
    return _recognise(lambda: io.BytesIO(content))


def of_file(path: Path) -> str:
    """Return the name of the encoding of the text file at ``path``, read in pieces.

    Raises:
        ItemError: it is no text; the message says at which byte that shows.
        OSError: it cannot be read.
    """
    return _recognise(lambda: path.open("rb"))


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
        raise ItemError(f"damaged UTF-8: byte {at} does not decode; save the file as UTF-8 again")
    if _looks_chinese(sample):
        if (bad := _first_bad(open_, "gb18030")) is None:
            return "gb18030"
        if _looks_foreign(sample):
            raise ItemError(f"damaged GB18030: byte {bad} does not decode; save the file as UTF-8")
    if _looks_foreign(sample):
        known = "UTF-8, UTF-16 with its mark, GB18030 or Latin-1"
        raise ItemError(f"byte {at} is not in {known}; save the file as UTF-8")
    # Five bytes mean nothing in Windows-1252, but something in Latin-1.
    return "cp1252" if _first_bad(open_, "cp1252") is None else "latin-1"


def _sample(open_: Callable[[], BinaryIO], at: int) -> bytes:
    """Return the start of the file and, where that does not hold byte ``at``, the lines around."""
    with open_() as file:
        start = file.read(2 * _PIECE)
        if at >= len(start):
            file.seek(at - _PIECE)
            file.readline(_PIECE)
        return start + file.read(2 * _PIECE)


def _nearly_utf8(sample: bytes) -> bool:
    text = sample.decode("utf-8", errors="replace")
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
