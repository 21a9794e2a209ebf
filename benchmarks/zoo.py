"""The freeze boundary in any network: how many cuts, how soon found, and whether they hold.

The smallest network of every family of timm and torchvision, and tiny encoders of 28 types, all
with random weights. Prints one line a network: cuts strictly inside it, seconds to find and to
prove them, the largest difference to the whole forward at any of them, relative to the largest
feature. With ``--fit`` also whether frozen and partial fits of 40 items, saved and loaded, answer
as before, on pictures of 96 pixels where the network reads these, else of its own size. The last
lines count.

    python benchmarks/zoo.py [--only WORD] [--fit [alone]] [--smaller] [--kept FILE [--minutes M]]

It takes hours where pictures are large; ``--kept`` lets it be done in pieces.
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
import os
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from headstart.errors import HeadstartError

Line = dict[str, Any]

SIDE = 96
"""Of the pictures that are fitted."""

TORCHVISION = [
    *("alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "googlenet", "inception_v3"),
    *("maxvit_t", "mnasnet0_5", "mobilenet_v2", "mobilenet_v3_small", "regnet_y_400mf"),
    *("resnet18", "shufflenet_v2_x0_5", "squeezenet1_1", "swin_t", "vgg11", "vit_b_32"),
]
SIZES = {
    "vocab_size": 60,
    "hidden_size": 32,
    "num_hidden_layers": 5,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
}
GROUPED = {"num_key_value_heads": 1, "head_dim": 16}
ENCODERS: dict[str, dict[str, Any]] = {
    **{kind: {} for kind in ("bert", "roberta", "camembert", "xlm-roberta", "mpnet", "ernie")},
    **{kind: {} for kind in ("electra", "deberta", "deberta-v2", "roformer", "convbert", "esm")},
    "distilbert": {"dim": 32, "n_layers": 5, "n_heads": 2, "hidden_dim": 48},
    "albert": {"embedding_size": 16},
    "modernbert": {},
    "xlnet": {
        "d_model": 32,
        "n_layer": 5,
        "n_head": 2,
        "d_inner": 48,
        "max_position_embeddings": None,  # it has no limit
    },
    "longformer": {"attention_window": 8},
    "big_bird": {"attention_type": "original_full"},
    "nomic_bert": {},
    "squeezebert": {"embedding_size": 32, **dict.fromkeys(("q_groups", "k_groups"), 2)},
    "mobilebert": {"embedding_size": 32, "intra_bottleneck_size": 32},
    "gpt2": {"n_embd": 32, "n_layer": 5, "n_head": 2, "n_positions": 64},
    "qwen2": GROUPED,
    "qwen3": GROUPED,
    "llama": GROUPED,
    "gemma3_text": GROUPED,
    "t5": {"d_model": 32, "num_layers": 5, "num_heads": 2, "d_ff": 48, "d_kv": 16},
    "luke": {"entity_vocab_size": 8, "entity_emb_size": 16},
}


def smallest() -> Iterator[str]:
    """Yield the name of the smallest network of every family of timm, by its parameters."""
    import timm

    for family in timm.list_modules():
        best = (float("inf"), 0, "")
        for name in timm.list_models(module=family):
            try:
                with torch.device("meta"):
                    net = timm.create_model(name, pretrained=False)
            except Exception:  # some want an option
                continue
            count = sum(p.numel() for p in net.parameters())
            side = net.pretrained_cfg.get("input_size", (3, 224, 224))[1]
            best = min(best, (count, side, name))
        yield f"timm:{best[2]}"


def timm_names(kept: Path) -> list[str]:
    """Return what `smallest` finds, which takes minutes, from a file if it is there."""
    if not kept.is_file():
        kept.write_text("\n".join(smallest()) + "\n")
    return kept.read_text().split()


def save_encoder(kind: str, root: Path) -> Path:
    """Write a tiny encoder with random weights and its words, as transformers does."""
    import transformers

    from headstart.data.texts.tokens import fit_vocabulary

    texts = [" ".join(f"w{i}" for i in range(58))]
    words = fit_vocabulary(texts, min_frequency=1, max_length=24)
    sizes = {k: v for k, v in (SIZES | ENCODERS[kind]).items() if v is not None}
    config = transformers.AutoConfig.for_model(kind, **sizes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        transformers.AutoModel.from_config(config).save_pretrained(root)
    (root / "tokenizer.json").write_text(words.tokenizer, encoding="utf-8")
    return root


def cuts(name: str, side: int | None = None) -> tuple[int, float, float, float]:
    """Return cuts inside, seconds to find and to prove, largest relative difference at any.

    On one picture of the network's own size, or of ``side`` pixels.
    """
    from headstart.backbones import cut
    from headstart.backbones.build import build
    from headstart.backbones.look import example
    from headstart.backbones.registry import resolve

    entry = resolve(name, random=name.startswith("random:"))
    backbone = build(entry.with_image_size(side) if side else entry)
    start = time.perf_counter()
    try:
        cut.find(backbone.net, backbone._run, backbone._size, backbone._source)
    except Exception as error:
        print(f"  {type(error).__name__}: {str(error)[:150]}", flush=True)
    found = time.perf_counter() - start
    start = time.perf_counter()
    n = backbone.n_blocks
    proven = time.perf_counter() - start - found
    x = example(backbone.net, 1, backbone._size, backbone._source)
    worst = 0.0
    with torch.inference_mode():
        whole = backbone._run(backbone.net, x)
        for k in range(1, n):
            x = backbone.forward_between(x, k - 1, k)
            again = backbone.forward_from(x, k)
            gap = (again - whole).abs().max() / whole.abs().max().clamp(min=1e-6)
            worst = max(worst, float(gap))
    return n - 1, found, max(proven, 0.0), worst


def small(name: str) -> int | None:
    """Return a side of pictures that costs little, where the network reads it; None for its own."""
    from headstart.backbones.build import check_size
    from headstart.backbones.registry import resolve

    try:
        check_size(resolve(name).with_image_size(SIDE))
    except HeadstartError:
        return None
    return SIDE


def fits(name: str, data: Path, work: Path, **reading: Any) -> str:
    """Return "same answers" of frozen and partial fits once loaded; else what went wrong."""
    import headstart
    from headstart import bundle

    steps: dict[str, Any] = {"epochs": 1, "batch": 8}
    for strategy, options in (("frozen", {}), ("partial:-2", steps)):
        out = work / strategy.replace(":", "")
        how: dict[str, Any] = {"backbone": name, "strategy": strategy, "out": out, "device": "cpu"}
        try:
            items = [str(p) for p in sorted(data.rglob("*.png"))[:6]] or ["w1 w2 w3", "w8 w9"]
            result = headstart.fit(data, **how, **options, **reading)
            first = [one["probability"] for one in result.fitted.model.predict(items)]
            again = [one["probability"] for one in bundle.load(out).predict(items)]
            if not np.allclose(first, again, atol=1e-4):
                return f"{strategy}: other answers after loading"
        except Exception as error:
            return f"{strategy}: {type(error).__name__}: {str(error)[:150]}"
    return "same answers"


def pictures(root: Path) -> Path:
    """Write 40 noisy pictures of two colours."""
    for c in range(2):
        rng = np.random.default_rng(c)
        (root / f"colour {c}").mkdir(parents=True)
        for n in range(20):
            noise = rng.integers(-60, 60, (32, 32, 3)) + [[[90 + 70 * c, 120, 160 - 70 * c]]]
            picture = Image.fromarray(noise.clip(0, 255).astype(np.uint8))
            picture.save(root / f"colour {c}" / f"{n}.png")
    return root


def sentences(path: Path) -> Path:
    """Write 40 texts of made-up words about two things."""
    rng = np.random.default_rng(0)
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "label"])
        for n in range(40):
            own = rng.integers(0, 20, 4) + 20 * (n % 2)
            rows.writerow([" ".join(f"w{i}" for i in own), f"topic {n % 2}"])
    return path


class Notices(logging.Handler):
    """Keep what was said about a network, so that its line can say it."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one notice, once."""
        if (text := record.getMessage()[:150]) not in self.said:
            self.said.append(text)


def measured(
    library: str,
    short: str,
    name: Callable[[], str],
    data: Path | None,
    *,
    cut: bool,
    smaller: bool,
) -> Line:
    """Return the line of a network: its cuts if asked for, and with ``data`` whether it fits.

    Its cuts are tried on pictures of its own size, or ``smaller`` ones if it reads them.
    """
    line: Line = {"library": library, "network": short}
    start = time.perf_counter()
    try:
        found = name()
        side = small(found) if library != "transformers" else None
        if cut:
            inside, seconds, proof, worst = cuts(found, side if smaller else None)
            line |= {"cuts": inside, "find": round(seconds, 2), "prove": round(proof, 2)}
            line["difference"] = float(f"{worst:.1e}")
        if data is not None:
            with tempfile.TemporaryDirectory() as work:
                os.environ["HEADSTART_HOME"] = f"{work}/home"
                reading = {"image_size": side} if side else {}
                line["fit"] = fits(found, data, Path(work), **reading)
        line |= {"side": side} if side and (data is not None or smaller) else {}
    except Exception as error:
        line["error"] = f"{type(error).__name__}: {str(error)[:200]}"
    return line | {"seconds": round(time.perf_counter() - start, 1)}


def counts(lines: Iterable[Line]) -> Counter[str]:
    """Return how many networks of each library do what is asked of them."""
    totals: Counter[str] = Counter()
    for line in lines:
        library, inside = line["library"], line.get("cuts", 0)
        if "cuts" in line or "error" in line:
            holds = inside >= 4 and line["difference"] < 1e-4
            totals[f"{library}: four cuts that hold"] += holds
            totals[f"{library}: found in a second"] += line.get("find", 1) < 1
        if "fit" in line:
            totals[f"{library}: fits"] += line["fit"] == "same answers"
        totals[f"{library}: networks"] += 1
    return totals


def main() -> None:
    """Print one line a network, and the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="networks with this word in library and name")
    parser.add_argument("--fit", nargs="?", const="too", choices=("too", "alone"))
    parser.add_argument("--smaller", action="store_true", help="cuts on 96 pixels where it can")
    parser.add_argument("--names", type=Path, default=Path("zoo-names.txt"))
    parser.add_argument("--kept", type=Path, help="lines are added here, and none is made twice")
    parser.add_argument("--minutes", type=float, default=1e9, help="no new network after these")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    end = time.monotonic() + 60 * given.minutes
    kept: Path | None = given.kept
    lines: list[Line] = []
    if kept is not None and kept.is_file():
        lines = [json.loads(one) for one in kept.read_text().splitlines()]
    there = {line["network"] for line in lines}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        os.environ["HEADSTART_HOME"] = str(work / "home")
        data, texts = pictures(work / "pictures"), sentences(work / "texts.csv")
        every: list[tuple[str, str, Callable[[], str]]] = [
            *(("timm", one, lambda n=one: f"random:{n}") for one in timm_names(given.names)),
            *(("torchvision", one, lambda n=one: f"random:torchvision:{n}") for one in TORCHVISION),
            *(
                ("transformers", one, lambda n=one: str(save_encoder(n, work / n)))
                for one in ENCODERS
            ),
        ]
        for library, short, name in every:
            if given.only not in f"{library} {short}" or short in there or time.monotonic() > end:
                continue
            log = logging.getLogger("headstart")
            log.addHandler(notices := Notices())
            items = (texts if library == "transformers" else data) if given.fit else None
            how = {"cut": given.fit != "alone", "smaller": given.smaller}
            line = measured(library, short, name, items, **how)
            log.removeHandler(notices)
            line |= {"notices": notices.said} if notices.said else {}
            lines.append(line)
            print(json.dumps(line), flush=True)
            if kept is not None:
                with kept.open("a") as file:
                    file.write(json.dumps(line) + "\n")
    for what, count in sorted(counts(lines).items()):
        print(f"{what}: {count}")


if __name__ == "__main__":
    main()
