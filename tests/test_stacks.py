"""Pictures that lie in one file: MNIST's idx files, NumPy's .npz, Kaggle's rows of pixels."""

from __future__ import annotations

import gzip
import io
import logging
import struct
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import headstart
from conftest import bars
from headstart.data.pictures.images import decode
from headstart.data.pictures.stacks import read_idx
from headstart.data.reading import read_items
from headstart.errors import DataError, ItemError, UsageError

CODES = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}


def idx(array: np.ndarray) -> bytes:
    """Write an array as Yann LeCun's page says; the reader's own judge."""
    code = CODES[array.dtype.str[1:]]
    sides = struct.pack(f">{array.ndim}I", *array.shape)
    return (
        bytes([0, 0, code, array.ndim])
        + sides
        + array.astype(array.dtype.newbyteorder(">")).tobytes()
    )


def digits(n: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return bars as pictures (N, 8, 8), and which bar each is."""
    data = bars(n // 2, seed=seed)
    pictures = [np.load(io.BytesIO(data.content(i))) for i in range(len(data))]
    return np.stack(pictures), np.array(data.labels, np.uint8)


def save_idx(
    folder: Path, prefix: str = "train", *, packed: bool = False, dot: bool = False
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    pictures, labels = digits(seed=len(prefix))
    for what, array in (("images", pictures), ("labels", labels)):
        name = f"{prefix}-{what}{'.' if dot else '-'}idx{array.ndim}-ubyte{'.gz' if packed else ''}"
        content = idx(array)
        (folder / name).write_bytes(gzip.compress(content) if packed else content)
    return next(folder.glob(f"{prefix}-images*"))


def test_idx_files_are_read_as_torchvision_reads_them(tmp_path: Path) -> None:
    from torchvision.datasets import MNIST

    raw = tmp_path / "MNIST" / "raw"
    save_idx(raw), save_idx(raw, "t10k")
    judge = [MNIST(str(tmp_path), train=train) for train in (True, False)]
    found = headstart.read(tmp_path / "MNIST")
    assert found.classes == ("0", "1") and found.kind == "image"
    for split, one in zip(("train", "test"), judge, strict=True):
        (at,) = np.nonzero(found.splits == split)
        assert found.labels[at].tolist() == one.targets.tolist()
        pictures = np.stack([np.asarray(decode(found.content(int(i)), 1)) for i in at])
        np.testing.assert_array_equal(pictures, one.data.numpy())
    assert found.names[0] == "t10k-images-idx3-ubyte:0"


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("dot", [True, False])
def test_a_model_of_idx_files(
    packed: bool, dot: bool, tmp_path: Path, glyph_graph: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "headstart")
    path = save_idx(tmp_path / "digits", packed=packed, dot=dot)
    assert "40 pictures of 8 x 8 from train-images" in (headstart.read(path), caplog.text)[1]
    fit = headstart.fit(path, out=tmp_path / "model")
    assert fit.accuracy == 1.0 and fit.model.entries[0].name == "glyphs"
    assert headstart.audit(path.parent).n == 40
    alone = tmp_path / "new" / path.name
    alone.parent.mkdir()
    alone.write_bytes(path.read_bytes())
    answers = headstart.predict(tmp_path / "model", alone)
    assert [one["label"] for one in answers] == list(map(str, digits(seed=5)[1]))
    with pytest.raises(DataError, match="has no labels beside it"):
        headstart.read(alone)
    found = headstart.read(alone, labelled=False)
    assert len(found) == 40 and found.targets is None
    (folder := tmp_path / "folder").mkdir()
    (folder / path.name).write_bytes(path.read_bytes())
    assert headstart.predict(tmp_path / "model", folder)[7]["label"] == answers[7]["label"]


def test_both_forms_of_a_file_are_one(tmp_path: Path) -> None:
    save_idx(tmp_path), save_idx(tmp_path, packed=True)
    assert len(headstart.read(tmp_path)) == 40
    save_idx(tmp_path, "emnist-train")
    with pytest.raises(DataError, match=r"holds 2 idx files.*Give the path of one"):
        headstart.read(tmp_path)
    with pytest.raises(UsageError, match="columns are of tables"):
        headstart.read(tmp_path / "train-images-idx3-ubyte", label_column="label")


@pytest.mark.parametrize("kind", CODES)
def test_all_types_of_numbers(kind: str, tmp_path: Path) -> None:
    array = np.arange(24).reshape(2, 3, 4).astype(kind)
    for name, content in (("a", idx(array)), ("b", gzip.compress(idx(array)))):
        (tmp_path / name).write_bytes(content)
        np.testing.assert_array_equal(read_idx(tmp_path / name), array)


def packed(content: bytes) -> bytes:
    """As gzip packs it, without the time of day, which would be part of a test's name."""
    return gzip.compress(content, mtime=0)


GOOD = idx(np.arange(60, dtype="u1").reshape(5, 3, 4))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "starts with nothing; pictures start with 00 00 08 03"),
        (b"\x89PNG" + GOOD[4:], "it starts with 89 50 4e 47"),
        (b"\0\0\x08\x09" + GOOD[4:], "it starts with 00 00 08 09"),
        (b"\0\0\x07\x03" + GOOD[4:], "it starts with 00 00 07 03"),
        (GOOD[:9], "cut off within its header"),
        (GOOD[:-1], "is cut off: of 60 bytes 59 are there"),
        (GOOD + b"x", "is longer than its header says"),
        (GOOD[:4] + b"\xff" * 12, "is cut off: of 79,228,162,"),
        (idx(np.zeros((0, 3, 4), "u1")), "holds no pictures"),
        (idx(np.zeros(7, "u1")), "holds no pictures"),
        (packed(GOOD)[:-9], "cannot be read"),
        (packed(GOOD[:-1]), "is cut off: of 60 bytes 59"),
        (packed(GOOD[:4] + b"\xff" * 12), "says that it unpacks to"),
    ],
)
def test_damaged_idx_files_say_how(content: bytes, why: str, tmp_path: Path) -> None:
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(content)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(5, "u1")))
    with pytest.raises(DataError, match=why):
        headstart.read(path)
    items = read_items(path, "image")
    assert len(items.names) == 1
    with pytest.raises(ItemError, match=why):
        items.content(0)


@given(
    content=st.one_of(
        st.binary(max_size=60),
        st.tuples(st.integers(0, 16), st.integers(0, 5), st.binary(max_size=40)).map(
            lambda one: bytes([0, 0, one[0], one[1]]) + one[2]
        ),
        st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)).map(
            lambda one: GOOD[: one[0]] + bytes([one[1]]) + GOOD[one[0] + 1 :]
        ),
        st.integers(0, len(GOOD)).map(lambda n: GOOD[:n]),
        st.integers(0, len(packed(GOOD))).map(lambda n: packed(GOOD)[:n]),
    )
)
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_an_idx_file_holds_it_is_read_or_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "any-images-idx3-ubyte"
    path.write_bytes(content)
    try:
        array = read_idx(path)
    except DataError:
        return
    body = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    assert len(body) == 4 + 4 * array.ndim + array.nbytes
    assert idx(array) == body if array.dtype.str[1:] in CODES else True


def test_a_file_that_is_cut_meanwhile_is_no_crash(tmp_path: Path) -> None:
    path = save_idx(tmp_path)
    found = headstart.read(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ItemError, match="was changed after it was looked at"):
        found.content(39)


def test_other_numbers_of_labels_are_refused(tmp_path: Path) -> None:
    path = save_idx(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(39, "u1")))
    with pytest.raises(DataError, match="holds 40 pictures, and train-labels-idx1-ubyte 39 labels"):
        headstart.read(path)
    with pytest.raises(DataError, match="holds labels; give the file of pictures"):
        headstart.read(tmp_path / "train-labels-idx1-ubyte")


# -- npz ------------------------------------------------------------------------------------------


def test_npz_by_split(tmp_path: Path, glyph_graph: Path) -> None:
    (x, y), (new, right) = digits(), digits(20, seed=1)
    path = tmp_path / "mnist.npz"
    np.savez(path, x_train=x, y_train=y, x_test=new, y_test=right[:, None])
    found = headstart.read(path)
    assert [(found.splits == one).sum() for one in ("train", "test")] == [40, 20]
    fit = headstart.fit(path, out=tmp_path / "m")
    assert (fit.accuracy, len(fit.parts.held_out)) == (1.0, 20)
    np.savez_compressed(tmp_path / "new.npz", arr_0=new)
    answers = headstart.predict(tmp_path / "m", tmp_path / "new.npz")
    assert [one["label"] for one in answers] == list(map(str, right))
    assert answers[3]["item"].endswith("new.npz/arr_0:3")


def test_npz_of_colours_and_names(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    first = rng.integers(0, 256, (6, 3, 9, 9), dtype=np.uint8)
    path = tmp_path / "a.npz"
    np.savez(path, images=first, labels=np.array(["猫", "狗"] * 3), note=np.arange(2))
    found = headstart.read(path)
    assert found.classes == ("狗", "猫")
    np.testing.assert_array_equal(
        np.asarray(decode(found.content(2))), np.moveaxis(first[2], 0, -1)
    )


@pytest.mark.parametrize(
    ("arrays", "why"),
    [
        ({"x": np.zeros((5, 64))}, r"is not clear; it holds x \(5, 64\)"),
        ({"x": np.zeros((5, 8, 8)), "y": np.zeros(4)}, "holds 5 pictures, and y 4 labels"),
        ({"x": np.zeros((5, 8, 8))}, "has no labels beside it"),
        ({"x": np.zeros((5, 8, 8)), "y": np.zeros(5), "z": np.ones(5)}, "is not clear"),
        ({"x": np.zeros((5, 8, 8)), "y": np.array([{}] * 5)}, "never pickled objects"),
        ({}, "it holds no arrays"),
    ],
)
def test_npz_that_are_not_clear_say_what_they_hold(
    arrays: dict[str, np.ndarray], why: str, tmp_path: Path
) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=why):
        headstart.read(tmp_path / "a.npz")


def test_npz_that_unpack_to_too_much_are_refused(tmp_path: Path, monkeypatch) -> None:
    from headstart.data.pictures import stacks

    np.savez_compressed(tmp_path / "a.npz", x=np.zeros((50, 64, 64), np.uint8), y=np.zeros(50))
    monkeypatch.setattr(stacks, "MOST_BYTES", 100_000)
    with pytest.raises(DataError, match=r"unpacks to 20\d,\d+ bytes, at most 100,000"):
        headstart.read(tmp_path / "a.npz")


@pytest.mark.parametrize("at", range(0, 400, 13))
def test_npz_with_a_changed_byte_are_read_or_refused(at: int, tmp_path: Path) -> None:
    file = io.BytesIO()
    np.savez(file, x=np.zeros((3, 5, 5), np.uint8), y=np.arange(3))
    content = bytearray(file.getvalue())
    content[at % len(content)] ^= 0x41
    (tmp_path / "a.npz").write_bytes(content)
    with suppress(DataError):
        assert len(headstart.read(tmp_path / "a.npz")) == 3


def test_a_header_that_lies_about_its_size(tmp_path: Path) -> None:
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (900000, 900000, 3), }\n"
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as whole:
        whole.writestr("x.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
    with pytest.raises(DataError, match="is cut off: of 2,430,000,000,000 bytes 0 are there"):
        headstart.read(tmp_path / "a.npz")


# -- rows of pixels -------------------------------------------------------------------------------


def save_rows(path: Path, rows: np.ndarray, labels: list[str]) -> Path:
    head = ",".join(["label", *(f"pixel{i}" for i in range(rows.shape[1]))])
    lines = [",".join([label, *map(str, row)]) for label, row in zip(labels, rows, strict=True)]
    path.write_text("\n".join([head, *lines]))
    return path


def test_a_dark_row_is_dark_and_others_are_refused(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).integers(0, 256, (2006, 64)).astype(object)
    rows[0] = [0, 1] * 32
    rows[2001][5], rows[2002][5], rows[2003][5], rows[2004][5] = 300, "x", "", "nan"
    found = headstart.audit(save_rows(tmp_path / "t.csv", rows, ["a", "b"] * 1003))
    picture = np.asarray(decode(found.dataset.content(0), 1))
    assert picture.max() == 1, "0 and 1 of 255 are both nearly black"
    why, low = [one.reason for one in found.rejected], min(rows[2001])
    assert len(why) == 4 and "t.csv:2003" in found.rejected[0].item
    assert why[0] == f"a row of pixels from {low} to 300; the others lie in 0 to 255"
