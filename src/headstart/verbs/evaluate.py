"""`evaluate`: a saved model on labelled data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from headstart import bundle as bundles
from headstart.bundle import Bundle
from headstart.compute.device import pick
from headstart.data.dataset import Dataset, Rejected
from headstart.data.reading import given
from headstart.errors import DataError
from headstart.evaluation import metrics
from headstart.evaluation.metrics import Evaluation
from headstart.progress import log
from headstart.settings.table import Evaluating
from headstart.settings.taking import takes


@takes(Evaluating)
def evaluate(
    bundle: str | Path | Bundle, data: str | Path | Dataset, run: Evaluating
) -> tuple[Evaluation, tuple[Rejected, ...]]:
    """Return the figures of a saved model on ``data``, and the items that could not be used.

    Of data with a split of their own only the held-out part counts: test, else val.

    Raises:
        DataError: none of the classes is one of the bundle's.
    """
    loaded = bundle if isinstance(bundle, Bundle) else bundles.load(bundle)
    dataset = given(data, run)
    if dataset.kind != loaded.kind:
        raise DataError(f"the bundle answers {loaded.kind}s, but {dataset.root} holds others.")
    for name in ("test", "val"):
        if (dataset.splits == name).any():
            log.info("measuring on the %s part of %s", name, dataset.root)
            dataset = dataset.take(np.flatnonzero(dataset.splits == name))
            break
    number = {name: i for i, name in enumerate(loaded.classes)}
    mapped = np.array([number.get(name, -1) for name in dataset.classes], np.int64)[dataset.labels]
    if not (mapped >= 0).any():
        raise DataError(
            f"no class of {dataset.root} ({', '.join(dataset.classes[:5])}) is one of the "
            f"bundle's: {', '.join(loaded.classes[:10])}."
        )
    strangers = tuple(
        Rejected(
            dataset.names[int(i)], f"class '{dataset.classes[dataset.labels[i]]}' is not known"
        )
        for i in np.flatnonzero(mapped < 0)
    )
    keep = np.flatnonzero(mapped >= 0)
    known = replace(dataset.take(keep), labels=mapped[keep], classes=loaded.classes)
    found, features = loaded.extract(known, device=pick(run.device))
    if not len(found.usable):
        found.require_usable()
    chances = loaded.probabilities(known, found.usable, features)
    figures = metrics.evaluate(chances, known.labels[found.usable], loaded.classes)
    return figures, found.rejected + strangers
