"""Bundles, encoder folders and weights files that were damaged, or made to harm."""

import io
import json
import os
import random
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import headstart
from adversary.mutations import changed, flipped
from adversary.watching import WATCH
from conftest import bars, save_bars, save_encoder, sentences
from headstart import bundle, store
from headstart.errors import HeadstartError
from headstart.facts import finite
from mischief.counting import Counts, say, tried

TRIES = 1000


class Made(NamedTuple):
    """A bundle, items to ask it about, and what it answered when it was whole."""

    folder: Path
    items: list[str]
    said: list[dict[str, Any]]


def bundles(folder: Path) -> None:
    """A thousand bundles: a bit flipped anywhere; facts or tensors changed, and signed."""
    made = [*_made(folder)]
    counts: dict[str, Counts] = {name: Counter() for name in CHANGES}
    with WATCH.within(folder, store.home()) as seen:
        for number in range(TRIES):
            chance, source = random.Random(number), made[number % len(made)]
            broken = folder / "broken"
            shutil.rmtree(broken, ignore_errors=True)
            shutil.copytree(source.folder, broken)
            how = ("a bit flipped", "facts changed", "facts changed", "tensors changed")
            kind = how[number // len(made) % 4]
            CHANGES[kind](broken, chance)
            show = number % 5 == 0
            tried(counts[kind], _ask, broken, source, kind == "a bit flipped", show)
    for name, one in counts.items():
        say(f"bundles, {name}", one)
    print(f"read, written or asked outside: {len(seen)} {seen[:3]}", flush=True)


def _made(folder: Path) -> list[Made]:
    pictures = save_bars(folder / "data", 6)
    texts = sentences(6)
    said = [texts.content(i).decode() for i in range(12)]
    encoder = save_encoder(folder / "encoder", said)
    own = {"backbone": "bilstm", "strategy": "scratch", "epochs": 1, "min_frequency": 1}
    asked = [str(path) for path in sorted(pictures.rglob("*.png"))[:3]]
    made = []
    for name, given, items, how in (
        ("frozen", pictures, asked, {}),
        ("steps", pictures, asked, {"strategy": "partial:-1", "epochs": 1}),
        ("texts", texts, said[:3], {"backbone": str(encoder)}),
        ("words", texts, said[:3], own),
    ):
        headstart.fit(given, out=folder / name, **how)
        answers = bundle.load(folder / name).predict(items)
        made.append(Made(folder / name, items, answers))
    return made


def _flip(broken: Path, chance: random.Random) -> None:
    path = chance.choice([p for p in sorted(broken.rglob("*")) if p.is_file()])
    path.write_bytes(flipped(path.read_bytes(), chance))


def _sign(broken: Path, facts: dict[str, Any]) -> None:
    facts["digest"] = bundle.whole_digest(finite(facts))  # which is how it is read
    (broken / "bundle.json").write_text(json.dumps(facts))


def _change_facts(broken: Path, chance: random.Random) -> None:
    _sign(broken, changed(json.loads((broken / "bundle.json").read_text()), chance))


def _change_tensors(broken: Path, chance: random.Random) -> None:
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
    _sign(broken, facts | {"weights": store.file_digest(path)})


CHANGES = {
    "a bit flipped": _flip,
    "facts changed": _change_facts,
    "tensors changed": _change_tensors,
}


def _ask(broken: Path, source: Made, strict: bool, show: bool) -> str:
    """Predict with what was broken, and look at it; say whether the answers are what they were."""
    answers = bundle.load(broken).predict(source.items)
    json.dumps(answers, allow_nan=False)
    for what in ("errors", "filters", "embedding") if show else ():
        try:
            headstart.show(broken, what, out=broken.parent / "shown.png")
        except HeadstartError:
            continue
    if [one.get("label") for one in answers] == [one["label"] for one in source.said]:
        return "the same answers"
    return "WRONG" if strict else "other answers"


PARTS = ("config.json", "modules.json", "1_Pooling/config.json", "tokenizer.json")
PARTS = (*PARTS, "sentence_bert_config.json", "model.safetensors", "code")


def encoders(folder: Path) -> None:
    """A hundred folders of encoders, and 53 weights files with the JSON beside them."""
    texts = sentences(4)
    whole = _encoder(folder, [texts.content(i).decode() for i in range(8)])
    counts: Counts = Counter()
    sys.stdin = io.StringIO("y\n" * 100)
    with WATCH.within(folder, store.home()) as seen:
        for number in range(100):
            broken = folder / f"broken{number}"
            shutil.copytree(whole, broken)
            _change_encoder(broken, random.Random(number), folder / "ran")
            tried(counts, _fit, texts, str(broken))
    say("encoder folders", counts)
    ran = int((folder / "ran").exists())
    print(f"foreign code run: {ran}; outside: {len(seen)} {seen[:3]}", flush=True)
    _weights(folder)


def _fit(data: object, backbone: str) -> str:
    headstart.fit(data, backbone=backbone)
    return "fitted"


def _encoder(folder: Path, words: list[str]) -> Path:
    whole = save_encoder(folder / "whole", words)
    kinds = [{"type": "x.Transformer", "path": ""}, {"type": "x.Pooling", "path": "1_Pooling"}]
    (whole / "modules.json").write_text(json.dumps(kinds))
    (whole / "1_Pooling").mkdir()
    (whole / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True}))
    (whole / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 32}))
    return whole


def _change_encoder(broken: Path, chance: random.Random, mark: Path) -> None:
    name = chance.choice(PARTS)
    path = broken / name
    if name == "code":
        _offer_code(broken, mark)
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


def _offer_code(broken: Path, mark: Path) -> None:
    """Name a class in a file of the folder as what everything is to be made with."""
    names = {"AutoConfig": "evil.A", "AutoModel": "evil.A", "AutoTokenizer": ["evil.A", "evil.A"]}
    for file in ("config.json", "tokenizer_config.json"):
        old = json.loads((broken / file).read_text()) if (broken / file).exists() else {}
        (broken / file).write_text(json.dumps(old | {"auto_map": names, "tokenizer_class": "A"}))
    (broken / "evil.py").write_text(f"open({str(mark)!r}, 'w').write('code')\nclass A: pass\n")


def _weights(folder: Path) -> None:
    from headstart.backbones.registry import resolve

    asset = resolve("glyphs").weights
    assert asset is not None
    counts: Counts = Counter()
    place = folder / "weights"
    os.environ["HEADSTART_WEIGHTS"] = str(place)
    with WATCH.within(folder, store.home()) as seen:
        for number in range(53):
            chance = random.Random(number)
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            content = asset.read_bytes()
            facts = json.loads(asset.with_suffix(".json").read_text())
            facts.pop("sha256")
            if number % 3:
                facts = changed(facts, chance)
            else:
                content = flipped(content[:2000], chance) + content[2000:]
            (place / "mine.safetensors").write_bytes(content)
            (place / "mine.json").write_text(json.dumps(facts))
            tried(counts, _fit, bars(4), "mine")
    say("weights files", counts)
    print(f"outside: {len(seen)} {seen[:3]}", flush=True)
