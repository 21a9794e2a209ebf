"""What all parts of a page share: words, pictures, and how tables and items look."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from headstart.report.words import Words
from headstart.visible import escape

ASSETS = Path(__file__).parents[1] / "assets"

SHOWN = 12
"""Rows of a long table that are not folded away."""


@cache
def asset(name: str) -> str:
    """Return the text of a file that the package brings."""
    return (ASSETS / name).read_text(encoding="utf-8")


class Html(str):
    """Text that is markup already and is not escaped again."""


def html(cell: str) -> str:
    """Return a cell as markup.

    >>> html("a < b"), html(Html("<b>"))
    ('a &lt; b', '<b>')
    """
    return cell if isinstance(cell, Html) else escape(cell)


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        cells: text, or `Html`.
        sorts: by column what it is sorted by, where that is not its text.
        data: what it is filtered by.
    """

    cells: Sequence[str]
    sorts: Mapping[int, float] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class View:
    """A page in the making.

    Attributes:
        words: its language.
        pictures: data URIs by item.
        texts: beginnings of texts by item.
    """

    words: Words
    pictures: Mapping[str, str] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)

    # -- texts ------------------------------------------------------------------------------------

    def t(self, said: str, **values: Any) -> str:
        """Return what is said in the page's language, escaped."""
        return escape(self.words(said, **values))

    def section(self, name: str, title: str, *body: str, **data: str) -> str:
        """Return a section with the anchor ``name``; without a body nothing."""
        inside = "".join(filter(None, body))
        if not inside:
            return ""
        told = "".join(f' data-{key}="{escape(value)}"' for key, value in data.items())
        return f'<section id="{name}"{told}><h2>{self.t(title)}</h2>{inside}</section>\n'

    # -- tables -----------------------------------------------------------------------------------

    def table(
        self,
        head: Sequence[str],
        rows: Sequence[Row],
        *,
        sort: bool = False,
        left: Sequence[int] = (0,),
        bars: int | None = None,
        label: str = "",
    ) -> str:
        """Return a table in a box that scrolls sideways where the screen is narrow.

        Args:
            head: names of the columns, translated here, or `Html`.
            rows: its rows.
            sort: whether a click on a column sorts by it.
            left: columns of text.
            bars: the column that holds bars.
            label: what the table is, for those who hear it.
        """
        css = dict.fromkeys(left, "left") | ({bars: "bar"} if bars is not None else {})
        kinds = [f' class="{css[i]}"' if i in css else "" for i in range(len(head))]
        top = "".join(
            f'<th scope="col"{kind}>{one if isinstance(one, Html) else self.t(one)}</th>'
            for kind, one in zip(kinds, head, strict=True)
        )
        body = "".join(self._row(row, kinds) for row in rows)
        asks = ' data-sort="1"' if sort else ""
        return (
            f'<div class="wide" tabindex="0" role="region" aria-label="{self.t(label or head[0])}">'
            f"<table{asks}><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
        )

    def _row(self, row: Row, kinds: Sequence[str]) -> str:
        cells = "".join(
            f"<td{kind}"
            + (f' data-v="{row.sorts[i]:.6g}"' if i in row.sorts else "")
            + f">{html(cell)}</td>"
            for i, (kind, cell) in enumerate(zip(kinds, row.cells, strict=True))
        )
        told = "".join(f' data-{key}="{escape(value)}"' for key, value in row.data.items())
        return f"<tr{told}>{cells}</tr>"

    def folded(self, head: Sequence[str], rows: Sequence[Row], **how: Any) -> str:
        """Return a table of the first rows, and the rest of a long one behind a fold."""
        if len(rows) <= SHOWN + 4:
            return self.table(head, rows, **how)
        rest = self.table(head, rows[SHOWN:], **how)
        return (
            self.table(head, rows[:SHOWN], **how)
            + f"<details><summary>{self.t('{n} more', n=len(rows) - SHOWN)}</summary>"
            f"{rest}</details>"
        )

    def listed(self, lines: Sequence[str], most: int = 200) -> str:
        """Return ``lines`` as a list behind a fold, where there are many."""
        inside = "".join(f"<li>{html(line)}</li>" for line in lines[:most])
        if len(lines) > most:
            inside += f"<li>{self.t('{n} more', n=len(lines) - most)}</li>"
        if len(lines) <= SHOWN:
            return f"<ul>{inside}</ul>"
        summary = self.t("{n} items", n=len(lines))
        return f"<details><summary>{summary}</summary><ul>{inside}</ul></details>"

    # -- items ------------------------------------------------------------------------------------

    def picture(self, item: str) -> str:
        """Return the picture of an item; empty where the page has none."""
        if item not in self.pictures:
            return ""
        number = list(self.pictures).index(item)
        return (
            f'<svg class="pic" viewBox="0 0 64 64" role="img" aria-label="{escape(item)}">'
            f'<title>{escape(item)}</title><use href="#p{number}"/></svg>'
        )

    def named(self, item: str) -> str:
        """Return the name of an item; of a picture, whose path it also tells, its last part."""
        shown = item.rpartition("/")[2] if item in self.pictures else item
        return f"<code>{escape(shown)}</code>"

    def items(self, rows: Sequence[tuple[str, str]]) -> str:
        """Return items, (name, what is said of it as markup), as pictures or as texts."""
        texts = any(item in self.texts for item, _ in rows)
        kind = "items texts" if texts else "items"
        inside = "".join(f"<li>{self._shown(item)}{said}</li>" for item, said in rows)
        return f'<ul class="{kind}">{inside}</ul>'

    def _shown(self, item: str) -> str:
        if item in self.texts:
            return f'<span class="text">{escape(self.texts[item])}</span>'
        return self.picture(item) or f"<code>{escape(item)}</code><br>"

    def store(self) -> str:
        """Return all pictures once, to be used by their numbers."""
        images = "".join(
            f'<image id="p{i}" width="64" height="64" href="{uri}"/>'
            for i, uri in enumerate(self.pictures.values())
        )
        hidden = 'width="0" height="0" style="position:absolute" aria-hidden="true"'
        return f"<svg {hidden}><defs>{images}</defs></svg>" if images else ""

    # -- the whole --------------------------------------------------------------------------------

    def document(self, title: str, *body: str) -> str:
        """Return the page: one file, nothing fetched."""
        told = {
            one: self.words(one)
            for one in ("search", "copy", "copied", "all", "shots", "backbone", "strategy")
        }
        return (
            f'<!doctype html>\n<html lang="{self.words.tag}"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            '<meta name="generator" content="headstart">'
            f"<title>{escape(title)}</title><style>{asset('page.css')}</style></head>\n<body>"
            f"{self.store()}<main>\n{''.join(filter(None, body))}</main>\n"
            f'<script type="application/json" id="words">{_safe(told)}</script>'
            f"<script>{asset('page.js')}</script></body></html>\n"
        )


def _safe(values: Any) -> str:
    return json.dumps(values, ensure_ascii=False).replace("<", "\\u003c")
