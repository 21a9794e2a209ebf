"""Models from strangers: no code of theirs runs, and nothing outside is read, asked or written."""

from __future__ import annotations

import io
import json
import os
import random
import re
import shutil
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import headstart
from adversary.broken_models import CHANGES, change_encoder, offer_code, sign, whole_encoder
from adversary.mutations import changed, flipped
from adversary.watching import WATCH
from conftest import bars, save_bars, sentences
from headstart import bundle
from headstart.errors import BackboneError, BundleError, HeadstartError
from headstart.store import home


@pytest.fixture
def saved(tmp_path: Path, glyph_graph: Path) -> Path:
    headstart.fit(save_bars(tmp_path / "data", 6), out=tmp_path / "out")
    return tmp_path / "out"


def facts_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "bundle.json").read_text())
    return found


@pytest.mark.slow
@pytest.mark.parametrize("asks", ["config.json", "tokenizer_config.json", "both", "no tokenizer"])
def test_code_in_an_encoder_s_folder_is_not_run(
    asks: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = sentences(4)
    folder = whole_encoder(tmp_path, [texts.content(i).decode() for i in range(8)])
    before = {path.name: path.read_bytes() for path in folder.glob("*.json")}
    offer_code(folder, tmp_path / "ran")
    for name in {"config.json", "tokenizer_config.json"} - {asks} if asks.endswith("json") else ():
        (folder / name).unlink()
        if name in before:
            (folder / name).write_bytes(before[name])
    if asks == "no tokenizer":
        (folder / "tokenizer.json").rename(folder / "vocab.json")
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n" * 20))
    with WATCH.within(tmp_path, home()) as seen:
        try:
            headstart.fit(texts, backbone=str(folder))
        except BackboneError as error:
            assert asks == "no tokenizer" and "no tokenizer that can be read" in str(error)
    assert not (tmp_path / "ran").exists() and seen == []
    assert sys.stdin.read() == "y\n" * 20, "nobody was asked"
    assert capsys.readouterr().out == ""


ELSEWHERE = (
    "hf-hub:a/b",
    "local-dir:/tmp",
    "hf_hub:a/b",
    "a/b",
    "../x",
    "os.system",
    "",
    "x" * 300,
)


@pytest.mark.parametrize("library", ["timm", "torchvision", "transformers", "os"])
def test_names_of_networks_are_those_that_are_known(library: str, saved: Path) -> None:
    whole = facts_of(saved)
    for name in ELSEWHERE:
        facts = json.loads(json.dumps(whole))
        facts["backbones"][0] |= {"library": library, "architecture": name}
        sign(saved, facts)
        with WATCH.within(saved, home()) as seen, pytest.raises(HeadstartError):
            bundle.load(saved).predict([bars(1).content(0)])
        assert seen == []


def test_a_bundle_names_nothing_outside_of_its_folder(saved: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    shutil.copy(next((tmp_path / "data").rglob("*.png")), secret)
    shutil.move(tmp_path / "data", tmp_path / "moved")
    facts = facts_of(saved)
    mistake = {"label": "bar 0", "predicted": "bar 1", "probability": 0.9}
    for item in ("../secret.png", str(secret), "../../etc/passwd", "/dev/zero"):
        facts["errors"] = [{"item": item} | mistake]
        facts["data"] |= {"root": str(tmp_path)}
        facts["reading"] = {"images": str(tmp_path), "anywhere": True}
        sign(saved, facts)
        for data in ({}, {"data": tmp_path / "moved"}):
            with WATCH.within(saved, home()) as seen, suppress(HeadstartError):
                headstart.show(saved, "errors", out=saved / "shown.png", **data)
            assert [one for one in seen if re.search("secret|passwd|zero", one)] == []


@pytest.mark.parametrize("name", ["model.safetensors", "bundle.json"])
@pytest.mark.parametrize("what", ["pipe", "device", "link"])
def test_parts_that_are_no_plain_files_are_refused(name: str, what: str, saved: Path) -> None:
    shutil.move(saved / name, saved.parent / name)
    if what == "pipe":
        os.mkfifo(saved / name)
    else:
        (saved / name).symlink_to("/dev/zero" if what == "device" else saved.parent / name)
    with pytest.raises(BundleError, match="is a link|no regular file"):
        bundle.load(saved)


def test_a_tokenizer_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    how: dict[str, Any] = {"backbone": "bilstm", "strategy": "scratch", "epochs": 1}
    headstart.fit(sentences(6), out=tmp_path, min_frequency=1, **how)
    (tmp_path / "tokenizer" / "tokenizer.json").unlink()
    os.mkfifo(tmp_path / "tokenizer" / "tokenizer.json")
    facts = facts_of(tmp_path)
    facts.pop("tokenizers")
    sign(tmp_path, facts)
    with pytest.raises(BundleError, match="no tokenizer that can be read"):
        bundle.load(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", CHANGES)
def test_changed_bundles_answer_or_are_refused(kind: str, saved: Path, tmp_path: Path) -> None:
    items = [bars(1).content(i) for i in range(2)]
    expected, ends = bundle.load(saved).predict(items), Counter[str]()
    with WATCH.within(tmp_path, home()) as seen:
        for seed in range(60):
            broken = tmp_path / "broken"
            shutil.rmtree(broken, ignore_errors=True)
            shutil.copytree(saved, broken)
            CHANGES[kind](broken, random.Random(seed))
            try:
                answers = bundle.load(broken).predict(items)
            except HeadstartError:
                ends["refused"] += 1
                continue
            json.dumps(answers, allow_nan=False)
            assert kind != "a bit flipped" or answers == expected
            ends["answered"] += 1
    assert ends.total() == 60 and min(ends["refused"], ends["answered"]) > 5
    assert seen == []


@pytest.mark.slow
def test_changed_encoders_fit_or_are_refused(tmp_path: Path) -> None:
    texts, ends = sentences(4), Counter[str]()
    whole = whole_encoder(tmp_path, [texts.content(i).decode() for i in range(8)])
    with WATCH.within(tmp_path, home()) as seen:
        for seed in range(25):
            broken = tmp_path / f"broken{seed}"
            shutil.copytree(whole, broken)
            change_encoder(broken, random.Random(seed), tmp_path / "ran")
            try:
                headstart.fit(texts, backbone=str(broken))
                ends["fitted"] += 1
            except HeadstartError:
                ends["refused"] += 1
    assert ends.total() == 25 and len(ends) == 2
    assert seen == [] and not (tmp_path / "ran").exists()


def test_changed_weights_files_fit_or_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from headstart.backbones.registry import resolve

    asset, ends = resolve("glyphs").weights, Counter[str]()
    assert asset is not None
    monkeypatch.setenv("HEADSTART_WEIGHTS", str(tmp_path))
    for seed in range(40):
        chance, content = random.Random(seed), asset.read_bytes()
        facts = json.loads(asset.with_suffix(".json").read_text())
        facts.pop("sha256")
        if seed % 2:
            facts = changed(facts, chance)
        else:
            content = flipped(content[:2000], chance) + content[2000:]
        (tmp_path / "mine.safetensors").write_bytes(content)
        (tmp_path / "mine.json").write_text(json.dumps(facts))
        try:
            assert resolve("mine").preprocess
            ends["read"] += 1
        except HeadstartError:
            ends["refused"] += 1
    assert ends.total() == 40 and min(ends.values()) > 3
