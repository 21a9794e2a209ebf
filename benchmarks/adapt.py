"""Domain adaptation, chosen without target labels, over several seeds; beside the package skada.

For each pair of domains: source only, the method that was chosen, its accuracy on target items
that nothing learned from, the oracle's (the best candidate by target labels) and the gap; then what
1 and 3 labels a class in the target bring, and the same features in skada.

    python benchmarks/adapt.py digits
    python benchmarks/adapt.py pacs --seeds 3
    python benchmarks/adapt.py printed
    python benchmarks/adapt.py random --seeds 2
    python benchmarks/adapt.py skada
"""

import argparse
import statistics
from pathlib import Path
from typing import Any

import numpy as np

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


PAIRS: dict[str, Any] = {
    "digits": lambda: [(s.name, t.name, s, t, "glyphs") for s, t in DIGITS],
    "random": lambda: [(s.name, t.name, s, t, "random:glyphs") for s, t in DIGITS],
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


def run(what: str, seeds: int, method: str) -> None:
    gains, gaps = [], []
    for source, target, ours, theirs, backbone in PAIRS[what]():
        how = {"strategy": "scratch"} if backbone.startswith("random:") else {}
        found = [
            headstart.adapt(ours, theirs, backbone=backbone, seed=seed, method=method, **how)
            for seed in range(seeds)
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


def against_skada() -> None:
    """CORAL of both on the same features in the same statistics; DANN and MCC need skorch."""
    from skada import CORAL
    from sklearn.linear_model import LogisticRegression

    from headstart.adaptation.kept import adapted
    from headstart.adaptation.registry import METHODS
    from headstart.adaptation.space import Material, Moments
    from headstart.backbones.registry import resolve_all
    from headstart.boundary.extract import extract
    from headstart.settings.groups import Options
    from headstart.tasks.heads import Examples

    for what in ("digits", "pacs"):
        for source, target, ours, theirs, backbone in PAIRS[what]():
            sides = [_features(path, resolve_all(backbone), extract) for path in (ours, theirs)]
            (x, y), (z, _), (test, truth) = sides[0][0], sides[1][0], sides[1][1]
            material = Material(Examples(x, y), z)
            own = [Moments.of(part, own=True) for part in (x, z)]
            a, b = (moments.inside(part).numpy() for moments, part in zip(own, (x, z), strict=True))
            line = []
            for reg in (1e-3, 0.1, 1.0):
                peer = CORAL(LogisticRegression(max_iter=2000), reg=min(reg, 0.999))
                domain = np.r_[np.ones(len(a)), -2 * np.ones(len(b))]
                labels = np.r_[y.values, -np.ones(len(b), int)]
                peer.fit(np.r_[a, b], labels, sample_domain=domain)
                asked = own[1].inside(test).numpy()
                said = peer.predict(asked, sample_domain=np.full(len(test), -2))
                line.append(f"reg {reg:g} {100 * (said == truth.values).mean():.1f}")
            mine = []
            for name in ("coral", "dann", "mcc"):
                found = adapted(METHODS[name](), material, options=Options(), seed=0)
                right = (found.target.logits(test).argmax(1) == truth.values).mean()
                mine.append(f"{name} {100 * right:.1f}")
            print(f"{source} -> {target}: skada's CORAL {', '.join(line)}; ours {', '.join(mine)}",
                  flush=True)  # fmt: skip


def _features(path: Path, entries: Any, extract: Any) -> list[tuple[Any, Any]]:
    found, features = extract(headstart.read(path), entries)
    splits = found.dataset.splits[found.usable]
    parts = [found.usable[splits == name] for name in ("train", "test")]
    return [(features.rows(part), found.dataset.known.take(part)) for part in parts]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=[*PAIRS, "skada"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--method", default="auto")
    options = parser.parse_args()
    if options.what == "skada":
        against_skada()
    else:
        run(options.what, options.seeds, options.method)


if __name__ == "__main__":
    main()
