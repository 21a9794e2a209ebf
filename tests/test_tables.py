"""Tables give back any text, number their rows as they lie in the file, and know their header."""

from __future__ import annotations

import csv
import io
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import make_images
from headstart.data.reading import read, read_items
from headstart.data.tables import cells, labelled
from headstart.data.tables import stream as tables
from headstart.errors import DataError, UsageError

SIGNS = st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff")
TEXTS = st.text(SIGNS | st.sampled_from('",;\t|\n\r \\x')).filter(
    lambda text: text.strip().lower() not in ("nan", "<na>")  # which a table has for no text
)
LABELS = ["no", "yes", "好"]
ROWS = st.lists(st.tuples(st.sampled_from(LABELS), TEXTS), min_size=1, max_size=12)


def contents(dataset) -> list[str]:
    return [dataset.content(i).decode() for i in range(len(dataset))]


def labelled_as(dataset) -> list[str]:
    return [dataset.classes[i] for i in dataset.labels]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(name: str, text: str, encoding: str = "utf-8") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode(encoding))
        return path

    return write


def delimited(rows, delimiter: str, ending: str = "\n") -> str:
    file = io.StringIO(newline="")
    # The writer forgets that "\r" ends lines as well.
    quoting = csv.QUOTE_ALL if any("\r" in text for _, text in rows) else csv.QUOTE_MINIMAL
    writer = csv.writer(file, delimiter=delimiter, lineterminator=ending, quoting=quoting)
    writer.writerows(rows)
    return file.getvalue()


# Any text comes back


@settings(max_examples=60, deadline=None)
@given(
    ROWS,
    st.sampled_from([(".csv", ","), (".csv", ";"), (".csv", "|"), (".csv", "\t"), (".tsv", "\t")]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.sampled_from(["\n", "\r\n"]),
)
def test_delimited_texts_come_back(tmp_path_factory, rows, form, encoding, ending) -> None:
    path = tmp_path_factory.mktemp("t") / f"t{form[0]}"
    lines = delimited([("label", "text"), *rows], form[1], ending)
    path.write_bytes(lines.encode(encoding))
    found = read(path, kind="text")
    assert contents(found) == [text for _, text in rows]
    assert labelled_as(found) == [label for label, _ in rows]
    assert found.rejected == ()


@settings(max_examples=60, deadline=None)
@given(ROWS, st.booleans(), st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_json_texts_come_back(tmp_path_factory, rows, ascii_only, encoding) -> None:
    path = tmp_path_factory.mktemp("t") / "t.jsonl"
    lines = [{"label": label, "text": text} for label, text in rows]
    text = "".join(json.dumps(line, ensure_ascii=ascii_only) + "\n" for line in lines)
    path.write_bytes(text.encode(encoding))
    found = read(path, kind="text")
    assert contents(found) == [text for _, text in rows]
    assert labelled_as(found) == [label for label, _ in rows]


@settings(max_examples=60, deadline=None)
@given(ROWS, st.integers(1, 4))
def test_parquet_texts_come_back(tmp_path_factory, rows, group) -> None:
    path = tmp_path_factory.mktemp("t") / "t.parquet"
    labels, texts = zip(*rows, strict=True)
    pq.write_table(pa.table({"label": labels, "text": texts}), path, row_group_size=group)
    found = read(path, kind="text")
    assert contents(found) == list(texts) and labelled_as(found) == list(labels)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([".csv", ".tsv", ".jsonl", ".parquet"]))
def test_any_bytes_are_a_table_or_are_refused(tmp_path_factory, content, suffix) -> None:
    path = tmp_path_factory.mktemp("t") / f"t{suffix}"
    path.write_bytes(content)
    try:
        found = read(path, kind="text")
    except (DataError, UsageError) as error:
        assert path.name in str(error)
    else:
        assert len(contents(found)) == len(found.names)


# Every row keeps its number

KINDS = {
    "good": "a,some text\n",
    "quoted": 'b,"several\nlines, ""quoted"""\n',
    "wide": "a,too,wide\n",
    "short": "a\n",
    "blank": "\n",
    "missing": ",no label\n",
    "nan": "NaN,no label\n",
}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(sorted(KINDS)), max_size=12),
    st.integers(0, 2),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_rows_keep_their_numbers(tmp_path_factory, kinds, empty, encoding) -> None:
    kinds = [*kinds, "good"]
    path = tmp_path_factory.mktemp("t") / "t.csv"
    text = "\n" * empty + "label,text\n" + "".join(KINDS[kind] for kind in kinds)
    path.write_bytes(text.encode(encoding))
    found = read(path, kind="text")
    numbered = [(kind, f"t.csv:{number}") for number, kind in enumerate(kinds, empty + 2)]
    good = [name for kind, name in numbered if kind in ("good", "quoted")]
    assert list(found.names) == good
    assert [one.item for one in found.rejected] == [
        name for _, name in numbered if name not in good
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_quote_that_is_never_closed(write, encoding) -> None:
    start = "label,text\na,one\nb,two\nc\n"
    found = read(write("t.csv", start + 'a,"open\nb,lost\nb,lost too\n', encoding))
    assert contents(found) == ["one", "two"]
    assert found.rejected[1] == ("t.csv:5", "its quote is never closed, and takes in 3 lines")
    found = read(write("t.csv", start + 'a,"not\nopen"', encoding))
    assert contents(found) == ["one", "two", "not\nopen"]
    found = read(write("t.csv", "text,label\none,a\ntwo,b\n" + '"open,a\nlost,b\n', encoding))
    assert found.rejected == (("t.csv:4", "1 columns instead of 2, over 2 lines"),)


# The first row


@pytest.mark.parametrize(
    ("header", "row", "columns"),
    [
        ("v1,v2,,,", "{label},{text},,,", ("v2",)),  # Kaggle's SMS spam
        (",text,label", "{i},{text},{label}", ("text",)),  # pandas
        ("id,label,text", "{i},{label},text", ("text",)),  # a cell as the column's name
        ("Label ; Text, said", "{label};{text}", ("Text, said",)),
        ("label|text, or so", "{label}|{text}", ("text, or so",)),
    ],
)
def test_headers(write, header, row, columns) -> None:
    rows = [row.format(i=i, label="ab"[i % 2], text=f"some words {i}") for i in range(6)]
    found = read(write("t.csv", "\n".join([header, *rows]) + "\n"))
    assert found.classes == ("a", "b") and found.columns == columns
    assert found.names[0] == "t.csv:2" and len(found) == 6


def test_a_column_that_is_asked_for_makes_a_header(write) -> None:
    path = write("t.csv", "kind,words\nkind,a b\nother,c d\nkind,words\n")
    assert read(path).columns == ("2",)
    found = read(path, label_column="kind")
    assert found.classes == ("kind", "other") and found.columns == ("words",)


def test_short_texts_beside_labels(write) -> None:
    found = read(write("t.tsv", "play\tmusic\nstop\toff\nlouder\tmusic\nend\toff\n"))
    assert found.columns == ("1",) and found.classes == ("music", "off")


def test_dates_are_no_texts(write) -> None:
    rows = [f"2020-01-01 12:00:0{i},{'ab'[i % 2]},some more words {i}" for i in range(6)]
    found = read(write("t.csv", "\n".join(["created,label,said", *rows]) + "\n"))
    assert found.columns == ("said",)


def test_one_column_for_two_things_is_refused(write) -> None:
    path = write("t.csv", "label,text\na,x y\nb,z w\n")
    with pytest.raises(UsageError, match="column 'text' is asked for twice"):
        read(path, text_column="text", label_column="text")
    assert read(path, text_column="label").classes == ("x y", "z w")


# Labels


def test_labels_that_are_not_there(write) -> None:
    lines = [
        '{"text": "a b", "label": 1}',
        '{"text": "c", "label": NaN}',
        '{"text": "d", "label": 2}',
    ]
    found = read(write("t.jsonl", "\n".join(lines)))
    assert found.classes == ("1", "2") and found.rejected == (("t.jsonl:2", "no label"),)


def test_as_many_labels_as_rows_are_not_all_read(write, monkeypatch) -> None:
    monkeypatch.setattr(labelled, "_MOST", 50)
    rows = [f"word {i},{'text ' * 20}" for i in range(100)]
    with pytest.raises(DataError, match="'label' holds more than 50 different values, such as wor"):
        read(write("t.csv", "\n".join(["label,text", *rows])))


def test_a_split_column_with_other_values_is_said(write, caplog) -> None:
    rows = [f"{'ab'[i % 2]},some words {i},{part}" for i, part in enumerate(["train", "dev", "x"])]
    found = read(write("t.csv", "\n".join(["label,text,split", *rows]) + "\n"))
    assert set(found.splits) == {""}
    assert "not splitting by column 'split', for 'x' is none of train" in caplog.text


# One table for each split


def split_tables(write, header: str = "label,text", **parts: str) -> Path:
    for name, prefix in parts.items():
        rows = "".join(f"{'ab'[i % 2]},the {prefix} words {i}\n" for i in range(4))
        write(f"data/{name}.csv", (header + "\n" if header else "") + rows)
    return write("data/notes.txt", "x").parent


@pytest.mark.parametrize("val", ["val", "valid", "validation", "dev"])
@pytest.mark.parametrize("header", ["label,text", ""])
def test_tables_by_split(write, val, header) -> None:
    root = split_tables(write, header, **{"train": "first", val: "second", "test": "third"})
    found = read(root)
    assert found.splits.tolist() == ["train"] * 4 + ["val"] * 4 + ["test"] * 4
    assert found.root == root and found.classes == ("a", "b")
    assert [text.split()[1] for text in contents(found)] == ["first"] * 4 + ["second"] * 4 + [
        "third"
    ] * 4
    first = 2 if header else 1
    assert found.names[0] == f"train.csv:{first}" and found.names[-1] == f"test.csv:{first + 3}"
    assert labelled_as(found) == ["a", "b"] * 6


def test_tables_by_split_in_several_formats(write) -> None:
    write("d/train.csv", "set,label,text\nx,a,one two\ny,b,three\n,,no label\n")
    write("d/val.tsv", "text\tlabel\nfour\tb\nfive\tc\n")
    write("d/classes.csv", "id,name\n1,a\n")
    root = write("d/test.jsonl", '{"label": "a", "text": "six"}\n{}\n').parent
    found = read(root)
    assert contents(found) == ["one two", "three", "four", "five", "six"]
    assert labelled_as(found) == ["a", "b", "b", "c", "a"]
    assert [tuple(one) for one in found.rejected] == [
        ("train.csv:4", "no label"), ("test.jsonl:2", "no label")
    ]  # fmt: skip


def test_a_table_to_answer_is_not_read(write, caplog) -> None:
    root = split_tables(write, train="first")
    write("data/test.csv", "id,text\n1,who knows\n")
    write("data/sample_submission.csv", "id,label\n1,a\n")
    found = read(root)
    assert len(found) == 4 and "test.csv: it has no column 'label'" in caplog.text


def test_tables_that_do_not_belong_together(write) -> None:
    root = split_tables(write, train="first")
    write("data/test.csv", "label,body\na,x\n")
    with pytest.raises(DataError, match=r"test.csv has no column 'text'. Its columns: label, body"):
        read(root)
    write("data/test.csv", "label,text\n")
    with pytest.raises(
        DataError, match=r"test.csv has no usable row: it is empty below its header"
    ):
        read(root)
    write("data/train.tsv", "label\ttext\na\tx\n")
    with pytest.raises(
        DataError, match=r"3 tables: test.csv, train.csv, train.tsv\. Give the path"
    ):
        read(root)


def test_few_classes_of_many_in_one_split(write) -> None:
    train = "".join(f"{i % 40},the words {i}\n" for i in range(400))
    test = "".join(f"{i},the other words {i}\n" for i in range(30))
    write("d/train.csv", "label,text\n" + train)
    assert len(read(write("d/test.csv", "label,text\n" + test).parent).classes) == 40


# Parquet


def test_texts_that_are_stored_as_bytes(tmp_path) -> None:
    texts = [f"très bien {i}".encode() for i in range(30)]
    pq.write_table(pa.table({"text": texts, "label": ["a", "b"] * 15}), tmp_path / "t.parquet")
    assert contents(read(tmp_path / "t.parquet"))[1] == "très bien 1"


def test_a_data_set_can_be_sent_to_another_process(write, tmp_path) -> None:
    texts = split_tables(write, train="first", test="last")
    pictures = make_images(tmp_path / "pictures", {"x": 2, "y": 2})
    files = sorted(path.relative_to(pictures).as_posix() for path in pictures.rglob("*.*"))
    named = write("named.csv", "file,label\n" + "".join(f"{f},{f[0]}\n" for f in files))
    stored = tmp_path / "stored.parquet"
    column = [(pictures / name).read_bytes() for name in files]
    pq.write_table(pa.table({"image": column, "label": [name[0] for name in files]}), stored)
    for dataset in (
        read(texts),
        read(named, images=pictures),
        read(stored),
        read(pictures),
        read(pictures).take([2, 0]),
    ):
        sent = pickle.loads(pickle.dumps(dataset))
        assert contents_of(sent) == contents_of(dataset) != []
        assert list(sent.names) == list(dataset.names)


def contents_of(dataset) -> list[bytes]:
    return [dataset.content(i) for i in range(len(dataset))]


def test_two_columns_of_one_name(tmp_path) -> None:
    arrow = pa.table([["a b"], ["a"], ["c d"]], names=["text", "label", "text"])
    pq.write_table(arrow, tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"t.parquet has several columns of one name: text, label"):
        read(tmp_path / "t.parquet")


# Memory and time


def test_nobody_looks_for_images_of_texts(write, monkeypatch) -> None:
    monkeypatch.setattr(labelled, "Pictures", lambda folder: pytest.fail(f"walked {folder}"))
    rows = [f"some words {i},{'ab'[i % 2]}" for i in range(6)]
    assert read(write("t.csv", "\n".join(["text,label", *rows]))).kind == "text"


@pytest.mark.parametrize("most", [0, 2000, 1 << 30])
def test_what_is_mapped_is_what_is_kept(tmp_path, monkeypatch, headstart_home, most) -> None:
    monkeypatch.setattr(cells, "IN_MEMORY", most)
    monkeypatch.setattr(tables, "ROWS", 7)
    texts = [f"the words of row {i}" for i in range(100)]
    pq.write_table(pa.table({"text": texts, "label": ["a", "b"] * 50}), tmp_path / "t.parquet")
    assert contents(read(tmp_path / "t.parquet")) == texts
    assert (headstart_home / "tables").exists() == (most < 1 << 30)


# Items to predict


def test_items_have_the_columns_that_are_asked_for(write, caplog) -> None:
    def texts(path: Path, *columns: str) -> list[str]:
        items = read_items([path], "text", text_columns=columns)
        return [items.content(i).decode() for i in range(len(items.names))]

    path = write("t.csv", "id,text\n1,one\n2,two\n")
    assert texts(path, "text") == ["one", "two"]
    assert texts(path, "body") == ["one", "two"]
    assert "t.csv lacks the column body; reading text instead" in caplog.text
    assert texts(write("one.csv", "first line\nsecond line\n"), "text") == [
        "first line",
        "second line",
    ]
    assert texts(write("two.csv", "sentence\nfirst line\n"), "text") == ["first line"]
    bare = write("bare.csv", "3,head,body\n4,other,words\n")
    assert texts(bare, "2", "3") == ["head body", "other words"]


@pytest.mark.parametrize(
    "raised",
    [pa.ArrowTypeError, pa.ArrowKeyError, pa.ArrowCapacityError, pa.ArrowNotImplementedError],
)
def test_whatever_arrow_raises_names_the_file(
    raised: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reader(*given: object) -> tables.Table:
        raise raised("odd bytes")

    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(tables.READERS, ".parquet", reader)
    with pytest.raises(DataError, match=r"t\.parquet cannot be read as a table: .*odd bytes"):
        read(tmp_path / "t.parquet")
