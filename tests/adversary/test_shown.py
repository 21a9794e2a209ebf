"""Names that were made to harm, wherever results are shown: no markup, no script, no escapes."""

from __future__ import annotations

import io
import warnings
from html.parser import HTMLParser
from pathlib import Path

import pytest

from headstart.cards import Card, Record, Row, Shown
from headstart.report import comparison_page, fit_page
from headstart.tasks.classes import Classes
from pages import of_comparison, of_fit

EVIL = (
    *("<script>alert(1)</script>", '"><img src=x onerror=alert(2)>', "' onload='alert(3)"),
    *(
        "</title></style></script><marquee>",
        "<!--",
        "javascript:alert(4)",
        "&lt;script&gt;",
        "{{7*7}}",
    ),
    *("cat\u202egnp", "red\x1b[31m\x1b[2J", "a\nb\r\tc", "\u2028alert(5)", "nul\0l", "\ud83d"),
    *(
        "$\\frac{$",
        "$x^2$ and $5",
        "=cmd|' /C calc'!A0",
        "[a](javascript:alert(6))",
        "a|b",
        "\\input{x}",
    ),
)


class Reader(HTMLParser):
    """What a browser would make of a page: its elements, and handlers in them."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.handlers: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)
        for name, value in attrs:
            if name.startswith("on") or (value or "").lower().startswith("javascript:"):
                self.handlers.append(f"{tag} {name}={value}")


def elements(page: str) -> list[str]:
    reader = Reader()
    reader.feed(page)
    assert reader.handlers == []
    return reader.found


def harmless(page: str) -> None:
    assert not {"\u202e", "\x1b", "\0", "\u2028"} & set(page)
    found = elements(page)
    assert found.count("script") == 2
    assert not {"marquee", "iframe", "object", "embed", "base", "form"} & set(found)
    page.encode("utf-8")


def test_pages_hold_the_same_elements_whatever_the_names_are() -> None:
    plain = [f"class {i}" for i in range(len(EVIL))]
    for texts in (True, False):
        facts, more = of_fit(EVIL, texts=texts)
        page = fit_page.page(facts, more)
        harmless(page)
        assert elements(page) == elements(fit_page.page(*of_fit(plain, texts=texts)))
    page = comparison_page.page(*of_comparison(EVIL))
    harmless(page)
    assert elements(page) == elements(comparison_page.page(*of_comparison(plain)))


@pytest.mark.parametrize("evil", EVIL)
def test_every_text_of_a_page_is_escaped(evil: str) -> None:
    facts, more = of_fit(["a", "b"], texts=True)
    facts |= {"notes": [evil], "strategy": evil, "skipped": [{"item": evil, "reason": evil}]}
    facts["backbones"] = [{"name": evil, "source_domain": evil, "licence": evil}]
    facts["versions"] = {evil: evil}
    more |= dict.fromkeys(("title", "folder", "command", "python", "date"), evil)
    more["texts"] = dict.fromkeys(more["texts"], evil)
    harmless(fit_page.page(facts, more))


class Evil(Shown):
    """A result that somebody else has named."""

    def __init__(self, name: str) -> None:
        self.name = name

    def card(self) -> Card:
        return Card(self.name, self.name, (self.name,))

    def records(self) -> list[Record]:
        return [{"class": self.name, self.name: 1, "recall": 0.5}]


@pytest.mark.parametrize("evil", EVIL)
def test_cards_lines_and_tables_of_notebooks(evil: str) -> None:
    card = Evil(evil)
    assert repr(card).isprintable() or "\ud83d" in evil
    assert not {"\n", "\x1b", "\u202e"} & set(repr(card))
    assert set(elements(card._repr_html_())) <= {"div", "table", "thead", "tbody", "tr", "th", "td"}
    assert not {"\x1b", "\u202e"} & set(card._repr_html_())
    table = card.to_markdown().split("\n")
    assert len(table) == 3 and all(line.count("|") == 4 for line in table)
    assert "<" not in card.to_markdown()
    assert card.to_latex().count("\n") == 6 and "\\input" not in card.to_latex()
    assert Row({"n": evil}).to_latex().count("\\\\\n") == 2


@pytest.mark.parametrize("evil", EVIL)
def test_names_in_pictures_are_no_formulas(evil: str, tmp_path: Path) -> None:
    axes = Evil(evil).plot()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of signs that no font here has
        if "\ud83d" not in evil:
            axes.figure.savefig(io.BytesIO(), format="png", dpi=20)


def test_answers_in_a_terminal_move_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    from headstart.report.tables import predictions

    for evil in EVIL:
        answer = {"item": evil, "label": evil, "probability": 0.5}
        predictions(Classes((evil,)), [answer, {"item": evil, "error": evil}])
    shown = capsys.readouterr()
    assert len(shown.out.splitlines()) == len(shown.err.splitlines()) == len(EVIL)
    assert not {"\x1b", "\u202e", "\0", "\r"} & set(shown.out + shown.err)
