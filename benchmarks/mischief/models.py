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

import headstart
from adversary.broken_models import CHANGES, change_encoder, whole_encoder
from adversary.mutations import changed, flipped
from adversary.watching import WATCH
from conftest import bars, save_bars, save_encoder, sentences
from headstart import bundle, store
from headstart.errors import HeadstartError
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


def encoders(folder: Path) -> None:
    """A hundred folders of encoders, and 53 weights files with the JSON beside them."""
    texts = sentences(4)
    whole = whole_encoder(folder, [texts.content(i).decode() for i in range(8)])
    counts: Counts = Counter()
    sys.stdin = io.StringIO("y\n" * 100)
    with WATCH.within(folder, store.home()) as seen:
        for number in range(100):
            broken = folder / f"broken{number}"
            shutil.copytree(whole, broken)
            change_encoder(broken, random.Random(number), folder / "ran")
            tried(counts, _fit, texts, str(broken))
    say("encoder folders", counts)
    ran = int((folder / "ran").exists())
    print(f"foreign code run: {ran}; outside: {len(seen)} {seen[:3]}", flush=True)
    _weights(folder)


def _fit(data: object, backbone: str) -> str:
    headstart.fit(data, backbone=backbone)
    return "fitted"


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
