"""What Python users hold, through the one place, at every door: the same answers as from files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

import headstart
from conftest import bars, make_images, save_bars, save_encoder, sentences
from headstart.data.dataset import Dataset
from headstart.data.reading import read_items
from headstart.errors import DataError, UsageError

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
hf = pytest.importorskip("datasets")

hf.disable_progress_bars()

TEXTS = ["a good film", "a bad film", "good fun", "bad taste", "so good", "too bad"]
LABELS = ["good", "bad"] * 3


def rows(data: Dataset) -> list[tuple[str, str]]:
    return [(data.content(i).decode(), data.said(i)) for i in range(len(data))]


def hugging() -> Any:
    found = hf.Dataset.from_dict({"text": TEXTS, "label": [1, 0] * 3})
    return found.cast_column("label", hf.ClassLabel(names=["bad", "good"]))


FRAMES: dict[str, Any] = {
    "pandas": lambda: pd.DataFrame({"text": TEXTS, "label": LABELS}),
    "categories": lambda: pd.DataFrame({"text": TEXTS, "label": pd.Categorical(LABELS)}),
    "polars": lambda: pl.DataFrame({"text": TEXTS, "label": LABELS}),
    "lazy": lambda: pl.LazyFrame({"text": TEXTS, "label": LABELS}),
    "arrow": lambda: pa.table({"text": TEXTS, "label": LABELS}),
    "batch": lambda: pa.record_batch({"text": TEXTS, "label": LABELS}),
    "hugging face": hugging,
    "dictionary": lambda: {"text": TEXTS, "label": LABELS},
    "records": lambda: [
        {"text": t, "label": label} for t, label in zip(TEXTS, LABELS, strict=True)
    ],
    "pairs": lambda: list(zip(TEXTS, LABELS, strict=True)),
    "two lists": lambda: (TEXTS, LABELS),
}


@pytest.mark.parametrize("form", FRAMES)
def test_tables_and_texts_in_memory_are_read_alike(form: str) -> None:
    found = headstart.read(FRAMES[form]())
    assert (found.kind, found.classes) == ("text", ("bad", "good"))
    assert rows(found) == list(zip(TEXTS, LABELS, strict=True))


COLUMNS: dict[str, Any] = {
    "list": list,
    "array": lambda cells: np.array(cells, object),
    "pandas": pd.Series,
    "polars": pl.Series,
    "arrow": pa.array,
    "chunked": lambda cells: pa.chunked_array([cells[:2], cells[2:]]),
    "hugging face": lambda cells: hf.Dataset.from_dict({"a": cells})["a"],
    "one-column frame": lambda cells: pd.DataFrame({"a": cells}),
    "one-column table": lambda cells: pa.table({"a": cells}),
}


@pytest.mark.parametrize("form", COLUMNS)
def test_columns_with_labels_beside_them(form: str) -> None:
    found = headstart.read(COLUMNS[form](TEXTS), COLUMNS[form](LABELS))
    assert rows(found) == list(zip(TEXTS, LABELS, strict=True))


def test_a_frame_with_labels_beside_it() -> None:
    frame = pd.DataFrame({"title": TEXTS, "text": LABELS})
    found = headstart.read(frame, pd.Series([1, 2] * 3))
    assert found.classes == ("1", "2")
    assert found.content(0) == b"a good film good"
    with pytest.raises(DataError, match="6 rows with 2 labels; give one label a row"):
        headstart.read(frame, [1, 2])


def test_splits_come_with_a_dictionary_of_frames() -> None:
    whole = hf.DatasetDict({"train": hugging(), "test": hugging().select([0, 1])})
    for form in (whole, {"train": FRAMES["pandas"](), "test": FRAMES["pandas"]().iloc[:2]}):
        found = headstart.read(form)
        assert found.splits.tolist() == ["train"] * 6 + ["test"] * 2
        assert found.classes == ("bad", "good")


@pytest.mark.parametrize("absent", [None, float("nan"), pd.NA])
def test_what_is_missing_is_rejected_and_never_the_word_nan(absent: Any) -> None:
    texts, labels = [*TEXTS, absent, "fine"], [*LABELS, "good", absent]
    found = headstart.read(pd.Series(texts, dtype=object), pd.Series(labels, dtype=object))
    assert rows(found) == list(zip(TEXTS, LABELS, strict=True))
    reasons = [one.reason for one in found.rejected]
    assert [one.item for one in found.rejected] == ["item 6", "item 7"]
    assert "no item" in reasons[0] and reasons[1] == "no label"
    framed = headstart.read(pd.DataFrame({"text": texts, "label": labels}))
    found = headstart.audit(framed)
    assert len(found.usable) == 6
    assert {one.item for one in found.rejected} == {"frame:6", "frame:7"}


def picture(colour: int, side: int = 24) -> Image.Image:
    return Image.new("RGB", (side, side), (colour, 40, 200 - colour // 2))


PICTURES: dict[str, Any] = {
    "Pillow": lambda one: one,
    "array": np.asarray,
    "tensor": lambda one: torch.from_numpy(np.asarray(one).copy()).permute(2, 0, 1),
    "floats": lambda one: torch.from_numpy(np.asarray(one) / 255).permute(2, 0, 1),
    "bytes": lambda one: png(one),
}


def png(one: Image.Image) -> bytes:
    buffer = io.BytesIO()
    one.save(buffer, "PNG")
    return buffer.getvalue()


def opened(path: Path) -> Image.Image:
    with Image.open(path) as file:
        return file.copy()


def pixels(content: bytes) -> np.ndarray:
    from headstart.data.pictures.images import decode

    return np.asarray(decode(content))


@pytest.mark.parametrize("form", PICTURES)
def test_pictures_in_memory(form: str) -> None:
    items = [PICTURES[form](picture(c)) for c in (10, 200, 20, 210)]
    found = headstart.read(items, ["dark", "light"] * 2)
    assert (found.kind, found.classes) == ("image", ("dark", "light"))
    for i, colour in enumerate((10, 200, 20, 210)):
        np.testing.assert_array_equal(pixels(found.content(i)), np.asarray(picture(colour)))
    alone = read_items(items[0], "image", channels=3)
    assert [len(alone.names), *pixels(alone.content(0)).shape] == [1, 24, 24, 3]
    several = read_items(items, "image", channels=3)
    assert several.names == [f"item {i}" for i in range(4)]


def test_batches_of_arrays_and_tensors() -> None:
    colours = np.stack([np.asarray(picture(c, 9)) for c in (10, 20, 30)])
    tensor = torch.from_numpy(colours).permute(0, 3, 1, 2)
    for batch in (colours, tensor, list(tensor)):
        found = headstart.read(batch, [0, 1, 0])
        np.testing.assert_array_equal(pixels(found.content(1)), colours[1])
        assert len(read_items(batch, "image", channels=3).names) == 3
    grey = colours[:, :, :, 0]
    assert len(read_items(grey, "image", channels=1).names) == 3
    assert len(read_items(colours[0], "image", channels=3).names) == 1
    assert len(read_items(np.zeros((9, 9, 6), np.uint8), "image", channels=6).names) == 1
    with pytest.raises(DataError, match=r"shape \(3, 81\) holds no pictures; give \(N, H, W\)"):
        headstart.read(grey.reshape(3, -1), [0, 1, 0])


def test_torchvisions_data_sets(tmp_path: Path) -> None:
    from torchvision.datasets import ImageFolder

    root = make_images(tmp_path, {"ants": 3, "bees": 2})
    found = headstart.read(ImageFolder(root))
    assert [found.said(i) for i in range(5)] == ["ants"] * 3 + ["bees"] * 2
    assert found.names[0] == str(root / "ants" / "000.png")

    class Drawn(torch.utils.data.Dataset):  # type: ignore[type-arg]
        classes = ("dark", "light")

        def __len__(self) -> int:
            return 4

        def __getitem__(self, i: int) -> tuple[Image.Image, int]:
            return picture(i * 60), i % 2

    found = headstart.read(Drawn())
    assert [found.said(i) for i in range(4)] == ["dark", "light"] * 2
    with pytest.raises(DataError, match="a DataLoader hands out batches; give its .dataset"):
        headstart.read(torch.utils.data.DataLoader(Drawn()))


def test_picture_columns(tmp_path: Path) -> None:
    root = make_images(tmp_path, {"ants": 2, "bees": 2})
    paths = sorted(root.rglob("*.png"))
    labels = [path.parent.name for path in paths]
    features = hf.Features({"image": hf.Image(), "label": hf.Value("string")})
    forms = {
        "paths": pd.DataFrame({"image": paths, "label": labels}),
        "pictures": pd.DataFrame({"image": [opened(p) for p in paths], "label": labels}),
        "by path": hf.Dataset.from_dict({"image": list(map(str, paths)), "label": labels}),
        "embedded": hf.Dataset.from_dict(
            {"image": [opened(p) for p in paths], "label": labels}, features=features
        ),
        "by path, of type Image": hf.Dataset.from_dict(
            {"image": list(map(str, paths)), "label": labels}, features=features
        ),
    }
    for form, frame in forms.items():
        found = headstart.read(frame)
        assert (found.kind, found.classes) == ("image", ("ants", "bees")), form
        for i, path in enumerate(paths):
            np.testing.assert_array_equal(pixels(found.content(i)), np.asarray(opened(path)))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    data = sentences()
    texts = [data.content(i).decode() for i in range(len(data))]
    return str(save_encoder(tmp_path_factory.mktemp("encoder"), texts))


def test_every_verb_takes_a_frame(encoder: str, tmp_path: Path) -> None:
    data = sentences()
    texts = [data.content(i).decode() for i in range(len(data))]
    frame = pd.DataFrame({"text": texts, "label": [data.said(i) for i in range(len(data))]})
    fit = headstart.fit(frame, backbone=encoder, out=tmp_path / "model")
    same = headstart.fit(frame.text, frame.label, backbone=encoder)
    assert fit.accuracy == same.accuracy and len(fit.parts.train) == len(same.parts.train)
    figures, _ = headstart.evaluate(tmp_path / "model", frame)
    assert figures.n == len(headstart.audit(frame).usable)
    assert headstart.evaluate(tmp_path / "model", frame.text, frame.label).figures.n == figures.n
    asked = headstart.predict(tmp_path / "model", frame)
    for form in (frame.text, pl.Series(texts), pa.array(texts), texts, frame[["text"]]):
        answers = headstart.predict(tmp_path / "model", form)
        assert [a["label"] for a in answers] == [a["label"] for a in asked]
    compared = headstart.compare(frame, backbones=encoder, strategies="frozen", draws=1)
    assert len(compared.runs) == 1
    made = headstart.features(frame, backbone=encoder, out=tmp_path / "f.parquet")
    assert made["n"] == figures.n


@pytest.mark.slow
def test_the_estimator_takes_columns_and_refuses_what_is_missing(encoder: str) -> None:
    data = sentences()
    texts = [data.content(i).decode() for i in range(len(data))]
    labels = [data.said(i) for i in range(len(data))]
    asked = headstart.TransferClassifier(encoder).fit(texts, labels).predict(texts).tolist()
    for form in COLUMNS.values():
        model = headstart.TransferClassifier(encoder).fit(form(texts), pd.Series(labels))
        assert model.predict(form(texts)).tolist() == asked
    joined = pd.DataFrame({"a": texts, "b": [""] * len(texts)})
    headstart.TransferClassifier(encoder).fit(joined, labels)
    bad = [*texts[:3], None, *texts[4:]]
    for form in (pd.Series, list, pl.Series):
        with pytest.raises(ValueError, match="X contains NaN or None in 1 of 24 rows: 3"):
            headstart.TransferClassifier(encoder).fit(form(bad), labels)
    with pytest.raises(ValueError, match="y contains NaN or None in 1 of 24 rows: 0"):
        headstart.TransferClassifier(encoder).fit(texts, [None, *labels[1:]])


def test_the_estimator_takes_pictures(glyph_graph: Path) -> None:
    data = bars()
    arrays = [np.load(io.BytesIO(data.content(i))) for i in range(len(data))]
    labels = [data.said(i) for i in range(len(data))]
    asked = headstart.TransferClassifier("glyphs").fit(np.stack(arrays), labels)
    for form in (Image.fromarray, torch.from_numpy, lambda one: png(Image.fromarray(one))):
        model = headstart.TransferClassifier("glyphs").fit([form(a) for a in arrays], labels)
        assert (model.predict_proba([form(arrays[0])]) == asked.predict_proba(arrays[:1])).all()
    stacked = torch.from_numpy(np.stack(arrays))
    model = headstart.TransferClassifier("glyphs").fit(stacked, labels)
    assert model.predict(stacked).tolist() == labels


def test_what_cannot_be_read_says_what_is_taken(tmp_path: Path) -> None:
    for wrong in (3, object(), {1, 2}):
        with pytest.raises(DataError, match="holds no items that can be read; give a folder"):
            headstart.fit(wrong)
    with pytest.raises(DataError, match="labels came twice"):
        headstart.fit((TEXTS, LABELS), LABELS)
    with pytest.raises(UsageError, match="is a path, and its labels lie there"):
        headstart.fit(save_bars(tmp_path), LABELS)
    with pytest.raises(UsageError, match="unknown option 'backbon'; did you mean 'backbone'"):
        headstart.fit(TEXTS, LABELS, backbon="minilm")
    with pytest.raises(UsageError, match="options is of type int; give Options"):
        headstart.fit(TEXTS, LABELS, options=3)
    with pytest.raises(UsageError, match="unknown option 'epoch'"):
        headstart.fit(TEXTS, LABELS, options={"epoch": 3})
    with pytest.raises(DataError, match="have no labels"):
        headstart.fit(TEXTS)


def test_options_may_be_a_dictionary(tmp_path: Path, glyph_graph: Path) -> None:
    data = save_bars(tmp_path)
    assert headstart.fit(data, options={}).accuracy == 1.0
    fit = headstart.fit(data, strategy="partial:-1", options={"epochs": 2})
    assert len(fit.fitted.history) == 2


@pytest.mark.parametrize("cells", [np.zeros(4, np.longdouble), np.zeros(4, np.complex128)])
def test_numbers_that_no_table_holds_are_one_error(cells: Any) -> None:
    frame = {"text": ["a b", "c d"] * 2, "label": ["x", "y"] * 2, "more": cells}
    with pytest.raises(DataError, match="column 'more' holds .*, which no table can hold together"):
        headstart.read(frame)
