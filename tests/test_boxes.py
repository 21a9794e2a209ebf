"""The task of boxes, the readers of box files, and their audit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from headstart.detection import anchors
from headstart.detection.audit import Checked, check
from headstart.detection.reading import read
from headstart.errors import DataError, UsageError
from headstart.tasks.box_figures import things
from headstart.tasks.boxes import CROWD, THING, Boxes, packed
from headstart.tasks.task import Targets

BOXES = [
    ("a.png", [("cat", 10, 20, 40, 60), ("dog", 50, 5, 90, 45)]),
    ("b.png", [("dog", 0, 0, 30, 30)]),
    ("c.png", []),
]
"""What every format says: left, top, right, bottom in pictures of 100 x 80."""


def picture(path: Path, width: int = 100, height: int = 80) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(sum(map(ord, str(path)))).integers(0, 255, (height, width))
    Image.fromarray(noise.astype(np.uint8)).save(path)


def coco(folder: Path, boxes: Any = BOXES, ids: dict[str, int] | None = None) -> dict[str, Any]:
    """Write the pictures and annotations.json into ``folder``; return what it holds."""
    ids = ids or {"cat": 1, "dog": 3}
    images, annotations = [], []
    for number, (name, drawn) in enumerate(boxes, 7):
        picture(folder / name)
        images.append({"id": number, "file_name": name, "width": 100, "height": 80})
        for label, left, top, right, bottom in drawn:
            box = [left, top, right - left, bottom - top]
            facts = {"id": len(annotations) + 1, "image_id": number, "bbox": box}
            annotations.append(facts | {"category_id": ids[label]})
    categories = [{"id": number, "name": name} for name, number in ids.items()]
    held = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations.json").write_text(json.dumps(held), encoding="utf-8")
    return held


def voc(root: Path) -> None:
    for name, drawn in BOXES:
        picture(root / "JPEGImages" / name)
        found = "".join(
            f"<object><name>{label}</name><bndbox><xmin>{left + 1}</xmin><ymin>{top + 1}</ymin>"
            f"<xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox></object>"
            for label, left, top, right, bottom in drawn
        )
        size = "<size><width>100</width><height>80</height></size>"
        path = root / "Annotations" / f"{Path(name).stem}.xml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(
            f"<annotation><filename>{name}</filename>{size}{found}</annotation>", encoding="utf-8"
        )


def yolo(root: Path) -> None:
    for name, drawn in BOXES:
        picture(root / "images" / "train" / name)
        lines = [
            f"{['cat', 'dog'].index(label)} {(left + right) / 200} {(top + bottom) / 160} "
            f"{(right - left) / 100} {(bottom - top) / 80}"
            for label, left, top, right, bottom in drawn
        ]
        path = root / "labels" / "train" / f"{Path(name).stem}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        if lines:  # a picture without a file shows nothing
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    (root / "data.yaml").write_text("nc: 2\nnames:\n  0: cat\n  1: dog\n", encoding="utf-8")


def in_pixels(checked: Checked) -> dict[str, list[tuple[Any, ...]]]:
    """Return the boxes of each picture as `BOXES` has them."""
    dataset = checked.dataset
    found = {}
    for index in checked.audit.usable:
        rows = things(dataset.labels[index])
        boxes = [(dataset.classes[int(r[4])], *(100 * r[:4]).round(6).tolist()) for r in rows]
        found[Path(dataset.names[index]).name] = boxes
    return found


@pytest.mark.parametrize("write", [lambda p: coco(p / "train"), voc, yolo], ids=["c", "v", "y"])
def test_all_formats_say_the_same(write: Any, tmp_path: Path) -> None:
    write(tmp_path)
    checked = check(read(tmp_path))
    assert in_pixels(checked) == dict(BOXES)
    assert checked.audit.rejected == () and checked.longest == 100
    assert checked.dataset.classes == ("cat", "dog")
    assert checked.audit.classes == {"cat": 1, "dog": 2}
    assert checked.dataset.said(0) == "1 cat, 1 dog"


def test_ids_are_kept_as_they_are(tmp_path: Path) -> None:
    coco(tmp_path / "train", ids={"dog": 90, "cat": 18})
    checked = check(read(tmp_path))
    task = checked.dataset.known.task
    assert isinstance(task, Boxes)
    assert (task.names, task.ids) == (("cat", "dog"), (18, 90))
    assert Boxes.saved(task.names, json.loads(json.dumps(task.facts()))) == task
    said = task.answers(np.array([[0.1, 0.1, 0.2, 0.2, 1, 0.9]], np.float32))
    assert said[0]["boxes"][0]["id"] == 90 and said[0]["boxes"][0]["label"] == "dog"
    assert any("18 cat, 90 dog" in note for note in checked.notes)


def test_a_coco_file_and_its_pictures_elsewhere(tmp_path: Path) -> None:
    coco(tmp_path / "pictures")
    (tmp_path / "pictures" / "annotations.json").rename(tmp_path / "boxes.json")
    checked = check(read(tmp_path / "boxes.json", tmp_path / "pictures"))
    assert in_pixels(checked) == dict(BOXES)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="none of the 3 pictures .* --images FOLDER"):
        check(read(tmp_path / "boxes.json", tmp_path / "empty"))


def test_splits_and_a_class_that_one_of_them_lacks(tmp_path: Path) -> None:
    coco(tmp_path / "train", [BOXES[1], BOXES[2]], {"cat": 1, "dog": 2})
    coco(tmp_path / "val", [("d.png", BOXES[0][1])], {"cat": 5, "dog": 2})
    checked = check(read(tmp_path))
    assert checked.dataset.splits.tolist() == ["train", "train", "val"]
    assert checked.dataset.classes == ("dog",)
    assert len(things(checked.dataset.labels[2])) == 1
    said = " ".join(checked.notes)
    assert "'cat' has id 1, but 5" in said
    assert "'cat' is on 1 held-out boxes but on no training picture" in said
    assert "one class, 'dog'" in said


def damaged(folder: Path, **more: Any) -> Checked:
    held = coco(folder)
    for part, rows in more.items():
        held[part] += rows
    (folder / "annotations.json").write_text(json.dumps(held), encoding="utf-8")
    return check(read(folder / "annotations.json"))


def reasons(checked: Checked) -> list[str]:
    return [f"{one.item}: {one.reason}" for one in checked.audit.rejected]


@pytest.mark.parametrize(
    ("box", "said"),
    [
        ([200, 10, 20, 20], "a.png: box 3 (cat): outside of the picture"),
        ([10, 10, 0, 20], "a.png: box 3 (cat): empty"),
        ([10, 10, -5, 20], "a.png: box 3 (cat): empty"),
        ([10, 20, 30, 40], "a.png: box 3 (cat): drawn twice"),
        ([10, 20, 30], "annotations.json: annotation 9: no box: [10, 20, 30]"),
        ([10, 20, float("nan"), 4], "annotations.json: annotation 9: no box: [10, 20, None, 4]"),
    ],
)
def test_bad_boxes_go_with_a_reason(box: list[float], said: str, tmp_path: Path) -> None:
    row = {"id": 9, "image_id": 7, "category_id": 1, "bbox": box}
    checked = damaged(tmp_path, annotations=[row])
    assert reasons(checked) == [said]
    assert in_pixels(checked) == dict(BOXES)


def test_other_faults_of_a_coco_file(tmp_path: Path) -> None:
    box = [1, 1, 5, 5]
    checked = damaged(
        tmp_path,
        annotations=[
            {"id": 20, "image_id": 7, "category_id": 2, "bbox": box},
            {"id": 21, "image_id": 99, "category_id": 1, "bbox": box},
            {"id": 22, "image_id": 7, "category_id": 3, "bbox": [-20, 70, 40, 40]},
            {"id": 22, "image_id": 8, "category_id": 3, "bbox": [40, 40, 30, 30], "iscrowd": 1},
        ],
        images=[{"id": 11, "file_name": "gone.png", "width": 100, "height": 80}],
    )
    assert reasons(checked) == [
        "annotations.json: annotation 20: unknown class: category 2",
        "annotations.json: annotation 21: its image 99 is not listed",
        "gone.png: no such file: 'gone.png'",
    ]
    said = " ".join(checked.notes)
    assert "several annotations have one id: 22" in said
    assert "boxes that reach out of their pictures, and were cut: 1" in said
    assert "1 crowds: not trained on" in said
    assert in_pixels(checked)["a.png"][-1] == ("dog", 0.0, 70.0, 20.0, 80.0)
    assert things(checked.dataset.labels[1])[:, 5].tolist() == [THING, CROWD]


def test_a_picture_of_another_shape_is_not_used(tmp_path: Path) -> None:
    coco(tmp_path)
    picture(tmp_path / "a.png", 80, 100)  # turned
    picture(tmp_path / "b.png", 50, 40)  # the same, smaller
    checked = check(read(tmp_path))
    assert reasons(checked) == [
        "a.png: its boxes were drawn on 100 x 80 pixels, but it has 80 x 100: turned, or another "
        "picture"
    ]
    assert things(checked.dataset.labels[1])[0, :4].tolist() == [0.0, 0.0, 0.3, 0.3]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "annotations.json is empty; a COCO file holds images"),
        ("{", "is no JSON: Expecting"),
        ("{}", "is no COCO file: it lacks images, annotations, categories"),
        ('{"images": [], "annotations": [], "categories": []}', "lists no pictures"),
        (
            '{"images": [{"id": 1, "file_name": "a.png"}], "annotations": [], "categories": []}',
            "holds no boxes that can be used; there is nothing to learn",
        ),
        (
            '{"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}, '
            '{"id": 2, "name": "a"}]}',
            "cannot be told apart: 'a' is the name of several",
        ),
        ('{"images": [], "annotations": [], "categories": [{"id": 1}]}', "needs an id and a name"),
    ],
)
def test_files_without_boxes(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "annotations.json").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=said):
        read(tmp_path)


def test_folders_without_boxes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        read(tmp_path / "nothing")
    picture(tmp_path / "train" / "a.png")
    with pytest.raises(DataError, match="no boxes found in .* Headstart reads boxes from"):
        read(tmp_path)
    (tmp_path / "labels").mkdir()
    picture(tmp_path / "images" / "a.png")
    with pytest.raises(DataError, match="nothing says what the classes are called"):
        read(tmp_path)


def test_faults_of_yolo(tmp_path: Path) -> None:
    yolo(tmp_path)
    lines = "0 0.5 0.5 0.1 0.1\n7 0.5 0.5 0.1 0.1\n1 0.5 0.5\n1 0.3 0.3 0.1 0.1 0.99\n"
    (tmp_path / "labels" / "train" / "c.txt").write_text(lines, encoding="utf-8")
    checked = check(read(tmp_path))
    assert len(in_pixels(checked)["c.png"]) == 2
    assert reasons(checked) == [
        "images/train/c.png, line 2: unknown class: 7 of 2",
        "images/train/c.png, line 3: not class, x, y, width, height: '1 0.5 0.5'",
    ]


def test_faults_and_lists_of_voc(tmp_path: Path) -> None:
    voc(tmp_path)
    (tmp_path / "Annotations" / "d.xml").write_text("<annotation>", encoding="utf-8")
    lists = tmp_path / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("a\nc\n", encoding="utf-8")
    (lists / "val.txt").write_text("b\n", encoding="utf-8")
    checked = check(read(tmp_path))
    assert checked.dataset.splits.tolist() == ["train", "val", "train"]
    (said,) = reasons(checked)
    assert said.startswith("Annotations/d.xml: cannot be read: ")


# -- the task -------------------------------------------------------------------------------------


def test_other_data_are_told_by_their_names() -> None:
    mine, theirs = Boxes(("cat", "dog"), (1, 2)), Boxes(("cow", "dog"), (7, 9))
    row = np.array([[0.1, 0.1, 0.2, 0.2, 0, 1], [0.3, 0.3, 0.5, 0.5, 1, 1]])
    values, known = mine.translated(Targets(theirs, packed([row])))
    assert things(values[0]).tolist() == [[0.3, 0.3, 0.5, 0.5, 1.0, 1.0]] and known.all()
    with pytest.raises(DataError, match="none of the classes cow is known"):
        mine.translated(Targets(Boxes(("cow",), (1,)), packed([row[:1]])))


def test_parts_hold_a_share_of_each_class() -> None:
    rows = [np.array([[0.1, 0.1, 0.2, 0.2, k % 3, 1]]) for k in range(60)]
    values, task = packed(rows), Boxes(("a", "b", "c"), (1, 2, 3))
    train, held_out = task.part(values, np.arange(60), 0.2, [0, 1])
    assert task.counts(values[held_out]) == {"a": 4, "b": 4, "c": 4} and len(train) == 48
    few, more = (task.draw(values, train, n, [0, 2]) for n in (2, 4))
    assert set(few) <= set(more) and len(few) == 6
    assert np.bincount(task.outer(values, 5, 0)).tolist() == [12] * 5
    assert len(things(task.constant(values))) == 0
    assert task.unlearnable(packed([np.zeros((0, 6))]), "items") == "no box is drawn on the items"


def test_what_only_a_detector_can() -> None:
    with pytest.raises(UsageError, match="headstart detect fit"):
        Boxes().criterion(packed([]), smoothing=0, weighted=False)
    with pytest.raises(DataError, match="boxes are read from COCO, Pascal VOC or YOLO"):
        Boxes.of(["a"])


def test_anchors_are_shaped_like_the_boxes() -> None:
    rng = np.random.default_rng(0)
    boxes = np.exp(rng.normal(np.log([20, 40]), 0.2, (300, 2)))
    sizes, ratios = anchors.fitted(boxes, 3)
    flat = [size for level in sizes for size in level]
    assert flat == sorted(flat) and len(flat) == 6 and list(ratios) == sorted(ratios)
    middle = np.exp(np.log(boxes.prod(1)).mean() / 2)
    assert flat[0] < middle < flat[-1] and 1.6 < ratios[1] < 2.4
    assert anchors.covered(boxes, (sizes, ratios)) > 0.95
    assert anchors.covered(boxes * [1, 8], (sizes, ratios)) < 0.2


def test_losses_are_shares_of_mistakes() -> None:
    task = Boxes(("a", "b"), (1, 2))
    row = np.array([[0.1, 0.1, 0.4, 0.4, 0, 0.9], [0.6, 0.6, 0.9, 0.9, 1, 0.9]])
    wanted = row * [1, 1, 1, 1, 1, 0] + [0, 0, 0, 0, 0, 1]
    values = packed([wanted, wanted[:1], wanted])
    outputs = packed([row, row, row * [1, 1, 1, 1, 1, 0.1]])
    assert task.losses(outputs, values).tolist() == [0.0, 0.5, 1.0]
    assert task.loss(outputs, values) == pytest.approx(0.5)
    np.testing.assert_array_equal(task.said_of(outputs[:1]), values[:1])
    with pytest.raises(UsageError, match="of all pictures together"):
        task.scores(outputs, values)


@given(
    st.lists(st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)), min_size=1, max_size=9),
    st.integers(32, 4000),
)
def test_pictures_are_enlarged_until_half_of_the_things_can_be_seen(
    boxes: list[tuple[float, float]], longest: int
) -> None:
    side = anchors.side_for(np.array(boxes), longest)
    assert min(640, longest) <= side <= min(640, 2 * longest)
    seen = np.median([(wide * high) ** 0.5 for wide, high in boxes]) * side
    if side not in (640, 2 * longest):
        assert side == longest or seen == pytest.approx(32, abs=1)
        assert seen > 31
