"""Features as a Parquet file, for users who take the vectors elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from headstart.boundary.extract import Features
from headstart.data.dataset import Dataset
from headstart.store import written_aside

ROWS = 1024
"""Rows of a Parquet row group; only these are in memory at once."""


def write(path: Path, dataset: Dataset, indices: npt.NDArray[np.int64], features: Features) -> None:
    """Write item, label, split and vector of the items at ``indices`` to ``path``, streaming."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    width = features.n_features
    schema = pa.schema(
        [
            ("item", pa.string()),
            ("label", pa.string()),
            ("split", pa.string()),
            ("vector", pa.list_(pa.float32(), width)),
        ]
    )
    with written_aside(path) as aside, pq.ParquetWriter(aside, schema) as writer:
        for start in range(0, len(indices), ROWS):
            rows = indices[start : start + ROWS]
            vectors = pa.array(features.rows(rows).reshape(-1))
            columns = [
                pa.array([dataset.names[int(i)] for i in rows], pa.string()),
                pa.array([dataset.said(int(i)) for i in rows], pa.string()),
                pa.array([str(dataset.splits[i]) for i in rows], pa.string()),
                pa.FixedSizeListArray.from_arrays(vectors, width),
            ]
            writer.write_table(pa.table(columns, schema=schema))
