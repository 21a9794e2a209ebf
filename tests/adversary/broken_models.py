"""Bundles and encoders' folders that were damaged, or made to harm."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np

from adversary.mutations import changed, flipped
from conftest import save_encoder
from headstart import bundle, store
from headstart.facts import finite


def flip(broken: Path, chance: random.Random) -> None:
    path = chance.choice([p for p in sorted(broken.rglob("*")) if p.is_file()])
    path.write_bytes(flipped(path.read_bytes(), chance))


def sign(broken: Path, facts: dict[str, Any]) -> None:
    facts["digest"] = bundle.whole_digest(finite(facts))  # which is how it is read
    (broken / "bundle.json").write_text(json.dumps(facts))


def change_facts(broken: Path, chance: random.Random) -> None:
    sign(broken, changed(json.loads((broken / "bundle.json").read_text()), chance))


def change_tensors(broken: Path, chance: random.Random) -> None:
    from safetensors.numpy import load_file, save_file

    path = broken / "model.safetensors"
    held = load_file(path)
    name = chance.choice([*sorted(held), *["head.weight", "head.bias"] * 3])
    old = held[name]
    choices = (
        old.ravel(),
        np.atleast_1d(old)[:0],
        old * np.nan,
        old.astype(np.float16),
        old[..., None],
    )
    others = (np.zeros((3, 5), np.float32), np.array(1.0, np.float32))
    held[name] = np.ascontiguousarray(chance.choice([*choices, *others]))
    if chance.random() < 0.2:
        del held[name]
    save_file(held, path)
    facts = json.loads((broken / "bundle.json").read_text())
    sign(broken, facts | {"weights": store.file_digest(path)})


CHANGES = {
    "a bit flipped": flip,
    "facts changed": change_facts,
    "tensors changed": change_tensors,
}


PARTS = ("config.json", "modules.json", "1_Pooling/config.json", "tokenizer.json")
PARTS = (*PARTS, "sentence_bert_config.json", "model.safetensors", "code")


def whole_encoder(folder: Path, words: list[str]) -> Path:
    whole = save_encoder(folder / "whole", words)
    kinds = [{"type": "x.Transformer", "path": ""}, {"type": "x.Pooling", "path": "1_Pooling"}]
    (whole / "modules.json").write_text(json.dumps(kinds))
    (whole / "1_Pooling").mkdir()
    (whole / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True}))
    (whole / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 32}))
    return whole


def change_encoder(broken: Path, chance: random.Random, mark: Path) -> None:
    name = chance.choice(PARTS)
    path = broken / name
    if name == "code":
        offer_code(broken, mark)
        if chance.random() < 0.5:
            (broken / "tokenizer.json").rename(broken / "vocab.json")
    elif name == "model.safetensors":
        content = path.read_bytes()
        start = content[:3000]
        for _ in range(3):
            start = flipped(start, chance)
        path.write_bytes(start + content[3000:])
    else:
        old = json.loads(path.read_text())
        made = changed(old if isinstance(old, dict) else {"": old}, chance)
        path.write_text(json.dumps(made if isinstance(old, dict) else made.get("", made)))


def offer_code(broken: Path, mark: Path) -> None:
    """Name a class in a file of the folder as what everything is to be made with."""
    names = {"AutoConfig": "evil.A", "AutoModel": "evil.A", "AutoTokenizer": ["evil.A", "evil.A"]}
    for file in ("config.json", "tokenizer_config.json"):
        old = json.loads((broken / file).read_text()) if (broken / file).exists() else {}
        (broken / file).write_text(json.dumps(old | {"auto_map": names, "tokenizer_class": "A"}))
    (broken / "evil.py").write_text(f"open({str(mark)!r}, 'w').write('code')\nclass A: pass\n")
