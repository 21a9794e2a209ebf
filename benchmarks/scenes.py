"""Boxes: a detector on a backbone that learned digits before, against one from scratch.

python benchmarks/scenes.py OUT [--epochs N] [--seeds 0,1,2]

Scenes of 96 x 96 grey pixels are drawn here from MNIST: 1 to 6 digits of 14 to 34 pixels that may
overlap a little, on noise with strokes and pieces of digits as clutter. 200 to train on, drawn from
MNIST's training digits, 200 to test on, from its test digits. The backbone is `glyphs`, first
fitted to 2,000 single MNIST digits (`fit --strategy warm`); from scratch it is the same network
with random weights (`--strategy scratch`). Both detectors train all blocks for the same number of
steps. OUT gets the scenes, the bundles and the curves.
"""

import argparse
import json
import os
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import load_file, save_file

from places import DATA

SIDE, SCENES = 96, 200
SMALLEST, LARGEST = 14, 34


def digits(part: str) -> list[tuple[int, np.ndarray]]:
    """Return (digit, pixels cut to its ink) of all pictures of a part of MNIST."""
    found = []
    for path in sorted((DATA / "mnist" / part).glob("*/*.png")):
        pixels = np.asarray(Image.open(path).convert("L"))
        rows, columns = np.flatnonzero(pixels.max(1) > 40), np.flatnonzero(pixels.max(0) > 40)
        cut = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        found.append((int(path.parent.name), cut))
    return found


def overlap(one: list[int], other: list[int]) -> float:
    """Return the share of the smaller box that two boxes have in common."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (one, other)]
    return max(0, width) * max(0, height) / min(areas)


def clutter(
    canvas: np.ndarray, pool: list[tuple[int, np.ndarray]], rng: np.random.Generator
) -> None:
    """Lay noise, strokes and pieces of digits, which are none, on ``canvas``."""
    canvas += rng.normal(0, 12, canvas.shape)
    for _ in range(rng.integers(2, 6)):
        start, angle = rng.integers(0, SIDE, 2), rng.uniform(0, 2 * np.pi)
        for step in range(int(rng.integers(8, 30))):
            y, x = (start + step * np.array([np.sin(angle), np.cos(angle)])).astype(int)
            if 0 <= y < SIDE - 1 and 0 <= x < SIDE - 1:
                canvas[y : y + 2, x : x + 2] += rng.uniform(80, 160)
    for _ in range(rng.integers(1, 4)):
        piece = pool[rng.integers(len(pool))][1]
        size = int(rng.integers(5, 9))
        y, x = (int(rng.integers(0, max(1, s - size))) for s in piece.shape)
        part = piece[y : y + size, x : x + size]
        top, left = rng.integers(0, SIDE - size, 2)
        spot = canvas[top : top + part.shape[0], left : left + part.shape[1]]
        np.maximum(spot, part, out=spot)


def scene(
    pool: list[tuple[int, np.ndarray]], rng: np.random.Generator
) -> tuple[np.ndarray, list[tuple[int, list[int]]]]:
    """Return a scene, and its digits with their boxes."""
    canvas = np.full((SIDE, SIDE), rng.uniform(10, 60))
    clutter(canvas, pool, rng)
    placed: list[tuple[int, list[int]]] = []
    for _ in range(int(rng.integers(1, 7))):
        digit, pixels = pool[rng.integers(len(pool))]
        height = int(rng.integers(SMALLEST, LARGEST + 1))
        width = max(4, round(pixels.shape[1] * height / pixels.shape[0]))
        if width > LARGEST + 12:
            continue
        ink = np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR))
        for _ in range(30):
            left, top = int(rng.integers(0, SIDE - width)), int(rng.integers(0, SIDE - height))
            box = [left, top, left + width, top + height]
            if all(overlap(box, other) < 0.25 for _, other in placed):
                spot = canvas[top : box[3], left : box[2]]
                np.maximum(spot, ink * rng.uniform(0.75, 1.0), out=spot)
                placed.append((digit, box))
                break
    return canvas.clip(0, 255).astype(np.uint8), placed


def draw(root: Path, seed: int = 0) -> Path:
    """Write train and test scenes with their COCO files; ids begin at 1, as COCO's do."""
    for number, (split, part) in enumerate((("train", "train"), ("test", "test"))):
        rng, pool = np.random.default_rng([seed, number]), digits(part)
        folder = root / split
        folder.mkdir(parents=True, exist_ok=True)
        images, annotations = [], []
        for index in range(SCENES):
            pixels, placed = scene(pool, rng)
            Image.fromarray(pixels).save(folder / f"{index:03}.png")
            images.append({"id": index + 1, "file_name": f"{index:03}.png", "width": SIDE,
                           "height": SIDE})  # fmt: skip
            for digit, (left, top, right, bottom) in placed:
                size = [right - left, bottom - top]
                annotations.append({"id": len(annotations) + 1, "image_id": index + 1,
                                    "category_id": digit + 1, "bbox": [left, top, *size],
                                    "area": size[0] * size[1], "iscrowd": 0})  # fmt: skip
        categories = [{"id": digit + 1, "name": str(digit)} for digit in range(10)]
        held = {"images": images, "annotations": annotations, "categories": categories}
        (folder / "annotations.json").write_text(json.dumps(held))
    return root


def pretrained(out: Path) -> str:
    """Fit glyphs to single digits, and return the name of what that makes of it, in ``out``."""
    import headstart

    if not (out / "digits.safetensors").exists():
        headstart.fit(DATA / "mnist" / "train", strategy="warm", out=out / "classifier")
        tensors = load_file(out / "classifier" / "model.safetensors")
        facts = json.loads((out / "classifier" / "bundle.json").read_text())["backbones"][0]
        own = {
            k.removeprefix("backbone.0."): v for k, v in tensors.items() if k[:10] == "backbone.0"
        }
        save_file(own, out / "digits.safetensors")
        (out / "digits.json").write_text(json.dumps(facts | {"name": "digits", "num_classes": 0}))
    os.environ["HEADSTART_WEIGHTS"] = str(out)
    return "digits"


def curves(found: dict[str, list[list[float]]], path: Path) -> None:
    """Draw mAP on the inner part of the training scenes over the epochs, a line a seed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2), dpi=120, layout="constrained")
    axes = figure.subplots()
    for (name, rows), colour in zip(found.items(), ("#0b6e4f", "#c8553d"), strict=True):
        for number, row in enumerate(rows):
            label = name if number == 0 else None
            axes.plot(range(1, len(row) + 1), row, color=colour, lw=2, alpha=0.8, label=label)
    axes.set_xlabel("epoch")
    axes.set_ylabel("mAP@0.5 on inner training scenes")
    axes.set_ylim(0, 1)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(path)


def main() -> None:
    from headstart.verbs import detect

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seeds", default="0")
    told = parser.parse_args()
    scenes = draw(told.out / "scenes")
    name = pretrained(told.out)
    ways = {"digits before": {"backbone": name, "strategy": "warm"}}
    ways |= {"from scratch": {"backbone": "glyphs", "strategy": "scratch"}}
    found: dict[str, list[list[float]]] = {way: [] for way in ways}
    for seed in map(int, told.seeds.split(",")):
        for way, how in ways.items():
            made = detect.fit(scenes, epochs=told.epochs, seed=seed, device="cpu",
                              out=told.out / f"{way} {seed}", **how)  # fmt: skip
            figures = made.evaluation.to_json()
            low, high = figures["map50_interval"]
            found[way].append([row["selection_map50"] for row in made.fitted.history])
            print(
                f"{way:14} seed {seed}: mAP@0.5 {figures['map50']:.3f} ({low:.3f} to {high:.3f}), "
                f"mAP {figures['map']:.3f}, {len(made.fitted.history)} epochs, "
                f"{made.fitted.seconds:.0f} s",
                flush=True,
            )
            curves(found, told.out / "curves.png")


if __name__ == "__main__":
    main()
