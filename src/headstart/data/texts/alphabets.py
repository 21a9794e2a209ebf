"""Which of the older one-byte encodings a text is in, told by the letters that its language has.

An encoding is right where the letters beyond ASCII are those of one language, and where signs such
as quotes do not stand within words. So Hungarian in Windows-1250 is not taken for a text with
Portuguese and French letters in Windows-1252, though every byte means something there.
"""

from __future__ import annotations

from collections import Counter
from functools import cache

ENCODINGS = ("cp1252", "cp1250", "cp1254", "iso8859-2", "mac-roman", "cp850", "cp852", "cp857")
"""Looked at in this order: of two that say the same, the first."""

_ALPHABETS = {
    "German": "äöüß",
    "French": "àâæçéèêëîïôœùûüÿ",
    "Spanish": "áéíñóúü",
    "Portuguese": "ãáâàçéêíóôõú",
    "Italian": "àèéìíîòóù",
    "Dutch": "éëïóöüèê",
    "Swedish and Finnish": "åäöé",
    "Danish and Norwegian": "æøåéòô",
    "Icelandic": "áðéíóúýþæö",
    "Catalan": "àçéèíïóòúü",
    "Polish": "ąćęłńóśźż",
    "Czech and Slovak": "áäčďéěíĺľňóôŕřšťúůýž",
    "Hungarian": "áéíóöőúüű",
    "Croatian and Slovene": "čćđšž",
    "Romanian": "ăâîşţșț",
    "Turkish": "çğıöşüâîûi̇",
}
_WESTERN = "".join(list(_ALPHABETS.values())[:10])
_LATIN = frozenset(_WESTERN + _WESTERN.upper())

# Signs that may stand beside words, before one alone, after one alone, and within one.
_BESIDE = frozenset("“‹›–—€°§¶•×÷±²³¼½¾\xa0´¨»«")
_BEFORE = frozenset("„‚¿¡£¥")
_AFTER = frozenset("”…©®™ªº¢")
_WITHIN = frozenset("’‘·\xad")

_SURE, _BETTER = 0.95, 0.04


def recognise(sample: bytes) -> str | None:
    """Return the encoding of ``sample``, or None where that is anyone's guess.

    >>> [recognise("Árvíztűrő tükörfúrógép".encode(name)) for name in ("cp1250", "cp852")]
    ['cp1250', 'cp852']
    """
    shares = {name: _share(sample, name) for name in ENCODINGS}
    best = max(shares.values())
    if shares["cp1252"] >= max(0.9, best - _BETTER) or (best < _SURE and _is_western(sample)):
        return "cp1252"
    near = [name for name, share in shares.items() if share >= max(_SURE, best - _BETTER)]
    meant = {sample.decode(name, "replace") for name in near}
    return near[0] if len(meant) == 1 else None


def _share(sample: bytes, encoding: str) -> float:
    """Return which share of the signs beyond ASCII make sense, in the language that suits best."""
    signs = _signs(sample, encoding)
    return max((_sensible(signs, letters) for letters in _languages()), default=0.0)


def _is_western(sample: bytes) -> bool:
    return _sensible(_signs(sample, "cp1252"), _LATIN) >= _SURE


@cache
def _languages() -> tuple[frozenset[str], ...]:
    return tuple(frozenset(letters + letters.upper()) for letters in _ALPHABETS.values())


def _signs(sample: bytes, encoding: str) -> Counter[tuple[str, bool, bool]]:
    """Return how often each sign beyond ASCII occurs, and whether letters stand on its sides."""
    text = f" {sample.decode(encoding, 'replace')} "
    return Counter(
        (sign, text[i - 1].isalpha(), text[i + 1].isalpha())
        for i, sign in enumerate(text)
        if sign > "\x7f"
    )


def _sensible(signs: Counter[tuple[str, bool, bool]], letters: frozenset[str]) -> float:
    good = sum(count for one, count in signs.items() if one[0] in letters or _stands_well(*one))
    return good / signs.total() if signs else 1.0


def _stands_well(sign: str, behind: bool, ahead: bool) -> bool:
    """Return whether a sign may have a letter ``behind`` it, and one ``ahead``."""
    if sign in _BEFORE:
        return not behind
    if sign in _AFTER:
        return not ahead
    return sign in _WITHIN or (sign in _BESIDE and not (behind and ahead))
