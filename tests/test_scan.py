"""The one pass: facts, memory of them, order, and a bounded window."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import make_images
from headstart.data import scan as module
from headstart.data.dataset import Dataset
from headstart.data.pictures.images import Preprocess
from headstart.data.reading import read
from headstart.data.scan import Want, image_fingerprint, scan, text_fingerprint
from headstart.data.texts.tokens import fit_vocabulary
from headstart.store import digest

SMALL = Preprocess((8, 8), 8)


def of(contents: list[bytes], kind: str = "image") -> Dataset:
    return Dataset(
        kind=kind,
        root=Path("memory"),
        names=[str(i) for i in range(len(contents))],
        targets=None,
        splits=np.full(len(contents), "", "U5"),
        content=contents.__getitem__,
    )


@pytest.fixture
def decoded(monkeypatch) -> list[bytes]:
    """The contents that were unpacked, in the order in which that was asked."""
    seen: list[bytes] = []
    examine = module.examine

    def spy(content: bytes, shorter: int | None = None):
        seen.append(content)
        return examine(content, shorter)

    monkeypatch.setattr(module, "examine", spy)
    return seen


def test_facts_in_order(tmp_path):
    make_images(tmp_path, {"a": 20, "b": 20})
    (tmp_path / "a" / "broken.png").write_bytes(b"nothing")
    dataset = read(tmp_path)
    result = list(scan(dataset))
    assert [one.index for one in result] == list(range(41))
    assert [one.digest for one in result] == [digest(dataset.content(i)) for i in range(41)]
    good = result[0]
    assert (good.fault, good.width, good.height, good.mode) == ("", 24, 24, "RGB")
    assert good.prepared == ()
    assert [one.fault for one in result if one.fault] == ["not an image"]


def test_nothing_is_unpacked_twice(tmp_path, decoded):
    make_images(tmp_path, {"a": 5})
    (tmp_path / "a" / "broken.png").write_bytes(b"nothing")
    first = list(scan(read(tmp_path)))
    assert len(decoded) == 6
    assert list(scan(read(tmp_path))) == first
    assert len(decoded) == 6


def test_audit_and_features_share_one_unpacking(tmp_path, decoded):
    make_images(tmp_path, {"a": 5})
    (tmp_path / "a" / "broken.png").write_bytes(b"nothing")
    dataset = read(tmp_path)
    result = list(scan(dataset, wants=[Want(SMALL)]))
    assert len(decoded) == 6
    for one in result[:5]:
        assert np.array_equal(one.prepared[0], SMALL.load(dataset.content(one.index)))
    assert result[5].prepared == ()

    known = {one.digest for one in result[:3]}
    again = list(scan(dataset, wants=[Want(SMALL, known.__contains__)]))
    assert len(decoded) == 6 + 2
    assert [all(p is None for p in one.prepared) for one in again] == [True] * 3 + [False] * 2 + [
        True
    ]
    assert [one.fingerprint for one in again] == [one.fingerprint for one in result]


def test_what_cannot_be_read_is_said_and_not_remembered(tmp_path, monkeypatch):
    make_images(tmp_path, {"a": 3})
    dataset = read(tmp_path)
    content = dataset.content

    def denied(index: int) -> bytes:
        if index == 1:
            raise PermissionError(13, "Permission denied")
        return content(index)

    object.__setattr__(dataset, "content", denied)
    (bad,) = [one for one in scan(dataset) if one.fault]
    assert (bad.index, bad.digest, bad.fault) == (1, b"", "cannot be read: Permission denied")
    object.__setattr__(dataset, "content", content)
    assert not any(one.fault for one in scan(dataset))


def test_other_channels_are_a_fault_for_this_network_only(tmp_path):
    (tmp_path / "a").mkdir()
    np.save(tmp_path / "a" / "scan.npy", np.zeros((9, 9, 6), np.uint8))
    dataset = read(tmp_path)
    (one,) = scan(dataset, wants=[Want(SMALL)])
    assert one.fault == "has 6 channels; the network wants 3"
    (one,) = scan(dataset)
    assert one.fault == "" and (one.width, one.height, one.mode) == (9, 9, "uint8")


def test_memory_does_not_grow_with_the_items():
    taken, lock = [0], threading.Lock()

    def content(index: int) -> bytes:
        with lock:
            taken[0] += 1
        return b""

    dataset = of([b""] * 1000)
    object.__setattr__(dataset, "content", content)
    passes = scan(dataset, workers=2)
    for done, _ in enumerate(passes, 1):
        assert taken[0] <= done + 2 * (4 * 2) + 1
        if done == 500:
            break
    passes.close()
    assert taken[0] < 600


def test_texts():
    texts = ["Good, good!", "good  GOOD", "  \n", "bad", "汉字", "!!!", "???"]
    data = of([text.encode() for text in texts], "text")
    result = list(scan(data))
    assert [one.prepared for one in result] == [()] * 7
    assert [one.fault for one in result if one.fault] == ["empty text"]
    words = fit_vocabulary(texts, min_frequency=1, max_length=9)
    known = {result[0].digest}
    wanted = list(scan(data, wants=[Want(words, known.__contains__)]))
    read = [one.prepared[0] if one.prepared else None for one in wanted]
    assert read == [None, texts[1], None, *texts[3:]]
    prints = [one.fingerprint for one in result]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 6
    assert text_fingerprint("Straße") == text_fingerprint("STRASSE")


def test_a_text_of_markup_alone_is_empty():
    (one,) = scan(of([b" <br /> &nbsp; "], "text"))
    assert one.fault == "empty text after cleaning"


def test_image_fingerprint_outlives_small_changes():
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    image = coarse.resize((320, 240), Image.Resampling.BICUBIC)
    smaller = image.resize((200, 150), Image.Resampling.BILINEAR)
    brighter = image.point(lambda value: value * 0.8 + 20)
    for other in (smaller, brighter):
        assert (image_fingerprint(image) ^ image_fingerprint(other)).bit_count() <= 3
    other = coarse.transpose(Image.Transpose.FLIP_LEFT_RIGHT).resize((320, 240))
    assert (image_fingerprint(image) ^ image_fingerprint(other)).bit_count() > 10
    assert image_fingerprint(Image.new("RGB", (50, 50), "red")) == 0
    assert image_fingerprint(np.asarray(image)) != 0
