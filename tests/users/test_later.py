"""What came later, in the same five roles: boxes, other domains, own backbones, labels, numbers.

Each script runs as a process of its own, as in `test_roles`, and does what a user of that role
would: also what cannot work, whose words are looked at, at 80 columns, in the last test.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from scripts import CHINESE_SIGNS, at_a_terminal, ran

sys.path.insert(0, str(Path(__file__).parents[1]))

from conftest import give_gaps, save_bars, save_encoder, save_scenes
from headstart.visible import columns

pytest.importorskip("faster_coco_eval")

PHOTOS = """
data, scenes, _, out = sys.argv[1:5]

# What is in a picture, and where: learned from boxes, measured, drawn, answered.
assert line("detect", "fit", scenes, "--epochs", "3", "--out", out) == 0
assert line("detect", "predict", out, scenes + "/val/0.png") == 0
assert line("detect", "predict", out, scenes + "/val", "--threshold", "0") == 0
assert line("detect", "predict", out, "nosuch.png") == 1
assert line("detect", "evaluate", out, scenes) == 0
assert line("show", out, "errors") == 0 and Path(out, "errors.png").exists()
assert line("detect", "fit", data) == 1
assert line("evaluate", out, scenes) == 1
assert line("detect", "train", scenes) == 2

# The same things by another camera, whose pictures nobody has named.
import numpy as np
from PIL import Image
for one in sorted(Path(data).rglob("*.png")):
    dark = Path(out + " dark", one.parent.name, one.name)
    dark.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((np.asarray(Image.open(one)) * 0.4).astype(np.uint8)).save(dark)
how = ["--method", "norm", "--unlabelled", "--out", out + " moved"]
code, found = asked("adapt", data, out + " dark", *how)
assert code == 0 and found["method"] == "norm" and "accuracy" not in found
assert line("predict", out + " moved", out + " dark/bar 0") == 0
assert line("adapt", data, out + " dark", "--method", "nrom") == 2
assert line("adapt", data, "nosuch") == 1
"""

SCIKIT = """
import numpy as np
import pandas as pd
data, scenes, encoder, out = sys.argv[1:5]
paths = sorted(Path(data).rglob("*.png"))

# Several labels an item, as lists in a column, and a number, with its interval.
kinds = [one.parent.name for one in paths]
tags = [["wide"] * (i % 2) + ["bar 0"] * (kind == "bar 0") for i, kind in enumerate(kinds)]
sizes = [3.5 + i % 7 for i in range(len(paths))]
frame = pd.DataFrame({"file": paths, "tags": tags, "size": sizes})
frame.index = frame.index[::-1] * 10  # one that is not 0, 1, 2, ...
labels = headstart.fit(frame, label_column="tags", task="labels")
assert labels.model.task.names == ("bar 0", "wide") and labels.evaluation.value > 0.5
assert set(labels.frame()["label"]) == {"bar 0", "wide"} and "F1" in labels._repr_html_()
answer = headstart.predict(labels.save(out), frame)[0]
assert set(answer["labels"]) <= {"bar 0", "wide"} and len(answer["probabilities"]) == 2
numbers = headstart.fit(frame[["file", "size"]], label_column="size", task="number")
assert numbers.evaluation.to_json()["mae"] > 0
model = headstart.TransferClassifier("glyphs").fit(frame.file, kinds)
assert (model.predict(frame.file) == kinds).all()

# Categories that no row has; truth values and floats as classes.
kinds = pd.Categorical(kinds, categories=["none", "bar 1", "bar 0"])
fit = headstart.fit(pd.DataFrame({"file": paths, "kind": kinds}))
assert fit.dataset.classes == ("bar 0", "bar 1")
for column in (kinds == "bar 0", (kinds == "bar 0").astype(float)):
    fit = headstart.fit(pd.Series(paths), pd.Series(column, index=range(7, 7 + len(paths))))
    assert fit.accuracy == 1.0 and len(fit.dataset.classes) == 2, fit.dataset.classes

# Boxes from Python, and a comparison of labels as a frame.
from headstart.verbs import detect
found = detect.fit(scenes, epochs=1)
assert [row["id"] for row in found.evaluation.to_json()["per_class"]] == [5, 11]
assert "<div" in found._repr_html_() and len(repr(found)) < 200
compared = headstart.compare(
    frame, label_column="tags", task="labels", backbones="glyphs", strategies="frozen", draws=2
)
assert compared.score == "macro_f1" and len(compared.frame()) == 1
refused(lambda: detect.fit(scenes, epoch=3), "did you mean 'epochs'")
refused(lambda: headstart.fit(frame, label_column="tags", task="label"), "did you mean 'labels'")
refused(lambda: headstart.fit(frame, label_column="tags", task="number"), "holds no numbers")
"""

DEPLOYING = """
import shutil
from concurrent.futures import ThreadPoolExecutor
data, scenes, _, out = sys.argv[1:5]
from headstart.verbs import detect

# A detector moves to another place; every form of a picture gets the same boxes.
detect.fit(scenes, epochs=3, out=out)
moved = shutil.move(out, out + " moved")
said = [p.read_text("utf-8") for p in Path(moved).iterdir() if p.suffix in (".json", ".html")]
assert len(said) > 1 and not any(str(Path(scenes).parent) in one for one in said)
one = Path(scenes, "val", "3.png")
model = headstart.load(moved)
forms = [one, str(one), one.read_bytes()]
answers = [detect.predict(model, form, threshold=0.1)[0]["boxes"] for form in forms]
assert answers[0] == answers[1] == answers[2] and answers[0]
with ThreadPoolExecutor(3) as pool:
    many = list(pool.map(lambda _: detect.predict(model, one, threshold=0.1)[0]["boxes"], range(6)))
assert many == answers[:1] * 6
broken = Path(out + ".png")
broken.write_bytes(b"no picture")
code, found = asked("detect", "predict", moved, one, broken)
assert code == 0 and [one.get("error") for one in found["predictions"]] == [None, "not an image"]
code, found = asked("detect", "predict", moved, broken)
assert code == 1 and found["predictions"][0]["error"] == "not an image"
assert line("predict", moved, one, "--out", out + ".jsonl") == 0
(row,) = map(json.loads, Path(out + ".jsonl").read_text("utf-8").splitlines())
assert row["item"] == str(one)

# The other models say what they are for.
assert line("fit", data, "--out", out + " classes") == 0
assert line("detect", "predict", out + " classes", one) == 1
assert line("detect", "evaluate", moved, data) == 1
weights = Path(moved, "model.safetensors")
weights.write_bytes(weights.read_bytes()[:-100])
assert line("detect", "predict", moved, one) == 1

# Several labels and numbers, as JSON that a script can trust.
files = sorted(str(one) for one in Path(data).rglob("*.png"))
for name, cells in (("tags", ["a;b", "a"]), ("size", ["1.5", "2.5"])):
    rows = "".join(f"{one},{cells[i % 2]}\\n" for i, one in enumerate(files))
    Path(out + f" {name}.csv").write_text(f"file,{name}\\n" + rows, encoding="utf-8")
how = ["--anywhere", "--label-column"]
code, fit = asked("fit", out + " tags.csv", *how, "tags", "--task", "labels", "--out", out + " t")
assert (code, fit["task"], fit["score"]) == (0, "labels", "macro_f1")
code, fit = asked("fit", out + " size.csv", *how, "size", "--task", "number", "--out", out + " n")
assert (code, fit["task"]) == (0, "number")
code, found = asked("predict", out + " n", files[0])
low, high = found["predictions"][0]["interval"]
assert low <= found["predictions"][0]["value"] <= high
assert line("evaluate", out + " n", out + " tags.csv", *how, "tags") == 1
"""

CHINESE = r"""
import numpy as np
data, scenes, encoder, out = sys.argv[1:5]

# Things with Chinese names in a folder with a Chinese name.
street = Path(out).parent / "街景"
Path(scenes).rename(street)
code, found = asked("detect", "fit", street, "--epochs", "2", "--out", out + "模型", "--lang", "zh")
assert code == 0 and found["classes"] == ["实心", "空心"]
assert "实心" in (Path(out + "模型") / "report.html").read_text("utf-8")
assert line("detect", "predict", out + "模型", street / "val", "--threshold", "0.1") == 0
assert line("detect", "evaluate", out + "模型", street) == 0
told = (street / "val" / "annotations.json").read_text("utf-8")
names = told.replace("\\u5b9e\\u5fc3", "方块").replace("\\u7a7a\\u5fc3", "圆环")
assert names != told
(street / "val" / "annotations.json").write_text(names, encoding="utf-8")
assert line("detect", "evaluate", out + "模型", street) == 1

# An encoder that goes on learning from reviews that nobody has labelled, in any encoding.
rng = np.random.default_rng(0)
words = ["这家店真不错", "味道很好", "服务恶劣", "又贵又难吃"]
said = [f"{rng.choice(words)}，{i}" for i in range(60)]
reviews = Path(out + "评论.csv")
reviews.write_bytes(("评论\n" + "\n".join(said) + "\n").encode("gb18030"))
how = ["--epochs", "1", "--backbone", encoder, "--out", out + "编码器", "--name", "own"]
code, made = asked("pretrain", "masked", reviews, *how)
assert code == 0 and made["n_train"] + made["n_val"] <= 60
assert line("pretrain", "masked", data, *how[:-1], "other") == 2
assert line("pretrain", "masked", reviews, *how) == 2
assert line("pretrain", "autoencoder", reviews, "--epochs", "1", "--out", out + "编码器") in (1, 2)

# Several labels in a column; an empty cell says that none applies, where that is asked for.
tags = Path(out + "标签.csv")
rows = [f"{i},{one},{['长;甜', '甜', ''][i % 3]}" for i, one in enumerate(said)]
tags.write_text("编号,评论,标签\n" + "\n".join(rows) + "\n", encoding="utf-16")
how = ["--label-column", "标签", "--text-column", "评论", "--backbone", encoder]
code, found = asked("fit", tags, *how, "--task", "labels", "--out", out + "标")
assert code == 0 and found["n_train"] + found["n_val"] == len({one for one in said})
assert set(found["classes"]) == {"长", "甜"}
assert line("predict", out + "标", "味道很好，7") == 0
"""

REPEATING = """
data, scenes, _, out = sys.argv[1:5]
from headstart.verbs import detect
def weights(model):
    return json.loads(Path(model, "bundle.json").read_text("utf-8"))["weights"]

# A detector comes out the same again, and its figure is found again by measuring.
how = ["--epochs", "2", "--batch", "8"]
code, first = asked("detect", "fit", scenes, *how, "--out", out)
assert code == 0 and asked("detect", "fit", scenes, *how, "--out", out + "2")[0] == 0
assert weights(out) == weights(out + "2")
assert asked("detect", "fit", scenes, *how, "--seed", "1", "--out", out + "3")[0] == 0
assert weights(out) != weights(out + "3")
code, found = asked("detect", "evaluate", out, scenes)
assert abs(found["map50"] - first["map50"]) < 1e-3
assert found["map50_interval"][0] < found["map50_interval"][1]
page = Path(out, "report.html").read_text("utf-8")
assert "headstart detect fit scenes --epochs 2 --batch 8" in page
assert "from headstart.verbs import detect" in page
assert json.loads(Path(out, "bundle.json").read_text("utf-8"))["seconds"]["total"] > 1

# So do a backbone of one's own and a model that is moved to another domain.
own = [out + f" own{i}" for i in (1, 2)]
for place in own:
    given = ["--backbone", "glyphs", "--epochs", "1", "--out", place, "--name", "mine"]
    assert line("pretrain", "autoencoder", data, *given) == 0
first, second = (Path(place, "mine.safetensors").read_bytes() for place in own)
assert first == second
assert line("pretrain", "autoencoder", data, *given) == 2
moved = [headstart.adapt(data, data, method="coral", out=f"{out} moved{i}") for i in (1, 2)]
assert weights(f"{out} moved1") == weights(f"{out} moved2")
page = Path(f"{out} moved1", "report.html").read_text("utf-8")
assert "headstart adapt data data --" in page and "--method coral" in page
assert json.loads(Path(f"{out} moved1", "bundle.json").read_text("utf-8"))["seconds"]["total"] > 0
assert moved[0].to_json()["accuracy"] == moved[1].to_json()["accuracy"]

# Too few draws to show their luck are said; figures of numbers have intervals with width.
how = ["--strategies", "frozen", "--shots", "2", "--draws", "1", "--folds", "0"]
code, found = asked("compare", data, *how)
assert code == 0 and "HS015" in [one["code"] for one in found["checks"]]
files = sorted(str(one) for one in Path(data).rglob("*.png"))
rows = "".join(f"{one},{i % 5}.5\\n" for i, one in enumerate(files))
Path(out + ".csv").write_text("file,size\\n" + rows, encoding="utf-8")
how = ["--anywhere", "--label-column", "size", "--task", "number", "--strategies", "frozen"]
code, found = asked("compare", out + ".csv", *how, "--draws", "2")
assert code == 0 and found["score"] == "r2"
assert all(row["low"] < row["high"] for row in found["summary"])
refused(lambda: detect.fit(scenes, strategy="frozen", epochs=2), "epochs is not read")
refused(lambda: headstart.adapt(data, data, method="norm", epochs=0), "epochs is 0")
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
def test_what_came_later(role: str, tmp_path: Path, glyph_graph: Path) -> None:
    if role == "scikit":
        pytest.importorskip("pandas")
    names = ("实心", "空心") if role == "chinese" else ("full", "hollow")
    scenes, encoder = save_scenes(tmp_path / "scenes", 12, names=names), ""
    if role == "chinese":
        encoder = f"random:{give_gaps(save_encoder(tmp_path / 'encoder', CHINESE_SIGNS))}"
    data = save_bars(tmp_path / "data")
    ran(SCRIPTS[role], str(data), str(scenes), encoder, str(tmp_path / "model"))


TERMINAL = """
data, scenes, _, out = sys.argv[1:5]
line("detect", "fit", scenes, "--epochs", "2", "--out", out)
line("detect", "predict", out, scenes + "/val/0.png", "--threshold", "1")
line("detect", "predict", out, "nosuch.png")
line("detect", "evaluate", out, scenes)
line("detect", "fit", data)
line("detect", "train", scenes)
line("adapt", data, data, "--method", "norm", "--target-labels", "50")
line("pretrain", "autoencoder", data, "--backbone", "glyphs", "--epochs", "1", "--out", out + "o")
line("pretrain", "masked", data, "--out", out + "m")
line("compare", data, "--strategies", "frozen", "--shots", "2", "--draws", "1", "--folds", "0")
"""


@pytest.mark.slow
def test_eighty_columns_hold_every_message(tmp_path: Path, glyph_graph: Path) -> None:
    data, scenes = save_bars(tmp_path / "bars"), save_scenes(tmp_path / "scenes", 12)
    lines = at_a_terminal(TERMINAL, str(data), str(scenes), "", str(tmp_path / "model"))
    assert not [one for one in lines if columns(one) > 80 and str(tmp_path) not in one]
    said = re.sub(r"[│\s]+", " ", " ".join(lines))
    for words in (
        "no box reaches 1, on none of 1 pictures; the surest has",
        "nosuch.png: no such file headstart: nothing could be answered.",
        "It holds class folders, which headstart fit learns.",
        "there is no command 'train'; did you mean 'fit'?",
        "target_labels 50: fewer are there, all are used: bar 0 (10)",
        "holds images, but this is for texts; see headstart pretrain autoencoder.",
        "HS015 Too few draws to show their luck: draws 1: ",
    ):
        assert words in said, words
