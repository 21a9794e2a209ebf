"""`features`: a backbone's vectors as a Parquet file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from headstart.boundary.extract import extract
from headstart.compute.device import pick
from headstart.data.dataset import Dataset
from headstart.data.reading import given
from headstart.verbs.choice import backbone_name, entries_for


def features(
    data: str | Path | Dataset,
    *,
    out: str | Path,
    backbone: str | None = None,
    block: int = -1,
    seed: int = 0,
    device: str = "auto",
    channels: int | None = None,
    **reading: Any,
) -> dict[str, Any]:
    """Write the features of ``data`` to the Parquet file ``out``: item, label, split, vector.

    Args:
        data: a folder, a table, or what `read` returned.
        backbone: a name, or ``x+y`` to join vectors.
        out: the file to write; rows are streamed, so memory does not grow with their number.
        block: -1 for the pooled output; else the output of that block, averaged over positions.
        seed: of random weights.
        device: "auto", "cpu", "cuda" or "mps".
        channels: see `fit`.
        **reading: options of `read`.
    """
    from headstart.boundary.parquet import write

    dataset = given(data, reading)
    entries = entries_for(backbone, dataset, channels, seed, [])
    found, vectors = extract(dataset, entries, block=block, device=pick(device), seed=seed)
    if not len(found.usable):
        found.require_usable()
    write(Path(out), dataset, found.usable, vectors)
    return {
        "out": str(out),
        "n": len(found.usable),
        "n_features": vectors.n_features,
        "backbone": backbone_name(entries),
        "block": block,
        "cache": {"hits": vectors.hits, "misses": vectors.misses},
        "seconds": vectors.seconds,
        "skipped": [one._asdict() for one in found.rejected],
    }
