"""`features`: a backbone's vectors as a Parquet file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from headstart.backbones.choice import backbone_name, entries_for
from headstart.boundary.extract import extract
from headstart.compute.device import pick
from headstart.data.injected import learn
from headstart.data.reading import given
from headstart.errors import UsageError
from headstart.settings.table import Describing
from headstart.settings.taking import takes


@takes(Describing)
def features(data: Any, labels: Any = None, *, run: Describing) -> dict[str, Any]:
    """Write the features of ``data`` to the Parquet file ``out``: item, label, split, vector.

    ``data`` is a folder, a table, or what `read` returned. Rows are streamed, so memory does not
    grow with their number. ``columns`` of a table are joined to the vectors as numbers, whose mean
    and spread are those of the training items.

    Raises:
        UsageError: an option is unknown, out of range or not for such data.
        DataError: none of the items can be used.
        BackboneError: the backbone or its weights are not here.
    """
    from headstart.boundary.parquet import write

    if run.out.suffix.lower() not in ("", ".parquet"):
        raise UsageError(
            f"out is {run.out}, but vectors are written as Parquet, which keeps them exactly; name "
            f"it {run.out.with_suffix('.parquet')}. pandas reads it: pandas.read_parquet(...)."
        )
    dataset = given(data, labels, run)
    entries = entries_for(run.backbone, dataset, run, run.seed, [])
    device = pick(run.device)
    found, vectors = extract(dataset, entries, block=run.block, device=device, seed=run.seed)
    if not len(found.usable):
        found.require_usable()
    if dataset.beside:
        training = found.usable[np.isin(dataset.splits[found.usable], ["train", ""])]
        reader = learn(dataset.beside, training if len(training) else found.usable)
        dataset = replace(dataset, beside=reader.read(dataset.beside))
        vectors = replace(vectors, dataset=dataset)
    write(run.out, dataset, found.usable, vectors)
    return {
        "out": str(run.out),
        "n": len(found.usable),
        "n_features": vectors.n_features,
        "backbone": backbone_name(entries),
        "block": run.block,
        "cache": {"hits": vectors.hits, "misses": vectors.misses},
        "seconds": vectors.seconds,
        "skipped": [one._asdict() for one in found.rejected],
    }
