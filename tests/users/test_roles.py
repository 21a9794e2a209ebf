"""A dozen actions of two of the five roles, as scripts: what they type, and what they are told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from conftest import save_bars

HEAD = """
import sys, headstart
def line(*given):
    from headstart import cli
    try:
        cli.app([str(one) for one in given], prog_name="headstart")
    except SystemExit as end:
        return int(end.code or 0)
"""

PHOTOS = """
data, out = sys.argv[1], sys.argv[2]
assert line("audit", data) == 0
assert line("backbones", "--for", data) == 0
assert line("train", data) == 2
assert line("fit", data, "--out", out) == 0
assert line("predict", out, data + "/bar 0") == 0
assert line("predict", out, "nosuch.jpg") == 1
assert line("predict", out, data, "--out", out + ".csv") == 0
assert line("predict", out, data, "--out", out + ".csv") == 2
assert line("evaluate", out, data) == 0
assert line("show", out, "errors") == 0
assert line("fit", data, "--strategy", "freeze") == 2
assert line("fit", data + "x") == 1
"""

SCIKIT = """
import numpy as np, pandas as pd
from sklearn.model_selection import cross_val_score
from pathlib import Path
paths = sorted(Path(sys.argv[1]).rglob("*.png"))
frame = pd.DataFrame({"file": paths, "label": [p.parent.name for p in paths]})
fit = headstart.fit(frame)
assert len(repr(fit)) < 200 and fit.accuracy == 1.0
assert "<div" in fit._repr_html_()
assert headstart.fit(frame.file, frame.label).accuracy == 1.0
assert len(headstart.audit(frame).usable) == len(frame)
bundle = fit.save(sys.argv[2])
assert headstart.predict(bundle, frame)[0]["label"] == "bar 0"
assert headstart.evaluate(bundle, frame).trained_on == len(fit.parts.train)
model = headstart.TransferClassifier("glyphs").fit(frame.file, frame.label)
assert (model.predict(frame.file) == frame.label).all()
scores = cross_val_score(headstart.TransferClassifier("glyphs"), list(paths), frame.label, cv=2)
assert scores.mean() > 0.9
for wrong in ({"backbon": "glyphs"}, {"epochs": 5}, {"device": "gpu"}):
    try:
        headstart.fit(frame, **wrong)
    except headstart.HeadstartError as error:
        print(error)
    else:
        raise AssertionError(wrong)
try:
    headstart.TransferClassifier("glyphs").fit([*paths[:-1], None], frame.label)
except ValueError as error:
    assert "None" in str(error)
"""


@pytest.mark.parametrize("script", [PHOTOS, SCIKIT], ids=["photos", "scikit"])
def test_a_dozen_actions(script: str, tmp_path: Path, glyph_graph: Path) -> None:
    if script is SCIKIT:
        pytest.importorskip("pandas")
    where = [str(save_bars(tmp_path / "data")), str(tmp_path / "model")]
    done = subprocess.run(
        [sys.executable, "-c", HEAD + script, *where], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Traceback" not in done.stderr
