"""Mischief through the doors that came later: labels, numbers, columns, vectors, domains."""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import headstart
from adversary.mutations import mutated
from adversary.watching import WATCH
from conftest import bars, save_bars, sentences
from headstart.cli import app
from headstart.data.injected import Beside, learn, vector
from headstart.data.texts.glove import read_glove
from headstart.detection.audit import check
from headstart.detection.reading import read
from headstart.errors import BackboneError, BundleError, DataError, HeadstartError, UsageError
from headstart.pretraining.kept import Place
from headstart.settings.table import Placed
from headstart.settings.taking import takes
from headstart.store import home
from headstart.tasks.boxes import Boxes
from headstart.verbs import detect, pretrain
from test_boxes import coco

CELLS = (
    *("1e308", "-1e308", "1e400", "nan", "-inf", "9" * 400, "0x10", "1,5", "", "1_000", "\u0663"),
    *(
        "[]",
        '["a","b"]',
        '["a",null]',
        "[[1]]",
        '{"a":1}',
        ";;;",
        "a;" * 1000,
        "[",
        "\u202e;a",
        "=1;a",
    ),
    *("[1,2,3]", "1 2 3", "[nan,1]", "[" + "1," * 5000 + "1]", "../../x", "<b>", "\ud7ff\uffff"),
)
"""What stands in a column where something else is meant."""


def table(path: Path, cell: str, wrong: int, n: int = 12) -> Path:
    """Write a table whose first cells of each column but the text say ``cell``."""
    good = [{"text": f"text number {i}", "y": f"{i}.5", "tags": "ab;c"[i % 2 :]} for i in range(n)]
    rows = [row | ({"y": cell, "tags": cell} if i < wrong else {}) for i, row in enumerate(good)]
    with path.open("w", newline="", encoding="utf-8", errors="replace") as file:
        writer = csv.DictWriter(file, ["text", "y", "tags"])
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.mark.parametrize(
    ("task", "column"), [("number", "y"), ("labels", "tags"), ("classes", "y")]
)
def test_odd_cells_are_targets_or_rejected_with_the_row(
    task: str, column: str, tmp_path: Path
) -> None:
    ends = Counter[str]()
    for number, cell in enumerate(CELLS):
        for wrong in (1, 6, 12):
            path = table(tmp_path / f"{number}-{wrong}.csv", cell, wrong)
            try:
                found = headstart.read(path, text_column="text", label_column=column, task=task)
            except HeadstartError as error:
                assert len(str(error)) < 1000
                ends["refused"] += 1
                continue
            assert len(found) + len(found.rejected) == 12
            if task == "number":
                values = np.asarray(found.labels, np.float64)
                assert np.isfinite(values).all() and np.isfinite(values @ values)
            assert all(len(one.reason) < 200 for one in found.rejected)
            ends["read"] += 1
    assert ends.total() == 3 * len(CELLS) and ends["read"] > ends["refused"]


def test_odd_cells_beside_an_item_become_finite_numbers() -> None:
    for cell in CELLS:
        for wrong in (1, 11):
            cells = [cell if i < wrong else str(i) for i in range(12)]
            beside = Beside(("z",), tuple((one,) for one in cells))
            found = learn(beside, np.arange(12)).read(beside).matrix
            assert found is not None and len(found) == 12 and np.isfinite(found).all()
    assert vector("1e101") is None and vector("1e99") is not None


GOOD = "".join(f"word{i} 0.{i} -1.5 2e-3 {i}\n" for i in range(30)).encode()
WORDS = [f"word{i}" for i in range(30)]


def test_changed_word_vectors_are_finite_or_one_error(tmp_path: Path) -> None:
    path, ends = tmp_path / "glove.txt", Counter[str]()
    for seed in range(150):
        path.write_bytes(mutated(GOOD, np.random.default_rng(seed)))
        try:
            found = read_glove(path, WORDS)
        except DataError as error:
            assert str(path) in str(error)
            ends["refused"] += 1
        else:
            assert np.isfinite(found.matrix).all() and found.matrix.shape[0] == 30
            ends["read"] += 1
    assert ends.total() == 150 and min(ends.values()) > 4


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n",
        b"\0" * 5000,
        b"\x93NUMPY\x01\0",
        b"word",
        b"word0 1 2 3\nword1 1 2\n",
        b"word0 1 nan\n",
        b"word0 1 1e400\n",
        b"word0 " + b"1 " * 20_000 + b"\n",
        b"word0 " + b"1" * (3 << 20) + b" 2\n",
        b"\xff\xfe\xff 1 2\n",
        b"99999999 1000000\n",
    ],
)
def test_what_holds_no_word_vectors_is_one_error(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "glove.txt"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_glove(path, WORDS)
    assert len(str(caught.value)) < 400


def test_word_vectors_come_from_plain_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path, tmp_path / "none"):
        with pytest.raises(DataError, match="regular file|no such file"):
            read_glove(path, WORDS)


def test_another_domain_may_be_damaged_too(tmp_path: Path, glyph_graph: Path) -> None:
    source, target = save_bars(tmp_path / "source", 8), save_bars(tmp_path / "target", 8)
    bad = sorted(target.rglob("*.png"))[:3]
    bad[0].write_bytes(bad[0].read_bytes()[:60])
    bad[1].write_bytes(b"")
    bad[2].unlink()
    os.mkfifo(bad[2])
    (target / "zero.png").symlink_to("/dev/zero")
    with WATCH.within(tmp_path, home()) as seen:
        found = headstart.adapt(source, target, method="none", backbone="glyphs")
    assert seen == []
    assert found.to_json()
    (tmp_path / "empty").mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / "one.png")
    for other in (tmp_path / "empty", tmp_path / "one.png", tmp_path / "none", "/dev/zero"):
        with pytest.raises(HeadstartError):
            headstart.adapt(source, other, method="none", backbone="glyphs")


@pytest.mark.parametrize(
    "name", ["../mine", "/mine", "a/b", "..", ".", "a+b", "hf:x", "glyphs", "a\0b"]
)
def test_a_backbone_of_one_s_own_stays_in_its_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        Place.of(tmp_path / "out", name, Path("data"))
    assert not (tmp_path / "out").exists()


def test_damaged_pictures_do_not_end_pretraining(tmp_path: Path) -> None:
    data = save_bars(tmp_path / "data", 8)
    bad = sorted(data.rglob("*.png"))[:2]
    bad[0].write_bytes(bad[0].read_bytes()[:60])
    bad[1].unlink()
    os.mkfifo(bad[1])
    with WATCH.within(tmp_path, home()) as seen:
        pretrain.autoencoder(data, out=tmp_path / "out", name="mine", epochs=1, backbone="glyphs")
    assert seen == [] and (tmp_path / "out" / "mine.safetensors").is_file()


def test_a_number_s_fit_with_odd_cells_says_json(tmp_path: Path, glyph_graph: Path) -> None:
    import json

    data = bars(12)
    said = [f"{i + 0.5}" for i in range(len(data))]
    said[:2] = ["1e308", "-1e308"]
    pictures = tmp_path / "p"
    pictures.mkdir()
    rows = ["image,y"]
    for i in range(len(data)):
        from io import BytesIO

        Image.fromarray(np.load(BytesIO(data.content(i)))).save(pictures / f"{i}.png")
        rows.append(f"{i}.png,{said[i]}")
    (pictures / "t.csv").write_text("\n".join(rows) + "\n")
    fitted = headstart.fit(pictures / "t.csv", task="number", backbone="glyphs")
    assert [one.reason[:9] for one in fitted.audit.rejected] == ["'1e308' i", "'-1e308' "]
    json.dumps(fitted.to_json(), allow_nan=False)


def test_a_box_as_thin_as_nothing_costs_itself_alone(tmp_path: Path) -> None:
    facts = coco(tmp_path / "train")
    facts["annotations"][0]["bbox"][2:] = [1e-9, 5]
    (tmp_path / "train" / "annotations.json").write_text(json.dumps(facts))
    checked = check(read(tmp_path))
    assert [one.reason.rpartition(": ")[2] for one in checked.audit.rejected] == ["empty"]
    assert sum(len(one) for one in checked.dataset.labels) > 0


@pytest.mark.parametrize(
    "said", ["DefaultCPUAllocator: can't allocate memory", "CUDA out of memory"]
)
def test_want_of_memory_is_one_error(said: str) -> None:
    @takes(Placed)
    def large(what: str, run: Placed) -> None:
        """Fail."""
        raise RuntimeError(what)

    with pytest.raises(MemoryError, match=r"memory; a smaller image_size or batch"):
        large(said)
    with pytest.raises(RuntimeError, match="shapes"):
        large("shapes do not fit")


def test_the_home_of_nobody_is_a_place_that_is_not_there() -> None:
    for name in ("~nosuchuser/x", "~nosuchuser/x.safetensors", "~nosuchuser"):
        with pytest.raises(BackboneError):
            headstart.fit(bars(4), backbone=name)
    how: dict[str, Any] = {"backbone": "bilstm", "strategy": "scratch", "epochs": 1}
    for option in ("vectors", "inject"):
        with pytest.raises(UsageError, match="no such file"):
            headstart.fit(sentences(6), min_frequency=1, **{option: "~nosuchuser/g.txt"}, **how)


def test_where_no_backbone_can_be_written_is_said_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(BundleError, match="nothing can be written to"):
            pretrain.supervised("/no/such/data", name="x", out=out)
    assert (tmp_path / "file").read_text() == "mine"
    with pytest.raises(DataError):
        pretrain.supervised("/no/such/data", name="x", out=tmp_path / "new")
    assert not (tmp_path / "new").exists(), "nothing was made for it"


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_where_no_picture_could_be_searched_the_exit_code_says_so(
    more: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [{"item": "x.png", "error": "no such file"}]
    monkeypatch.setattr("headstart.bundle.load", str)
    monkeypatch.setattr(detect, "finder", lambda bundle: SimpleNamespace(task=Boxes(("a",))))
    monkeypatch.setattr(detect, "stream", lambda **given: iter(answers))
    done = CliRunner().invoke(app, ["detect", "predict", "model", "x.png", *more])
    assert done.exit_code == 1 and "nothing could be answered" in done.stderr
    assert not more or json.loads(done.stdout) == {"predictions": answers}
