"""What the tests share: a cache of their own, small made-up images, and real data where present."""

from __future__ import annotations

import json
import os

# Before NumPy and torch start their threads: several test processes share a small machine, and
# threads that wait for a core cost ten times more than they bring.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import io
import shutil
import signal
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headstart.data.dataset import Dataset
from headstart.data.memory.arrays import from_items
from headstart.evaluation.runs import Comparison, HeldOut, Run
from headstart.tasks.answers import Answers
from headstart.tasks.classes import Classes
from headstart.tasks.task import Targets

_SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(autouse=True, scope="session")
def _heeding_ctrl_c() -> None:
    """A shell starts what runs in its background with Ctrl-C ignored, and so its children."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def headstart_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch) -> Path:
    """An empty cache for each test, so that none sees what another has left."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HEADSTART_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def exported_glyphs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The graph of the backbone `glyphs`, exported once for all tests; see `glyph_graph`."""
    from headstart.backbones import vision
    from headstart.backbones.registry import resolve
    from headstart.boundary import engine

    entry = resolve("glyphs")
    path = tmp_path_factory.mktemp("graph") / engine.graph_path(entry.key()).name
    engine.export(vision.build(entry), path, entry.preprocess)
    return path


@pytest.fixture
def glyph_graph(exported_glyphs: Path, headstart_home: Path) -> Path:
    """The graph of `glyphs` in the test's own cache: nothing needs to be exported."""
    folder = headstart_home / "graphs"
    folder.mkdir()
    return Path(shutil.copy(exported_glyphs, folder))


def shared_data(name: str) -> Path:
    """Return a folder or file of real data, or skip the test where it is not at hand."""
    return _found(Path(os.environ.get("HEADSTART_DATA", _SHARED / "data")) / name, "HEADSTART_DATA")


def shared_weights(name: str = "") -> Path:
    """Return the folder of real weights, or a file in it, or skip the test without them."""
    root = Path(os.environ.get("HEADSTART_WEIGHTS", str(_SHARED / "weights")).split(os.pathsep)[0])
    return _found(root / name, "HEADSTART_WEIGHTS")


def _found(path: Path, variable: str) -> Path:
    if not path.exists():
        pytest.skip(f"needs {path}, which is not here; {variable} can say where it is")
    return path


def make_images(root: Path, counts: dict[str, int], *, side: int = 24, seed: int = 0) -> Path:
    """Write ``counts[name]`` small PNGs into ``root/name``; classes differ in colour, not in form.

    The same arguments give the same files. Returns ``root``.
    """
    for number, (name, count) in enumerate(counts.items()):
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng([seed, number])
        colour = np.random.default_rng([99, number]).integers(40, 216, 3)
        for i in range(count):
            noise = rng.integers(-40, 40, (side, side, 3))
            pixels = (colour + noise).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{i:03}.png")
    return root


def truth(labels: Sequence[int] | np.ndarray, classes: int | None = None) -> Targets:
    """Return ``labels`` as targets of so many classes, called "0", "1", ..."""
    n = int(np.max(labels)) + 1 if classes is None else classes
    return Targets(Classes(tuple(map(str, range(n)))), np.asarray(labels, np.int64))


def answers(right: Sequence[float] | np.ndarray, trained: int = 64) -> Answers:
    """Return the answers of a run about items of which those are right; all are of class 0."""
    said = 1 - np.asarray(right).astype(np.int64)
    known = truth(np.zeros(len(said), np.int64), 2)
    losses = np.where(right, 0.1, 2.3).astype(np.float32)
    return Answers(said, losses, trained, None, known.task.scores(said, known.values))


def compared(runs: Sequence[Run]) -> Comparison:
    """Return the comparison of runs whose answers are those of `answers`."""
    n = len(runs[0].scores)
    return Comparison(tuple(runs), HeldOut([f"item {i}" for i in range(n)], truth([0] * n, 2)))


def bars(per_class: int = 12, classes: int = 2, *, side: int = 8, seed: int = 0) -> Dataset:
    """Return grey pictures in memory: a bright bar whose place is the class, on noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(per_class * classes) % classes
    pictures = rng.integers(0, 70, (len(labels), side, side)).astype(np.uint8)
    for picture, label in zip(pictures, labels, strict=True):
        picture[:, 1 + label * (side - 2) // classes] += 180
    return from_items(pictures, [f"bar {label}" for label in labels])


def sentences(per_class: int = 12, classes: int = 2, *, seed: int = 0) -> Dataset:
    """Return short texts in memory: a few words of their class among words of all classes."""
    rng = np.random.default_rng(seed)
    labels = np.arange(per_class * classes) % classes
    texts = [
        " ".join(rng.permutation([f"own{c}{rng.integers(3)}", f"own{c}{rng.integers(3)}", *common]))
        for c in labels
        for common in [[f"w{i}" for i in rng.integers(0, 30, int(rng.integers(2, 9)))]]
    ]
    return from_items(texts, [f"topic {label}" for label in labels], "text")


def save_encoder(root: Path, texts: Sequence[str]) -> Path:
    """Write a tiny BERT with random weights, and the words of ``texts``, as transformers does."""
    import torch
    import transformers

    from headstart.data.texts.tokens import fit_vocabulary

    words = fit_vocabulary(texts, min_frequency=1, max_length=32)
    config = transformers.BertConfig(
        vocab_size=len(words.vocabulary),
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=32,
        initializer_range=0.3,  # at the usual 0.02 a network this small hardly looks at its words
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        transformers.AutoModel.from_config(config).save_pretrained(root)
    (root / "tokenizer.json").write_text(words.tokenizer, encoding="utf-8")
    return root


def save_sentences(path: Path, per_class: int = 12, classes: int = 2) -> Path:
    """Write the texts of `sentences` as a CSV with a header; return it."""
    data = sentences(per_class, classes)
    rows = [f"{data.content(i).decode()},{data.classes[data.labels[i]]}" for i in range(len(data))]
    path.write_text("\n".join(["text,label", *rows]) + "\n", encoding="utf-8")
    return path


def save_bars(root: Path, per_class: int = 12, classes: int = 2, **how: int) -> Path:
    """Write the pictures of `bars` as PNGs into class folders under ``root``; return it."""
    data = bars(per_class, classes, **how)
    for index, label in enumerate(data.labels):
        folder = root / data.classes[label]
        folder.mkdir(parents=True, exist_ok=True)
        picture = np.load(io.BytesIO(data.content(index)))
        Image.fromarray(picture).save(folder / f"{index:03}.png")
    return root


def save_scenes(
    root: Path,
    n: int = 16,
    splits: Sequence[str] = ("train", "val"),
    names: Sequence[str] = ("full", "hollow"),
) -> Path:
    """Write scenes of squares, full or hollow, and COCO files that say where; ids have gaps."""
    for number, split in enumerate(splits):
        rng = np.random.default_rng(number)
        folder, images, annotations = root / split, [], []
        folder.mkdir(parents=True)
        for index in range(n):
            canvas = rng.integers(0, 60, (64, 64)).astype(np.uint8)
            for place in rng.permutation(4)[: rng.integers(1, 4)]:
                side, label = int(rng.integers(14, 24)), int(rng.integers(2))
                left, top = (int(place) % 2) * 32 + 4, (int(place) // 2) * 32 + 4
                canvas[top : top + side, left : left + side] = 220
                if label:
                    canvas[top + 4 : top + side - 4, left + 4 : left + side - 4] = 20
                facts = {"id": len(annotations) + 1, "image_id": index, "iscrowd": 0}
                box = [left, top, side, side]
                annotations.append(facts | {"category_id": [5, 11][label], "bbox": box})
            Image.fromarray(canvas).save(folder / f"{index}.png")
            images.append({"id": index, "file_name": f"{index}.png", "width": 64, "height": 64})
        categories = [{"id": 5, "name": names[0]}, {"id": 11, "name": names[1]}]
        held = {"images": images, "annotations": annotations, "categories": categories}
        (folder / "annotations.json").write_text(json.dumps(held), encoding="utf-8")
    return root


def give_gaps(encoder: Path) -> Path:
    """Let an encoder of `save_encoder` know the sign for a gap, as those of BERT's kind do."""
    path = encoder / "tokenizer.json"
    facts = json.loads(path.read_text("utf-8"))
    facts["model"]["vocab"]["[MASK]"] = 1 + max(facts["model"]["vocab"].values())
    path.write_text(json.dumps(facts), encoding="utf-8")
    config = json.loads((encoder / "config.json").read_text("utf-8"))
    config["vocab_size"] += 1
    (encoder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return encoder


def png_header(width: int, height: int) -> bytes:
    """Return a PNG that claims to be so large, with next to nothing in it."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    bomb = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + bomb + chunk(b"IEND", b"")
