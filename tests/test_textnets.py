"""Networks trained here: one contract for all, numpy as the judge, and GloVe's format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from headstart.backbones import textnets
from headstart.boundary import engine as features
from headstart.data.texts.glove import read_glove
from headstart.data.texts.tokens import fit_vocabulary
from headstart.errors import BackboneError, DataError, UsageError

VOCABULARY = 30
VECTORS = np.random.default_rng(0).normal(size=(VOCABULARY, 12)).astype(np.float32)
LENGTHS = (9, 3, 1, 6)
WIDTHS = {"bilstm": 400, "bigru": 256, "textcnn": 300, "transformer": 12}
BLOCKS = {"bilstm": 3, "bigru": 4, "textcnn": 2, "transformer": 3}

every = pytest.mark.parametrize("name", textnets.NETWORKS)
both = pytest.mark.parametrize("vectors", [None, VECTORS], ids=["trained", "fixed"])


def batch(extra: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(0)
    ids = torch.zeros(len(LENGTHS), max(LENGTHS) + extra, dtype=torch.long)
    for row, length in enumerate(LENGTHS):
        ids[row, :length] = torch.from_numpy(rng.integers(2, VOCABULARY, length))
    return ids, (torch.arange(ids.shape[1]) < torch.tensor(LENGTHS)[:, None]).long()


@every
@both
def test_padding_changes_no_feature(name: str, vectors) -> None:
    backbone = textnets.build(name, VOCABULARY, vectors)
    with torch.inference_mode():
        tight, wide = backbone(batch()), backbone(batch(extra=7))
        ids = batch()[0]
        alone = [backbone((ids[i : i + 1, :n], torch.ones(1, n))) for i, n in enumerate(LENGTHS)]
    assert tight.shape == (len(LENGTHS), backbone.n_features)
    torch.testing.assert_close(tight, wide, atol=1e-5, rtol=0)
    torch.testing.assert_close(tight, torch.cat(alone), atol=1e-5, rtol=0)


@every
@both
def test_every_cut_gives_the_same(name: str, vectors) -> None:
    backbone = textnets.build(name, VOCABULARY, vectors)
    assert backbone.n_blocks == BLOCKS[name]
    if vectors is not None:
        assert backbone.n_features == WIDTHS[name]
    with torch.inference_mode():
        whole = backbone(batch())
        for k in range(backbone.n_blocks + 1):
            again = backbone.forward_from(backbone.forward_to(batch(), k), k)
            torch.testing.assert_close(again, whole)


@every
def test_the_seed_decides_the_weights(name: str) -> None:
    state = torch.random.get_rng_state()
    first, again, other = (textnets.build(name, VOCABULARY, seed=s)(batch()) for s in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(state, torch.random.get_rng_state())


@every
def test_fixed_vectors_are_never_trained(name: str) -> None:
    backbone = textnets.build(name, VOCABULARY, VECTORS)
    backbone.set_trainable(range(backbone.n_blocks))
    names = {name for name, p in backbone.net.named_parameters() if p.requires_grad}
    assert "words.fixed.weight" not in names
    assert ("words.trained.weight" in names) == (name == "textcnn")
    backbone.set_trainable([backbone.n_blocks - 1])
    assert backbone.parameters_of(backbone.n_blocks - 1)
    frozen = backbone.frozen_digest()
    with torch.no_grad():
        for parameter in backbone.parameters_of(backbone.n_blocks - 1):
            parameter += 1
    assert backbone.frozen_digest() == frozen


@every
def test_it_learns_tiny_data(name: str) -> None:
    backbone = textnets.build(name, VOCABULARY, VECTORS).train()
    head = nn.Linear(backbone.n_features, 2)
    optimiser = torch.optim.Adam([*backbone.net.parameters(), *head.parameters()], 0.01)
    target = torch.tensor([0, 1, 0, 1])
    losses = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for _ in range(30):
            loss = F.cross_entropy(head(backbone(batch())), target)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
    assert losses[-1] < 0.2 < losses[0]


@every
@both
def test_weights_come_back(name: str, vectors) -> None:
    backbone = textnets.build(name, VOCABULARY, vectors, seed=3)
    again = textnets.restore(name, backbone.net.state_dict())
    assert torch.equal(again(batch()), backbone(batch()))
    other = "bigru" if name == "bilstm" else "bilstm"
    with pytest.raises(BackboneError, match=f"not those of {other}"):
        textnets.restore(other, backbone.net.state_dict())
    with pytest.raises(BackboneError, match="no table"):
        textnets.restore(name, {})


# torch's own attention freezes the length in the older exporter; the newer one takes 10 s.
@pytest.mark.parametrize(
    "name", ["bilstm", "bigru", "textcnn", pytest.param("transformer", marks=pytest.mark.slow)]
)
def test_the_graph_answers_as_torch(name: str, tmp_path: Path) -> None:
    backbone = textnets.build(name, VOCABULARY, VECTORS)
    texts = [" ".join(f"w{i}" for i in range(VOCABULARY - 2))]
    words = fit_vocabulary(texts, min_frequency=1, max_length=40)
    assert len(words.vocabulary) == VOCABULARY
    features.export(backbone, tmp_path / "graph.onnx", words)


def test_wrong_calls_are_refused() -> None:
    with pytest.raises(UsageError, match="did you mean 'bilstm'"):
        textnets.build("bilsm", VOCABULARY)
    with pytest.raises(UsageError, match="30 word vectors for 31 words"):
        textnets.build("bilstm", 31, VECTORS)
    with pytest.raises(UsageError, match="even"):
        textnets.build("transformer", VOCABULARY, VECTORS[:, :5])


def test_both_tables_of_textcnn_start_alike() -> None:
    words = textnets.build("textcnn", VOCABULARY, VECTORS).net.get_submodule("words")
    out = words(torch.tensor([[4]]))[0, 0].detach().numpy()
    np.testing.assert_array_equal(out, np.concatenate([VECTORS[4], VECTORS[4]]))


def test_turning_is_by_each_texts_own_length() -> None:
    hidden = torch.arange(8.0).view(2, 4, 1)
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]])
    turned = textnets.turn(hidden, mask)[..., 0]
    assert turned[0, :3].tolist() == [2, 1, 0]
    assert turned[1].tolist() == [7, 6, 5, 4]


def test_one_recurrent_layer_against_packed_torch() -> None:
    torch.manual_seed(0)
    ours = textnets.Bidirectional(nn.LSTM, 5, 4)
    theirs = nn.LSTM(5, 4, batch_first=True, bidirectional=True)
    state = dict(ours.forth.state_dict())
    state |= {f"{k}_reverse": v for k, v in ours.back.state_dict().items()}
    theirs.load_state_dict(state)
    hidden, mask = torch.randn(4, 9, 5), batch()[1]
    packed = nn.utils.rnn.pack_padded_sequence(
        hidden, torch.tensor(LENGTHS), batch_first=True, enforce_sorted=False
    )
    expected = nn.utils.rnn.pad_packed_sequence(theirs(packed)[0], batch_first=True)[0]
    got = ours(hidden, mask)
    for row, length in enumerate(LENGTHS):
        torch.testing.assert_close(got[row, :length], expected[row, :length])


def test_windows_against_numpy() -> None:
    torch.manual_seed(0)
    layer = textnets.Convolutions(4, widths=(3,), channels=2).eval()
    hidden, mask = torch.randn(4, 9, 4), batch()[1]
    kernel, bias = (p.detach().numpy() for p in (layer.windows[0].weight, layer.windows[0].bias))
    for row, length in enumerate(LENGTHS):
        text = np.zeros((max(length, 3), 4), np.float32)
        text[:length] = hidden[row, :length].numpy()
        answers = [
            (kernel * text[start : start + 3].T).sum((1, 2)) + bias
            for start in range(len(text) - 2)
        ]
        expected = np.maximum(np.max(answers, axis=0), 0)
        np.testing.assert_allclose(layer(hidden, mask)[row].detach(), expected, atol=1e-5)


def test_position_codes_against_the_formula() -> None:
    got = textnets.sinusoids(5, 6).numpy()
    for position in range(5):
        angles = position / 10000 ** (np.arange(0, 6, 2) / 6)
        expected = np.concatenate([np.sin(angles), np.cos(angles)])
        np.testing.assert_allclose(got[position], expected, atol=1e-6)


def glove(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "vectors.txt"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_word_vectors_stand_in_the_order_of_the_words(tmp_path: Path) -> None:
    path = glove(tmp_path, "the 1 2 3\ncat -1 0.5 1e-2\n电影 7 8 9\n. . 4 5 6\nthe 0 0 0\n")
    found = read_glove(path, ["[PAD]", "cat", "", "the", "dog", "电影", ". ."])
    assert found.covered.tolist() == [False, True, False, True, False, True, True]
    assert found.matrix.dtype == np.float32
    np.testing.assert_allclose(found.matrix[[1, 3, 5]], [[-1, 0.5, 0.01], [1, 2, 3], [7, 8, 9]])
    assert not found.matrix[~found.covered].any()
    rows = [np.array([1, 3, 3], np.int32), np.array([4], np.int32)]
    assert found.share(rows) == 0.75
    assert found.share([]) == 0


def test_a_header_is_passed_over(tmp_path: Path) -> None:
    found = read_glove(glove(tmp_path, "2 3\r\na 1 2 3\r\nb 4 5 6\r\n"), ["b"])
    assert found.matrix.tolist() == [[4, 5, 6]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a 1 2 3\nb 1 2\n", "line 2: 2 numbers, but the lines before have 3"),
        ("a 1 2 3\nb 1 2 3 4\n", "line 2: 4 numbers, but the lines before have 3"),
        ("a 1 2 3\nb 1 x 3\n", "line 2: could not convert"),
        ("a 1 2 3\nb 1 nan 3\n", "line 2: a number is infinite"),
        ("a 1 2 3\n\nb 1 2 3\n", "line 2"),
        ("nothing\n", "line 1: expected a word and 2 to 16,384 numbers"),
        ("", "no word vectors"),
        (b"a 1 2 3\n\xe9 1 2 3\n", "line 2.*not UTF-8"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, text, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_glove(glove(tmp_path, text), ["a", "b"])
