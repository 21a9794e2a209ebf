"""What a page says, in English or Chinese."""

from __future__ import annotations

import os
import re
from typing import Any

from headstart.report.chinese import CHINESE
from headstart.wording import Said, plain

LANGUAGES = ("en", "zh")

_SPAN = re.compile(r"-?[\d.]+ to -?[\d.]+")


def language(asked: str | None) -> str:
    """Return the language that was ``asked`` for, else the locale's if it is one of ours."""
    if asked is not None:
        return asked
    said = (os.environ.get(name, "") for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    return "zh" if next(filter(None, said), "").lower().startswith("zh") else "en"


class Words:
    """Sentences of a page in its language; what has no translation stays English.

    Attributes:
        lang: "en" or "zh".
        missing: templates that had none, for the tests.

    >>> Words("zh")("{n} items", n=3)
    '3 项'
    """

    def __init__(self, lang: str = "en") -> None:
        self.lang = lang
        self.missing: set[str] = set()

    @property
    def tag(self) -> str:
        """The language as HTML names it."""
        return "zh-CN" if self.lang == "zh" else "en"

    def __call__(self, said: str, **values: Any) -> str:
        """Return ``said``, a template or what `Said` made of one, in this language."""
        template = said.template if isinstance(said, Said) else said
        values = said.values if isinstance(said, Said) else values
        if self.lang == "en":
            return template.format(**values) if values and not isinstance(said, Said) else str(said)
        known = CHINESE.get(template)
        if known is None and any(char.isalpha() for char in plain(template)):
            self.missing.add(template)
        values = {k: self._value(v) for k, v in values.items()}
        return (known or template).format(**values) if values else known or template

    def _value(self, value: Any) -> Any:
        if isinstance(value, Said):
            return self(value)
        if not isinstance(value, str):
            return value
        return self.span(value) if _SPAN.fullmatch(value) else CHINESE.get(value, value)

    def span(self, said: str) -> str:
        """Return an interval, written ``low to high``, as this language has it."""
        return said.replace(" to ", self(" to "))
