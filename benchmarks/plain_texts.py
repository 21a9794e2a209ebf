"""The plain way to text features, and the floor below any way; prints one JSON line.

"loop" is transformers and torch: batches of 32 in file order, padded to the longest of the batch,
mean pooling, length 1. "floor" is ONNX Runtime alone on batches of 32 that are already tokenised
and sorted by length. "seconds" leaves out loading the network and reading the files; of the loop
it is tokenising and running, of the floor only running.

usage: plain_texts.py loop DATA MODEL
       plain_texts.py floor DATA MODEL GRAPH    (GRAPH is exported unless it is there)

DATA is a CSV with a column "text" or a folder of class folders; MODEL is an encoder's folder.
"""

import csv
import json
import sys
import time
from pathlib import Path

import numpy as np
from transformers import AutoTokenizer

BATCH = 32


def read(data: Path) -> list[str]:
    if data.is_dir():
        return [file.read_text(encoding="utf-8") for file in sorted(data.glob("*/*.txt"))]
    with data.open(encoding="utf-8", newline="") as file:
        return [row["text"] for row in csv.DictReader(file)]


def longest(model: Path) -> int:
    """Return how many tokens of a text the encoder was made to read."""
    return json.loads((model / "sentence_bert_config.json").read_text())["max_seq_length"]


def encoder(model: Path):
    import torch
    from transformers import AutoModel

    class Encoder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = AutoModel.from_pretrained(model, local_files_only=True)

        def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            tokens = self.net(input_ids=ids, attention_mask=mask).last_hidden_state
            weights = mask.unsqueeze(-1).to(tokens.dtype)
            mean = (tokens * weights).sum(1) / weights.sum(1)
            return torch.nn.functional.normalize(mean, dim=1)

    return Encoder().eval()


def loop(texts: list[str], model: Path) -> tuple[np.ndarray, float]:
    import torch

    tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True)
    network, limit, out = encoder(model), longest(model), []
    start = time.perf_counter()
    with torch.inference_mode():
        for first in range(0, len(texts), BATCH):
            some = tokenizer(
                texts[first : first + BATCH],
                padding="longest",
                truncation=True,
                max_length=limit,
                return_tensors="pt",
            )
            out.append(network(some["input_ids"], some["attention_mask"]).numpy())
    return np.concatenate(out), time.perf_counter() - start


def export(model: Path, graph: Path) -> None:
    import torch

    ids = torch.tensor([[101, 7592, 2088, 102], [101, 7592, 102, 0]])
    axes = {"ids": {0: "n", 1: "l"}, "mask": {0: "n", 1: "l"}, "y": {0: "n"}}
    torch.onnx.export(
        encoder(model),
        (ids, (ids > 0).long()),
        graph,
        input_names=["ids", "mask"],
        output_names=["y"],
        dynamic_axes=axes,
        opset_version=18,
        dynamo=False,
    )


def floor(texts: list[str], model: Path, graph: Path) -> tuple[np.ndarray, float]:
    import onnxruntime

    if not graph.exists():
        export(model, graph)
    session = onnxruntime.InferenceSession(graph)
    tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True)
    rows = tokenizer(texts, truncation=True, max_length=longest(model))["input_ids"]
    order = np.argsort([-len(row) for row in rows], kind="stable")
    batches = []
    for first in range(0, len(rows), BATCH):
        some = [rows[i] for i in order[first : first + BATCH]]
        lengths = np.array([len(row) for row in some])
        mask = np.arange(lengths.max()) < lengths[:, None]
        ids = np.zeros(mask.shape, np.int64)  # MiniLM's padding token is 0
        ids[mask] = np.concatenate(some)
        batches.append({"ids": ids, "mask": mask.astype(np.int64)})
    start = time.perf_counter()
    found = np.concatenate([session.run(None, batch)[0] for batch in batches])
    seconds = time.perf_counter() - start
    out = np.empty_like(found)
    out[order] = found
    return out, seconds


def main() -> None:
    way, data, *rest = sys.argv[1:]
    texts = read(Path(data))
    vectors, seconds = {"loop": loop, "floor": floor}[way](texts, *map(Path, rest))
    print(json.dumps({"n": len(texts), "seconds": seconds, "sum": float(np.abs(vectors).sum())}))


if __name__ == "__main__":
    main()
