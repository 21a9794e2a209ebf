"""Tables that were made to harm, or just broke: rows are refused, not tables, and none is lost."""

from __future__ import annotations

import logging
import os
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import headstart
from adversary.mutations import mutated
from conftest import bars
from headstart.data.reading import read, read_items
from headstart.data.tables.stream import distinct
from headstart.data.texts.alphabets import ENCODINGS, recognise
from headstart.errors import DataError, HeadstartError, ItemError, UsageError

TEXTS = {
    "German": ("Größe und Übermut: schöne Grüße aus München, wo Äpfel süß sind.", "west"),
    "French": ("L'été dernier, la forêt était déjà dorée; le garçon a mangé une crème.", "west"),
    "Spanish": ("El niño comió una manzana en la mañana. ¿Qué pasó con el pingüino?", "west"),
    "Portuguese": ("A informação não está disponível amanhã; a criança comeu maçã.", "west"),
    "Swedish": ("Åsa åkte till sjön där många människor äter färska räkor på ön.", "west"),
    "Danish": ("Rød grød med fløde på en ø; æblerne er søde, og børnene går i skole.", "west"),
    "Italian": ("Perché la città è bellissima, però domani sarà lunedì e così più.", "west"),
    "Polish": ("Zażółć gęślą jaźń; świeże pieczywo, masło i słońce w październiku.", "middle"),
    "Czech": ("Příliš žluťoučký kůň úpěl ďábelské ódy; čerstvé pečivo a sýr.", "middle"),
    "Hungarian": ("Árvíztűrő tükörfúrógép; gyönyörű idő volt, és őszintén örültek.", "middle"),
    "Turkish": (
        "Hava çok güzeldi, güneş parlıyordu, çocuklar bahçede oynuyordu, ığdır.",
        "turkish",
    ),
}
PAGES = {
    "west": ("cp1252", "mac-roman", "cp850"),
    "middle": ("cp1250", "iso8859-2", "cp852"),
    "turkish": ("cp1254", "cp857"),
}


def test_an_older_encoding_is_recognised_or_refused_never_mistaken() -> None:
    tries = right = 0
    for text, page in TEXTS.values():
        for encoding in PAGES[page]:
            content = text.encode(encoding, "ignore")
            found = recognise(content)
            tries += 1
            if found is not None:
                assert content.decode(found) == content.decode(encoding)
                right += 1
    assert tries == 32 and right >= 26
    assert set(ENCODINGS) >= {name for names in PAGES.values() for name in names}


def test_the_encoding_is_said_and_can_be_chosen(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = "text,label\nzażółć gęślą jaźń,a\nświeże pieczywo i masło,b\n"
    path = tmp_path / "t.csv"
    path.write_bytes(table.encode("cp1250"))
    with caplog.at_level(logging.INFO):
        found = read(path)
    assert found.content(0).decode() == "zażółć gęślą jaźń"
    assert "is read as cp1250; --encoding says otherwise" in caplog.text
    path.write_bytes(table.encode("iso8859-2"))
    assert read(path, encoding="latin2").content(1).decode() == "świeże pieczywo i masło"
    with pytest.raises(UsageError, match="no encoding is called 'klingon'"):
        read(path, encoding="klingon")
    with pytest.raises(DataError, match="is not in ascii, which was asked for"):
        read(path, encoding="ascii")


def answers(path: Path) -> list[str]:
    items = read_items(path, "text")
    said = []
    for index in range(len(items.names)):
        try:
            said.append(items.content(index).decode())
        except ItemError as error:
            said.append(f"! {error}")
    return said


@pytest.mark.parametrize("seed", range(20))
def test_no_row_to_predict_is_lost(seed: int, tmp_path: Path) -> None:
    chance = np.random.default_rng(seed)
    rows, bad = [], []
    for number in range(40):
        kind = chance.choice(["good", "good", "ragged", "short", "quoted"])
        rows.append(
            {
                "good": f"a text number {number},a",
                "ragged": f"a text number {number},a,and,more",
                "short": f"a text number {number}",
                "quoted": f'"a text number {number}, quoted",b',
            }[str(kind)]
        )
        bad.append(kind in ("ragged", "short"))
    (tmp_path / "t.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
    said = answers(tmp_path / "t.csv")
    assert len(said) == 40
    assert [one.startswith("! ") for one in said] == bad
    assert all(f"number {i}" in one for i, one in enumerate(said) if not bad[i])
    lines = [f'{{"text": "text {i}"}}' if i % 5 else "{broken" for i in range(30)]
    (tmp_path / "t.jsonl").write_text("\n".join(lines) + "\n")
    said = answers(tmp_path / "t.jsonl")
    assert [one.startswith("! ") for one in said] == [i % 5 == 0 for i in range(30)]


def test_bytes_that_are_no_text_cost_their_row_alone(tmp_path: Path) -> None:
    good = "caf\u00e9 and tea for everyone"
    path = tmp_path / "t.csv"
    path.write_bytes(
        f"text,label\n{good},a\nbad ".encode() + b"\xed\xa0\x80,b\n" + f"{good} too,b\n".encode()
    )
    found = read(path)
    assert [found.content(i).decode() for i in range(len(found))] == [good, f"{good} too"]
    assert [one.item for one in found.rejected] == ["t.csv:3"]
    assert answers(path)[1].startswith("! holds bytes that are not in UTF-8")


def test_a_cell_of_many_megabytes_is_read(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("text,label\nfirst text,a\n" + "word " * 4_000_000 + ",b\nlast text,b\n")
    found = read(path, text_column="text", label_column="label")
    assert [len(found.content(i)) for i in range(3)] == [10, 20_000_000, 9]


def test_many_columns_are_told_apart_quickly(tmp_path: Path) -> None:
    names = distinct(["x"] * 20_000)
    assert len(set(names)) == 20_000 and names[:2] == ("x", "x.2")
    wide = ",".join(f"c{i}" for i in range(12_000))
    cells = ",".join(["007"] * 12_000)
    rows = "".join(f"some text {i},{'ab'[i % 2]},{cells}\n" for i in range(4))
    (tmp_path / "t.csv").write_text(f"text,label,{wide}\n{rows}")
    assert read(tmp_path / "t.csv").classes == ("a", "b")


def test_names_that_look_alike_stay_apart_and_are_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = ["caf\u00e9", "cafe\u0301", "sp\u200bam", "spam", "egg"]
    rows = "".join(f"text number {i},{names[i % 5]}\n" for i in range(10))
    (tmp_path / "t.csv").write_text(f"text,label\n{rows}")
    found = read(tmp_path / "t.csv")
    assert set(found.classes) == set(names)
    assert caplog.text.count("look alike") == 2 and "egg" not in caplog.text


def test_numbers_are_told_apart_by_their_digits(tmp_path: Path) -> None:
    names = ["9007199254740993.0", "9007199254740992.0", "3.0"]
    rows = "".join(f"text number {i},{names[i % 3]}\n" for i in range(9))
    (tmp_path / "t.csv").write_text(f"text,label\n{rows}")
    assert read(tmp_path / "t.csv").classes == ("3", "9007199254740992", "9007199254740993")


def test_folders_whose_names_are_no_text_stay_apart(tmp_path: Path) -> None:
    for number, name in enumerate((b"caf\xe9", b"caf\xe8")):
        folder = bytes(tmp_path) + b"/data/" + name
        os.makedirs(folder)
        Image.new("RGB", (9, 9), (number, 0, 0)).save(os.fsdecode(folder) + "/a.png")
    assert read(tmp_path / "data").classes == ("caf\\xe8", "caf\\xe9")


def test_a_table_does_not_lead_out_of_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "table"
    folder.mkdir()
    for name in ("out.png", "table/a.png", "table/b.png", "table/c.png"):
        Image.new("RGB", (9, 9), (len(name), 9, 9)).save(tmp_path / name)
    out = tmp_path / "out.png"
    rows = f"a.png,x\nb.png,y\nc.png,x\n../out.png,x\n{out},y\n./../table/../out.png,y\n"
    (folder / "t.csv").write_text(f"image,label\n{rows}")
    found = read(folder / "t.csv")
    assert list(found.names) == ["a.png", "b.png", "c.png"]
    assert all("--anywhere" in one.reason for one in found.rejected)
    assert len(found.rejected) == 3
    assert len(read(folder / "t.csv", anywhere=True)) == 6
    assert len(read(folder / "t.csv", images=tmp_path)) == 6


def test_pipes_and_devices_are_listed_not_opened(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        Image.new("RGB", (9, 9), (ord(name), 9, 9)).save(tmp_path / name / "x.png")
    os.mkfifo(tmp_path / "a" / "pipe.png")
    (tmp_path / "b" / "zero.png").symlink_to("/dev/zero")
    assert {one.item for one in read(tmp_path).rejected} == {"a/pipe.png", "b/zero.png"}
    items = read_items([tmp_path, tmp_path / "a" / "pipe.png", "/dev/zero"], "image")
    faults = []
    for index in range(len(items.names)):
        try:
            items.content(index)
        except ItemError as error:
            faults.append(str(error))
    assert faults == ["is no regular file"] * 4
    os.mkfifo(tmp_path / "t.csv")
    with pytest.raises(DataError, match="no regular file"):
        headstart.read(tmp_path / "t.csv")


@pytest.mark.slow
def test_mutated_tables_end_in_a_data_set_or_in_one_error(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [(f"some text number {i}", "ab"[i % 2]) for i in range(12)]
    plain = ("text,label\n" + "".join(f"{t},{y}\n" for t, y in rows)).encode()
    lines = "".join(f'{{"text": "{t}", "label": "{y}"}}\n' for t, y in rows).encode()
    pq.write_table(
        pa.table({"text": [t for t, _ in rows], "label": [y for _, y in rows]}),
        tmp_path / "whole.parquet",
    )
    whole = {
        "csv": plain,
        "tsv": plain.replace(b",", b"\t"),
        "jsonl": lines,
        "parquet": (tmp_path / "whole.parquet").read_bytes(),
    }
    tries = 0
    for ending, content in whole.items():
        for seed in range(50):
            chance = np.random.default_rng([seed, len(content)])
            path = tmp_path / f"{seed}.{ending}"
            path.write_bytes(mutated(content, chance))
            try:
                found = read(path)
                assert all(isinstance(found.content(i), bytes) for i in range(len(found)))
            except HeadstartError as error:
                assert str(error)
            tries += 1
    assert tries == 200


def test_a_table_to_predict_does_not_lead_out_of_its_folder(
    tmp_path: Path, glyph_graph: Path
) -> None:
    folder, out = tmp_path / "table", tmp_path / "out"
    folder.mkdir()
    headstart.fit(bars(6), out=out)
    for name in ("out.png", "table/a.png"):
        Image.fromarray(np.load(BytesIO(bars(1).content(0)))).save(tmp_path / name)
    outside = f"../out.png\n{tmp_path / 'out.png'}\n"
    (folder / "t.csv").write_text(f"image\na.png\na.png\na.png\n{outside}")
    inside, _, _, *others = headstart.predict(out, folder / "t.csv")
    assert inside["label"] == "bar 0"
    assert len(others) == 2 and all("--anywhere" in one["error"] for one in others)
    for how in ({"anywhere": True}, {"images": tmp_path}):
        answers = headstart.predict(out, folder / "t.csv", **how)
        assert [one.get("label") for one in answers[3:]] == ["bar 0", "bar 0"]
