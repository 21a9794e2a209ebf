"""The point at 0 labels: what the names of the classes reach by themselves."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import headstart
from conftest import bars, save_encoder
from headstart.data.dataset import Dataset
from headstart.data.memory.arrays import from_items
from headstart.evaluation.names import NAMES, nearest, telling
from headstart.report.comparison_page import page

WORDS = {"cats": "cats purr and cats meow", "dogs": "dogs bark and dogs howl", "tea": "hot tea"}


def written(names: tuple[str, ...] = tuple(WORDS), n: int = 12) -> Dataset:
    """Return texts that hold the word of their class, a few times."""
    rng = np.random.default_rng(0)
    said = [*WORDS.values()]
    texts = [
        f"{said[i % 3]} {rng.integers(9)} {'and ' * int(rng.integers(4))}" for i in range(3 * n)
    ]
    return from_items(texts, [names[i % 3] for i in range(3 * n)], "text")


@pytest.fixture
def encoder(tmp_path: Path) -> str:
    return f"hf:{save_encoder(tmp_path / 'encoder', [*WORDS, *WORDS.values()])}"


def compared(data: Dataset, encoder: str, **how: Any) -> headstart.Comparison:
    return headstart.compare(
        data, strategies=["frozen"], backbones=[encoder], draws=2, folds=0, val=0.5, **how
    )


def test_the_point_is_the_nearest_name_by_another_librarys_vectors(encoder: str) -> None:
    """Judge: transformers by itself, and a cosine written out."""
    import torch
    from tokenizers import Tokenizer
    from transformers import AutoModel

    data = written()
    found = compared(data, encoder, shots=[2, 4])
    (zero,) = [one for one in found.floors if one.shots == 0]
    assert (zero.name, zero.backbone) == (NAMES, encoder)

    folder = encoder.removeprefix("hf:")
    model = AutoModel.from_pretrained(folder).eval()
    words = Tokenizer.from_file(f"{folder}/tokenizer.json")

    def vector(text: str) -> np.ndarray:
        with torch.no_grad():
            out = model(torch.tensor([words.encode(text).ids[:32]]))
        mean = out.last_hidden_state[0].mean(dim=0).numpy()
        return mean / np.linalg.norm(mean)

    names = np.stack([vector(name) for name in data.classes])
    where = {f"item {i}": i for i in range(len(data))}
    held = [where[name] for name in found.held_out.names]
    texts = [data.content(i).decode() for i in held]
    said = np.array([(names @ vector(text)).argmax() for text in texts])
    assert zero.mean == pytest.approx((said == data.labels[held]).mean())
    assert 0 <= zero.low < zero.mean <= zero.high <= 1


def test_the_page_has_it_at_0(encoder: str) -> None:
    found = compared(written(), encoder, shots=[2, 4])
    made = page(found.to_json())
    assert "class names" in made and "Hollow, at 0" in made
    assert "Hollow, at 0" not in page(found.to_json() | {"floors": []})


@pytest.mark.parametrize("names", [("1", "2", "3"), ("class a", "class b", "tea")])
def test_names_that_say_nothing_are_named(
    names: tuple[str, ...], encoder: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "headstart")
    found = compared(written(names), encoder, shots=[2])
    assert not [one for one in found.floors if one.shots == 0]
    (said,) = [one.message for one in caplog.records if "at 0 labels" in one.getMessage()]
    assert names[0] in said and "words for names" in said


def test_pictures_have_no_names_to_read(glyph_graph: Any, caplog: Any) -> None:
    caplog.set_level(logging.INFO, "headstart")
    found = headstart.compare(bars(), strategies=["frozen"], shots=[2], draws=1)
    assert all(one.shots != 0 for one in found.floors)
    assert "at 0 labels" not in caplog.text


@pytest.mark.parametrize(
    ("name", "says"),
    [("World News", True), ("neg", True), ("猫", True), ("κ", False), ("категория 7", True)],
)
def test_telling(name: str, says: bool) -> None:
    assert telling(name) == says


def test_joined_encoders_weigh_alike() -> None:
    rng = np.random.default_rng(1)
    rows, names = rng.normal(size=(40, 5)), rng.normal(size=(3, 5))
    plain = nearest(rows, names, [2, 3])
    scaled = [np.concatenate([100 * x[:, :2], x[:, 2:]], axis=1) for x in (rows, names)]
    assert (nearest(*scaled, [2, 3]) == plain).all()
    unit = lambda x: x / np.linalg.norm(x, axis=1, keepdims=True)  # noqa: E731
    assert (nearest(rows, names, [5]) == (unit(rows) @ unit(names).T).argmax(1)).all()
