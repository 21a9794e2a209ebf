"""Train the embedded backbone ``glyphs`` on printed characters, and on nothing else.

Every training image is made on the fly from the fonts that matplotlib ships, see
`headstart.pretraining.characters` and `headstart.pretraining.strokes`; the one training loop does
the rest. Needs no network and no data set; about ten minutes on two cores.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from headstart.backbones.blocks import Backbone
from headstart.backbones.build import build
from headstart.backbones.entry import facts_digest, from_facts
from headstart.backbones.glyphs import BLOCKS, INPUT_SIZE
from headstart.boundary.engine import Batch
from headstart.boundary.inputs import Indices, Inputs, Row
from headstart.data.dataset import Dataset
from headstart.data.memory.arrays import from_items
from headstart.data.pictures.images import Preprocess
from headstart.pretraining.characters import CLASSES, HELD_OUT, Bank, gather
from headstart.pretraining.strokes import draw
from headstart.settings.groups import Options
from headstart.strategies.plan import HEAD, Group, Plan, Stage
from headstart.tasks.classes import Classes
from headstart.tasks.head import Head
from headstart.tasks.task import Targets
from headstart.training.job import Job, Scene
from headstart.training.loop import train as run_loop
from headstart.training.objectives import Supervised

MEAN, STD = 0.3, 0.35
BATCH = 128
STEPS = 2500
RATE = 4e-3
EPOCH = 100
"""Steps after which a line is said."""

SETTLING = 1024
"""Pictures that tell batch norm its statistics at the end."""

DIGITS = 10  # the first ten classes
DIGIT_SHARE = 0.3  # of the training images: digits are what most small targets hold


class Drawn(Inputs):
    """Characters of which each batch sees a picture that nobody has seen before."""

    def __init__(self, bank: Bank, preprocess: Preprocess, *, seed: int) -> None:
        super().__init__(printed(bank), preprocess, seed=seed)
        self.bank = bank

    def batches(self, order: list[Indices], epoch: int) -> Iterator[Batch]:
        """Yield the batches of ``order``, drawn for ``epoch`` and these characters."""
        for indices in order:
            yield (self._drawn(indices, epoch),)

    def rows(self, indices: Indices, number: int) -> Iterator[Row]:
        """Yield a picture of each character, the same ones each time for a ``number``."""
        yield from self._drawn(indices, number)

    def keep_plain(self, indices: Indices) -> None:
        """Keep nothing: the next picture is another one."""

    def _drawn(self, indices: Indices, number: int) -> Row:
        seeds = np.random.SeedSequence([self.seed, number + 1, *indices.tolist()])
        rng = torch.Generator().manual_seed(int(seeds.generate_state(1)[0]))
        return pixels(draw(self.bank.fields[torch.from_numpy(indices)], rng))


def printed(bank: Bank) -> Dataset:
    """Return the characters as they are printed, as a data set."""
    shapes = (bank.fields[:, 0].numpy() > 0).astype(np.uint8) * 255
    targets = Targets(Classes(CLASSES), bank.labels.numpy())
    return replace(from_items(shapes), targets=targets)


def pixels(images: Tensor) -> Row:
    """Return images (N, 1, S, S) in [0, 1] as pixels (N, S, S, 1) in 0..255, not rounded."""
    return np.asarray((255 * images).permute(0, 2, 3, 1).numpy())


class Characters(Supervised):
    """The classes of characters, with a `DIGIT_SHARE` of digits; otherwise all classes alike.

    Plain cross-entropy: with label smoothing and cosine logits, features did less well on scripts
    that were never trained on (compare Kornblith et al. 2021, arXiv:2010.16402).
    """

    def __init__(self, scene: Scene) -> None:
        targets = scene.job.known
        super().__init__(scene.head, targets, scene.job.fit, batch=BATCH, seed=scene.job.seed)
        self.steps = EPOCH
        self.shares = weights(targets.values)
        # Batch norm must know the characters as often as training sees them.
        rng = np.random.default_rng([self.seed, 29])
        self.settling = rng.choice(self.reads, SETTLING, p=self.shares)

    def order(self, epoch: int) -> list[Indices]:
        """Return batches drawn with replacement."""
        rng = np.random.default_rng([self.seed, 3, epoch])
        return [rng.choice(self.reads, BATCH, p=self.shares) for _ in range(self.steps)]


def weights(labels: Indices) -> Row:
    """Return each character's chance to be drawn; they add up to 1."""
    out = 1 / np.bincount(labels)[labels]
    digits = labels < DIGITS
    for group, share in ((digits, DIGIT_SHARE), (~digits, 1 - DIGIT_SHARE)):
        out[group] *= share / out[group].sum()
    return np.asarray(out / out.sum())


@dataclass(frozen=True)
class Reader:
    """A trained network with its head: it names characters."""

    backbone: Backbone
    head: Head

    def accuracy(self, bank: Bank, seed: int, batches: int = 10) -> float:
        """Return the share of characters named rightly, of ``batches`` of 2 `BATCH` pictures."""
        rng = np.random.default_rng([seed, 1])
        right, labels = 0, bank.labels.numpy()
        drawn = Drawn(bank, preprocess(), seed=seed + 1)
        for number in range(batches):
            chosen = rng.choice(len(labels), 2 * BATCH, p=weights(labels))
            (batch,) = next(drawn.batches([chosen], number))
            with torch.inference_mode():
                found = self.backbone(torch.from_numpy(batch)).numpy()
            right += int((self.head.logits(found).argmax(1) == labels[chosen]).sum())
        return right / (batches * 2 * BATCH)


def preprocess() -> Preprocess:
    """Return how pictures become the network's input."""
    made = from_facts(describe("", 0.0, 0, 0), "glyphs", None, "").preprocess
    assert isinstance(made, Preprocess)
    return made


def train(bank: Bank, steps: int, seed: int, say: Callable[[str], None]) -> Reader:
    """Train a network from random weights on ``bank`` for ``steps`` batches."""
    entry = from_facts(describe("", 0.0, 0, 0), "glyphs", None, f"random-{seed}")
    backbone, inputs = build(entry, seed=seed), Drawn(bank, preprocess(), seed=seed)
    group = Group((*range(backbone.n_blocks), HEAD), RATE)
    stage = Stage((group,), -(-steps // EPOCH), "characters", batch=BATCH, most_steps=steps)
    everything = np.arange(len(bank.labels))
    job = Job(
        Plan((stage,), start="random", batch_statistics=True),
        inputs.dataset.known,
        everything,
        everything[:0],
        Options(weight_decay=0.05),
        seed,
        probe=random_head(backbone.n_features, seed),
        objectives={"characters": Characters},
    )
    trained = run_loop(backbone, inputs, job, say=say)
    assert trained.head is not None
    return Reader(backbone, trained.head)


def random_head(n_features: int, seed: int) -> Head:
    """Return a head to start from, as drawn by `torch.nn.Linear`.

    From zero, as heads of few classes start, a thousand classes took many steps to part.
    """
    rng, most = np.random.default_rng([seed, 31]), n_features**-0.5
    weight = rng.uniform(-most, most, (len(CLASSES), n_features))
    bias = rng.uniform(-most, most, len(CLASSES))
    return Head(weight.astype(np.float32), bias.astype(np.float32))


def describe(sha256: str, accuracy: float, steps: int, seed: int) -> dict[str, Any]:
    """Give what ``glyphs.json`` says, in the layout of every weights file."""
    return {
        "name": "glyphs",
        "library": "headstart",
        "architecture": "glyphs",
        "num_classes": 0,
        "n_features": BLOCKS[-1][0],
        "kind": "image",
        "input_size": [1, INPUT_SIZE, INPUT_SIZE],
        "resize": INPUT_SIZE,
        "crop": "center",
        "interpolation": "bilinear",
        "mean": [MEAN],
        "std": [STD],
        "source_domain": "printed glyphs (fonts shipped with matplotlib)",
        "licence": "Apache-2.0",
        "origin": f"headstart pretrain glyphs: seed {seed}, {steps} steps, "
        f"torch {torch.__version__}",
        "check": f"{accuracy:.1%} of distorted characters from {len(HELD_OUT)} held-out fonts "
        f"({', '.join(HELD_OUT)}) get the right one of {len(CLASSES)} classes",
        "sha256": sha256,
    }


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread: sums then have one order, whatever the machine, and the file too."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def pretrain_glyphs(
    out: Path, *, seed: int = 0, steps: int = STEPS, progress: Callable[[str], None] | None = None
) -> dict[str, Any]:
    """Make the backbone ``glyphs``: render, train, and write it to the folder ``out``.

    Writes ``glyphs.safetensors`` (without a head) and ``glyphs.json``. The same seed and steps give
    the same file bit for bit on a CPU. Returns ``accuracy`` (held-out
    fonts), ``n_glyphs``, ``steps``, ``seed``, ``seconds``, ``sha256`` and ``weights`` (path).

    Raises ValueError for fewer than one step.

    >>> pretrain_glyphs(Path("weights"))["accuracy"]  # doctest: +SKIP
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}; training takes at least 1")
    say = progress or (lambda line: None)
    start = time.perf_counter()
    with one_thread():
        source, held_out = gather(steps * BATCH, seed)
        say(f"rendered {len(source.labels)} characters, {len(held_out.labels)} held out")
        reader = train(source, steps, seed, say)
        accuracy = reader.accuracy(held_out, seed, batches=min(10, steps))
    weights, sha256 = write(reader.backbone, out, accuracy, steps, seed)
    return {
        "accuracy": accuracy,
        "n_glyphs": len(source.labels),
        "steps": steps,
        "seed": seed,
        "seconds": time.perf_counter() - start,
        "sha256": sha256,
        "weights": str(weights),
    }


def write(
    backbone: Backbone, out: Path, accuracy: float, steps: int, seed: int
) -> tuple[Path, str]:
    """Write the two files to the folder ``out``; returns the weights' path and sha256."""
    state = {name: value.contiguous() for name, value in backbone.net.state_dict().items()}
    out.mkdir(parents=True, exist_ok=True)
    path = out / "glyphs.safetensors"
    save_file(state, path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    facts = describe(sha256, accuracy, steps, seed)
    facts["facts"] = facts_digest(facts)
    said = json.dumps(facts, indent=1)
    (out / "glyphs.json").write_text(said + "\n", encoding="utf-8")
    return path, sha256
