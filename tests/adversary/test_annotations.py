"""Files of boxes that were made to harm, or just broke: a data set comes of them, or one error."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from adversary.annotations import FORMATS, bytes_changed, facts_changed, outcome
from adversary.watching import WATCH
from headstart.detection import annotations
from headstart.detection.audit import check
from headstart.detection.reading import read
from headstart.errors import DataError, HeadstartError
from headstart.store import home
from test_boxes import BOXES, coco, voc, yolo

TRIES = [(form, bytes_changed) for form in FORMATS] + [("COCO", facts_changed)]


@pytest.mark.parametrize(("form", "change"), TRIES)
def test_changed_files_end_in_a_data_set_or_in_one_error(
    form: str, change: Callable[[Path, bytes, int], None], tmp_path: Path
) -> None:
    write, name = FORMATS[form]
    write(tmp_path)
    whole, ends = (tmp_path / name).read_bytes(), Counter[str]()
    with WATCH.within(tmp_path, home()) as seen:
        for seed in range(60):
            change(tmp_path / name, whole, seed)
            try:
                ends[outcome(tmp_path)] += 1
            except HeadstartError as error:
                ends["refused"] += 1
                assert len(str(error)) > 20
    assert ends.total() == 60 and set(ends) <= {"read", "refused"}
    assert seen == []


def test_entities_of_xml_lead_nowhere_and_do_not_grow(tmp_path: Path) -> None:
    voc(tmp_path)
    (tmp_path / "secret.txt").write_text("cat")
    path = tmp_path / "Annotations" / "a.xml"
    whole = path.read_text()
    outside = f'<!DOCTYPE a [<!ENTITY e SYSTEM "file://{tmp_path}/secret.txt">]>'
    growing = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 12))
    bomb = f'<!DOCTYPE a [<!ENTITY e0 "{"ha" * 50}">{growing}]>'
    for start, entity in ((outside, "&e;"), (bomb, "&e11;")):
        path.write_text(start + whole.replace(">cat<", f">{entity}<"))
        found = read(tmp_path)
        assert [one.item for one in found.rejected] == ["Annotations/a.xml"]
        assert "cannot be read" in found.rejected[0].reason
        assert len(found.pictures) == 2


@pytest.mark.parametrize("start", ["<?xml version='1.0' encoding='utf-7'?>", "<a>" * 200_000])
def test_odd_xml_costs_its_picture_alone(start: str, tmp_path: Path) -> None:
    voc(tmp_path)
    path = tmp_path / "Annotations" / "b.xml"
    path.write_text(start + path.read_text())
    assert [one.item for one in read(tmp_path).rejected] == ["Annotations/b.xml"]


def test_names_of_yaml_are_texts_and_do_not_grow(tmp_path: Path) -> None:
    yolo(tmp_path)
    path = tmp_path / "data.yaml"
    path.write_text("names: [yes, 2020-01-01]\n")  # no truth, and no day
    assert set(read(tmp_path).ids) == {"yes", "2020-01-01"}
    path.write_text(f"names: !!python/object/apply:os.mkdir [{tmp_path}/made, x]")  # no code
    assert set(read(tmp_path).ids) == {f"{tmp_path}/made", "x"}
    assert not (tmp_path / "made").exists()
    growing = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [{f'*a{i - 1}, ' * 9}]" for i in range(1, 12)]
    merged = ["b0: &b0 {0: x}"]
    merged += [f"b{i}: &b{i} {{<<: [{', '.join([f'*b{i - 1}'] * 9)}]}}" for i in range(1, 12)]
    deep = "names: " + "[" * 5000
    for text in (
        "\n".join([*growing, "names: *a11"]),
        "\n".join([*merged, "names: *b11"]),
        deep,
    ):
        path.write_text(text)
        with pytest.raises(DataError, match="no list of names") as caught:
            read(tmp_path)
        assert len(str(caught.value)) < 500


def test_numbers_of_any_size_are_boxes_within_the_picture_or_none(tmp_path: Path) -> None:
    huge = ["1e308", "-1e308", "1e400", "NaN", "1" + "0" * 400, "null", '"nine"', "[]", "true"]
    for number, value in enumerate(huge):
        held = coco(tmp_path / str(number))
        path = tmp_path / str(number) / "annotations.json"
        assert held["annotations"][0]["bbox"] == [10, 20, 30, 40]
        for part, text in (
            ("[10, 20, 30, 40]", f"[10, 20, {value}, 40]"),
            ('"width": 100', f'"width": {value}'),
        ):
            path.write_text(path.read_text().replace(part, text))
            assert outcome(tmp_path / str(number)) == "read"


def test_pictures_outside_are_not_read(tmp_path: Path) -> None:
    folder, outside = tmp_path / "data", tmp_path / "secret.png"
    coco(folder)
    (folder / "a.png").rename(outside)
    path = folder / "annotations.json"
    whole = path.read_text()
    for name in (f"{outside}", "../secret.png", "./x/../../secret.png", "..\\\\secret.png"):
        path.write_text(whole.replace('"a.png"', f'"{name}"'))
        with WATCH.within(folder, home()) as seen:
            checked = check(read(folder))
        assert len(checked.dataset) == 2 and seen == []
        assert "lies outside" in checked.audit.rejected[0].reason
        assert "--anywhere" in checked.audit.rejected[0].reason
        assert len(check(read(path, anywhere=True)).dataset) == 3
    voc_file = tmp_path / "voc"
    voc(voc_file)
    first = voc_file / "Annotations" / "a.xml"
    first.write_text(first.read_text().replace(">a.png<", ">../../secret.png<"))
    (voc_file / "JPEGImages" / "a.png").unlink()
    assert len(check(read(voc_file)).dataset) == 2


def test_pipes_and_devices_are_not_opened(tmp_path: Path) -> None:
    coco(tmp_path / "coco")
    os.mkfifo(tmp_path / "coco" / "more.json")
    os.mkfifo(tmp_path / "coco" / "pipe.png")
    assert len(read(tmp_path / "coco").pictures) == len(BOXES)
    with pytest.raises(DataError, match="cannot be read|no such|Not a directory"):
        read(tmp_path / "coco" / "more.json")
    voc(tmp_path / "voc")
    os.mkfifo(tmp_path / "voc" / "Annotations" / "pipe.xml")
    (tmp_path / "voc" / "Annotations" / "zero.xml").symlink_to("/dev/zero")
    lists = tmp_path / "voc" / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    os.mkfifo(lists / "train.txt")
    (lists / "val.txt").write_bytes(b"\xff\xfe a")
    found = read(tmp_path / "voc")
    assert [one.reason for one in found.rejected] == [
        f"cannot be read: {name} is no regular file" for name in ("pipe.xml", "zero.xml")
    ]
    yolo(tmp_path / "yolo")
    (tmp_path / "yolo" / "labels" / "train" / "a.txt").unlink()
    os.mkfifo(tmp_path / "yolo" / "labels" / "train" / "a.txt")
    assert len(read(tmp_path / "yolo").pictures) == len(BOXES)


def test_a_file_that_is_far_too_large_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    coco(tmp_path)
    monkeypatch.setattr(annotations, "_LARGEST", 100)
    with pytest.raises(DataError, match="100 are the most"):
        read(tmp_path)
