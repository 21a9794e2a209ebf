"""What the audit rejects, what it only lists, and the one error where nothing is left."""

from __future__ import annotations

import csv
import itertools
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from conftest import make_images, png_header, shared_data
from headstart.data import copies
from headstart.data.audit import audit
from headstart.data.reading import read
from headstart.errors import DataError


def reasons(found) -> dict[str, str]:
    return {one.item: one.reason for one in found.rejected}


def test_rubbish_is_listed_and_the_rest_goes_on(tmp_path):
    make_images(tmp_path, {"cats": 8, "dogs and 狗 [x]": 8, "one": 1})
    (tmp_path / "empty").mkdir()
    cats = tmp_path / "cats"
    photo = (cats / "000.png").read_bytes()
    (cats / "cut.png").write_bytes(photo[: len(photo) // 2])
    (cats / "zero.jpg").write_bytes(b"")
    (cats / "pointer.jpg").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    (cats / "bomb.png").write_bytes(png_header(50_000, 50_000))
    (cats / "notes.docx").write_bytes(b"x")
    (cats / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    os.mkfifo(cats / "pipe.jpg")
    (cats / "loop").symlink_to(tmp_path)
    (cats / ".hidden.jpg").write_bytes(b"")
    Image.new("P", (9, 9), 3).save(cats / "really a gif.jpg", "GIF")

    found = audit(read(tmp_path)).require_usable()
    why = reasons(found)
    names = "cut.png zero.jpg pointer.jpg bomb.png notes.docx gone.jpg pipe.jpg"
    assert " ".join(sorted(why)) == " ".join(sorted(f"cats/{name}" for name in names.split()))
    assert why["cats/zero.jpg"] == "empty file"
    assert "refused unread" in why["cats/bomb.png"]
    assert "git lfs pull" in why["cats/pointer.jpg"]
    assert why["cats/gone.jpg"].startswith("cannot be read: No such file")
    assert why["cats/pipe.jpg"] == "not a regular file"
    assert found.classes == {"cats": 9, "dogs and 狗 [x]": 8, "empty": 0, "one": 1}
    assert found.empty_classes == ("empty",)
    assert found.tiny == {"one": 1}
    assert found.n == len(found.usable) + len(found.rejected) == 25


def test_copies_within_and_across_classes_and_splits(tmp_path):
    make_images(tmp_path / "train", {"a": 5, "b": 5})
    make_images(tmp_path / "test", {"a": 2, "b": 2}, seed=1)
    train, test = tmp_path / "train", tmp_path / "test"
    shutil.copy(train / "a/000.png", train / "a/copy.png")
    shutil.copy(train / "a/001.png", train / "b/disputed.png")
    shutil.copy(train / "a/001.png", train / "a/third.png")
    shutil.copy(test / "b/000.png", train / "b/leak.png")
    shutil.copy(test / "b/001.png", test / "b/twin.png")

    found = audit(read(tmp_path))
    assert reasons(found) == {
        "train/a/copy.png": "same content as train/a/000.png",
        "train/a/001.png": "same content as train/b/disputed.png, which is labelled 'b'",
        "train/a/third.png": "same content as train/b/disputed.png, which is labelled 'b'",
        "train/b/disputed.png": "same content as train/a/001.png, which is labelled 'a'",
        "train/b/leak.png": "same content as test/b/000.png, which is kept for evaluation",
        "test/b/twin.png": "same content as test/b/001.png",
    }
    assert set(found.duplicates) == {
        ("train/a/000.png", "train/a/copy.png"),
        ("test/b/001.png", "test/b/twin.png"),
    }
    assert found.leaks == (("test/b/000.png", "train/b/leak.png"),)
    assert [set(group) for group in found.conflicts] == [
        {"train/a/001.png", "train/a/third.png", "train/b/disputed.png"}
    ]


def test_near_copies_are_listed_not_rejected(tmp_path):
    make_images(tmp_path / "train", {"a": 4, "b": 4})
    make_images(tmp_path / "test", {"a": 2, "b": 2}, seed=1)
    rng = np.random.default_rng(3)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    photo = coarse.resize((160, 120), Image.Resampling.BICUBIC)
    photo.save(tmp_path / "train/a/photo.png")
    photo.save(tmp_path / "test/a/photo.jpg", quality=80)
    for number in range(3):  # flat images are all alike, and tell nothing
        Image.new("RGB", (20 + number, 20)).save(tmp_path / f"train/b/flat{number}.png")

    found = audit(read(tmp_path))
    assert not found.rejected
    (pair,) = found.near_duplicates
    assert {pair.item, pair.like} == {"train/a/photo.png", "test/a/photo.jpg"}
    assert pair.across_splits and not pair.across_classes


def test_banding_finds_every_near_pair():
    rng = np.random.default_rng(0)
    prints = rng.integers(1, 2**63, 300, dtype=np.uint64)
    for i in range(60):
        flips = sum(1 << int(bit) for bit in rng.choice(64, rng.integers(0, 5), replace=False))
        prints[i + 60] = prints[i] ^ np.uint64(flips)
    expected = {
        (i, j)
        for i, j in itertools.combinations(range(300), 2)
        if (int(prints[i]) ^ int(prints[j])).bit_count() <= 3
    }

    class Images:
        kind = "image"

    got = copies.near(Images, np.arange(300), prints, 10_000)
    assert {(int(a), int(b)) for a, b in got} == expected
    assert len(expected) > 30
    assert len(copies.near(Images, np.arange(300), np.full(300, 5, np.uint64), 1000)) == 1000


def test_texts(tmp_path):
    for name, texts in {"pos": ["Good!", "fine", "good", ""], "neg": ["bad", "poor"]}.items():
        (tmp_path / name).mkdir()
        for number, text in enumerate(texts):
            (tmp_path / name / f"{number}.txt").write_text(text, encoding="utf-8")
    (tmp_path / "neg" / "binary.txt").write_bytes(b"a\0b")
    found = audit(read(tmp_path))
    assert reasons(found) == {
        "neg/binary.txt": "not a text: a zero byte at offset 1",
        "pos/3.txt": "empty text",
    }
    assert [(pair.item, pair.like) for pair in found.near_duplicates] == [
        ("pos/0.txt", "pos/2.txt")
    ]


def test_a_table_of_texts_is_audited_like_images(tmp_path):
    long = "word " * 200_000
    rows = [
        ("a", "in both splits", "train"),
        ("a", "in both splits", "test"),
        ("a", "of both classes", "train"),
        ("b", "of both classes", "test"),
        ("b", "twice", "train"),
        ("b", "twice", "train"),
        ("b", "", "train"),
        ("b", " \n ", "train"),
        ("a", "<br /><br />", "train"),
        ("", "no label", "train"),
        ("a", 'a\n"quoted"\n\nlong text', "train"),
        ("b", long, "test"),
    ]
    with open(tmp_path / "t.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("label", "text", "split"), *rows])
    found = audit(read(tmp_path / "t.csv")).require_usable()
    assert reasons(found) == {
        "t.csv:2": "same content as t.csv:3, which is kept for evaluation",
        "t.csv:4": "same content as t.csv:5, which is labelled 'b'",
        "t.csv:5": "same content as t.csv:4, which is labelled 'a'",
        "t.csv:7": "same content as t.csv:6",
        "t.csv:8": "empty text",
        "t.csv:9": "empty text",
        "t.csv:10": "empty text after cleaning",
        "t.csv:11": "no label",
    }
    assert found.leaks == (("t.csv:2", "t.csv:3"),)
    assert found.conflicts == (("t.csv:4", "t.csv:5"),)
    assert found.duplicates == (("t.csv:6", "t.csv:7"),)
    assert (found.n, found.classes) == (12, {"a": 2, "b": 2})


def test_copies_across_tables_are_leaks(tmp_path):
    for name in ("train", "test"):
        rows = [("a", f"of {name}"), ("b", f"of {name} too"), ("a", "of both")]
        with open(tmp_path / f"{name}.csv", "w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("label", "text"), *rows])
    found = audit(read(tmp_path))
    assert reasons(found) == {
        "train.csv:4": "same content as test.csv:4, which is kept for evaluation"
    }


def test_a_table_with_one_class_is_one_clear_error(tmp_path):
    (tmp_path / "t.csv").write_text("label,text\na,one\na,two\n,three\n")
    with pytest.raises(
        DataError, match=r"'a';.* \(2 of 3 items .*\. Rejected: 1 x no label \(such as t"
    ):
        audit(read(tmp_path / "t.csv")).require_usable()


def test_a_class_without_training_items_is_not_evaluated(tmp_path):
    make_images(tmp_path / "train", {"a": 3, "b": 3})
    make_images(tmp_path / "test", {"a": 3, "b": 3, "c": 1}, seed=1)
    found = audit(read(tmp_path))
    assert reasons(found) == {"test/c/000.png": "its class 'c' has no usable training item"}


def test_nothing_usable_is_one_clear_error(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(3):
            (tmp_path / name / f"{number}.jpg").write_text(f"text {name} {number}")
    (tmp_path / "b" / "zero.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"nothing usable in .*: 7 items, 6 x not an image \(such"):
        audit(read(tmp_path)).require_usable()


def test_one_class_is_one_clear_error(tmp_path):
    make_images(tmp_path, {"cats": 4})
    (tmp_path / "dogs").mkdir()
    (tmp_path / "dogs" / "0.jpg").write_bytes(b"no")
    with pytest.raises(DataError, match="only one class .* usable items: 'cats'.*1 x not an image"):
        audit(read(tmp_path)).require_usable()


def test_skipped_csv_and_json(tmp_path):
    make_images(tmp_path / "data", {"猫": 3, "dogs, small": 3})
    (tmp_path / "data" / "猫" / "坏 [1].jpg").write_bytes(b"")
    found = audit(read(tmp_path / "data"))
    found.write_skipped(tmp_path / "out" / "skipped.csv")
    with open(tmp_path / "out" / "skipped.csv", encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [["item", "reason"], ["猫/坏 [1].jpg", "empty file"]]
    plain = found.to_json()
    assert plain["skipped"] == [{"item": "猫/坏 [1].jpg", "reason": "empty file"}]
    assert plain["usable"] == 6 and plain["classes"] == {"dogs, small": 3, "猫": 3}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "n"),
    [("hymenoptera", 398), ("hotdog", 540), ("pacs/photo", 420), ("imdb", 4000)]
    + [("ag_news/test.csv", 6600)],
)
def test_real_data(name, n):
    found = audit(read(shared_data(name))).require_usable()
    assert (found.n, len(found.usable)) == (n, n)
