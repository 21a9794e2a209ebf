"""`headstart show`: pictures of what a saved model learned and where it errs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart.boundary.extract import extract
from headstart.bundle import Bundle, load
from headstart.data.audit import audit
from headstart.data.dataset import Dataset
from headstart.data.reading import read
from headstart.data.texts.tokens import Tokenize
from headstart.errors import BundleError, DataError, UsageError, unknown
from headstart.report import pictures
from headstart.report.maps import embedding
from headstart.report.terminal import mistake
from headstart.settings.table import Showing
from headstart.settings.taking import takes
from headstart.verbs import trained


@takes(Showing)
def show(
    bundle: str | Path | Bundle | Sequence[str | Path], what: str, run: Showing
) -> dict[str, Any]:
    """Draw ``what`` of the saved model, and return ``{out, lines, ...}``.

    ``what`` is "filters", "errors", "embedding" or "batch": what training sees, augmented. Of
    several bundles the filters are drawn side by side.

    Raises:
        UsageError: there is no such picture, or not of several bundles.
        BundleError: the bundle does not hold what the picture needs.
    """
    if what not in PICTURES:
        raise unknown("picture", what, PICTURES)
    if isinstance(bundle, list | tuple):
        if len(bundle) > 1:
            return _side_by_side([load(one) for one in bundle], what, run)
        (bundle,) = bundle
    loaded = bundle if isinstance(bundle, Bundle) else load(bundle)  # type: ignore[arg-type]
    target = run.out or loaded.path / f"{what}.png"
    return {"out": str(target)} | PICTURES[what](loaded, run.data, target)


def _root(bundle: Bundle, given: Path | None) -> Path:
    """Return where the data are: where the user says, else where this machine fitted on them."""
    known = given or (bundle.origin.root if bundle.origin else None)
    if known is None:
        raise UsageError(f"{bundle.path} was not fitted here; say where its data are with --data.")
    return known


def _filters(bundle: Bundle, given: Path | None, out: Path) -> dict[str, Any]:
    if bundle.kind != "image":
        raise BundleError("filters are of image models; this one is for texts.")
    before = bundle.tensors.get("before.first_convolution")
    after = _first_kernel(bundle)
    if before is None:
        before = after
    change = pictures.filters(before, after, out)
    line = f"first convolution, {len(after)} filters: changed by {100 * change:.2f} %"
    return {"relative_change": change, "lines": [line]}


def _side_by_side(bundles: Sequence[Bundle], what: str, run: Showing) -> dict[str, Any]:
    """Draw the first filters of several bundles, and say how far each has moved."""
    if what != "filters":
        raise UsageError(f"'{what}' is of one model; only filters are drawn of several.")
    kernels: dict[str, Any] = {}
    lines, changes = [], {}
    for number, one in enumerate(bundles):
        if one.kind != "image":
            raise BundleError(f"filters are of image models; {one.path} is for texts.")
        before, after = one.tensors.get("before.first_convolution"), _first_kernel(one)
        change = 0.0 if before is None else pictures.relative_change(before, after)
        name = one.path.resolve().name
        name = f"{name} ({number + 1})" if name in changes else name
        changes[name] = change
        kernels[f"{name} ({one.facts['strategy']}, changed by {100 * change:.2f} %)"] = after
        lines.append(f"{name}: first convolution changed by {100 * change:.2f} %")
    out = run.out or bundles[0].path / "filters-side-by-side.png"
    pictures.beside(kernels, out)
    return {"out": str(out), "relative_change": changes, "lines": lines}


def _first_kernel(bundle: Bundle) -> Any:
    from headstart.backbones import vision
    from headstart.backbones.surgery import first_convolution

    net = vision.build(bundle.model.entries[0], seed=bundle.facts["seed"]).net
    return first_convolution(net)[1].weight.detach().numpy()


def _errors(bundle: Bundle, given: Path | None, out: Path) -> dict[str, Any]:
    rows = bundle.facts.get("errors", [])
    if not rows:
        line = "no mistakes on the held-out items; nothing was drawn"
        return {"out": None, "errors": [], "lines": [line]}
    lines = [mistake(bundle.model.task, row) for row in rows[:24]]
    if bundle.kind == "text":
        return {"out": None, "errors": rows, "lines": lines}
    root = _root(bundle, given)
    # The items of a table are named from the folder that it lies in.
    found = pictures.errors(rows, root.parent if root.is_file() else root, out)
    if found < min(24, len(rows)):
        lines.append(f"only {found} of the pictures are still in {root}; give --data if they moved")
    return {"errors": rows, "lines": lines}


def _embedding(bundle: Bundle, given: Path | None, out: Path) -> dict[str, Any]:
    root, model = _root(bundle, given), bundle.model
    dataset = read(root, **(bundle.origin.reading if bundle.origin else {}))
    found, features = extract(dataset.take(_some(dataset)), model.entries, seed=model.seed)
    rows = found.usable
    if len(rows) < 3:
        raise DataError(f"{root} has {len(rows)} usable items; at least three are needed.")
    points, share = _principal(features.rows(rows).astype(np.float64))
    values, mine = model.task.translated(found.dataset.known.take(rows))
    if not mine.all():
        raise DataError(f"{root} holds classes that the model does not know.")
    said = model.task.said_of(model.outputs(found.dataset, rows, features=features))
    colours, names = model.task.coloured(np.concatenate([values, said]))
    labels, answers = np.split(colours, 2)
    wrong, mine = labels != answers, trained.among(bundle.path, found.digests[rows])
    n, new = len(rows), int((~mine).sum())
    lost = int((wrong & ~mine).sum())
    told = f"{n} items, {new} of them not trained on: of these {lost} taken for another"
    how = {"wrong": wrong, "trained": mine, "title": told}
    picked = embedding(points, labels, names, out, **how)
    lines = [told, f"two principal components hold {100 * share:.0f} % of the variance"]
    if len(picked) < len(np.unique(labels)):
        lines.append(f"in colour, with the most mistakes: {', '.join(picked)}")
    return {"variance": share, "n": n, "new": new, "mistakes": lost, "lines": lines}


def _some(dataset: Dataset) -> npt.NDArray[np.int64]:
    """Return which items a map shows: of many the held-out ones first."""
    order = np.random.default_rng(0).permutation(len(dataset))
    held_out = np.isin(dataset.splits[order], ["val", "test"])
    return np.sort(order[np.argsort(~held_out, kind="stable")][:MAPPED])


def _principal(x: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], float]:
    """Return the first two principal components, shape (N, 2), and their share of the variance."""
    x = x - x.mean(axis=0)
    _, spread, axes = np.linalg.svd(x, full_matrices=False)
    return x @ axes[:2].T, float((spread[:2] ** 2).sum() / max((spread**2).sum(), 1e-12))


MAPPED = 3000
"""Items of a map, at most."""


def _batch(bundle: Bundle, given: Path | None, out: Path) -> dict[str, Any]:
    from headstart.boundary.inputs import PLAIN, Inputs

    root = _root(bundle, given)
    dataset = read(root, **(bundle.origin.reading if bundle.origin else {}))
    (entry, *_), level = bundle.model.entries, str(bundle.facts.get("augment", "off"))
    trained = np.flatnonzero(np.isin(dataset.splits, ["train", ""]))
    order = np.random.default_rng([bundle.model.seed, 3, 0]).permutation(trained)
    found = audit(dataset.take(order[: 4 * ITEMS]))
    shown, some = found.dataset, found.usable[:ITEMS]
    if not len(some):
        raise DataError(f"{root} has no usable items; give --data if they have moved.")
    inputs = Inputs(shown, entry.preprocess, augment=level, seed=bundle.model.seed)
    if isinstance(entry.preprocess, Tokenize):
        words = entry.preprocess.vocabulary
        lines = [" ".join(words[int(t)] for t in row) for row in inputs.rows(some, PLAIN)]
        return {"out": None, "augment": level, "lines": lines}
    numbers = [PLAIN, *range(VIEWS)] if level != "off" else [PLAIN]
    views = [list(inputs.rows(some, number)) for number in numbers]
    named = [shown.said(int(index)) for index in some]
    pictures.batch(list(zip(named, zip(*views, strict=True), strict=True)), out)
    size = f"{entry.preprocess.size[0]} x {entry.preprocess.size[1]}"
    seen = "as they are" if level == "off" else f"as random views, augmentation '{level}'"
    return {"augment": level, "lines": [f"training saw {size} pixels, {seen}"]}


ITEMS = 8
"""Items of a batch that are drawn."""

VIEWS = 5
"""Random views of each."""

PICTURES: dict[str, Callable[[Bundle, Path | None, Path], dict[str, Any]]] = {
    "filters": _filters,
    "errors": _errors,
    "embedding": _embedding,
    "batch": _batch,
}
