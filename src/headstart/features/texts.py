"""Run a text backbone over batches of token ids: ONNX Runtime on a CPU (no torch), torch on a GPU.

A batch is ``(ids, mask)``, each (N, L) of 64-bit integers. Texts of like length share a batch,
padded only to its longest; the answers come back in the order of the texts.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.data.texts import Ids, Row, Tokenize, by_length
from headstart.errors import HeadstartError, UsageError
from headstart.features.engine import PARITY, Vectors, _quiet, check_block
from headstart.progress import log
from headstart.store import written_aside

if TYPE_CHECKING:
    from headstart.backbones.blocks import Backbone

TextEngine = Callable[[Ids, Ids], Vectors]
"""From ids and mask, each (N, L), to features, (N, D)."""

TOKENS = 2048
"""Tokens of a batch, padding counted: its activations then stay near the processor's caches."""


def vectors(
    run: TextEngine, tokenize: Tokenize, rows: Sequence[Row], tokens: int = TOKENS
) -> Vectors:
    """Return the features of ``rows``, shape (N, D), in their order.

    Args:
        run: an engine of this module.
        tokenize: what made ``rows``; pads them.
        rows: from `Tokenize.encode`; at least one.
        tokens: of a batch, see `headstart.data.texts.by_length`.
    """
    out: Vectors | None = None
    for batch in by_length([len(row) for row in rows], tokens=tokens):
        found = run(*tokenize.collate([rows[i] for i in batch]))
        if out is None:
            out = np.empty((len(rows), found.shape[1]), np.float32)
        out[batch] = found
    if out is None:
        raise UsageError("there are no texts to compute features of.")
    return out


def onnx_engine(path: Path) -> TextEngine:
    """Return an engine that runs the graph at ``path`` on all cores of the CPU."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = os.cpu_count() or 1
    options.log_severity_level = 3
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(ids: Ids, mask: Ids) -> Vectors:
        out: Vectors = session.run(None, {"ids": ids, "mask": mask})[0]
        return out

    return run


def torch_engine(backbone: Backbone, block: int = -1, device: str = "cpu") -> TextEngine:
    """Return an engine that runs ``backbone`` in torch on ``device``; bf16 autocast on CUDA."""
    import torch

    module = _vectors(backbone, block).to(device).eval()
    bf16 = torch.autocast(device, torch.bfloat16, enabled=device == "cuda")

    def run(ids: Ids, mask: Ids) -> Vectors:
        batch = [torch.from_numpy(x).to(device) for x in (ids, mask)]
        with torch.inference_mode(), bf16:
            out: Vectors = module(*batch).float().cpu().numpy()
        return out

    return run


def _vectors(backbone: Backbone, block: int) -> Any:
    """Return a module from ids and mask to one vector a text, after ``block`` of ``backbone``."""
    import torch

    from headstart.backbones.pooling import mean

    check_block(backbone, block)

    class TextVectors(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = backbone

        def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            x = self.backbone.forward_to(
                (ids, mask), backbone.n_blocks if block == -1 else block + 1
            )
            return mean(*x) if isinstance(x, tuple) else x

    return TextVectors()


def export(backbone: Backbone, path: Path, *, vocabulary: int, block: int = -1) -> None:
    """Write the graph from ids and mask to features to ``path``, proven to answer as torch does.

    Both axes of the inputs are free: any number of texts of any length.

    Args:
        backbone: a text backbone.
        path: where to write.
        vocabulary: number of tokens, for the ids that it is proven on.
        block: -1 for the features, or a block's index for the mean of its vectors over the tokens.

    Raises:
        HeadstartError: neither of torch's exporters makes a graph that answers as torch does.
    """
    module = _vectors(backbone, block).eval()
    faults: list[str] = []
    for dynamo in (False, True):  # the older exporter takes a tenth of the newer one's time
        with written_aside(path) as aside, _quiet():
            try:
                _write(module, aside, vocabulary, dynamo=dynamo)
                gap = difference(torch_engine(backbone, block), onnx_engine(aside), vocabulary)
            except Exception as error:  # the exporters raise anything
                faults.append(f"{type(error).__name__}: {str(error)[:200]}")
                aside.touch()
                continue
            if gap <= PARITY:
                log.debug("graph written; largest relative difference to torch %.1e", gap)
                return
            faults.append(f"its answers differ from torch's by {gap:.1e} of their size")
    path.unlink(missing_ok=True)
    raise HeadstartError(f"this backbone could not be exported to ONNX: {'; '.join(faults)}")


def _write(module: Any, path: Path, vocabulary: int, *, dynamo: bool) -> None:
    import torch

    ids, mask = (torch.from_numpy(x) for x in _example(3, 9, vocabulary))
    names: dict[str, Any] = {"input_names": ["ids", "mask"], "output_names": ["features"]}
    if dynamo:
        free = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
        shapes = (free, free)
        torch.onnx.export(module, (ids, mask), path, dynamo=True, dynamic_shapes=shapes, **names)
    else:
        free_axes = {"ids": {0: "n", 1: "l"}, "mask": {0: "n", 1: "l"}, "features": {0: "n"}}
        torch.onnx.export(
            module,
            (ids, mask),
            path,
            dynamo=False,
            dynamic_axes=free_axes,
            opset_version=18,
            **names,
        )


def _example(n: int, length: int, vocabulary: int) -> tuple[Ids, Ids]:
    """Return random ids and a mask of texts of different lengths; the first fills the batch."""
    rng = np.random.default_rng([n, length])
    lengths = rng.integers(1, length + 1, n)
    lengths[0] = length
    mask = (np.arange(length) < lengths[:, None]).astype(np.int64)
    return rng.integers(0, vocabulary, (n, length)) * mask, mask


def difference(expected: TextEngine, got: TextEngine, vocabulary: int) -> float:
    """Return the largest difference between two engines, relative to the largest feature.

    Over batches of 1, 2 and 7 texts and lengths of 1, 5, 12 and 33 tokens.
    """
    worst = 0.0
    for n, length in ((1, 1), (1, 33), (2, 12), (7, 5), (7, 33)):
        batch = _example(n, length, vocabulary)
        truth = expected(*batch)
        gap = np.abs(got(*batch) - truth).max() / max(float(np.abs(truth).max()), 1e-6)
        worst = max(worst, float(gap))
    return worst
