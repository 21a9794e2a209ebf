"""What is drawn: PNGs of sensible size, in any script, and a page for any number of classes."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from PIL import Image

from conftest import answers, compared, save_bars
from headstart.evaluation.runs import Comparison, Run
from headstart.report import canvas, comparison_tables, maps, pictures
from headstart.report.canvas import readable


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        pixels = np.asarray(picture.convert("L"))
        assert pixels.std() > 1, "an empty picture"
        return picture.size


def comparison(*strategies: str) -> Comparison:
    runs = [
        Run("glyphs", name, shots, draw, 1.0, answers(np.arange(50) < 25 + 5 * draw + i))
        for i, name in enumerate(strategies)
        for shots in (1, 4, "all")
        for draw in range(3)
    ]
    return compared(runs)


def test_readable_says_what_the_fonts_can_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    assert readable("Ameise, abeille, пчела", "class 0") == "Ameise, abeille, пчела"
    assert readable("\U0010fffd", "class 0") == "class 0"
    usual = canvas.fonts()[:1]
    monkeypatch.setattr(canvas, "fonts", lambda: usual)
    assert readable("蚂蚁", "class 0") == "class 0"
    wide = (*usual, ("Wide", frozenset(map(ord, "蚂蚁"))))
    monkeypatch.setattr(canvas, "fonts", lambda: wide)
    assert readable("蚂蚁 x", "class 0") == "蚂蚁 x"


def test_fonts_that_came_later_are_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import matplotlib.font_manager as fonts
    from fontTools.ttLib import TTFont

    usual = [font for font in fonts.fontManager.ttflist if font.name == "DejaVu Sans"][:1]
    made = TTFont(usual[0].fname)
    for table in made["cmap"].tables:
        if table.isUnicode():
            table.cmap |= {ord("蚂"): "A", ord("蚁"): "B"}
    for record in made["name"].names:
        if record.nameID in (1, 4, 16):
            record.string = "Noto Sans SC"
    made.save(tmp_path / "later.ttf")
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    found = [str(tmp_path / name) for name in ("broken.ttf", "later.ttf")]
    monkeypatch.setattr(fonts.fontManager, "ttflist", list(usual))
    monkeypatch.setattr(fonts, "findSystemFonts", list)
    canvas._look_for_fonts.cache_clear()
    assert readable("蚂蚁", "class 0") == "class 0"
    monkeypatch.setattr(fonts, "findSystemFonts", lambda: found)
    assert readable("蚂蚁", "class 0") == "class 0", "it is looked once a process"
    canvas._look_for_fonts.cache_clear()
    assert readable("蚂蚁", "class 0") == "蚂蚁"
    pictures.curves(comparison("warm", "frozen"), tmp_path / "c.png", "蚂蚁")


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that were saved."""
    figures: list[Figure] = []
    for module in (pictures, maps):
        monkeypatch.setattr(
            module, "save", lambda figure, path: (canvas.save(figure, path), figures.append(figure))
        )
    return figures


def test_six_lines_can_be_told_apart(tmp_path: Path, drawn: list[Figure]) -> None:
    names = ["scratch", "warm", "frozen", "lp-ft", "bitfit", "l2-sp"]
    pictures.curves(comparison(*names), tmp_path / "c.png", "蚂蚁 photos")
    (axes,) = drawn[0].axes
    assert not [one for one in axes.collections if isinstance(one, PolyCollection)], "no bands"
    bars = [one for one in axes.collections if isinstance(one, LineCollection)]
    assert len(bars) == 6 and all(one.get_linewidths()[0] < 1 for one in bars)
    lines = [one for one in axes.lines if len(one.get_xdata()) == 3]
    assert len({(one.get_color(), one.get_marker()) for one in lines}) == 6
    assert len({float(one.get_xdata()[0]) for one in lines}) == 6, "bars stand beside each other"
    assert axes.get_title(loc="left") == "蚂蚁 photos: 3 draws, 50 held-out items; bars: 95 %"
    assert {one.get_text() for one in axes.texts} == set(names)


def test_a_map_of_many_classes_names_the_worst(tmp_path: Path, drawn: list[Figure]) -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(120), 5)
    trained = np.arange(600) % 5 > 1
    wrong = ~trained & np.isin(labels, [7, 50, 119])
    wrong[labels == 3] = trained[labels == 3]  # only on what was trained on: no mistake to count
    names = [f"品种 {i}" for i in range(120)]
    how = {"wrong": wrong, "trained": trained, "title": "600 items"}
    picked = maps.embedding(rng.normal(size=(600, 2)), labels, names, tmp_path / "e.png", **how)
    assert len(picked) == 12 and picked[:3] == ["品种 7", "品种 50", "品种 119"]
    assert "品种 3" not in picked[:3]
    (axes,) = drawn[0].axes
    said = [one.get_text() for one in axes.get_legend().get_texts()]
    assert said[0] == "品种 7 (2 wrong)" and "108 other classes" in said
    assert said[-3:] == ["trained on", "not trained on", "taken for another"]
    assert sum(len(one.get_offsets()) for one in axes.collections) == 600, "each is drawn once"
    crosses = [one for one in axes.collections if one.get_linewidths()[0] == 1.6]
    assert sum(len(one.get_offsets()) for one in crosses) == 6


def test_a_sweep_over_the_frozen_blocks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = comparison("partial:10", "partial:0", "partial:4")
    assert list(found.sweep()) == [0, 4, 10]
    assert not comparison("partial:0", "partial:4", "warm").sweep()
    assert not comparison("partial:0", "partial:4", "partial:-1").sweep()
    comparison_tables.comparison(found)
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rows if row and row[0].isdecimal()] == ["0", "4", "10"]
    comparison_tables.save(found, tmp_path)
    assert 500 < size(tmp_path / "curves.png")[0] < 1500


def test_curves(tmp_path: Path) -> None:
    pictures.curves(comparison("scratch", "warm", "frozen"), tmp_path / "curves.png")
    width, height = size(tmp_path / "curves.png")
    assert 500 < width < 1500
    assert 300 < height < 1000


@given(st.lists(st.floats(0, 100), min_size=1, max_size=30), st.floats(0.1, 20))
def test_names_stand_apart_and_in_their_order(heights: list[float], gap: float) -> None:
    heights = sorted(heights)
    places = pictures.spread(heights, gap, 0.0, 100.0)
    assert all(-1e-9 <= place <= 100 + 1e-9 for place in places)
    room = min(gap, 100 / max(1, len(heights) - 1))
    assert all(b - a >= room - 1e-9 for a, b in pairwise(places))
    if all(b - a >= gap for a, b in pairwise(heights)):
        assert places == pytest.approx(heights), "nobody is moved without need"


def test_curves_of_one_point(tmp_path: Path) -> None:
    runs = [Run("x", "frozen", "all", 0, 1.0, answers([0, 1]))]
    pictures.curves(compared(runs), tmp_path / "one.png")
    assert size(tmp_path / "one.png")[0] > 500


NAMES = ["蚂蚁", "пчела", "🐜", "$x^2$ & <b>"]


def test_names_in_any_script_give_no_warning(tmp_path: Path) -> None:
    # Warnings are errors here: a missing glyph would be one.
    rng = np.random.default_rng(0)
    maps.embedding(rng.normal(size=(20, 2)), np.arange(20) % 4, NAMES, tmp_path / "e.png")
    assert size(tmp_path / "e.png")[0] > 600
    root = save_bars(tmp_path / "data", per_class=2)
    names = [path.relative_to(root).as_posix() for path in sorted(root.rglob("*.png"))]
    rows = [
        {"item": item, "predicted": NAMES[i], "label": NAMES[i - 1], "probability": 0.9}
        for i, item in enumerate([*names[:3], "gone.png"])
    ]
    assert pictures.errors(rows, root, tmp_path / "errors.png") == 3
    assert size(tmp_path / "errors.png")[1] > 150


def test_many_errors_and_many_classes_stay_on_one_picture(tmp_path: Path) -> None:
    row = {"item": "gone.png", "predicted": "a", "label": "b", "probability": 0.5}
    assert pictures.errors([row] * 100, tmp_path, tmp_path / "errors.png") == 0
    assert max(size(tmp_path / "errors.png")) < 3000
    rng = np.random.default_rng(0)
    labels = np.arange(300) % 100
    names = [f"class {i}" for i in range(100)]
    maps.embedding(rng.normal(size=(300, 2)), labels, names, tmp_path / "e.png")
    assert max(size(tmp_path / "e.png")) < 3000


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(8, 3, 3, 3), (33, 5, 5, 5), (1, 1, 7, 7)])
def test_filters(shape: tuple[int, ...], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    before = rng.normal(size=shape).astype(np.float32)
    after = before + np.float32(0.1) * before
    change = pictures.filters(before, after, tmp_path / "f.png")
    assert change == pytest.approx(0.1, rel=1e-4)
    assert size(tmp_path / "f.png")[0] > 600


@pytest.mark.slow
def test_filters_that_are_all_zero_or_very_many(tmp_path: Path) -> None:
    assert pictures.filters(*[np.zeros((2, 3, 3, 3), np.float32)] * 2, tmp_path / "f.png") == 0.0
    many = np.random.default_rng(0).normal(size=(300, 1, 1, 1)).astype(np.float32)
    assert pictures.filters(many, many, tmp_path / "many.png") == 0.0
    assert max(size(tmp_path / "many.png")) < 2000
