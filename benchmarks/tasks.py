"""Several labels and numbers: frozen against warm, the best constant and plain features.

    python benchmarks/tasks.py [labels] [angle] [stars]

- labels: pictures of PACS, whose class and domain are two labels each; against raw pixels
- angle: by how many degrees a handwritten digit of MNIST was turned; against raw pixels
- stars: of IMDB's reviews, as their file names say; against tf-idf

The plain features get scikit-learn's own head, its strength chosen by inner folds. All ways see
the same training items and are measured on the same held-out ones, so differences are paired:
their 95 % intervals are from 1,000 choices of the items with replacement.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from places import DATA, WEIGHTS

os.environ.setdefault("HEADSTART_WEIGHTS", str(WEIGHTS))
os.environ.setdefault("HEADSTART_HOME", str(Path(tempfile.gettempdir()) / "headstart-benchmark"))

import headstart
from headstart.data.dataset import Dataset
from headstart.settings.groups import Options
from headstart.tasks.intervals import bootstrap

Rows = np.ndarray
Measure = Callable[[Rows, Rows], float]


def table(folder: Path, rows: list[tuple[str, str, str]], content: str, target: str) -> Path:
    """Write (content, target, split) of each item as a table."""
    import csv

    with (folder / "items.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerows([(content, target, "split"), *rows])
    return folder / "items.csv"


def pacs(folder: Path, each: int = 16) -> Path:
    """Return ``each`` pictures a class and domain, every fourth held out."""
    rows = []
    for domain in sorted(p for p in (DATA / "pacs").iterdir() if p.is_dir()):
        for kind in sorted({p.name for p in domain.glob("*/*") if p.is_dir()}):
            found = sorted(domain.glob(f"*/{kind}/*"))[:each]
            rows += [
                (str(path), f"{kind};{domain.name}", "test" if i % 4 == 3 else "train")
                for i, path in enumerate(found)
            ]
    return table(folder, rows, "file", "labels")


def angles(folder: Path, n: int = 2000) -> Path:
    """Turn ``n`` handwritten digits by -45 to 45 degrees, every fourth held out."""
    rng, rows = np.random.default_rng(0), []
    found = sorted((DATA / "mnist" / "train").glob("*/*.png"))
    for i, at in enumerate(rng.choice(len(found), n, replace=False)):
        angle = float(rng.uniform(-45, 45))
        Image.open(found[at]).convert("L").rotate(angle, Image.Resampling.BILINEAR).save(
            folder / f"{i}.png"
        )
        rows.append((f"{i}.png", f"{angle:.3f}", "test" if i % 4 == 3 else "train"))
    return table(folder, rows, "file", "angle")


def stars(folder: Path) -> Path:
    """Return 600 reviews with 1 to 10 stars, and 300 of the test part, which are held out."""
    rng, rows = np.random.default_rng(0), []
    for split, n in (("train", 600), ("test", 300)):
        found = sorted((DATA / "imdb" / split).glob("*/*_*.txt"))
        for at in rng.choice(len(found), n, replace=False):
            star = found[at].stem.rpartition("_")[2]
            rows.append((found[at].read_text(encoding="utf-8"), star, split))
    return table(folder, rows, "text", "stars")


def pixels(data: Dataset, side: int) -> np.ndarray:
    """Return every picture's grey values, shape (N, side * side * 3)."""
    import io

    pictures = (Image.open(io.BytesIO(data.content(i))).convert("RGB") for i in range(len(data)))
    return np.stack([np.asarray(p.resize((side, side))).ravel() / 255 for p in pictures])


def words(data: Dataset, train: np.ndarray) -> object:
    """Return tf-idf of words and pairs of words, known from the training texts."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = [data.content(i).decode() for i in range(len(data))]
    made = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
    made.fit([texts[i] for i in train])
    return made.transform(texts)


def plain(x: object, truth: np.ndarray, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Return what scikit-learn's heads say on plain features ``x``."""
    from sklearn.linear_model import LogisticRegressionCV, RidgeCV
    from sklearn.multiclass import OneVsRestClassifier

    if truth.ndim == 1:
        model = RidgeCV(alphas=np.logspace(-3, 4, 15)).fit(x[train], truth[train])
        return model.predict(x[test])
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        one = LogisticRegressionCV(Cs=5, cv=3, max_iter=300)
        return OneVsRestClassifier(one).fit(x[train], truth[train]).predict(x[test])


def r2(said: np.ndarray, truth: np.ndarray) -> float:
    return 1 - ((said - truth) ** 2).sum() / ((truth - truth.mean()) ** 2).sum()


def macro_f1(said: np.ndarray, truth: np.ndarray) -> float:
    from headstart.tasks.label_figures import f1

    return float(np.nanmean(f1(said.astype(bool), truth)))


def answered(result: headstart.Fit) -> np.ndarray:
    """Return what a fit says of its held-out items: numbers, or booleans a label."""
    answers = result.model.task.answers(
        result.model.outputs(result.dataset, result.parts.held_out, device="cpu")
    )
    if "value" in answers[0]:
        return np.array([row["value"] for row in answers])
    names = result.model.task.names
    return np.array([[name in row["labels"] for name in names] for row in answers])


def against(name: str, one: np.ndarray, other: np.ndarray, truth: np.ndarray, of: Measure) -> str:
    """Return how much better ``one`` is than ``other``, with the interval of the difference."""
    ends = bootstrap(
        lambda rows: {"gain": of(one[rows], truth[rows]) - of(other[rows], truth[rows])},
        len(truth),
    )["gain"]
    gain = of(one, truth) - of(other, truth)
    sure = "" if ends[0] <= 0 <= ends[1] else " *"
    return f"    against {name:10} {gain:+.3f} (95 %: {ends[0]:+.3f} to {ends[1]:+.3f}){sure}"


def measure(name: str, source: Path, features: Callable, of: Measure, **how: object) -> None:
    """Fit both ways and the plain one, and print all figures and differences."""
    options = how.pop("options")
    said: dict[str, np.ndarray] = {}
    for strategy, given in (("frozen", Options(**options[0])), ("warm", Options(**options[1]))):
        start = time.perf_counter()
        result = headstart.fit(source, strategy=strategy, options=given, device="cpu", **how)
        figures = result.evaluation.brief()
        pairs = {k: (v, figures[f"{k}_interval"]) for k, v in figures.items() if "_int" not in k}
        text = ", ".join(f"{k} {v:.3f} ({a:.3f} to {b:.3f})" for k, (v, (a, b)) in pairs.items())
        n, seconds = (len(part) for part in result.parts), time.perf_counter() - start
        print(f"{name} {strategy}: {text}; n={'+'.join(map(str, n))}, {seconds:.0f} s", flush=True)
        said[strategy] = answered(result)
    data, (train, test) = result.dataset, result.parts
    truth = data.labels[test]
    said["plain"] = plain(features(data, train), data.labels, train, test)
    constant = np.median(data.labels[train]) if truth.ndim == 1 else np.ones(truth.shape[1], bool)
    mean = data.labels[train].mean() if truth.ndim == 1 else constant
    said["constant"] = np.broadcast_to(mean, truth.shape)
    print(f"{name} plain features: {of(said['plain'], truth):.3f}; "
          f"constant: {of(said['constant'], truth):.3f}")  # fmt: skip
    for strategy in ("frozen", "warm"):
        print(f"  {strategy}")
        for other in ("constant", "plain"):
            print(against(other, said[strategy], said[other], truth, of))
    print("  warm")
    print(against("frozen", said["warm"], said["frozen"], truth, of), flush=True)


def main() -> None:
    """Print the lines of the sets named on the command line, or of all."""
    wanted = sys.argv[1:] or ["labels", "angle", "stars"]
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        for name in wanted:
            (folder / name).mkdir()
        if "angle" in wanted:
            measure("angle", angles(folder / "angle"), lambda d, t: pixels(d, 28), r2,
                    backbone="glyphs", options=({}, {"epochs": 10}))  # fmt: skip
        if "labels" in wanted:
            small = {"image_size": 128}
            measure("labels", pacs(folder / "labels"), lambda d, t: pixels(d, 32), macro_f1,
                    backbone="mobilenet_v2", anywhere=True,
                    options=(small, {**small, "epochs": 5}))  # fmt: skip
        if "stars" in wanted:
            long = {"max_length": 256}
            warm = {**long, "epochs": 5, "batch": 16}
            measure("stars", stars(folder / "stars"), words, r2, task="number",
                    backbone="minilm", options=(long, warm))  # fmt: skip


if __name__ == "__main__":
    main()
