"""Data as they lie on people's disks: odd names, odd files, odd cells; read without a word."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import headstart
from headstart.data.pictures.images import decode

Pixels = np.ndarray


def bar(kind: int, place: int) -> Pixels:
    """A bright bar on dark ground that lies, or stands; in colour, 32 pixels a side."""
    pixels = np.full((32, 32, 3), 30, np.uint8)
    pixels[place : place + 5] = 220
    return pixels if kind else pixels.transpose(1, 0, 2)


def saved(folder: Path, kind: int) -> None:
    """Write bars of one kind in every form that cameras, scanners and programs make."""
    folder.mkdir(parents=True)
    for i in range(12):
        Image.fromarray(bar(kind, 2 * i)).save(folder / f"p {i} 📷.png")
    turned = Image.Exif()
    turned[274] = 6  # held upright: to be turned by a quarter
    quarter = np.rot90(bar(kind, 9)).copy()
    Image.fromarray(quarter).save(folder / "phone.jpg", exif=turned)
    grey = bar(kind, 11)[..., 0]
    Image.fromarray(grey.astype(np.uint16) * 257).save(folder / "sixteen.png")
    Image.fromarray(grey.astype(np.float32)).save(folder / "float.tiff")
    Image.fromarray(bar(kind, 13)).convert("CMYK").save(folder / "print.jpg")
    Image.fromarray(bar(kind, 15)).quantize(8).save(folder / "palette.png")
    Image.fromarray(grey).convert("1").save(folder / "fax.bmp")
    frames = [Image.fromarray(bar(kind, place)) for place in (17, 3)]
    frames[0].save(folder / "moving.gif", save_all=True, append_images=frames[1:])
    (folder / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0" + b"\0" * 500)
    (folder / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (folder / "desktop.ini").write_text("[.ShellClassInfo]")
    (folder / "._p 0 📷.png").write_bytes(b"\0\5\26\7")  # what a Mac leaves on other disks


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    root = tmp_path / "my pictures 🐝 & more"
    for kind, name in enumerate(("stand ing", "lying 🐝")):
        saved(root / name, kind)
    (root / "__MACOSX").mkdir()
    (root / "Thumbs.db").write_bytes(b"x")
    return root


def test_a_folder_from_a_telephone_and_two_other_machines(
    photos: Path, tmp_path: Path, glyph_graph: Path
) -> None:
    found = headstart.audit(photos)
    assert found.classes == {"lying 🐝": 19, "stand ing": 19} and not found.rejected
    model = headstart.fit(photos, backbone="glyphs", out=tmp_path / "model 🐝")
    assert model.accuracy == 1.0
    for name in ("lying 🐝", "stand ing"):
        answers = headstart.predict(tmp_path / "model 🐝", photos / name)
        assert {one["label"] for one in answers} == {name} and len(answers) == 19


def test_odd_forms_hold_the_same_picture(photos: Path) -> None:
    folder = photos / "lying 🐝"
    for name, place, off in (
        ("phone.jpg", 9, 30),  # JPEG blurs the edges
        ("print.jpg", 13, 30),
        ("sixteen.png", 11, 0),
        ("float.tiff", 11, 0),
        ("palette.png", 15, 6),
        ("moving.gif", 17, 6),
    ):
        pixels = np.asarray(decode((folder / name).read_bytes(), 1)).astype(int)
        away = np.abs(pixels - bar(1, place)[..., 0]).mean()
        assert away <= off / 4, (name, away)


def table(path: Path, labels: list[Any], newline: str = "\r\n") -> Path:
    texts = ['a "great" meal', "warm soup,\nfresh bread", "cold;\r\nand rude", "=never, again"]
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        write = csv.writer(file, lineterminator=newline)
        write.writerow(["text", "label"])
        write.writerows([f"{texts[i % 4]} {i}", labels[i % len(labels)]] for i in range(24))
    return path


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["2024-01-31", "2024-02-29"], ("2024-01-31", "2024-02-29")),
        ([True, False], ("False", "True")),
        ([0.0, 1.0], ("0", "1")),
        (["none", "null"], ("none", "null")),
        ([" yes", "no ", "yes"], ("no", "yes")),
    ],
)
def test_cells_as_programs_write_them(
    labels: list[Any], classes: tuple[str, ...], tmp_path: Path
) -> None:
    found = headstart.read(table(tmp_path / "t.csv", labels))
    assert found.classes == classes and len(found) == 24
    assert found.content(1).decode().replace("\r\n", "\n") == "warm soup,\nfresh bread 1"
    assert found.content(0).decode() == 'a "great" meal 0'


def test_a_quote_that_is_never_closed_costs_its_own_rows_alone(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", ["good", "bad"])
    path.write_bytes(path.read_bytes() + b'"unclosed, good\r\nanother,bad\r\n')
    found = headstart.audit(path)
    assert len(found.usable) == 24
    assert [one.reason for one in found.rejected] == ["1 columns instead of 2, over 2 lines"]


def test_numbers_as_floats_and_as_whole_numbers_are_one(tmp_path: Path) -> None:
    whole = headstart.read(table(tmp_path / "whole.csv", [0, 1]))
    floats = headstart.read(table(tmp_path / "floats.csv", ["0.0", "1.0"]))
    mixed = headstart.read(table(tmp_path / "mixed.csv", ["1", "1.0", "0"]))
    assert whole.classes == floats.classes == mixed.classes == ("0", "1")
