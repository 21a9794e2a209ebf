"""Domain adaptation, chosen without target labels, over several seeds; beside the package skada.

For each pair of domains: source only, the method that was chosen, its accuracy on target items
that nothing learned from, the oracle's (the best candidate by target labels) and the gap; then what
1 and 3 labels a class in the target bring, and the same features in skada.

``random`` is the published setting: no transfer, and digits of USPS in a frame of 28 pixels, where
they are about as large as MNIST's; ``filled`` leaves them at 16, which they fill to the edge.

    python benchmarks/adapt.py digits
    python benchmarks/adapt.py pacs --seeds 2,3,4
    python benchmarks/adapt.py printed
    python benchmarks/adapt.py random --seeds 0,1 --method mcc
    python benchmarks/adapt.py filled --seeds 0 --method mcc
    python benchmarks/adapt.py texts
    python benchmarks/adapt.py skada
"""

import argparse
import csv
import statistics
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import headstart
from headstart.data.dataset import Dataset
from headstart.data.memory.arrays import from_items
from places import DATA

PACS = DATA / "pacs"
DIGITS = [(DATA / "mnist", DATA / "usps"), (DATA / "usps", DATA / "mnist")]


def printed() -> Dataset:
    """Digits drawn from fonts, lightly warped: 40 of each."""
    import torch

    from headstart.pretraining.characters import build_bank, font_files, glyphs_of
    from headstart.pretraining.strokes import draw

    wanted = [g for f in font_files() for g in glyphs_of(f) if g.character in "0123456789"]
    bank = build_bank(wanted)
    generator = torch.Generator().manual_seed(0)
    labels = np.array([int(wanted[i].character) for i in range(len(wanted))])
    chosen = [np.flatnonzero(labels == digit) for digit in range(10)]
    at = np.concatenate([np.resize(one, 40) for one in chosen])
    ink = draw(bank.fields[torch.from_numpy(at)], generator, 0.5)[:, 0]
    return from_items((ink * 255).byte().numpy(), labels[at])


def handwritten() -> Dataset:
    from headstart.verbs.demo import digits

    return digits()


def framed(root: Path, frame: int = 6) -> Dataset:
    """Return 16 x 16 pictures with ``frame`` dark pixels on each side; the parts are as before."""
    found = headstart.read(root)
    pixels = [np.asarray(Image.open(BytesIO(found.content(i)))) for i in range(len(found))]
    wide = np.pad(np.stack(pixels), ((0, 0), (frame, frame), (frame, frame)))
    labels = [found.classes[label] for label in found.labels]
    return replace(from_items(wide, labels), splits=found.splits, root=root)


def published() -> list[Any]:
    """MNIST as it is, USPS in a frame."""
    mnist, usps = (path.name for path in DIGITS[0])
    known = {mnist: DIGITS[0][0], usps: framed(DIGITS[0][1])}
    ways = ((mnist, usps), (usps, mnist))
    return [(s, t, known[s], known[t], "random:glyphs") for s, t in ways]


def headlines() -> tuple[Dataset, Dataset]:
    """Headlines of 1,500 stories of AG News, and the first sentences of 3,000 others."""
    with (DATA / "ag_news" / "test.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    order = np.random.default_rng(0).permutation(len(rows))
    ours, theirs = order[:1500], order[1500:4500]
    parts = [(ours, 1), (theirs, 2)]
    source, target = (
        from_items([rows[i][at] for i in chosen], [rows[i][0] for i in chosen], "text")
        for chosen, at in parts
    )
    return source, target


def texts() -> list[Any]:
    """There are no two sources of texts of the same classes here, so the shift is built."""
    short, long = headlines()
    return [("headlines", "sentences", short, long, "minilm"),
            ("sentences", "headlines", long, short, "minilm")]  # fmt: skip


PAIRS: dict[str, Any] = {
    "texts": texts,
    "digits": lambda: [(s.name, t.name, s, t, "glyphs") for s, t in DIGITS],
    "random": published,
    "filled": lambda: [(s.name, t.name, s, t, "random:glyphs") for s, t in DIGITS],
    "printed": lambda: [("printed", "handwritten", printed(), handwritten(), "glyphs")],
    "pacs": lambda: [
        ("photo", name, PACS / "photo", PACS / name, "mobilenet_v2")
        for name in ("art_painting", "cartoon", "sketch")
    ],
}


def mean(values: list[float]) -> str:
    """Return the mean in per cent, and the 95 % interval over seeds where there are several."""
    middle = 100 * statistics.mean(values)
    if len(values) < 2:
        return f"{middle:5.1f}"
    from scipy.stats import t

    half = 100 * statistics.stdev(values) / len(values) ** 0.5 * t.ppf(0.975, len(values) - 1)
    return f"{middle:5.1f} +- {half:3.1f}"


def run(what: str, only: str, seeds: list[int], method: str) -> None:
    gains, gaps = [], []
    for source, target, ours, theirs, backbone in PAIRS[what]():
        if only and target != only:
            continue
        how = {"strategy": "scratch"} if backbone.startswith("random:") else {}
        found = [
            headstart.adapt(ours, theirs, backbone=backbone, seed=seed, method=method, **how)
            for seed in seeds
        ]
        rows = [one.to_json() for one in found]
        none = [one["scores"]["none"]["accuracy"] for one in rows]
        mine = [one["accuracy"] for one in rows]
        taken = ", ".join(sorted({one["method"] for one in rows}))
        print(f"{source} -> {target}, {backbone}: source only {mean(none)}, {taken} {mean(mine)}, "
              f"oracle {mean([one['oracle'] for one in rows])}", flush=True)  # fmt: skip
        for name in rows[0]["scores"]:
            each = [one["scores"][name] for one in rows]
            print(f"    {name:9} target {mean([one['accuracy'] for one in each])}   "
                  f"source {mean([one['source_accuracy'] for one in each])}")  # fmt: skip
        for shots in rows[0]["with_labels"]:
            each = [one["with_labels"][shots]["accuracy"] for one in rows]
            print(f"    with {shots} labels a class {mean(each)}", flush=True)
        gains.append(statistics.mean(mine) - statistics.mean(none))
        gaps.append(statistics.mean(one["oracle_gap"] for one in rows))
    print(f"mean gain over source only {100 * statistics.mean(gains):.1f} points, "
          f"mean oracle gap {100 * statistics.mean(gaps):.2f} points")  # fmt: skip


SETTINGS: dict[str, list[dict[str, float]]] = {
    "CORAL": [{"reg": reg} for reg in (1e-3, 0.1, 0.999)],
    "DANN": [{"reg": reg} for reg in (0.01, 0.1, 1.0)],
    "MCC": [{"reg": reg, "T": t} for reg in (0.1, 1.0) for t in (1, 2.5)],
}
"""Of skada; the best by target labels counts, which is more than a user has."""


def peer(name: str, told: dict[str, float], shape: tuple[int, int], seed: int) -> Any:
    """Return an estimator of skada on features: a layer of their width, and a head above it."""
    import torch
    from skada import CORAL, deep
    from sklearn.linear_model import LogisticRegression

    class Above(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            width, n_classes = shape
            self.layer, self.head = torch.nn.Linear(width, width), torch.nn.Linear(width, n_classes)

        def forward(self, x: torch.Tensor, sample_weight: object = None) -> torch.Tensor:
            return self.head(torch.relu(self.layer(x)))

    if name == "CORAL":
        return CORAL(LogisticRegression(max_iter=2000), **told)
    torch.manual_seed(seed)
    more = {"num_features": shape[0]} if name == "DANN" else {}
    return getattr(deep, name)(
        Above(), layer_name="layer", max_epochs=15, batch_size=64, lr=1e-3, train_split=None,
        optimizer=torch.optim.Adam, verbose=0, device="cpu", **more, **told,
    )  # fmt: skip


def against_skada(only: str, seeds: list[int]) -> None:
    """CORAL, DANN and MCC of both on the same features, each domain in its own statistics."""
    from headstart.adaptation.kept import adapted
    from headstart.adaptation.registry import METHODS
    from headstart.adaptation.space import Material, Moments
    from headstart.backbones.registry import resolve_all
    from headstart.boundary.extract import extract
    from headstart.settings.groups import Options
    from headstart.tasks.heads import Examples

    for what in ("digits", "pacs"):
        for source, target, ours, theirs, backbone in PAIRS[what]():
            if only and target != only:
                continue
            sides = [_features(path, resolve_all(backbone), extract) for path in (ours, theirs)]
            (x, y), (z, _), (test, truth) = sides[0][0], sides[1][0], sides[1][1]
            own = [Moments.of(part, own=True) for part in (x, z)]
            a, b = (moments.inside(part).numpy() for moments, part in zip(own, (x, z), strict=True))
            asked = own[1].inside(test).numpy()
            both, domain = np.r_[a, b], np.r_[np.ones(len(a), int), -2 * np.ones(len(b), int)]
            labels = np.r_[y.values, -np.ones(len(b), int)]
            for name, settings in SETTINGS.items():
                rows = []
                for seed in seeds if name != "CORAL" else seeds[:1]:
                    best = 0.0
                    for told in settings:
                        one = peer(name, told, (a.shape[1], len(y.task.names)), seed)
                        one.fit(both, labels, sample_domain=domain)
                        said = one.predict(asked, sample_domain=np.full(len(test), -2),
                                           allow_source=True)  # fmt: skip
                        best = max(best, float((said == truth.values).mean()))
                    mine = adapted(METHODS[name.lower()](), Material(Examples(x, y), z),
                                   options=Options(), seed=seed)  # fmt: skip
                    right = (mine.target.logits(test).argmax(1) == truth.values).mean()
                    rows.append((float(right), best))
                left, right = ([row[i] for row in rows] for i in (0, 1))
                print(f"{source} -> {target} {name:5}: ours {mean(left)}, "
                      f"skada's best {mean(right)}", flush=True)  # fmt: skip


def _features(path: Path, entries: Any, extract: Any) -> list[tuple[Any, Any]]:
    found, features = extract(headstart.read(path), entries)
    splits = found.dataset.splits[found.usable]
    parts = [found.usable[splits == name] for name in ("train", "test")]
    return [(features.rows(part), found.dataset.known.take(part)) for part in parts]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=[*PAIRS, "skada"])
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--only", default="", help="the one target")
    parser.add_argument("--method", default="auto")
    options = parser.parse_args()
    seeds = [int(seed) for seed in options.seeds.split(",")]
    if options.what == "skada":
        against_skada(options.only, seeds)
    else:
        run(options.what, options.only, seeds, options.method)


if __name__ == "__main__":
    main()
