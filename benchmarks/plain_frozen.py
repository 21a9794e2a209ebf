"""The plain way: torch model to ONNX, two decoding threads, ONNX Runtime, logistic regression.

usage: plain_frozen.py DATA WEIGHTS GRAPH    (GRAPH is exported unless it is there)
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps
from sklearn.linear_model import LogisticRegression

MEAN = STD = 0.5
SUFFIXES = (".jpg", ".jpeg", ".png", ".gif")


def export(weights: Path, graph: Path) -> None:
    import torch
    import torchvision
    from safetensors.torch import load_file

    facts = json.loads(weights.with_suffix(".json").read_text())
    model = torchvision.models.get_model(facts["architecture"], weights=None)
    model.load_state_dict(load_file(weights))
    model.classifier = torch.nn.Identity()
    names = {"input_names": ["x"], "output_names": ["y"], "dynamo": False}
    axes = {"x": {0: "n"}, "y": {0: "n"}}
    x = torch.zeros(2, 3, 224, 224)
    torch.onnx.export(model.eval(), (x,), graph, dynamic_axes=axes, opset_version=18, **names)


def load(path: Path) -> np.ndarray:
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    scale = 256 / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)))
    left, top = (image.width - 224) // 2, (image.height - 224) // 2
    pixels = np.asarray(image.crop((left, top, left + 224, top + 224)), np.float32) / 255
    return ((pixels - MEAN) / STD).transpose(2, 0, 1)


def features(files: list[Path], session: onnxruntime.InferenceSession) -> np.ndarray:
    out = []
    with ThreadPoolExecutor(2) as pool:
        for start in range(0, len(files), 32):
            batch = np.stack(list(pool.map(load, files[start : start + 32])))
            out.append(session.run(None, {"x": batch})[0])
    return np.concatenate(out)


def main() -> None:
    data, weights, graph = map(Path, sys.argv[1:4])
    if not graph.exists():
        export(weights, graph)
    session = onnxruntime.InferenceSession(graph)
    x, y = {}, {}
    for split in ("train", "val"):
        files = sorted(p for p in (data / split).rglob("*") if p.suffix.lower() in SUFFIXES)
        x[split], y[split] = features(files, session), [p.parent.name for p in files]
    model = LogisticRegression(max_iter=1000).fit(x["train"], y["train"])
    print(f"{model.score(x['val'], y['val']):.4f}")


if __name__ == "__main__":
    main()
