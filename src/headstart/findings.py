"""What a check says, and what it is called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from headstart.wording import Said

TITLES = {
    "HS001": "Held-out set too small",
    "HS002": "Classes that were not measured",
    "HS003": "Classes with few items",
    "HS004": "Held-out items that were trained on, or look like it",
    "HS005": "Labels that may be the same",
    "HS006": "Likely label errors",
    "HS007": "Training and held-out items differ",
    "HS008": "A shortcut explains a class",
    "HS009": "Learned by heart",
    "HS010": "Probabilities that promise too much or too little",
    "HS011": "The backbone may not suit these items",
    "HS012": "Texts that were cut off",
    "HS013": "Very uneven classes",
    "HS014": "The same content with different labels",
    "HS015": "Too few draws to show their luck",
}
"""What each code is about; `docs/checks.md` has a section for each."""

MOST = 200
"""Items that a finding names."""


@dataclass(frozen=True)
class Finding:
    """Something that a check has found.

    Attributes:
        code: ``HS001`` and so on.
        message: one sentence with the figures, and what to do.
        items: the items that it is about, the most telling first, at most `MOST`: each a
            dictionary with ``item`` and what there is to say of it.
        facts: its numbers, by name.
    """

    code: str
    message: Said
    items: tuple[dict[str, Any], ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What the code is about."""
        return TITLES[self.code]

    @property
    def anchor(self) -> str:
        """Where the documentation has more."""
        return f"docs/checks.md#{self.code.lower()}"

    def to_json(self) -> dict[str, Any]:
        """Return the finding as plain values."""
        return {
            "code": self.code,
            "title": self.title,
            "message": str(self.message),
            "docs": self.anchor,
            "facts": self.facts,
            "items": list(self.items),
        }


def finding(
    code: str, template: str, *, items: Sequence[dict[str, Any]] = (), **facts: Any
) -> Finding:
    """Return the finding whose message is ``template`` filled with ``facts``.

    >>> finding("HS001", "only {n} held-out items", n=7).message
    'only 7 held-out items'
    """
    return Finding(code, Said(template, **facts), tuple(items[:MOST]), facts)


def listed(names: Sequence[str], most: int = 8) -> str:
    """Return ``names`` with commas; of many the first, and how many more.

    >>> listed(["a", "b", "c"], 2)
    'a, b, …+1'
    """
    few = ", ".join(names[:most])
    return few if len(names) <= most else f"{few}, …+{len(names) - most}"
