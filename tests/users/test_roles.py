"""A dozen actions of each of the five roles, as scripts: what they type, and what they are told.

Each script runs as a process of its own, as its user would run it. `ROWS` names, for every row of
the table of what users stumbled over, the test that holds it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from scripts import CHINESE_SIGNS, at_a_terminal, ran

from conftest import save_bars, save_encoder
from headstart.visible import columns

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


DEPLOYING = """
import os, shutil, subprocess
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from PIL import Image
data, out = sys.argv[1:3]

# What was fitted here is moved, and so are the data: the bundle names neither place.
assert line("fit", data, "--refit", "--out", out) == 0
moved, place = out + " 模型", str(Path(data).parent)
shutil.move(out, moved)
shutil.move(data, data + " gone")
data += " gone"
said = [p.read_text("utf-8") for p in Path(moved).iterdir() if p.suffix in (".json", ".html")]
assert len(said) > 1 and not any(place in one for one in said)

# One JSON object, and an exit code that a script can trust.
code, found = asked("predict", moved, data + "/bar 0")
assert code == 0 and {one["label"] for one in found["predictions"]} == {"bar 0"}
Path(data, "bar 0", "broken.png").write_bytes(b"no picture")
code, found = asked("predict", moved, data + "/bar 0")
errors = [one["error"] for one in found["predictions"] if "error" in one]
assert code == 0 and errors == ["not an image"]
code, found = asked("predict", moved, data + "/bar 0/broken.png")
assert code == 1 and found["predictions"][0]["error"] == "not an image"
code, found = asked("predict", moved, data + "/bar 1", "--top-k", "2")
assert all(len(one["top"]) == 2 for one in found["predictions"])

# Answers as a file; none is lost unasked.
table = data + ".jsonl"
assert line("predict", moved, data, "--out", table) == 0
rows = [json.loads(row) for row in Path(table).read_text("utf-8").splitlines()]
assert len(rows) == 25 and sum("error" in row and bool(row["error"]) for row in rows) == 1
assert line("predict", moved, data, "--out", table) == 2
assert line("predict", moved, data, "--out", table, "--overwrite") == 0

# In a service: whatever form an item has, from several threads, the same answer.
model = headstart.load(moved)
paths = sorted(Path(data, "bar 1").glob("*.png"))
forms = [paths[0], str(paths[0]), paths[0].read_bytes(), Image.open(paths[0])]
forms.append(np.asarray(Image.open(paths[0])))
answers = [model.predict(one)[0] for one in forms]
assert {one["label"] for one in answers} == {"bar 1"}
assert len({round(one["probability"], 6) for one in answers}) == 1
with ThreadPoolExecutor(4) as pool:
    many = list(pool.map(lambda path: model.predict(path)[0]["probability"], paths * 4))
assert many == many[: len(paths)] * 4

# Another process, without torch, and without a place to keep anything.
once = "import sys, headstart; headstart.predict(*sys.argv[1:]); assert 'torch' not in sys.modules"
again = subprocess.run([sys.executable, "-c", once, moved, str(paths[0])], capture_output=True)
assert again.returncode == 0, again.stderr
nowhere = Path(data + ".file")
nowhere.touch()
kept = {**os.environ, "HEADSTART_HOME": str(nowhere / "home")}
command = [sys.executable, "-m", "headstart", "predict", moved, str(paths[0])]
again = subprocess.run(command, capture_output=True, env=kept)
assert again.returncode == 0 and b"Traceback" not in again.stderr, again.stderr

# Measured on what it was trained on, it says so; a damaged bundle says what is wrong.
code, found = asked("evaluate", moved, data)
assert code == 0 and found["trained_on"] == 24 and "says nothing of new ones" in found["notes"][0]
weights = Path(moved, "model.safetensors")
weights.write_bytes(weights.read_bytes()[:-100])
assert line("predict", moved, str(paths[0])) == 1
"""

CHINESE = r"""
import os, subprocess
import numpy as np
folder, encoder = Path(sys.argv[1]), sys.argv[2]
good, bad = ["这家店真不错", "味道很好"], ["服务恶劣", "又贵又难吃"]
rng = np.random.default_rng(0)
said = [2 * f"{rng.choice(bad if i % 2 else good)}，" + str(i) for i in range(60)]
rows = [(i, review, ["好评", "差评"][i % 2]) for i, review in enumerate(said)]

# A table as Excel in China saves it; a word, a sentence and lines are answered.
reviews, out = folder / "评论.csv", folder / "模型"
text = "编号,评论,标签\n" + "".join(f"{i},{review},{label}\n" for i, review, label in rows)
reviews.write_bytes(text.encode("gb18030"))
code, found = asked("audit", reviews)
assert code == 0 and set(found["classes"]) == {"好评", "差评"}
code, fit = asked("fit", reviews, "--backbone", encoder, "--out", out, "--lang", "zh")
assert code == 0 and fit["accuracy"] > 0.9
page = (out / "report.html").read_text("utf-8")
assert '<html lang="zh' in page and "差评" in page
kept = page + (out / "bundle.json").read_text("utf-8")
assert str(Path(encoder).parent) not in kept, "where the encoder lies is nobody else's concern"
code, found = asked("predict", out, "服务恶劣，服务恶劣，9", "味道很好，味道很好，8")
assert [one["label"] for one in found["predictions"]] == ["差评", "好评"]
command = [sys.executable, "-m", "headstart", "predict", str(out), "-"]
typed = "服务恶劣，服务恶劣，9\n味道很好，味道很好，8\n这家店真不错，\n".encode("gb18030")
narrow = {**os.environ, "PYTHONIOENCODING": "cp1252"}
done = subprocess.run(command, input=typed, capture_output=True, env=narrow)
assert done.returncode == 0 and b"Traceback" not in done.stderr, done.stderr
assert [b"5dee" in row for row in done.stdout.lower().splitlines()] == [True, False, False]

# New rows in yet another encoding: the answers stand beside the user's own columns.
new = folder / "新.csv"
new.write_text("编号,评论\n" + "".join(f"0{i},{r}\n" for i, r, _ in rows[:8]), encoding="utf-16")
assert line("predict", out, new, "--out", folder / "答案.csv") == 0
answers = (folder / "答案.csv").read_text("utf-8").splitlines()
assert answers[0].startswith("编号,评论,label,probability")
assert [row.split(",")[0] for row in answers[1:]] == [f"0{i}" for i in range(8)]

# A column that is not there; an encoding that cannot be.
assert line("fit", reviews, "--label-column", "标") == 2
assert line("fit", reviews, "--encoding", "ascii") == 1
assert line("fit", folder / "评伦.csv") == 1

# Pictures in folders with Chinese names, as files and in an archive of arrays.
bars = Path(sys.argv[3])
(bars / "bar 0").rename(bars / "竖条左")
(bars / "bar 1").rename(bars / "竖条右")
assert line("fit", bars, "--out", folder / "图") == 0
assert line("show", folder / "图", "embedding") == 0
assert line("show", folder / "图", "errors") == 0
assert headstart.predict(folder / "图", bars / "竖条左")[0]["label"] == "竖条左"

# Several labels, and numbers, in columns with Chinese names.
table = {"文本": [r for _, r, _ in rows], "标记": [["长;甜", "甜", ""][i % 3] for i in range(60)]}
labels = headstart.fit(table, backbone=encoder, label_column="标记", task="labels")
assert labels.model.task.names == ("甜", "长")
table["价格"] = [3.5 + (i % 2) + 0.01 * i for i in range(60)]
prices = headstart.fit(table, backbone=encoder, label_column="价格", text_column="文本")
assert prices.model.task.name == "number" and prices.evaluation.value > 0

# Side by side, and carried to texts without labels.
how = {"backbones": encoder, "strategies": "frozen,frozen:lda", "draws": 2}
compared = headstart.compare(reviews, **how, out=folder / "比较")
assert "评论.csv" in (folder / "比较" / "report.html").read_text("utf-8")
target = [review for _, review, _ in rows[::2]]
adapted = headstart.adapt(reviews, target, backbone=encoder, method="norm", unlabelled=True)
assert adapted.method == "norm"
"""

REPEATING = """
import numpy as np
data, out = sys.argv[1:3]

# The same seed gives the same weights, bit for bit; another one does not.
def weights(model):
    return json.loads(Path(model, "bundle.json").read_text("utf-8"))["weights"]
how = ["--strategy", "warm", "--epochs", "2", "--shots", "6"]
code, first = asked("fit", data, *how, "--out", out)
assert code == 0 and asked("fit", data, *how, "--out", out + "2")[0] == 0
assert weights(out) == weights(out + "2")
assert asked("fit", data, *how, "--seed", "1", "--out", out + "3")[0] == 0
assert weights(out) != weights(out + "3")
assert asked("fit", data, *how, "--resume", "--out", out + "2")[1]["accuracy"] == first["accuracy"]

# The figure is found again by measuring, and the page says how it was made.
page = Path(out, "report.html").read_text("utf-8")
assert "headstart fit" in page and "--strategy warm" in page and "--shots 6" in page
code, found = asked("evaluate", out, data)
assert found["trained_on"] == first["n_train"]

# A comparison is refused, gone on with, added to; each time the runs that were there stay.
lose = out + " lose"
some = ["--backbones", "glyphs", "--strategies", "frozen,frozen:lda", "--shots", "2,6"]
code, before = asked("compare", data, *some, "--draws", "2", "--out", lose)
assert code == 0 and len(before["runs"]) == 8
assert line("compare", data, *some, "--draws", "2", "--out", lose) == 2
code, after = asked("compare", data, *some, "--draws", "3", "--out", lose, "--resume")
assert code == 0 and len(after["runs"]) == 12
kept = {(r["strategy"], r["shots"], r["draw"]): r["accuracy"] for r in after["runs"]}
assert all(kept[r["strategy"], r["shots"], r["draw"]] == r["accuracy"] for r in before["runs"])
assert line("compare", data, *some, "--seed", "7", "--out", lose, "--resume") in (1, 2)
assert len((Path(lose) / "runs.csv").read_text("utf-8").splitlines()) == 13

# Every figure has an interval with width, every verdict is one of three.
for row in after["summary"]:
    assert row["low"] < row["high"] and row["verdict"] in ("best", "not distinguishable", "lower")
    assert row["low"] <= row["figures"]["macro_f1"]["mean"] <= 1

# For a paper: as a frame, as Markdown, as LaTeX, as a picture; and once more from Python.
result = headstart.compare(data, backbones="glyphs", strategies="frozen", shots="2,6", draws=3)
assert [r.value for r in result.runs if r.shots == 6] == [
    r["accuracy"] for r in after["runs"] if r["strategy"] == "frozen" and r["shots"] == 6
]
assert result.to_markdown().startswith("|") and "tabular" in result.to_latex()
assert len(result.frame()) == 2 and result.plot() is not None

# By folds, held against a backbone that learned nothing; each option that nobody reads is refused.
folds = headstart.compare(data, backbones="glyphs", strategies="frozen", folds=3, draws=2)
assert len(folds.held_out.targets) == 24
ranked = headstart.rank(data, backbones="glyphs,random:glyphs")
assert {row.backbone for row in ranked.rows} == {"glyphs", "random:glyphs"}
refused(lambda: headstart.compare(data, strategies="frozen", epochs=3), "epochs is not read")
refused(lambda: headstart.compare(data, strategies="frozn"), "did you mean 'frozen'")
refused(lambda: headstart.compare(data, strategies="frozen", draws=0), "draws")

# A backbone of one's own is repeated too, and taken by its path.
own = [out + f" own{i}" for i in (1, 2)]
for place in own:
    given = ["--backbone", "glyphs", "--epochs", "1", "--out", place, "--name", "mine"]
    assert line("pretrain", "supervised", data, *given) == 0
    mine = Path(place, "mine.safetensors")
    assert line("fit", data, "--backbone", mine, "--out", place + " fit") == 0
assert weights(own[0] + " fit") == weights(own[1] + " fit")
"""

SCRIPTS = {
    "photos": PHOTOS,
    "scikit": SCIKIT,
    "deploying": DEPLOYING,
    "chinese": CHINESE,
    "repeating": REPEATING,
}


@pytest.mark.slow
@pytest.mark.parametrize("role", SCRIPTS)
def test_a_dozen_actions(role: str, tmp_path: Path, glyph_graph: Path) -> None:
    if role == "scikit":
        pytest.importorskip("pandas")
    where = [str(save_bars(tmp_path / "data")), str(tmp_path / "model")]
    if role == "chinese":
        (tmp_path / "文件").mkdir()
        encoder = save_encoder(tmp_path / "encoder", CHINESE_SIGNS)
        where = [str(tmp_path / "文件"), str(encoder), where[0]]
    ran(SCRIPTS[role], *where)


TERMINAL = """
data, out = sys.argv[1:3]
line("backbones")
line("audit", data)
line("fit", data, "--out", out)
line("evaluate", out, data)
line("show", out, "embedding")
line("compare", data, "--strategies", "frozen,frozen:lda", "--draws", "2", "--out", out + "c")
line("compare", data, "--out", out + "c")
line("rank", data, "--backbones", "glyphs,random:glyphs")
line("predict", out, data + "/no such picture of a bar.png")
line("fit", data, "--strategy", "freeze")
line("fit", data + "/nothing")
"""


@pytest.mark.slow
def test_eighty_columns_hold_every_message(tmp_path: Path, glyph_graph: Path) -> None:
    data = save_bars(tmp_path / "bars of two kinds", per_class=30)
    lines = at_a_terminal(TERMINAL, str(data), str(tmp_path / "model"))
    long = [one for one in lines if columns(one) > 80 and str(tmp_path) not in one]
    assert not long
    whole = "\n".join(lines)
    for name in ("torchvision:mobilenet_v3_large", "paraphrase-multilingual-MiniLM-L12-v2"):
        assert re.search(f"{name}$", whole, re.MULTILINE), "a name that is cut cannot be typed"
    assert re.search(r"^ *random:glyphs +\d", whole, re.MULTILINE)
    said = " ".join(whole.split())
    assert "go on with them, or add to them, with --resume; start anew with --overwrite" in said
    assert "did you mean 'frozen'?" in said and "not trained on" in said


ROWS = {
    1: "handed.test_the_estimator_takes_columns_and_refuses_what_is_missing",
    2: "asking.test_what_is_no_path_is_a_text",
    3: "met.test_an_earlier_comparison_is_not_replaced_unasked",
    4: "asking.test_what_it_was_trained_on_is_no_news",
    5: "asking.test_strange_classes_are_said_with_near_names",
    6: "asking.test_a_class_of_one_is_not_measured",
    7: "asking.test_a_table_keeps_its_columns",
    8: "asking.test_what_cannot_be_answered_is_on_stderr, asking.test_an_empty_name_is_an_error",
    9: "usual.test_photos_are_never_read_by_glyphs_unasked",
    10: "usual.test_a_warning_where_an_encoder_hardly_reads_the_texts",
    11: "met.test_photos_of_telephones, met.test_json_lists, "
    "met.test_files_that_are_none_name_the_way",
    12: "handed.test_what_cannot_be_read_says_what_is_taken, "
    "handed.test_options_may_be_a_dictionary, settings.test_verbs_take_keywords",
    13: "handed.test_batches_of_arrays_and_tensors",
    14: "cards.test_each_shows_a_line_a_card_a_frame_and_a_plot",
    15: "met.test_a_comparison_fits_eighty_columns, cli.test_help_fits_eighty_columns",
    16: "asking.test_a_western_console_gets_escapes",
    17: "asking.test_names_that_were_meant, asking.test_backbones_that_are_here_come_first",
    18: "settings.test_what_the_strategy_does_not_read_is_refused, "
    "settings.test_options_for_the_other_kind_of_items_are_refused",
    19: "asking.test_what_has_learned_nothing_is_not_kept_frozen",
    20: "met.test_more_shots_than_there_are_is_said, "
    "met.test_a_bundle_of_another_kind_is_replaced_with_a_word",
    21: "met.test_labels_that_may_be_one, met.test_a_cell_of_nan_is_no_text",
    22: "met.test_what_was_read_as_what",
    23: "met.test_an_audit_counts_by_split_and_says_where_the_rest_is",
    24: "met.test_vectors_are_parquet",
    25: "asking.test_lines_are_read_in_their_encoding",
    26: "pictures.test_a_map_of_many_classes_names_the_worst, "
    "pictures.test_fonts_that_came_later_are_found",
    27: "met.test_seconds_are_all_there, users/test_roles.test_a_dozen_actions",
    28: "met.test_few_shots_embed_no_more_than_is_needed, "
    "met.test_a_comparison_of_few_shots_embeds_no_more_than_is_needed, "
    "met.test_training_that_stops_early_says_so, checks.test_unknown_scripts_and_cut_texts",
    29: "pictures.test_six_lines_can_be_told_apart",
    30: "stacks.test_idx_files_are_read_as_torchvision_reads_them, stacks.test_npz_by_split, "
    "met.test_rows_of_pixels",
    31: "notebook.test_first_steps",
}
"""The tests of each row of the table of what users stumbled over."""


@pytest.mark.parametrize("row", ROWS)
def test_every_row_has_a_test(row: int) -> None:
    for name in ROWS[row].split(", "):
        module, _, test = name.rpartition(".")
        path = f"{module}.py" if "/" in module else f"test_{module}.py"
        source = (Path(__file__).parents[1] / path).read_text("utf-8")
        assert f"def {test}(" in source, name
