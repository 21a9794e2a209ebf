"""Sentences that remember how they were made, so that a page can say them in another language."""

from __future__ import annotations

import re
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

    def __getnewargs_ex__(self) -> tuple[tuple[str], dict[str, Any]]:
        """Let a copy, in another process too, be made of the template and not of the sentence."""
        return (self.template,), self.values


_FIELD = re.compile(r"\{(\w+)[^}]*\}")


def fields(template: str) -> set[str]:
    """Return the names of the values that ``template`` wants; translations must want the same.

    >>> sorted(fields("{n} of {of:.1f}"))
    ['n', 'of']
    """
    return set(_FIELD.findall(template))
