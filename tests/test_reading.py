"""Layouts, tables, encodings: what is read, and what is refused with its place."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import make_images, shared_data
from headstart.data.audit import audit
from headstart.data.folders import in_order
from headstart.data.reading import read, read_items
from headstart.data.split import split
from headstart.data.tables import cells, delimited
from headstart.data.texts.encoding import to_text
from headstart.errors import DataError, ItemError, UsageError

ROWS = [(label, f"the {label} text number {i}") for i in range(6) for label in ("no", "yes")]


def contents(dataset) -> list[str]:
    return [dataset.content(i).decode() for i in range(len(dataset))]


def labelled(dataset) -> list[str]:
    return [dataset.classes[i] for i in dataset.labels]


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


def table(rows, header=("label", "text"), delimiter=",") -> str:
    lines = [header, *rows] if header else rows
    return "".join(
        delimiter.join('"' + c.replace('"', '""') + '"' for c in line) + "\n" for line in lines
    )


# Folders


def test_class_folders(tmp_path):
    make_images(tmp_path, {"10": 2, "9": 1, "2": 1})
    write(tmp_path / "README.md", "about")
    write(tmp_path / "9" / "Thumbs.db", "x")
    write(tmp_path / "9" / ".DS_Store", "x")
    write(tmp_path / "9" / "deep" / "er" / "猫 (1) [x].JPG", "x")
    write(tmp_path / "9" / "notes.xyz", "x")
    write(tmp_path / "loose.png", "x")
    found = read(tmp_path)
    assert found.kind == "image"
    assert found.classes == ("2", "9", "10")
    assert list(found.names) == [
        "10/000.png", "10/001.png", "2/000.png", "9/000.png", "9/deep/er/猫 (1) [x].JPG"
    ]  # fmt: skip
    assert labelled(found) == ["10", "10", "2", "9", "9"]
    assert set(found.splits) == {""}
    assert {tuple(one) for one in found.rejected} == {
        ("9/notes.xyz", "not an image by its name, which ends in '.xyz'"),
        ("loose.png", "lies in no class folder"),
    }


@pytest.mark.parametrize("val", ["val", "Valid", "VALIDATION", "dev"])
@pytest.mark.parametrize("train", ["train", "Training"])
def test_splits(tmp_path, train, val):
    for name in (train, val, "test"):
        make_images(tmp_path / name, {"a": 2, "b": 1}, seed=len(name))
    (tmp_path / train / "c").mkdir()
    found = read(tmp_path)
    assert sorted(found.splits) == ["test"] * 3 + ["train"] * 3 + ["val"] * 3
    assert found.classes == ("a", "b") and found.empty_classes == ("c",)


def test_a_class_called_train_is_a_class(tmp_path):
    found = read(make_images(tmp_path, {"train": 2, "bus": 2, "car": 2}))
    assert found.classes == ("bus", "car", "train")


def test_texts_in_folders(tmp_path, caplog):
    for part in ("train", "test"):
        for label in ("pos", "neg"):
            write(tmp_path / part / label / "0_1.txt", f"{part} {label} naïve", "latin-1")
    write(tmp_path / "train" / "unsup" / "0_0.txt", "nobody knows")
    write(tmp_path / "train" / "labeledBow.feat", "1:2")
    found = read(tmp_path)
    assert found.kind == "text" and found.classes == ("neg", "pos")
    assert contents(found)[0] == "test neg naïve"
    assert len(found) == 4 and "no labels" in caplog.text


def test_texts_without_labels_are_no_class(tmp_path, caplog):
    for label in ("pos", "neg", "unsup"):
        write(tmp_path / "three" / label / "0.txt", "a text")
    assert read(tmp_path / "three").classes == ("neg", "pos")
    assert "unsup: its items have no labels" in caplog.text
    for label in ("cats", "unlabeled"):
        write(tmp_path / "two" / label / "0.txt", "a text")
    assert read(tmp_path / "two").classes == ("cats", "unlabeled")


@settings(deadline=None)
@given(st.lists(st.sampled_from(["nan", "1", "2", "10", "-1", "inf", "b", "好", ""])))
def test_the_order_of_classes_is_one(names):
    ordered = in_order(names)
    assert sorted(ordered) == sorted(set(names))
    assert in_order(reversed(names)) == ordered


def test_a_folder_in_a_folder(tmp_path):
    make_images(tmp_path / "data" / "set", {"a": 1, "b": 1})
    assert read(tmp_path).names[0] == "data/set/a/000.png"


def test_links(tmp_path):
    make_images(tmp_path / "elsewhere", {"pictures": 2})
    root = make_images(tmp_path / "data", {"a": 1, "b": 1})
    (root / "a" / "more").symlink_to(tmp_path / "elsewhere" / "pictures")
    (root / "a" / "up").symlink_to(root)
    (root / "a" / "self").symlink_to(root / "a")
    (root / "back").symlink_to(root)
    (root / "b" / "other").symlink_to(root / "a")
    assert list(read(root).names) == [
        "a/000.png", "a/more/000.png", "a/more/001.png", "b/000.png"
    ]  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="needs file names that are no text")
def test_names_that_are_no_text_can_be_printed(tmp_path):
    make_images(tmp_path, {"a": 1, "b": 1})
    os.rename(tmp_path / "a" / "000.png", os.fsencode(tmp_path) + b"/a/caf\xe9.png")
    found = read(tmp_path)
    assert found.names[0].encode() == rb"a/caf\xe9.png"
    assert found.content(0).startswith(b"\x89PNG")


def test_layouts_that_are_none(tmp_path):
    with pytest.raises(DataError, match="no images and no texts in"):
        read(tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with pytest.raises(DataError, match="class folders are empty: a, b"):
        read(tmp_path)
    write(tmp_path / "a" / "x.docx", "x")
    with pytest.raises(DataError, match="none of the 1 files"):
        read(tmp_path)
    write(tmp_path / "flat" / "x.png", "x")
    with pytest.raises(DataError, match=r"holds 1 items directly.*CLASS/\*.jpg"):
        read(tmp_path / "flat")
    write(tmp_path / "bare" / "train" / "x.png", "x")
    with pytest.raises(DataError, match="no table beside it says their labels"):
        read(tmp_path / "bare")
    with pytest.raises(DataError, match="did you mean '.*flat'"):
        read(tmp_path / "flta")
    with pytest.raises(DataError, match="neither a folder nor a table"):
        read(tmp_path / "flat" / "x.png")


def test_a_folder_that_may_not_be_listed(tmp_path, monkeypatch):
    make_images(tmp_path, {"a": 1, "b": 1, "c": 1})
    scandir = os.scandir

    def guarded(path):
        if str(path).endswith("/b"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    with pytest.raises(DataError, match="cannot be read: Permission denied"):
        read(tmp_path / "b")
    found = read(tmp_path)
    assert found.classes == ("a", "c") and found.empty_classes == ("b",)
    assert found.rejected == (("b", "cannot be read: Permission denied"),)


# Tables of texts


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le-bom", "gb18030"])
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".ndjson"])
def test_tables_in_many_encodings(tmp_path, suffix, encoding):
    rows = [("好", "这部电影很好看，我们都喜欢"), ("坏", '很"差"的电影\n不要去看'), ("好", "很好")]
    if "json" in suffix:
        lines = [json.dumps({"label": a, "text": b}, ensure_ascii=False) for a, b in rows]
        text = "\n".join(lines) + "\n"
    else:
        text = table(rows, delimiter="\t" if suffix == ".tsv" else ",")
    if encoding == "utf-16-le-bom":
        text, encoding = "\ufeff" + text, "utf-16-le"
    found = read(write(tmp_path / f"t{suffix}", text, encoding))
    assert found.kind == "text" and found.columns == ("text",)
    assert contents(found) == [text for _, text in rows]
    assert labelled(found) == [label for label, _ in rows]


def test_latin_1_and_what_is_no_encoding(tmp_path):
    text = table([("fr", "très naïf, à peine élevé"), ("de", "größer als süß")])
    for encoding in ("latin-1", "cp1252"):
        found = read(write(tmp_path / "t.csv", text, encoding))
        assert contents(found)[1] == "größer als süß"
    assert to_text("quoted \x93so\x94".encode("latin-1")) == "quoted “so”"
    broken = text.encode()[:-2] + b"\xff\n"
    (tmp_path / "t.csv").write_bytes(broken)
    found = read(tmp_path / "t.csv")  # the row alone is left out
    assert [one.item for one in found.rejected] == ["t.csv:3"]
    (tmp_path / "t.csv").write_bytes(b"label,text\na,b\0c\n")
    with pytest.raises(DataError, match="t.csv: not a text: a zero byte at offset 14"):
        read(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_bytes(b"\xff\xfea\0,\0b")
    with pytest.raises(DataError, match="its mark says utf-16"):
        read(tmp_path / "t.csv")


def test_without_a_header(tmp_path):
    rows = [("3", f"Title {i}, no number", f"A description of event {i}") for i in range(4)]
    rows += [("1", f"Sports title {i} here", f"Another description {i}") for i in range(4)]
    found = read(write(tmp_path / "t.csv", table(rows, header=None)))
    assert found.classes == ("1", "3") and found.columns == ("2", "3")
    assert contents(found)[0] == "Title 0, no number A description of event 0"
    assert found.names[0] == "t.csv:1"
    spam = [("ham", "Go until jurong point"), ("spam", "Free entry in 2"), ("ham", "U dun say so")]
    found = read(write(tmp_path / "s.tsv", "".join(f"{a}\t{b}\n" for a, b in spam)))
    assert labelled(found) == ["ham", "spam", "ham"]


def test_columns_by_name_by_looking_and_by_asking(tmp_path):
    rows = [("x y", "1", "head", "body")] * 2 + [("z", "2", "h", "b")] * 2
    path = write(tmp_path / "a.csv", table(rows, ("title", "category", "id", "review")))
    found = read(path)
    assert found.columns == ("title", "review") and contents(found)[0] == "x y body"
    found = read(path, text_column="id", label_column="review")
    assert found.columns == ("id",) and found.classes == ("b", "body")
    assert contents(read(path, text_column=["review", "id"]))[0] == "body head"
    with pytest.raises(UsageError, match="unknown column 'reviw'; did you mean 'review'"):
        read(path, text_column="reviw")
    looked = read(write(tmp_path / "b.csv", table(ROWS, ("outcome", "what they wrote"))))
    assert looked.classes == ("no", "yes") and looked.columns == ("what they wrote",)
    two = [(a, a, b) for a, b in ROWS]
    with pytest.raises(
        DataError, match="several columns could hold the labels: p, q.*label_column"
    ):
        read(write(tmp_path / "c.csv", table(two, ("p", "q", "words"))), text_column="words")


def test_rows_that_cannot_be_used_keep_their_numbers(tmp_path):
    text = 'label,text\na,"one\nline"\nb,two,three\n,no label\n" ",blank\nb,"say ""hi"""\nc\na,\n'
    found = read(write(tmp_path / "t.csv", text))
    assert [tuple(one) for one in found.rejected] == [
        ("t.csv:3", "3 columns instead of 2"),
        ("t.csv:4", "no label"),
        ("t.csv:5", "no label"),
        ("t.csv:7", "1 columns instead of 2"),
    ]
    assert list(found.names) == ["t.csv:2", "t.csv:6", "t.csv:8"]
    assert contents(found) == ["one\nline", 'say "hi"', ""]
    assert ("t.csv:8", "empty text") in audit(found).rejected


def test_json_lines_that_are_none(tmp_path):
    lines = ['{"text": "a", "label": 1}', "", "{oops", '{"text": null, "label": 2}', "[1]"]
    lines += ['{"text": "b", "label": null}', '{"text": "c\\ud800", "label": 10}']
    found = read(write(tmp_path / "t.jsonl", "\n".join(lines)))
    assert found.classes == ("1", "2", "10")
    assert list(found.names) == ["t.jsonl:1", "t.jsonl:4", "t.jsonl:7"]
    assert contents(found) == ["a", "", "c?"]
    assert [one.item for one in found.rejected] == [f"t.jsonl:{n}" for n in (2, 3, 5, 6)]


def test_parquet(tmp_path):
    labels = pa.array([0, 1, None, 1], pa.int64())
    texts = pa.array(["a", None, "c", "d"]).dictionary_encode()
    arrow = pa.table({"text": texts, "label": labels, "more": [[1], [2], [3], [4]]})
    pq.write_table(arrow, tmp_path / "t.parquet")
    found = read(tmp_path / "t.parquet")
    assert labelled(found) == ["0", "1", "1"] and contents(found) == ["a", "", "d"]
    names = {"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}
    named = arrow.replace_schema_metadata({"huggingface": json.dumps(names)})
    pq.write_table(named, tmp_path / "t.parquet")
    assert read(tmp_path / "t.parquet").classes == ("cat", "dog")
    (tmp_path / "t.parquet").write_bytes(b"PAR1 rubbish")
    with pytest.raises(DataError, match="cannot be read as a table"):
        read(tmp_path / "t.parquet")


def test_images_inside_a_parquet_file(tmp_path):
    make_images(tmp_path, {"a": 2, "b": 2})
    cells_ = [{"bytes": p.read_bytes(), "path": p.name} for p in sorted(tmp_path.rglob("*.png"))]
    arrow = pa.table({"image": cells_, "label": ["a", "a", "b", "b"]})
    pq.write_table(arrow, tmp_path / "t.parquet")
    found = read(tmp_path / "t.parquet")
    assert found.kind == "image" and len(audit(found).usable) == 4


def test_labels_that_are_measurements(tmp_path):
    rng = np.random.default_rng(0)
    rows = [(f"{value:.4f}", f"some text {i}") for i, value in enumerate(rng.normal(size=60))]
    path = write(tmp_path / "t.csv", table(rows, ("target", "text")))
    found = read(path)  # what is measured is never taken for classes
    assert found.known.task.name == "number" and found.classes == ()
    assert found.said(3) == f"{float(rows[3][0]):.6g}"
    with pytest.raises(
        DataError, match="column 'target' holds 60 different numbers.*task='number'"
    ):
        read(path, task="classes")
    whole = [(str(7 * i), f"some text {i}") for i in range(60)]
    with pytest.raises(DataError, match="column 'target' holds 60 different numbers"):
        read(write(tmp_path / "t.csv", table(whole, ("target", "text"))))
    stars = [(f"{i % 5 + 1}.0", f"some text {i}") for i in range(60)]
    found = read(write(tmp_path / "t.csv", table(stars, ("target", "text"))))
    assert found.classes == ("1", "2", "3", "4", "5")


def test_a_cell_of_megabytes(tmp_path):
    long = "word " * 800_000
    found = read(write(tmp_path / "t.csv", table([*ROWS, ("yes", long)])))
    assert contents(found)[-1] == long


def test_a_cell_that_is_too_long_for_any_use(tmp_path, monkeypatch):
    monkeypatch.setattr(delimited, "BLOCK", 1 << 19)
    monkeypatch.setattr(delimited, "LARGEST", 1 << 20)
    path = write(tmp_path / "t.csv", table([*ROWS * 9000, ("yes", "x" * (3 << 20))]))
    with pytest.raises(
        DataError, match="t.csv cannot be read as a table: a row is longer than 1 MB"
    ):
        read(path)


def test_large_tables_are_mapped_from_disk(tmp_path, monkeypatch, headstart_home):
    path = write(tmp_path / "t.csv", table(ROWS * 50))
    small = read(path)
    monkeypatch.setattr(cells, "IN_MEMORY", 0)
    large = read(path)
    assert contents(large) == contents(small) and list(large.names) == list(small.names)
    assert not list((headstart_home / "tables").iterdir())


def test_a_column_that_says_the_split(tmp_path):
    rows = [(a, b, "train" if i % 3 else "validation") for i, (a, b) in enumerate(ROWS)]
    found = read(write(tmp_path / "t.csv", table(rows, ("label", "text", "split"))))
    assert found.splits.tolist().count("val") == 4
    assert len(split(found, np.arange(len(found))).held_out) == 4


def test_unquoted_tsv_with_quotes_inside(tmp_path):
    text = 'label\ttext\nno\t"unfinished sentence\nyes\tfine " film\nno\tthe end\n'
    assert contents(read(write(tmp_path / "t.tsv", text)))[0] == '"unfinished sentence'


def test_other_delimiters_and_double_names(tmp_path):
    text = "label;text;text\nno;ein Satz;zwei\nyes;noch ein Satz;drei\n"
    found = read(write(tmp_path / "t.csv", text))
    assert found.columns == ("text",) and contents(found)[1] == "noch ein Satz"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("label,text\n", "no usable row|no .* column"),
        ("label,text\n,x\n", "no usable row: no label"),
        ("{}", "no .* column|no usable row"),
    ],
)
def test_tables_with_nothing_in_them(tmp_path, text, reason):
    with pytest.raises(DataError, match=reason):
        read(write(tmp_path / ("t.jsonl" if "{" in text else "t.csv"), text))


# Tables of images


@pytest.mark.parametrize("form", ["id", "name", "path"])
def test_a_table_beside_images(tmp_path, form):
    make_images(tmp_path, {"train": 4, "test": 4})
    (tmp_path / "test" / "000.png").rename(tmp_path / "test" / "900.png")
    cell = {"id": "{}", "name": "{}.png", "path": "train/{}.png"}[form]
    rows = [(cell.format(f"{i:03}"), "ab"[i % 2]) for i in range(4)]
    rows += [(cell.format("nowhere"), "a"), (cell.format("001"), "")]
    write(tmp_path / "labels.csv", table(rows, ("id", "breed")))
    write(tmp_path / "sample_submission.csv", "id,a,b\n900,0.5,0.5\n")
    found = read(tmp_path)
    assert found.kind == "image" and found.classes == ("a", "b")
    assert list(found.names) == [f"train/{i:03}.png" for i in range(4)]
    assert [one.item for one in found.rejected] == ["labels.csv:6", "labels.csv:7"]
    assert found.rejected[0].reason.startswith("no such file")
    assert len(audit(read(tmp_path / "labels.csv")).usable) == 4


def test_images_elsewhere(tmp_path):
    make_images(tmp_path / "far", {"x": 4})
    rows = [("000.png", "a"), ("003.png", "b")]
    path = write(tmp_path / "t" / "labels.csv", table(rows, ("file", "y")))
    with pytest.raises(DataError, match="names in column 'file' are not beside it.*--images"):
        read(path)
    assert len(read(path, images=tmp_path / "far")) == 2


@pytest.mark.parametrize("form", ["{}", "{}.png", "{split}/{}.png"])
def test_tables_by_split_beside_images(tmp_path, form):
    for number, name in enumerate(["train", "test"]):
        make_images(tmp_path, {name: 4}, seed=number)
        rows = [(form.format(f"{i:03}", split=name), "ab"[i % 2]) for i in range(4)]
        write(tmp_path / f"{name}.csv", table(rows, ("id", "breed")))
    found = read(tmp_path)
    paths = [f"{name}/{i:03}.png" for name in ("train", "test") for i in range(4)]
    assert found.kind == "image" and list(found.names) == paths
    assert found.splits.tolist() == ["train"] * 4 + ["test"] * 4
    assert found.content(4) == (tmp_path / "test" / "000.png").read_bytes()


def test_class_folders_win_over_a_table(tmp_path):
    make_images(tmp_path, {"a": 2, "b": 2})
    write(tmp_path / "meta.csv", "file,width\n000.png,3\n")
    assert len(read(tmp_path)) == 4


def test_several_tables(tmp_path):
    for name in ("one.csv", "two.csv"):
        write(tmp_path / name, table(ROWS))
    with pytest.raises(DataError, match=r"2 tables: one.csv, two.csv\. Give the path of one"):
        read(tmp_path)


# Items to predict


def test_items_keep_their_order_and_missing_ones_are_said(tmp_path):
    make_images(tmp_path / "folder", {"b": 2, "a": 1})
    one = tmp_path / "folder" / "b" / "001.png"
    items = read_items([one, tmp_path / "gone.png", tmp_path / "folder"], "image")
    names = [str(Path(name).relative_to(tmp_path)) for name in items.names]
    inside = [f"folder/{name}.png" for name in ("a/000", "b/000", "b/001")]
    assert names == ["folder/b/001.png", "gone.png", *inside]
    assert items.content(0) == items.content(4) == one.read_bytes()
    with pytest.raises(ItemError, match="no such file"):
        items.content(1)


def test_items_of_tables(tmp_path):
    path = write(tmp_path / "t.csv", table(ROWS))
    bare = write(tmp_path / "bare.csv", table([(text,) for _, text in ROWS], ("whatever",)))
    single = write(tmp_path / "one.txt", "größer", "latin-1")
    items = read_items([path, bare, single], "text")
    assert len(items.names) == 25 and items.names[12] == f"{bare}:2"
    assert items.content(0) == items.content(12) == ROWS[0][1].encode()
    assert items.content(24).decode() == "größer"
    assert read_items([path], "text", text_columns=["label"]).content(1) == b"yes"
    make_images(tmp_path, {"x": 2})
    write(tmp_path / "ids.csv", "id\n000\n007\n001\n")
    pictures = read_items([tmp_path / "ids.csv"], "image")
    assert pictures.content(0).startswith(b"\x89PNG")
    with pytest.raises(ItemError, match="no such file: '007'"):
        pictures.content(1)
    broken = read_items([write(tmp_path / "empty.csv", ""), single], "text")
    with pytest.raises(ItemError, match="empty.csv is empty"):
        broken.content(0)
    assert broken.content(1)


# Import and real data


def test_importing_is_light():
    code = "import sys, headstart.data.reading; print(sorted({'pyarrow', 'torch', 'transformers', 'pandas'} & set(sys.modules)))"  # noqa: E501
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


@pytest.mark.slow
def test_real_tables():
    news = read(shared_data("ag_news/test.csv"))
    joined = read(shared_data("ag_news/test_text.csv"))
    assert news.classes == joined.classes == ("1", "2", "3", "4")
    assert contents(news) == contents(joined)
    assert np.bincount(news.labels).tolist() == [1650] * 4
    with open(shared_data("ag_news/test.csv"), encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert contents(news) == [f"{title} {text}" for _, title, text in rows]
    dogs = read(shared_data("dog_breeds"))
    assert (len(dogs), len(dogs.classes), dogs.rejected) == (700, 120, ())
    assert dogs.names[0].startswith("train/")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "n", "classes"),
    [("imdb", 4000, 2), ("hymenoptera", 398, 2), ("mnist", 3000, 10), ("pacs/sketch", 420, 7)],
)
def test_real_folders(name, n, classes):
    found = read(shared_data(name))
    assert (len(found), len(found.classes)) == (n, classes)
    assert found.rejected == ()
