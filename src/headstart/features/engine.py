"""Run a backbone over batches: ONNX Runtime on a CPU (no torch), torch on a GPU.

An exported graph is kept under ``HEADSTART_HOME/graphs``, named by everything that decides its
answers. Before it is kept, its answers are compared with torch's at several batch sizes.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from headstart.backbones.entry import Entry
from headstart.errors import HeadstartError, UsageError
from headstart.progress import log
from headstart.store import home, written_aside

if TYPE_CHECKING:
    from headstart.backbones.blocks import Backbone

Pixels = npt.NDArray[np.uint8]
Vectors = npt.NDArray[np.float32]
Engine = Callable[[Pixels], Vectors]
"""From pixels, shape (N, H, W, C) in 0..255, to features, shape (N, D)."""

PARITY = 1e-4
"""Largest difference between graph and torch, relative to the largest feature."""


def engine(entry: Entry, *, block: int = -1, device: str = "cpu", seed: int = 0) -> Engine:
    """Return the engine for the features of ``entry`` after ``block``.

    Args:
        entry: the backbone.
        block: -1 for the pooled output; otherwise the output of that block, averaged over
            positions.
        device: "cpu", "cuda" or "mps", see `headstart.device.pick`.
        seed: of random weights.

    Raises:
        UsageError: there is no such block.
    """
    if device != "cpu":
        return torch_engine(_build(entry, seed), block, device)
    path = graph_path(weights_key(entry, seed), block)
    if path.is_file():
        try:
            return onnx_engine(path)
        except Exception as error:  # ONNX Runtime's errors share no public base
            log.warning("making a damaged graph again, %s: %s", path, str(error)[:200])
    return _exported(entry, seed, block, path)


def _exported(entry: Entry, seed: int, block: int, path: Path) -> Engine:
    """Export to ``path``, or for this run only where nothing can be written."""
    backbone, size = _build(entry, seed), entry.preprocess.size
    try:
        export(backbone, path, block=block, size=size)
        return onnx_engine(path)
    except OSError as error:
        log.warning("no graph can be kept in %s (%s); going on without", path.parent, error)
    with tempfile.TemporaryDirectory(prefix="headstart-") as folder:
        export(backbone, Path(folder) / path.name, block=block, size=size)
        return onnx_engine(Path(folder) / path.name)


def weights_key(entry: Entry, seed: int) -> str:
    """Return `Entry.key`, with the seed that random weights are drawn from."""
    return entry.key() if entry.pretrained else f"{entry.key()}-seed{seed}"


def graph_path(key: str, block: int = -1) -> Path:
    """Return where the graph of the backbone with `Entry.key` ``key`` is kept."""
    return home() / "graphs" / f"{key}{'' if block == -1 else f'-block{block}'}.onnx"


def _build(entry: Entry, seed: int) -> Backbone:
    from headstart.backbones import vision

    return vision.build(entry, seed=seed)


def onnx_engine(path: Path) -> Engine:
    """Return an engine that runs the graph at ``path`` on all cores of the CPU."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = os.cpu_count() or 1
    # Spinning workers would take the cores away from the threads that decode.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(pixels: Pixels) -> Vectors:
        out: Vectors = session.run(None, {"pixels": pixels})[0]
        return out

    return run


def torch_engine(backbone: Backbone, block: int, device: str) -> Engine:
    """Return an engine that runs ``backbone`` in torch on ``device``; bf16 autocast on CUDA."""
    import torch

    module = _vectors(backbone, block).to(device).eval()
    bf16 = torch.autocast(device, torch.bfloat16, enabled=device == "cuda")

    def run(pixels: Pixels) -> Vectors:
        batch = torch.from_numpy(pixels)
        if device == "cuda":
            batch = batch.pin_memory()
        with torch.inference_mode(), bf16:
            out: Vectors = module(batch.to(device, non_blocking=True)).float().cpu().numpy()
        return out

    return run


def check_block(backbone: Backbone, block: int) -> None:
    """Raise `UsageError` unless ``backbone`` has the block ``block``, or it is -1."""
    count = backbone.n_blocks
    if not -1 <= block < count:
        raise UsageError(
            f"block {block} is out of range: this backbone has 0 to {count - 1}, or -1."
        )


def _vectors(backbone: Backbone, block: int) -> Any:
    """Return a module from pixels to one vector an item, after ``block`` of ``backbone``."""
    import torch

    check_block(backbone, block)

    class Vectors(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = backbone

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            if block == -1:
                return self.backbone(pixels)  # type: ignore[no-any-return]
            x: torch.Tensor = self.backbone.forward_to(pixels, block + 1)
            if x.ndim == 4:  # (N, C, H, W); timm's Swin has (N, H, W, C), pooled alike below
                return x.mean((2, 3))
            return x if x.ndim == 2 else x.mean(1)

    return Vectors()


def export(backbone: Backbone, path: Path, *, block: int, size: tuple[int, int]) -> None:
    """Write the graph from pixels to features to ``path``, after proving that it answers alike.

    torch's older exporter takes a tenth of the newer one's time; the newer one is the fallback
    for networks that the older cannot write, or writes wrongly.

    Raises:
        HeadstartError: neither exporter's graph answers as torch does.
    """
    module = _vectors(backbone, block).eval()
    channels = int(backbone.get_buffer("start.mean").numel())
    faults: list[str] = []
    for dynamo in (False, True):
        with written_aside(path) as aside, _quiet():
            try:
                _write(module, aside, (2, *size, channels), dynamo=dynamo)
                difference = _difference(module, onnx_engine(aside), (*size, channels))
            except Exception as error:  # the exporters raise anything
                faults.append(f"{type(error).__name__}: {str(error)[:200]}")
                aside.touch()
                continue
            if difference <= PARITY:
                log.debug("graph written; largest relative difference to torch %.1e", difference)
                return
            faults.append(f"its answers differ from torch's by {difference:.1e} of their size")
    path.unlink(missing_ok=True)
    raise HeadstartError(f"this backbone could not be exported to ONNX: {'; '.join(faults)}")


def _write(module: Any, path: Path, shape: tuple[int, ...], *, dynamo: bool) -> None:
    import torch

    pixels = torch.zeros(shape, dtype=torch.uint8)
    names: dict[str, Any] = {"input_names": ["pixels"], "output_names": ["features"]}
    if dynamo:
        batch = ({0: torch.export.Dim.DYNAMIC},)
        # One file: weights beside it would keep the name that it had while it was written aside.
        torch.onnx.export(
            module,
            (pixels,),
            path,
            dynamo=True,
            external_data=False,
            dynamic_shapes=batch,
            **names,
        )
    else:
        axes = {"pixels": {0: "n"}, "features": {0: "n"}}
        torch.onnx.export(
            module, (pixels,), path, dynamo=False, dynamic_axes=axes, opset_version=18, **names
        )


def _difference(module: Any, run: Engine, shape: tuple[int, ...]) -> float:
    """Return the largest difference to torch over batches of 1, 2 and 7, by the largest."""
    import torch

    rng = np.random.default_rng(0)
    worst = 0.0
    for n in (1, 2, 7):
        # Smooth blobs on noise: noise alone leaves many networks with features near zero.
        coarse = rng.integers(0, 256, (n, 8, 8, shape[-1]))
        steps = [np.linspace(0, 7, side).astype(int) for side in shape[:2]]
        pixels = coarse[:, steps[0]][:, :, steps[1]] + rng.integers(-20, 20, (n, *shape))
        pixels = np.clip(pixels, 0, 255).astype(np.uint8)
        with torch.inference_mode():
            expected = module(torch.from_numpy(pixels)).numpy()
        gap = np.abs(run(pixels) - expected).max() / max(float(np.abs(expected).max()), 1e-6)
        worst = max(worst, float(gap))
    return worst


@contextlib.contextmanager
def _quiet() -> Any:
    """Keep the exporters' notes to developers off the user's screen."""
    import logging
    import warnings

    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(None):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
