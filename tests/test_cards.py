"""Results in a notebook: a line, a card, a frame, a plot, tables to paste."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pyarrow
import pytest

import headstart
from conftest import bars, make_images
from headstart.cards import ROWS, Card, Row, Shown
from headstart.evaluation.advice import Forecast


@pytest.fixture
def results(glyph_graph: Path) -> dict[str, Any]:
    data = bars(12)
    return {
        "fit": headstart.fit(data),
        "comparison": headstart.compare(data, strategies="frozen", shots="2,4", draws=2),
        "audit": headstart.audit(data),
        "forecast": Forecast("glyphs", "frozen", 32, 64, 0.9, 0.85, 0.93),
    }


def test_each_shows_a_line_a_card_a_frame_and_a_plot(results: dict[str, Any]) -> None:
    for name, one in results.items():
        assert "\n" not in repr(one) and len(repr(one)) < 160, name
        page = one._repr_html_()
        assert page.startswith("<div") and page.count("<div") == page.count("</div>")
        assert "<table>" in page
        frame = one.frame()
        assert len(frame) == len(one.records()) > 0
        axes = one.plot()
        assert axes.get_xlabel() or axes.get_legend()
        axes.figure.canvas.draw()
        assert one.to_markdown().count("\n") == len(frame) + 1
        assert one.to_latex().startswith(r"\begin{tabular}")
    assert "100.0 %" in results["fit"]._repr_html_()
    assert {"class", "recall", "low", "high"} <= set(results["fit"].frame().columns)
    assert [line.x for line in results["comparison"].lines()] == [[2.0, 4.0]]
    assert "HS001" in results["fit"]._repr_html_()


def test_axes_may_be_given(results: dict[str, Any]) -> None:
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    assert results["fit"].plot(axes) is axes


def test_numbers_and_labels_have_tables_too(glyph_graph: Path) -> None:
    import numpy as np

    from headstart.data.memory.arrays import from_items

    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 255, (40, 8, 8)).astype(np.uint8)
    number = headstart.fit(from_items(pictures, rng.random(40).tolist()))
    assert {"figure", "value", "low", "high"} == set(number.frame().columns)
    sets = [["a"], ["b"], ["a", "b"], ["b"]] * 10
    labels = headstart.fit(from_items(pictures, sets))
    assert list(labels.frame()["label"]) == ["a", "b"]
    for one in (number, labels):
        one.plot().figure.canvas.draw()


def test_an_audit_counts_by_split_and_survives_many_classes(tmp_path: Path) -> None:
    names = {f"class {i}": 2 for i in range(ROWS + 5)}
    make_images(tmp_path / "train", names)
    make_images(tmp_path / "test", names, seed=1)
    found = headstart.audit(tmp_path)
    assert found.records()[0] == {"class": "class 0", "usable": 4, "train": 2, "test": 2}
    assert "5 more in .frame()" in found._repr_html_()


def test_without_pandas_a_frame_is_an_arrow_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    frame = Row({"a": 1, "b": "x"}).frame()
    assert isinstance(frame, pyarrow.Table)
    assert frame.to_pylist() == [{"a": 1, "b": "x"}]


def test_what_others_named_is_escaped() -> None:
    row = Row({"class": "<b>|&_%", "n": None, "share": 0.123456})
    assert "<b>" not in row._repr_html_()
    assert row.to_markdown().splitlines()[-1] == "| &lt;b>&#124;&_% |  | 0.1235 |"
    assert r"<b>|\&\_\% &  & 0.1235 \\" in row.to_latex()


def test_nothing_to_show_is_no_error() -> None:
    class Empty(Shown):
        def card(self) -> Card:
            return Card("empty")

        def records(self) -> list[dict[str, Any]]:
            return []

    assert repr(Empty()) == "<Empty empty>"
    assert "<table>" not in Empty()._repr_html_()
    assert Empty().to_markdown() == Empty().to_latex() == ""
    Empty().plot().figure.canvas.draw()
