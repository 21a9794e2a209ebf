"""Tables with bytes changed, lost and doubled; tables to predict with ragged rows."""

import json
import random
from collections import Counter
from pathlib import Path

import numpy as np

from adversary.mutations import mutated
from headstart.data.reading import read, read_items
from mischief.counting import say, tried


def tables(folder: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    counts: Counter[str] = Counter()
    rows = [(f"some text number {i} caf\u00e9", "ab"[i % 2]) for i in range(30)]
    plain = "text,label\n" + "".join(f"{t},{y}\n" for t, y in rows)
    pq.write_table(
        pa.table({"text": [t for t, _ in rows], "label": [y for _, y in rows]}),
        folder / "w.parquet",
    )
    metadata = {b"huggingface": b'{"info": {"features": {"label": {"names": [1, null]}}}}'}
    odd = pa.table({"text": [t for t, _ in rows], "label": pa.array([y.encode() for _, y in rows])})
    pq.write_table(odd.replace_schema_metadata(metadata), folder / "odd.parquet")
    whole = {
        "csv": plain.encode(),
        "tsv": plain.replace(",", "\t").encode(),
        "jsonl": "".join(json.dumps({"text": t, "label": y}) + "\n" for t, y in rows).encode(),
        "parquet": (folder / "w.parquet").read_bytes(),
    }
    whole["odd.parquet"] = (folder / "odd.parquet").read_bytes()
    for ending, content in whole.items():
        for seed in range(118):
            path = folder / f"{seed}.{ending}"
            path.write_bytes(mutated(content, np.random.default_rng([seed, len(content)])))

            def look(path: Path = path) -> str:
                found = read(path, label_column="label")
                for i in range(len(found)):
                    found.content(i)
                return "read"

            tried(counts, look)
            path.unlink()
    say("tables", counts)
    counts = Counter()
    for seed in range(40):  # no row to predict may be lost
        lines = plain.splitlines()
        chance = random.Random(seed)
        for _ in range(5):
            at = chance.randrange(1, len(lines))
            lines[at] = chance.choice([lines[at] + ",more", "short", "", '"open,' + lines[at]])
        path = folder / "p.csv"
        path.write_text("\n".join(lines) + "\n")
        quoted = any(line.startswith('"open') for line in lines)
        n = len(read_items(path, "text").names)
        counts["all rows answered" if quoted or n == len(lines) - 1 else "WRONG"] += 1
    say("ragged tables to predict", counts)
