"""Sentences that remember how they were made, so that a page can say them in another language."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any


class Said(str):
    """A sentence in English, with the template and the values that it was made of.

    It is a string wherever a string is wanted; `headstart.report.words` looks its template up in
    another language and fills the same values in.

    >>> one = Said("{n} items of {of}", n=3, of="five")
    >>> one, one.template, one.values["n"]
    ('3 items of five', '{n} items of {of}', 3)
    """

    template: str
    values: dict[str, Any]

    def __new__(cls, template: str, **values: Any) -> Said:
        """Return ``template`` with its ``values`` in place, by the rules of `str.format`."""
        made = super().__new__(cls, template.format(**values))
        made.template, made.values = template, values
        return made

    def capital(self) -> Said:
        """Return it with a capital letter."""
        made = str.__new__(Said, self[:1].upper() + self[1:])
        made.template, made.values = self.template, self.values
        return made

    def __deepcopy__(self, memo: Any) -> Said:
        """Return itself: nobody can change it."""
        return self

    def __getnewargs_ex__(self) -> tuple[tuple[str], dict[str, Any]]:
        """Let a copy, in another process too, be made of the template and not of the sentence."""
        return (self.template,), self.values


def joined(parts: Sequence[str]) -> Said:
    """Return one sentence of several parts.

    >>> joined([Said("{n} items", n=3), "a part"])
    '3 items; a part.'
    """
    names = {f"p{i}": part for i, part in enumerate(parts)}
    return Said("; ".join(f"{{{name}}}" for name in names) + ".", **names).capital()


_FIELD = re.compile(r"\{(\w+)[^}]*\}")


def plain(template: str) -> str:
    """Return what ``template`` says besides its fields.

    >>> plain("{n:.1f} items")
    ' items'
    """
    return _FIELD.sub("", template)


def fields(template: str) -> set[str]:
    """Return the names of the values that ``template`` wants; translations must want the same.

    >>> sorted(fields("{n} of {of:.1f}"))
    ['n', 'of']
    """
    return set(_FIELD.findall(template))
