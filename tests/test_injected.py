"""Columns of a table that are joined to what a backbone makes of an item."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import headstart
from conftest import bars, save_encoder, sentences
from headstart import bundle
from headstart.data import injected
from headstart.data.dataset import Dataset
from headstart.data.injected import Beside, Reader
from headstart.errors import DataError, UsageError
from headstart.settings.groups import Carried
from headstart.training.transfer import transfer

ALL = np.arange(4)


def table(*columns: list[str | None], names: str = "abc") -> Beside:
    return Beside(tuple(names[: len(columns)]), tuple(zip(*columns, strict=True)))


def numbers(reader: Reader, held: Beside) -> list[list[float]]:
    found = reader.read(held).matrix
    assert found is not None
    return found.astype(np.float64).round(4).tolist()


# -- cells ----------------------------------------------------------------------------------------


def test_numbers_are_standardised_on_the_training_rows_alone() -> None:
    held = table(["1", "3", "100", None])
    reader = injected.learn(held, np.array([0, 1]))
    assert numbers(reader, held) == [[-1.0], [1.0], [98.0], [0.0]]
    (column,) = reader.columns
    assert (column.kind, column.mean, column.spread) == ("number", (2.0,), (1.0,))


def test_categories_are_those_of_the_training_rows() -> None:
    held = table(["Ann", "Bob", "Ann", "Eve"])
    reader = injected.learn(held, np.array([0, 1, 2]))
    assert reader.columns[0].names == ("Ann", "Bob")
    third = round(1 / 3, 4)
    assert numbers(reader, held)[0] == [third, -third]
    assert numbers(reader, held)[3] == [0.0, 0.0]  # nobody knows Eve


def test_vectors_and_equal_numbers() -> None:
    held = table(["[1, 5]", "3 5", "1; 5", "x"], ["7", "7", "7", "7"])
    reader = injected.learn(held, np.array([0, 1]))
    assert [column.kind for column in reader.columns] == ["vector", "number"]
    assert numbers(reader, held) == [[-1, 0, 0], [1, 0, 0], [-1, 0, 0], [0, 0, 0]]
    assert Reader.saved(json.loads(json.dumps(reader.facts()))) == reader


def test_columns_that_are_empty_or_gone() -> None:
    with pytest.raises(DataError, match="column 'a' is empty on the training items"):
        injected.learn(table([None, "", None, "3"]), np.array([0, 1, 2]))
    reader = injected.learn(table(["1", "2"], ["x", "y"]), np.array([0, 1]))
    with pytest.raises(DataError, match="reads the columns a, b .* and b is not there"):
        reader.read(table(["1"], names="a"))
    with pytest.raises(DataError, match="a, b is not there; give a table"):
        reader.read(None)


# -- fits -----------------------------------------------------------------------------------------


def with_columns(data: Dataset, *columns: list[str]) -> Dataset:
    return replace(data, beside=table(*columns))


def weights(data: Dataset, **how: Any) -> tuple[Any, Any]:
    run = Carried(**how, device="cpu")
    fitted = transfer(data, np.arange(len(data)), headstart_entries(data), run)
    return fitted.model.head, fitted.model


def headstart_entries(data: Dataset) -> Any:
    from headstart.backbones.registry import resolve_all

    return resolve_all("glyphs" if data.kind == "image" else "textcnn")


STEPS: dict[str, Any] = {"epochs": 2, "batch": 8}


@pytest.mark.parametrize(
    "how", [{"strategy": "warm", **STEPS}, {"strategy": "partial:-1", **STEPS}], ids=str
)
def test_zeros_leave_training_by_steps_as_it_is(how: dict[str, Any]) -> None:
    data = bars(12)
    plain, _ = weights(data, **how)
    head, model = weights(with_columns(data, ["5"] * len(data), ["0 0"] * len(data)), **how)
    assert head.weight.shape[1] == plain.weight.shape[1] + 3
    np.testing.assert_allclose(head.weight[:, :-3], plain.weight, atol=1e-6)
    np.testing.assert_allclose(head.bias, plain.bias, atol=1e-6)
    assert (head.weight[:, -3:] == 0).all() and model.beside is not None


def test_zeros_leave_a_solved_head_as_it_is(glyph_graph: Path) -> None:
    data = bars(12)
    plain, _ = weights(data, strategy="frozen")
    head, _ = weights(with_columns(data, ["5"] * len(data)), strategy="frozen")
    np.testing.assert_allclose(head.weight[:, :-1], plain.weight, atol=1e-4)
    assert head.chosen == plain.chosen and head.temperature == pytest.approx(plain.temperature)


def halves(root: Path, n: int = 200) -> Path:
    """Write pictures and a table where the class is the picture's half and the column's."""
    rng = np.random.default_rng(101)  # another stream than that of the pictures' noise
    data = bars(n // 2, 2)
    rows = ["file,year,colour,label"]
    import io

    for i in range(n):
        pixels = np.load(io.BytesIO(data.content(i)))
        Image.fromarray(pixels).save(root / f"{i}.png")
        late, red = int(rng.integers(2)), int(rng.integers(2))
        year = rng.integers(1900, 1950) + 60 * late
        name = f"bar {data.labels[i]} {'late' if late else 'early'}"
        rows.append(f"{i}.png,{year},{'red' if red else 'blue'},{name}")
    path = root / "t.csv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    "how", [{}, {"strategy": "warm", "epochs": 12, "batch": 8, "head_rate": 0.05}], ids=["f", "w"]
)
def test_columns_that_hold_half_of_the_label(
    how: dict[str, Any], glyph_graph: Path, tmp_path: Path
) -> None:
    path, out = halves(tmp_path), tmp_path / "out"
    names = ["file", "label"]
    plain = headstart.fit(path, device="cpu", image_column=names[0], **how)
    both = headstart.fit(
        path, columns="year,colour", out=out, device="cpu", image_column=names[0], **how
    )
    # The picture tells one of two halves, so alone it is right on about half of the items.
    assert plain.accuracy < 0.7 < 0.85 < both.accuracy
    loaded = bundle.load(out)
    assert loaded.model.beside is not None and loaded.model.beside.names == ("year", "colour")
    held_out = both.parts.held_out
    expected = both.model.outputs(both.dataset, held_out)
    np.testing.assert_allclose(loaded.model.outputs(both.dataset, held_out), expected, atol=1e-3)
    answers = headstart.predict(out, path)
    right = [one["label"] == both.dataset.said(i) for i, one in enumerate(answers)]
    assert np.mean(right) > 0.9
    figures, _ = headstart.evaluate(out, path)
    assert figures.value == pytest.approx(np.mean(right))
    with pytest.raises(DataError, match="reads the columns year, colour beside each item"):
        headstart.predict(out, tmp_path / "0.png")
    lacking = tmp_path / "lacking.csv"
    lacking.write_text("file,year\n0.png,1900\n", encoding="utf-8")
    with pytest.raises(DataError, match="give a table that has them"):
        headstart.predict(out, lacking)


@pytest.mark.slow
def test_columns_beside_texts(tmp_path: Path) -> None:
    data = sentences(24, 2)
    encoder = save_encoder(tmp_path / "e", [data.content(i).decode() for i in range(len(data))])
    rng = np.random.default_rng(0)
    rows = ["text,rating,label"]
    for i in range(len(data)):
        good = int(rng.integers(2))
        rows.append(f"{data.content(i).decode()},{good + rng.random() / 4},{'bg'[good]}")
    path = tmp_path / "t.csv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    plain = headstart.fit(path, backbone=str(encoder), text_column="text")
    both = headstart.fit(path, backbone=str(encoder), columns="rating", text_column="text")
    assert both.accuracy == 1.0 > plain.accuracy
    assert both.dataset.columns == ("text",)


def test_one_text_with_other_columns_is_no_copy(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    lines = [f"the same words here,{k % 2},{'no' if k % 2 else 'yes'}" for k in range(6)]
    lines += [f"some other words number {k},{k % 2},{'no' if k % 2 else 'yes'}" for k in range(6)]
    path.write_text("\n".join(["text,answer,label", *lines]) + "\n", encoding="utf-8")
    how = {"text_column": "text", "label_column": "label"}
    assert len(headstart.audit(path, **how).conflicts) == 1
    found = headstart.audit(path, **how, columns="answer")
    assert found.conflicts == () and len(found.usable) == 8


def test_columns_that_are_not_there(tmp_path: Path) -> None:
    path = halves(tmp_path, 8)
    with pytest.raises(UsageError, match="unknown column 'yaer'; did you mean 'year'"):
        headstart.fit(path, columns="yaer")
    with pytest.raises(UsageError, match="'label' is asked for twice"):
        headstart.fit(path, columns="label", label_column="label")


def test_a_run_goes_on_only_with_the_same_columns(tmp_path: Path, glyph_graph: Path) -> None:
    path, out = halves(tmp_path, 40), tmp_path / "out"
    how: dict[str, Any] = {"strategy": "warm", "out": out, "checkpoint_every": 0.0, **STEPS}
    from headstart.training.objectives import Supervised

    plain, steps = Supervised.loss, iter(range(9))

    def stop(self: Supervised, step: Any) -> Any:
        if next(steps) == 2:
            raise KeyboardInterrupt
        return plain(self, step)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Supervised, "loss", stop)
        headstart.fit(path, columns="year", **how)
    with pytest.raises(UsageError, match="columns: was"):
        headstart.fit(path, columns="year,colour", resume=True, **how)
    assert headstart.fit(path, columns="year", resume=True, **how).bundle == out


@pytest.mark.parametrize("per_class", [15, 16, 33, 70])
@pytest.mark.parametrize("how", [{}, {"strategy": "lp-ft", "epochs": 1}], ids=["frozen", "lp-ft"])
def test_columns_stay_with_their_items(
    how: dict[str, Any], per_class: int, glyph_graph: Path, tmp_path: Path
) -> None:
    rng = np.random.default_rng(per_class)
    rows = ["file,year,label"]
    for i, label in enumerate(rng.permutation(np.arange(2 * per_class) % 2)):
        path = tmp_path / f"{i}.png"
        Image.fromarray(rng.integers(0, 255, (8, 8)).astype(np.uint8)).save(path)
        if i % 7 == 0:
            path.write_bytes(path.read_bytes()[:60])
        rows.append(f"{path.name},{(1900, 2000)[label]},{'ab'[label]}")
    (tmp_path / "t.csv").write_text("\n".join(rows), encoding="utf-8")
    made = headstart.fit(tmp_path / "t.csv", columns="year", backbone="glyphs", device="cpu", **how)
    assert len(made.to_json()["skipped"]) == -(-2 * per_class // 7)
    assert made.accuracy == 1.0  # the pictures are noise; of the wrong rows it would be a half


# -- the other doors ------------------------------------------------------------------------------


def test_features_are_joined_with_the_columns_of_the_training_items(
    glyph_graph: Path, tmp_path: Path
) -> None:
    import pyarrow.parquet as pq

    path = halves(tmp_path, 40)
    split = [line.split(",") for line in path.read_text().splitlines()]
    held = {line[0] for line in split[1:] if int(line[1]) % 3 == 0}
    rows = [",".join([*line, "split" if not i else "test" if line[0] in held else "train"])
            for i, line in enumerate(split)]  # fmt: skip
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    how: dict[str, Any] = {"backbone": "glyphs", "device": "cpu", "image_column": "file"}
    plain = headstart.features(path, out=tmp_path / "a.parquet", **how)
    both = headstart.features(path, out=tmp_path / "b.parquet", columns="year,colour", **how)
    assert both["n_features"] == plain["n_features"] + 3
    one, other = (pq.read_table(tmp_path / f"{name}.parquet").to_pylist() for name in "ab")
    years = {line[0]: int(line[1]) for line in split[1:]}
    known = np.array([year for name, year in years.items() if name not in held])
    for before, after in zip(one, other, strict=True):
        vector = after["vector"]
        np.testing.assert_array_equal(vector[:-3], before["vector"])
        wanted = (years[Path(after["item"]).name] - known.mean()) / known.std()
        assert vector[-3] == pytest.approx(wanted, rel=1e-5)


@pytest.mark.slow
def test_adapt_takes_the_columns_of_both_domains(glyph_graph: Path, tmp_path: Path) -> None:
    (tmp_path / "s").mkdir(), (tmp_path / "t").mkdir()
    source, target = halves(tmp_path / "s", 120), halves(tmp_path / "t", 80)
    how: dict[str, Any] = {"image_column": "file", "label_column": "label", "method": "norm"}
    plain = headstart.adapt(source, target, **how).to_json()["accuracy"]
    both = headstart.adapt(source, target, columns="year", out=tmp_path / "out", **how)
    found = both.to_json()["accuracy"]
    assert plain < 0.75 < 0.9 < found
    figures, _ = headstart.evaluate(tmp_path / "out", target)
    assert figures.value > 0.9
    with pytest.raises(UsageError, match="adapt reads them with 'frozen'"):
        headstart.adapt(source, target, columns="year", strategy="warm", **how)


def test_an_estimator_takes_columns_of_a_frame(glyph_graph: Path, tmp_path: Path) -> None:
    import pandas
    from sklearn.model_selection import cross_val_score

    frame = pandas.read_csv(halves(tmp_path, 120))
    frame["file"] = [str(tmp_path / name) for name in frame["file"]]
    y = frame.pop("label")
    plain = headstart.TransferClassifier("glyphs").fit(frame["file"][:90], y[:90])
    both = headstart.TransferClassifier("glyphs", columns=("year", "colour"))
    assert plain.score(frame["file"][90:], y[90:]) < 0.75
    assert both.fit(frame[:90], y[:90]).score(frame[90:], y[90:]) > 0.9
    assert cross_val_score(both, frame, y, cv=3).mean() > 0.9
    with pytest.raises(DataError, match="no column yaer; it has file, year, colour"):
        headstart.TransferClassifier("glyphs", columns=["yaer"]).fit(frame, y)
    with pytest.raises(DataError, match="are of a frame, and this is of type list"):
        both.predict(list(frame["file"]))
