"""The notebook of first steps runs from top to bottom, and shows cards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from headstart import progress

NOTEBOOK = Path(__file__).parents[1] / "examples" / "first_steps.ipynb"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_first_steps(glyph_graph: Path) -> None:
    pytest.importorskip("ipykernel")
    convert = pytest.importorskip("nbconvert.preprocessors")
    nbformat = pytest.importorskip("nbformat")
    page = nbformat.reads(NOTEBOOK.read_text("utf-8"), as_version=4)
    convert.ExecutePreprocessor(timeout=300, kernel_name="python3").preprocess(page, {})
    outputs = [one for cell in page.cells if cell.cell_type == "code" for one in cell.outputs]
    cards = [one for one in outputs if "<div" in str(one.get("data", {}).get("text/html", ""))]
    assert len(cards) >= 2, "a fit and a comparison show themselves"
    assert any("did you mean 'frozen'" in one.get("text", "") for one in outputs)


def test_it_is_kept_without_outputs() -> None:
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    assert sum(cell["cell_type"] == "code" for cell in cells) >= 10
    assert not any(cell.get("outputs") for cell in cells)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_bar_is_drawn_below_the_cell(tmp_path: Path) -> None:
    pytest.importorskip("ipykernel")
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    cell = (
        "from headstart import progress; progress._PATIENCE = 0\nlist(progress.track('abc', 'it'))"
    )
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
    nbclient.NotebookClient(book, resources={"metadata": {"path": str(tmp_path)}}).execute()
    pages = [out.data["text/html"] for out in book.cells[0].outputs if "text/html" in out.data]
    assert len(pages) == 1 and "3/3" in pages[0] and "<progress" in pages[0]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_library_that_brings_a_kernel_is_no_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("IPython")
    pytest.importorskip("ipykernel")
    monkeypatch.setattr(progress, "_PATIENCE", 0)
    assert list(progress.track("abc", "it")) == ["a", "b", "c"]
