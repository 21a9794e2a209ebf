"""The pages in a real browser: no errors, nothing clipped, no barriers, on any screen."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from headstart.report import comparison_page, fit_page
from headstart.report.words import Words
from pages import CHINESE, of_comparison, of_fit

pytestmark = pytest.mark.slow

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
MANY = [f"a breed with a long name {i}" for i in range(120)]

# What sticks out of its box, and text of charts that is not on the screen. Boxes that scroll
# sideways by themselves are no fault, nor is what lies in them.
CLIPPED = """() => {
  const found = [];
  const wide = document.documentElement.scrollWidth;
  if (wide > innerWidth) found.push(`the page is ${wide} wide`);
  for (const one of document.querySelectorAll("main *")) {
    if (one.closest(".wide") || one.closest("defs") || !one.getClientRects().length) continue;
    const box = one.getBoundingClientRect();
    if (box.width && (box.right > innerWidth + 1 || box.left < -1))
      found.push(`${one.tagName} ${one.getAttribute("class")} ${one.textContent.slice(0, 40)}`);
    if (one instanceof HTMLElement && one.scrollWidth > one.clientWidth + 1 && one.clientWidth
        && getComputedStyle(one).display !== "inline" && !one.querySelector("svg"))
      found.push(`${one.tagName}.${one.className} holds more than fits`);
  }
  return found;
}"""


def browser_path() -> str:
    for name in BROWSERS:
        if found := shutil.which(name):
            return found
    pytest.skip(f"none of {', '.join(BROWSERS)} is installed")


def axe() -> Path:
    """Return axe-core: from npm (`npm install axe-core`), or where ``HEADSTART_AXE`` says."""
    root = Path(__file__).resolve().parents[1]
    places = [Path(os.environ.get("HEADSTART_AXE", "no such place"))]
    places.append(root / "node_modules" / "axe-core" / "axe.min.js")
    for place in places:
        if place.is_file():
            return place
    pytest.skip("axe-core is not installed: npm install axe-core, or HEADSTART_AXE=axe.min.js")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    if find_spec("playwright") is None:
        pytest.skip("playwright is not installed")
    path = browser_path()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


PAGES = {
    "two classes": lambda: fit_page.page(*of_fit(["ants", "bees"])),
    "texts": lambda: fit_page.page(*of_fit(["good", "bad", "neither"], texts=True)),
    "120 classes": lambda: fit_page.page(*of_fit(MANY, each=4)),
    "Chinese": lambda: fit_page.page(*of_fit(CHINESE), Words("zh")),
    "comparison": lambda: comparison_page.page(*of_comparison(["ants", "bees"])),
    "Chinese comparison": lambda: comparison_page.page(*of_comparison(CHINESE), Words("zh")),
    "many networks": lambda: comparison_page.page(*of_comparison(MANY[:3], backbones=6)),
}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    out = {}
    for number, (name, make) in enumerate(PAGES.items()):
        out[name] = folder / f"{number}.html"
        out[name].write_text(make(), encoding="utf-8")
    return out


def opened(chromium: Any, path: Path, width: int, scheme: str, **how: Any) -> tuple[Any, list[str]]:
    context = chromium.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, **how
    )
    page, said = context.new_page(), []
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on(
        "request",
        lambda one: (
            None if one.url.startswith(("file:", "data:")) else said.append(f"fetches {one.url}")
        ),
    )
    page.goto(path.as_uri())
    return page, said


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_clipped_and_nothing_fails(
    name: str, width: int, scheme: str, chromium: Any, written: dict[str, Path]
) -> None:
    page, said = opened(chromium, written[name], width, scheme)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert page.evaluate(CLIPPED) == []
    assert said == []
    page.context.close()


def test_what_is_clipped_would_be_found(chromium: Any, tmp_path: Path) -> None:
    broken = "<main><p style='width: 900px'>wide</p><div style='width: 9em'><b>unbroken_word_of_"
    (tmp_path / "broken.html").write_text(broken + "many_letters</b></div></main>")
    page, said = opened(chromium, tmp_path / "broken.html", 390, "light")
    found = page.evaluate(CLIPPED)
    assert any("the page is 9" in one for one in found)
    assert any(one.startswith("DIV") for one in found)
    page.evaluate("console.error('seen')")
    assert said == ["error: seen"]
    page.context.close()


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_no_serious_fault(name: str, chromium: Any, written: dict[str, Path]) -> None:
    for scheme in ("light", "dark"):
        page, _ = opened(chromium, written[name], 1280, scheme)
        page.add_script_tag(path=str(axe()))
        found = page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
        bad = [one for one in found if one["impact"] in ("serious", "critical")]
        assert [(one["id"], one["nodes"][0]["html"][:120]) for one in bad] == []
        page.context.close()


def test_cells_search_sort_filter_and_copy(chromium: Any, written: dict[str, Path]) -> None:
    page, said = opened(chromium, written["120 classes"], 1280, "light")
    page.fill("#classes .find", "name 117")
    assert page.locator("#classes tbody tr:visible").count() == 1
    page.fill("#classes .find", "")
    recall = "#classes table:first-of-type tbody tr td:nth-child(4)"
    first = page.locator(recall).first.inner_text()
    page.locator("#classes thead button", has_text="recall").first.click()
    assert page.locator(recall).first.inner_text() != first
    link = page.locator(".matrix a").first
    target = link.get_attribute("href")
    assert not page.locator(target).is_visible()
    link.click()
    assert page.locator(target).is_visible()
    page.locator("label[for=map-tsne]").click()
    assert page.locator(".second svg[role=img]").is_visible()
    assert not page.locator(".first svg[role=img]").is_visible()
    page.context.close()
    page, more = opened(chromium, written["comparison"], 1280, "light")
    page.select_option("#forest select >> nth=0", index=1)
    assert 0 < page.locator("#forest tbody tr:visible").count() < 24
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator("#use .copy").first.click()
    assert page.evaluate("navigator.clipboard.readText()").startswith("headstart fit")
    assert said + more == []
    page.context.close()


def test_all_is_readable_without_scripts_and_on_paper(
    chromium: Any, written: dict[str, Path]
) -> None:
    page, said = opened(chromium, written["two classes"], 1280, "light", java_script_enabled=False)
    assert page.locator(".find, .copy").count() == 0
    link = page.locator(".matrix a").first
    link.click()
    assert page.locator(link.get_attribute("href")).is_visible()
    page.locator("label[for=map-tsne]").click()
    assert page.locator(".second svg[role=img]").is_visible()
    page.emulate_media(media="print")
    assert page.locator(".choice + label").first.is_hidden()
    assert len(page.pdf()) > 20_000
    assert said == []
    page.context.close()
