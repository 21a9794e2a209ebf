"""The pages as text: one file, escaped, small, in two languages, colours that can be told apart."""

from __future__ import annotations

import ast
import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import headstart
from conftest import bars, sentences
from headstart.bundle import load
from headstart.findings import TITLES
from headstart.report import comparison_page, fit_page
from headstart.report.chinese import CHINESE
from headstart.report.svg import Axis, linear, logarithmic
from headstart.report.thumbnails import MOST, SIDE, thumbnails
from headstart.report.view import asset
from headstart.report.words import Words, language
from headstart.wording import fields, plain
from pages import CHINESE as NAMES
from pages import of_comparison, of_fit, picture

MANY = [f"Rasse, breed, 品种 {i}" for i in range(120)]


def made(names: Any, kind: str, lang: str = "en", **how: Any) -> str:
    words = Words(lang)
    build, render = (of_fit, fit_page) if kind == "fit" else (of_comparison, comparison_page)
    facts, more = build(names, **how)
    page = render.page(facts, more, words)
    assert words.missing <= {
        "Take frozen on torchvision:network_0.",
        "More labels would change it.",
    }
    return page


@pytest.mark.parametrize("kind", ["fit", "comparison"])
@pytest.mark.parametrize("names", [NAMES[:2], MANY], ids=["2", "120"])
def test_one_file_that_fetches_nothing(kind: str, names: Any) -> None:
    page = made(names, kind)
    bare = re.sub(r"data:image/(jpeg|png);base64,[^\"]+", "", page)
    assert not re.search(r"https?:|<link|@import|url\(|src=\"[^\"]", bare)
    assert len(bare) < 1_000_000
    assert page.count("data:image/jpeg") <= MOST + 2


def test_every_section_is_there_and_numbers_stand_in_it() -> None:
    page = made(NAMES, "fit")
    found = re.findall(r'<section id="(\w+)"', page)
    assert found == [
        *("checks", "floors", "data", "classes", "confusion", "errors", "reliability", "map"),
        *("epochs", "filters", "use", "made", "notes", "skipped"),
    ]
    assert "HS006" in page and "docs/checks.md#hs006" in page
    page = made(NAMES, "comparison")
    found = re.findall(r'<section id="(\w+)"', page)
    assert found == ["checks", "forest", "curves", "backtest", "cost", "data", "use", "made"]
    assert "stopped early" in page and "Take frozen on torchvision:network_0: expect" in page


def test_sections_without_facts_are_left_out() -> None:
    facts, _ = of_fit(NAMES)
    bare = facts | {"history": [], "errors": [], "notes": [], "skipped": []}
    page = fit_page.page(bare | {"metrics": facts["metrics"] | {"reliability": []}})
    assert re.findall(r'<section id="(\w+)"', page) == ["classes", "confusion", "use", "made"]
    facts, _ = of_comparison(NAMES)
    page = comparison_page.page(
        facts | {"forecast": [], "backtest": [], "floors": [], "advice": None}
    )
    assert re.findall(r'<section id="(\w+)"', page) == ["forest", "curves", "cost", "use", "made"]
    few = facts | {"summary": facts["summary"][:1], "runs": facts["runs"][:1]}
    page = comparison_page.page(few | {"forecast": [], "backtest": []})
    assert re.findall(r'<section id="(\w+)"', page) == ["forest", "use", "made"]


def test_cells_open_their_items() -> None:
    page = made(NAMES, "fit")
    links = re.findall(r'href="#(cell-\d+-\d+)"', page)
    assert links and set(links) == set(re.findall(r'id="(cell-\d+-\d+)"', page))
    facts, more = of_fit(NAMES)
    counts = np.array(facts["metrics"]["confusion"])
    assert len(links) == int((counts - np.diag(np.diag(counts)) > 0).sum())


def test_many_classes_show_the_most_confused_and_set_the_unmeasured_apart() -> None:
    page = made(MANY, "fit")
    matrix = page[page.index('class="matrix"') : page.index("</table>", page.index('matrix">'))]
    assert 2 <= matrix.count("<tr>") - 1 <= 24
    assert "Not measured, for no item is held out: 1 classes." in page
    assert 'data-search="1"' in page
    recalls = [float(v) for v in re.findall(r'data-v="([\d.]+)">[\d.]+ %</td><td data-v', page)]
    assert recalls == sorted(recalls) and len(recalls) == 119
    facts, _ = of_fit(MANY)
    perfect = np.eye(120, dtype=int).tolist()
    facts["metrics"] = facts["metrics"] | {"confusion": perfect}
    assert 'class="matrix"' not in fit_page.page(facts), "nothing is confused"


def test_names_of_others_are_escaped() -> None:
    evil = ["<script>alert(1)</script>", '"><img src=x onerror=alert(2)>', "</title></style>"]
    for kind in ("fit", "comparison"):
        page = made(evil, kind)
        assert "<script>alert" not in page and "<img src=x" not in page
        assert page.count("</title></style>") == 0
        assert page.count("<script") == 2
    facts, more = of_fit(NAMES, texts=True)
    more["texts"] = dict.fromkeys(more["texts"], "</span><script>alert(3)</script>")
    assert "<script>alert(3)" not in fit_page.page(facts, more)


def test_a_long_name_breaks_between_its_words() -> None:
    page = made(["american_staffordshire_terrier", "<b>_bees"], "fit")
    assert "<strong>american_<wbr>staffordshire_<wbr>terrier</strong>" in page
    assert "<strong>&lt;b&gt;_<wbr>bees</strong>" in page


def test_chinese() -> None:
    for kind in ("fit", "comparison"):
        page = made(NAMES, kind, "zh")
        assert '<html lang="zh-CN">' in page
        assert "采信之前" in page and "蜜蜂与大黄蜂" in page
    assert "建议采用 frozen（torchvision:network_0）：预计正确率 90.0 %（95%：85.0–95.0）" in page
    for english, chinese in CHINESE.items():
        assert fields(english) == fields(chinese), english
    assert set(TITLES.values()) <= CHINESE.keys()


def test_what_checks_and_advice_say_has_a_translation() -> None:
    from headstart.checks import (
        copies,
        draws,
        held_out,
        inputs,
        label_errors,
        labels,
        shift,
        shortcuts,
    )
    from headstart.evaluation import choosing

    of_checks = (copies, draws, held_out, inputs, label_errors, labels, shift, shortcuts)
    templates = set()
    for module in (choosing, *of_checks):
        for constant in _strings(module.__file__):
            if len(constant) > 40 and fields(constant):
                templates.add(constant)
    assert len(templates) >= 15
    assert templates <= CHINESE.keys()


def test_whatever_remembers_how_it_was_made_has_a_translation() -> None:
    found = {
        template
        for path in Path(headstart.__file__).parent.rglob("*.py")
        for template in _said(ast.parse(path.read_text("utf-8")))
    }
    assert len(found) > 60
    assert {one for one in found if any(map(str.isalpha, plain(one)))} <= CHINESE.keys()


def _said(tree: ast.AST) -> Iterator[str]:
    """Yield the templates of `Said`, also where they were given a name before."""
    for body in ast.walk(tree):
        named: dict[str, list[str]] = {}
        if isinstance(body, ast.Module | ast.FunctionDef):
            for node in ast.walk(body):
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                    named.setdefault(node.targets[0].id, []).extend(_constants(node.value))
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Said":
                    (first, *_) = node.args
                    name = first.id if isinstance(first, ast.Name) else ""
                    yield from named.get(name, []) if name else _constants(first)


def _constants(node: ast.expr) -> list[str]:
    if isinstance(node, ast.IfExp):
        return [*_constants(node.body), *_constants(node.orelse)]
    return [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []


def test_notes_are_said_in_the_page_s_language(tmp_path: Path, glyph_graph: Any) -> None:
    made = headstart.fit(bars(), lang="zh")
    made.notes.append("as it is {so}")
    made.save(tmp_path / "m")
    page = (tmp_path / "m" / "report.html").read_text("utf-8")
    assert "骨干网络 glyphs，理由：灰度小图" in page and "as it is {so}" in page
    assert json.loads((tmp_path / "m" / "bundle.json").read_text())["notes"] == made.notes


def _strings(path: str) -> Any:
    for node in ast.walk(ast.parse(Path(path).read_text("utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_the_language_is_the_one_asked_for_or_the_locale_s(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    assert language(None) == "en"
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert (language(None), language("en")) == ("zh", "en")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    assert language(None) == "en"


# -- whole runs -----------------------------------------------------------------------------------


def test_fit_writes_its_page_with_pictures_and_command(tmp_path: Any, glyph_graph: Any) -> None:
    made = headstart.fit(bars(20), out=tmp_path / "my model", lang="zh", seed=3)
    page = (tmp_path / "my model" / "report.html").read_text("utf-8")
    assert '<html lang="zh-CN">' in page
    assert page.count("data:image/jpeg") == 12
    assert "headstart fit" in page and "--seed 3" in page
    assert "headstart predict &#x27;my model&#x27;" in page
    assert 'id="map"' in page and "t-SNE" in page
    assert made.bundle is not None
    again = fit_page.page(load(made.bundle).facts)
    assert 'id="classes"' in again and 'id="data"' not in again


def test_a_text_fit_and_a_comparison_write_theirs(tmp_path: Any) -> None:
    how = {"epochs": 3, "backbone": "textcnn", "strategy": "scratch"}
    headstart.fit(sentences(20), out=tmp_path / "model", **how)
    page = (tmp_path / "model" / "report.html").read_text("utf-8")
    assert 'class="epochs"' in page or 'id="epochs"' in page
    assert "own1" in page and "data:image" not in page


def test_compare_writes_its_page(tmp_path: Any, glyph_graph: Any) -> None:
    headstart.compare(
        bars(12), strategies="frozen", shots="2,4", draws=2, out=tmp_path / "c", lang="en"
    )
    page = (tmp_path / "c" / "report.html").read_text("utf-8")
    assert 'id="forest"' in page and 'id="curves"' in page
    assert "--shots 2,4" in page and "shots=[2, 4]" in page
    assert page.count("data:image/jpeg") == 12


def test_changed_filters_are_shown(tmp_path: Any) -> None:
    headstart.fit(bars(8), strategy="warm", epochs=2, out=tmp_path / "warm")
    assert 'id="filters"' in (tmp_path / "warm" / "report.html").read_text("utf-8")
    headstart.fit(bars(8), strategy="partial:-1", epochs=2, out=tmp_path / "part")
    assert 'id="filters"' not in (tmp_path / "part" / "report.html").read_text("utf-8")


# -- pieces ---------------------------------------------------------------------------------------


def test_thumbnails_are_small_and_few() -> None:
    found = thumbnails([str(i) for i in range(MOST + 50)], lambda name: picture(int(name)))
    assert len(found) == MOST
    assert all(len(uri) < 8000 for uri in found.values())
    assert thumbnails(["a", "b"], {"a": picture(1), "b": b"rubbish"}.get).keys() == {"a"}
    assert thumbnails(["gone"], lambda name: None) == {}
    assert SIDE == 64


def test_axes() -> None:
    for values in ([0.0], [0.5, 0.5], [0.913, 0.914], [-3, 5], [1e-9, 2e-9], [0, 12345]):
        axis = linear(values)
        assert axis.low <= min(values) and max(values) <= axis.high
        assert 2 <= len(axis.ticks) <= 7
        assert len({said for _, said in axis.ticks}) == len(axis.ticks)
    assert linear([]).low == 0.0
    axis = logarithmic([0.2, 60])
    assert axis.share(0.2) < axis.share(1) < axis.share(60)
    assert 2 <= len(axis.ticks) <= 6
    assert len(logarithmic([0.23, 0.24]).ticks) >= 2
    assert Axis(0, 1).share(99) == 1.02


# -- colours --------------------------------------------------------------------------------------

# What dichromats see, Machado, Oliveira and Fernandes 2009, severity 1.0, on linear RGB.
SEEN = {
    "usual": np.eye(3),
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def linear_rgb(colour: str) -> np.ndarray:
    c = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    weights = [0.2126, 0.7152, 0.0722]
    low, high = sorted(float(linear_rgb(c) @ weights) for c in (one, other))
    return (high + 0.05) / (low + 0.05)


def oklab(rgb: np.ndarray) -> np.ndarray:
    to_lms = [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
    to_lab = [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
    return np.array(to_lab) @ np.cbrt(np.array(to_lms) @ np.clip(rgb, 0, 1))


def themes() -> list[dict[str, str]]:
    blocks = re.findall(r":root \{(.*?)\}", asset("page.css"), re.S)[:2]
    return [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block)) for block in blocks]


@pytest.mark.parametrize("theme", themes(), ids=["light", "dark"])
def test_colours_can_be_told_apart_and_read_by_everybody(theme: dict[str, str]) -> None:
    series = [theme[f"s{i}"] for i in range(6)]
    for matrix in SEEN.values():
        seen = [oklab(np.array(matrix) @ linear_rgb(colour)) for colour in series]
        assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 0.08
    for ground in (theme["back"], theme["card"]):
        assert all(contrast(theme[name], ground) >= 4.5 for name in ("ink", "quiet", "good"))
    assert all(contrast(colour, theme["back"]) >= 3 for colour in series)
