"""Static text encoders in model2vec's format, held against the library itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import headstart
from conftest import save_sentences, sentences
from headstart.backbones.build import build
from headstart.backbones.registry import resolve
from headstart.boundary.engine import engine
from headstart.errors import BackboneError

model2vec = pytest.importorskip("model2vec")

TEXTS = ["own0 w1 w2", "own1 own1", "never seen own0", "w3 " * 40, "zzz qqq"]


def save_static(root: Path, texts: list[str], *, normalise: bool = True, few: int = 0) -> Path:
    """Write a static encoder of the texts' words as model2vec does; ``few`` rows share a vector."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = ["[PAD]", "[UNK]", *sorted({w for text in texts for w in text.split()})]
    vocabulary = {word: i for i, word in enumerate(words)}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(  # which model2vec leaves out
        single="[PAD] $A [PAD]", special_tokens=[("[PAD]", 0)]
    )
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(few or len(words), 24)).astype(np.float32)
    more: dict[str, Any] = {}
    if few:
        more["token_mapping"] = rng.integers(0, few, len(words))
        more["weights"] = rng.random(len(words)).astype(np.float32)
    model2vec.StaticModel(vectors, made, normalize=normalise, **more).save_pretrained(root)
    config = json.loads((root / "config.json").read_text())
    (root / "config.json").write_text(json.dumps(config | {"model_type": "model2vec"}))
    return root


def corpus() -> list[str]:
    data = sentences()
    return [data.content(i).decode() for i in range(len(data))]


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("few", [0, 9])
def test_the_vectors_are_model2vecs(tmp_path: Path, normalise: bool, few: int) -> None:
    folder = save_static(tmp_path / "static", corpus(), normalise=normalise, few=few)
    entry = resolve(str(folder))
    texts = [*corpus(), *TEXTS[:-1]]
    expected = model2vec.StaticModel.from_pretrained(folder).encode(texts)
    ids, mask = entry.preprocess.collate(entry.preprocess.encode(texts))
    run = engine(entry)
    np.testing.assert_allclose(run((ids, mask)), expected, atol=1e-6)
    backbone = build(entry)
    import torch

    with torch.inference_mode():
        again = backbone((torch.from_numpy(ids), torch.from_numpy(mask)))
    np.testing.assert_allclose(again.numpy(), expected, atol=1e-6)


def test_every_door_takes_it(tmp_path: Path) -> None:
    folder, table = save_static(tmp_path / "s", corpus()), save_sentences(tmp_path / "t.csv")
    for strategy, more in (("frozen", {}), ("warm", {"epochs": 12, "body_rate": 0.05})):
        out = tmp_path / strategy
        fit = headstart.fit(table, backbone=str(folder), strategy=strategy, out=out, **more)
        assert fit.accuracy > 0.7
        held = [fit.dataset.content(int(i)).decode() for i in fit.parts.held_out]
        answers = headstart.load(out).predict(held)
        outputs = fit.model.outputs(fit.dataset, fit.parts.held_out)
        same = fit.model.task.answers(outputs)
        for one, other in zip(answers, same, strict=True):
            assert one["probability"] == pytest.approx(other["probability"], abs=1e-5)


def test_it_needs_no_torch(tmp_path: Path) -> None:
    folder, table = save_static(tmp_path / "s", corpus()), save_sentences(tmp_path / "t.csv")
    code = (
        "import sys, headstart\n"
        "headstart.fit(sys.argv[1], backbone=sys.argv[2], out=sys.argv[3])\n"
        "headstart.predict(sys.argv[3], ['own1 own1'])\n"
        "print({'torch', 'onnxruntime', 'model2vec', 'transformers'} & set(sys.modules))"
    )
    where = [str(table), str(folder), str(tmp_path / "out")]
    done = subprocess.run([sys.executable, "-c", code, *where], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr


def test_what_is_none(tmp_path: Path) -> None:
    folder = save_static(tmp_path / "s", corpus())
    (folder / "model.safetensors").write_bytes(b"rubbish")
    with pytest.raises(Exception, match="Header|header|rubbish|table"):
        headstart.fit(save_sentences(tmp_path / "t.csv"), backbone=str(folder))
    (folder / "tokenizer.json").unlink()
    with pytest.raises(BackboneError, match="holds no static encoder that can be read"):
        resolve(str(folder))
