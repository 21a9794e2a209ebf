"""Word vectors that are joined to a network's embeddings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import headstart
from conftest import save_encoder, sentences
from headstart import bundle
from headstart.backbones import words
from headstart.backbones.build import build
from headstart.backbones.injection import SPEED, Injection
from headstart.backbones.registry import resolve
from headstart.data.dataset import Dataset
from headstart.data.memory.arrays import from_items
from headstart.errors import DataError, UsageError
from headstart.model import Model

FEW: dict[str, Any] = {"strategy": "warm", "epochs": 2, "batch": 8, "device": "cpu"}


def texts_of(data: Dataset) -> list[str]:
    return [data.content(i).decode() for i in range(len(data))]


def glove(path: Path, vector: Callable[[str], Any], words: list[str]) -> str:
    lines = [f"{word} {' '.join(map(str, vector(word)))}" for word in words]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("concat", [False, True])
def test_the_formula(concat: bool) -> None:
    torch.manual_seed(0)
    vectors = torch.tensor([[0.0, 0.0], [1.0, -2.0]])
    one = Injection(vectors, 3, concat=concat)
    hidden, ids = torch.rand(1, 2, 3), torch.tensor([[0, 1]])
    torch.testing.assert_close(one(hidden, ids), hidden, rtol=0, atol=0)
    with torch.no_grad():
        one.gate.copy_(torch.tensor([0.0, 0.1, -0.2]))
    read = torch.cat([hidden[0, 1], vectors[1]]) if concat else vectors[1]
    want = hidden[0, 1] + SPEED * one.gate * (one.projection.weight @ read)
    torch.testing.assert_close(one(hidden, ids)[0, 1], want)
    torch.testing.assert_close(one(hidden, ids)[0, 0], hidden[0, 0])  # it has no vector


def test_pieces_are_words_where_they_begin_one() -> None:
    assert words.words_of(["play", "##ing", "[PAD]"]) == ["play", "", "[PAD]"]
    assert words.words_of(["▁play", "ing", "▁a"]) == ["play", "", "a"]


def answers(model: Model, data: Dataset) -> Any:
    return model.outputs(data, np.arange(len(data)))


@pytest.fixture
def encoder(tmp_path: Path) -> str:
    return str(save_encoder(tmp_path / "encoder", texts_of(sentences(24))))


def named(name: str, encoder: str) -> str:
    return encoder if name == "encoder" else name


NETWORKS = ["encoder", "transformer", "bilstm"]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("how", ["add", "concat"])
def test_zeros_leave_the_network_as_it_is(
    name: str, how: str, encoder: str, tmp_path: Path
) -> None:
    data, backbone = sentences(12), named(name, encoder)
    path = glove(tmp_path / "zeros.txt", lambda word: [0.0] * 4, [f"w{i}" for i in range(30)])
    plain = headstart.fit(data, backbone=backbone, **FEW)
    zeros = headstart.fit(data, backbone=backbone, inject=path, inject_by=how, **FEW)
    np.testing.assert_array_equal(answers(plain.model, data), answers(zeros.model, data))


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_it_is_learned_saved_and_loaded(name: str, encoder: str, tmp_path: Path) -> None:
    data, out = sentences(12), tmp_path / "out"
    known = [f"own{c}{i}" for c in range(2) for i in range(3)]
    path = glove(tmp_path / "g.txt", lambda word: [1.0, -1.0, int(word[3]), 0.5], known)
    made = headstart.fit(data, backbone=named(name, encoder), inject=path, out=out, **FEW)
    assert any("vectors for 6 of" in note for note in made.notes)
    backbone = made.model.backbone
    assert backbone is not None
    (inner,) = (m for m in backbone.net.modules() if isinstance(m, Injection))
    assert (inner.gate != 0).all() and int((inner.vectors != 0).any(1).sum()) == 6
    loaded = bundle.load(out)
    np.testing.assert_allclose(answers(loaded.model, data), answers(made.model, data), atol=1e-3)
    assert loaded.facts["backbones"][0]["config"]["inject"] == "add"


def test_words_that_were_never_trained_on_gain(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    train = [f"red{i}" for i in range(6)], [f"blue{i}" for i in range(6)]
    later = [f"red{i}" for i in range(6, 12)], [f"blue{i}" for i in range(6, 12)]

    def text(groups: Any, label: int) -> str:
        common = [f"w{i}" for i in rng.integers(0, 20, 4)]
        return " ".join(rng.permutation([*rng.choice(groups[label], 2), *common]))

    labels = [i % 2 for i in range(120)]
    told = [text(train, one) for one in labels]
    asked = [text(later, one) for one in labels]
    encoder = save_encoder(tmp_path / "encoder", told + asked)
    everything = [word for groups in (train, later) for group in groups for word in group]
    path = glove(
        tmp_path / "g.txt",
        lambda word: [2.0 if word.startswith("red") else -2.0, *rng.normal(0, 0.1, 3)],
        everything,
    )
    data, test = from_items(told, labels, "text"), from_items(asked, labels, "text")
    how: dict[str, Any] = {"backbone": str(encoder), "strategy": "warm", "epochs": 8, "batch": 8}
    how["body_rate"] = 1e-3

    def right(**more: Any) -> float:
        model = headstart.fit(data, device="cpu", val=0.1, **how, **more).model
        return float((answers(model, test).argmax(1) == np.array(labels)).mean())

    assert right() < 0.75 < 0.9 < right(inject=path)


@pytest.mark.parametrize("strategy", ["partial:-1", "lora", "bitfit"])
def test_embeddings_that_stay_cannot_take_vectors(
    strategy: str, encoder: str, tmp_path: Path
) -> None:
    path = glove(tmp_path / "g.txt", lambda word: [1.0, 2.0], ["w1"])
    with pytest.raises(UsageError, match="leaves the embeddings as they are"):
        headstart.fit(sentences(), backbone=encoder, inject=path, **FEW | {"strategy": strategy})


def test_wrong_use(encoder: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="inject is not read here: it is for .* not for frozen"):
        headstart.fit(sentences(), backbone=encoder, inject="g.txt")
    with pytest.raises(UsageError, match="--inject .*: no such file"):
        headstart.fit(sentences(), backbone=encoder, inject=str(tmp_path / "none"), **FEW)
    (tmp_path / "bad.txt").write_text("w1 1 2 3\nw2 1 2\n", encoding="utf-8")
    with pytest.raises(DataError, match="line 2: 2 numbers"):
        headstart.fit(sentences(), backbone=encoder, inject=str(tmp_path / "bad.txt"), **FEW)


def test_other_vectors_make_another_network(encoder: str, tmp_path: Path) -> None:
    entry = resolve(encoder)
    made = [
        words.inject(entry, glove(tmp_path / f"{k}", lambda w, k=k: [k, 1.0], ["w1"]), "add", [])[0]
        for k in (1.0, 2.0)
    ]
    assert len({entry.key(), *(one.key() for one in made)}) == 3
    first, second = (build(one, seed=0).net.state_dict() for one in made)
    assert first.keys() == second.keys() != build(entry).net.state_dict().keys()
