"""What a page shows besides a run's figures: pictures, texts, a map, how the run was called."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart.data.dataset import Dataset
from headstart.data.split import Split
from headstart.data.texts import tokens
from headstart.data.texts.tokens import clean_text
from headstart.errors import ItemError
from headstart.findings import Finding
from headstart.model import Model
from headstart.report.sections import SUSPECTS, shell
from headstart.report.thumbnails import thumbnails
from headstart.report.tsne import tsne
from headstart.settings.option import Settings, table
from headstart.tasks.intervals import wilson
from headstart.tasks.task import Indices, Matrix

Plain = dict[str, Any]

BEGINNING = 200
"""Characters of a text that are shown."""

EXAMPLES = 90
"""Example items of all classes together, at least one a class."""

MAPPED, NEAR = 600, 300
"""Items of a map, at most, and up to which there is t-SNE too."""


def mapped(n: int) -> Indices:
    """Return which of ``n`` held-out items a map shows."""
    return np.sort(np.random.default_rng(0).permutation(n)[:MAPPED])


MISTAKES = 600
"""Mistakes that the confusion's cells open."""


def of_data(dataset: Dataset, parts: Split) -> Plain:
    """Return how the data are called, and each class with its counts and examples."""
    known = dataset.known
    trained, held = (known.task.counts(dataset.labels[part]) for part in parts)
    few = min(6, max(1, EXAMPLES // max(1, len(trained))))
    rows = []
    for name, mine in _first(dataset, parts.train, trained, few).items():
        rows.append(
            {
                "name": name,
                "train": trained[name],
                "held": held.get(name, 0),
                "items": [dataset.names[i] for i in mine],
                "indices": mine,
            }
        )
    return {
        "title": dataset.root.name,
        "date": datetime.date.today().isoformat(),
        "classes_shown": rows,
    }


def _first(
    dataset: Dataset, items: Indices, names: Iterable[str], most: int
) -> dict[str, list[int]]:
    """Return the first ``most`` items of each class; one look at each, however many classes."""
    found: dict[str, list[int]] = {name: [] for name in names}
    for i in items:
        mine = found.get(dataset.said(int(i)))
        if mine is not None and len(mine) < most:
            mine.append(int(i))
    return found


def shown_items(
    dataset: Dataset, parts: Split, more: Plain, wanted: Iterable[str], findings: Sequence[Finding]
) -> Plain:
    """Return thumbnails, or beginnings of texts, of the items that a page shows.

    Args:
        dataset: whose items they are.
        parts: the items that may be shown.
        more: what `of_data` returned.
        wanted: names of the items that matter most, in that order.
        findings: whose items come next.
    """
    doubted = [row["item"] for one in findings for row in one.items[:SUSPECTS]]
    wanted = list(wanted)
    examples = [item for row in more["classes_shown"] for item in row["items"]]
    names = [*wanted[:24], *doubted, *examples, *wanted[24:]]
    needed = set(names)
    place = {dataset.names[int(i)]: int(i) for part in parts for i in part}
    place = {name: place[name] for name in needed if name in place}

    def content(name: str) -> bytes | None:
        return dataset.content(place[name]) if name in place else None

    if dataset.kind == "image":
        return {"pictures": thumbnails(names, content)}
    return {"texts": {name: beginning(dataset, place[name]) for name in names if name in place}}


def beginning(dataset: Dataset, index: int) -> str:
    """Return how a text begins."""
    try:
        text = clean_text(tokens.beginning(dataset.content(index)))
    except (OSError, ItemError):
        return dataset.names[index]
    short = shorten(text, BEGINNING, placeholder=" …")
    return short if len(short) > 2 else text[:BEGINNING] + " …"


def floor(dataset: Dataset, parts: Split) -> Plain | None:
    """Return how often the largest training class is right; None where there are no classes."""
    task = dataset.known.task
    try:
        classes = task.groups(dataset.labels)
    except ValueError:
        return None
    held = classes[parts.held_out]
    largest = np.bincount(classes[parts.train]).argmax()
    right, n = int((held == largest).sum()), len(held)
    low, high = wilson(right, n)
    return {"name": "always the largest class", "value": right / n, "low": low, "high": high}


def feature_map(
    dataset: Dataset, held_out: Indices, features: Matrix, outputs: Matrix
) -> Plain | None:
    """Return where held-out items lie in their ``features``, shape (N, D); few items have no map.

    The first two principal components, and where items are few also t-SNE (van der Maaten and
    Hinton 2008, JMLR 9). Nothing for items without one class each.
    """
    task = dataset.known.task
    try:
        labels = task.groups(dataset.labels[held_out])
    except ValueError:
        return None
    if len(held_out) < 8:
        return None
    x = features.astype(np.float64)
    x -= x.mean(axis=0)
    points, spread, _ = np.linalg.svd(x, full_matrices=False)
    total = float((spread**2).sum()) or 1.0
    scaled = points * spread
    found: Plain = {
        "pca": _rounded(scaled[:, :2]),
        "labels": labels.tolist(),
        "answers": outputs.argmax(axis=1).tolist(),
        "items": [dataset.names[int(i)] for i in held_out],
        "names": list(task.names),
        "variance": float((spread[:2] ** 2).sum()) / total,
    }
    if len(held_out) <= NEAR:
        perplexity = min(30.0, (len(held_out) - 1) / 3)
        found["tsne"] = _rounded(tsne(scaled[:, :30], perplexity))
    return found


def _rounded(points: npt.NDArray[np.float64]) -> list[list[float]]:
    points = points[:, :2] if points.shape[1] > 1 else np.repeat(points, 2, axis=1)
    size = float(np.abs(points).max()) or 1.0
    return [[float(v) for v in row] for row in np.round(points / size, 3)]


def called(verb: str, data: str | Sequence[str], run: Settings) -> Plain:
    """Return the command, and the lines of Python, that a run was asked for by.

    Folders are named by their last part: a page may be passed on. ``data`` are the names of one
    data set, or of several.
    """
    names = [data] if isinstance(data, str) else list(data)
    rows = table(type(run))
    told = {name: getattr(run, name) for name in rows if name in run.given and name != "resume"}
    words = ["headstart", *verb.split(), *names]
    for name, value in told.items():
        option = "--" + name.replace("_", "-")
        if isinstance(value, bool):
            words.append(option if value else f"--no-{option[2:]}")
        else:
            words += [option, _word(value)]
    given = [*map(repr, names), *(f"{name}={_python(value)}" for name, value in told.items())]
    room, _, call = verb.rpartition(" ")
    line = f"from headstart.verbs import {room}" if room else "import headstart"
    python = f"{line}\n\n{room or 'headstart'}.{call}({', '.join(given)})"
    return {"command": shell(*words), "python": python}


def _passed_on(value: Any) -> Any:
    """Return what was given without where it lies on this machine."""
    own = isinstance(value, Path) or (isinstance(value, str) and os.path.isabs(value))
    return Path(value).name if own else value


def _word(value: Any) -> str:
    value = _passed_on(value)
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _python(value: Any) -> str:
    value = _passed_on(value)
    return repr(list(value)) if isinstance(value, tuple) else repr(value)


def filters(model: Model, tensors: Mapping[str, Any]) -> Plain | None:
    """Return the first convolution before and after training, where training has changed it."""
    before = tensors.get("before.first_convolution")
    if before is None or model.backbone is None:
        return None
    from headstart.backbones.surgery import first_convolution
    from headstart.report.filters import sheet

    after = first_convolution(model.backbone.net)[1].weight.detach().cpu().numpy()
    change = float(np.linalg.norm(after - before) / max(float(np.linalg.norm(before)), 1e-12))
    if change < 1e-6:
        return None
    top = float(max(np.abs(before).max(), np.abs(after).max())) or 1.0
    return {"before": sheet(before, top), "after": sheet(after, top), "change": change}


def version() -> str:
    """Return the version of this package."""
    from headstart import __version__

    return __version__


def versions() -> dict[str, str]:
    """Return the versions of what decides numbers."""
    import platform
    from importlib.metadata import version

    names = ("torch", "torchvision", "timm", "transformers", "tokenizers") + (
        "onnxruntime",
        "scikit-learn",
        "numpy",
        "Pillow",
    )
    return {"python": platform.python_version()} | {name: version(name) for name in names}
