"""Run a backbone over batches: ONNX Runtime on a CPU (no torch), torch on a GPU.

A batch is what a preprocessing collates: ``(pixels,)``, or ``(ids, mask)`` of texts.

An exported graph is kept under ``HEADSTART_HOME/graphs``, named by everything that decides its
answers. Before it is kept, its answers are compared with torch's at several batch sizes.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from headstart.backbones import static
from headstart.backbones.entry import Entry
from headstart.backbones.known import Known
from headstart.data.pictures.images import Preprocess
from headstart.data.texts.tokens import Tokenize
from headstart.errors import HeadstartError, UsageError
from headstart.progress import log
from headstart.store import home, written_aside

if TYPE_CHECKING:
    from headstart.backbones.blocks import Backbone

Batch = tuple[npt.NDArray[Any], ...]
Vectors = npt.NDArray[np.float32]
Engine = Callable[[Batch], Vectors]
"""From a batch of N items to features, shape (N, D)."""

PARITY = 1e-4
"""Largest difference between graph and torch, relative to the largest feature."""


def engine(entry: Entry, *, block: int = -1, device: str = "cpu", seed: int = 0) -> Engine:
    """Return the engine for the features of ``entry`` after ``block``.

    Args:
        entry: the backbone.
        block: -1 for the pooled output; otherwise the output of that block, averaged over
            positions.
        device: "cpu", "cuda" or "mps", see `headstart.compute.device.pick`.
        seed: of random weights.

    Raises:
        UsageError: there is no such block.
    """
    if entry.library == static.LIBRARY and block == -1:
        table = static.table(entry)  # a lookup, on any device: no network runs
        return lambda batch: table(*batch)
    if device != "cpu":
        return torch_engine(_build(entry, seed), block, device)
    path = graph_path(weights_key(entry, seed), block)
    if path.is_file():
        try:
            _require_whole(path)
            return onnx_engine(path, alone=entry.kind == "text")
        except Exception as error:  # ONNX Runtime's errors share no public base
            log.warning("making a damaged graph again, %s: %s", path, str(error)[:200])
    return _exported(entry, seed, block, path)


def _exported(entry: Entry, seed: int, block: int, path: Path) -> Engine:
    """Export to ``path``, or for this run only where nothing can be written."""
    backbone = _build(entry, seed)
    known = Known(f"{entry.network}|{block}", entry.library)
    if known.read("export") is None:
        try:
            graph = export(backbone, path, entry.preprocess, block=block)
            return onnx_engine(graph, alone=entry.kind == "text")
        except HeadstartError as error:
            log.debug("%s", error)
            # For want of memory it may go well another time, so that is not remembered.
            if any(word in str(error).lower() for word in ("memory", "alloc")):
                return torch_engine(backbone, block, "cpu")
            known.note("export", str(error))
    log.warning("%s cannot be written as an ONNX graph; torch computes its features", entry.name)
    return torch_engine(backbone, block, "cpu")


def weights_key(entry: Entry, seed: int) -> str:
    """Return `Entry.key`, with the seed that random weights are drawn from."""
    return entry.key() if entry.pretrained else f"{entry.key()}-seed{seed}"


def graph_path(key: str, block: int = -1) -> Path:
    """Return where the graph of the backbone with `Entry.key` ``key`` is kept."""
    return home() / "graphs" / f"{key}{'' if block == -1 else f'-block{block}'}.onnx"


def _build(entry: Entry, seed: int) -> Backbone:
    from headstart.backbones.build import build

    return build(entry, seed=seed)


def onnx_engine(graph: Path | bytes, *, alone: bool = False) -> Engine:
    """Return an engine that runs ``graph``, a file or its content, on all cores of the CPU.

    ``alone`` says that nothing else works meanwhile, so that its threads may wait in a spin.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = _cores()
    # Spinning workers would take the cores away from the threads that decode.
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if alone else "0")
    # What it would print of an error is in the exception that it raises.
    options.log_severity_level = 4
    source = graph if isinstance(graph, bytes) else str(graph)
    session = ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]

    def run(batch: Batch) -> Vectors:
        out: Vectors = session.run(None, dict(zip(names, batch, strict=True)))[0]
        return out

    return run


def _cores() -> int:
    """Return how many cores this process may use: more threads would spin in each other's way."""
    allowed = getattr(os, "sched_getaffinity", None)  # Linux only
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def torch_engine(backbone: Backbone, block: int, device: str) -> Engine:
    """Return an engine that runs ``backbone`` in torch on ``device``; bf16 autocast on CUDA."""
    import torch

    from headstart.compute.running import autocast, to_device

    module = _vectors(backbone, block).to(device).eval()

    def run(batch: Batch) -> Vectors:
        with torch.inference_mode(), autocast(device):
            out: Vectors = module(to_device(batch, device)).float().cpu().numpy()
        return out

    return run


def check_block(backbone: Backbone, block: int) -> None:
    """Raise `UsageError` unless ``backbone`` has the block ``block``, or it is -1."""
    if block == -1:  # which needs no cut
        return
    count = backbone.n_blocks
    if not 0 <= block < count:
        raise UsageError(
            f"block {block} is out of range: this backbone has 0 to {count - 1}, or -1."
        )


def _vectors(backbone: Backbone, block: int) -> Any:
    """Return a module from a batch to one vector an item, after ``block`` of ``backbone``."""
    import torch

    from headstart.backbones.pooling import mean

    check_block(backbone, block)

    class Vectors(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = backbone

        def forward(self, *batch: Any) -> torch.Tensor:
            given: Any = batch if len(batch) > 1 else batch[0]
            x: Any = backbone(given) if block == -1 else backbone.forward_to(given, block + 1)
            if isinstance(x, tuple):  # the vectors of a text's tokens, and the mask
                return mean(*x)
            if x.ndim == 4:  # (N, C, H, W); timm's Swin has (N, H, W, C), pooled alike below
                return x.mean((2, 3))  # type: ignore[no-any-return]
            return x if x.ndim == 2 else x.mean(1)  # type: ignore[no-any-return]

    return Vectors()


def export(
    backbone: Backbone, path: Path, preprocess: Preprocess | Tokenize, *, block: int = -1
) -> bytes:
    """Return the graph from a batch to features, after proving that it answers alike.

    It is kept at ``path`` too; where nothing can be written there, a notice says so. torch's older
    exporter takes a tenth of the newer one's time; the newer one is the fallback for networks that
    the older cannot write, or writes wrongly.

    Args:
        backbone: what to export.
        path: the file.
        preprocess: what the backbone reads; its ``examples`` are what both are asked.
        block: see `engine`.

    Raises:
        HeadstartError: neither exporter's graph answers as torch does.
    """
    module = _vectors(backbone, block).eval()
    faults: list[str] = []
    for dynamo in (False, True):
        try:
            with _quiet():
                graph = _written(module, preprocess, dynamo=dynamo)
            engines = torch_engine(backbone, block, "cpu"), onnx_engine(graph)
            gap = difference(*engines, preprocess)
        except Exception as error:  # the exporters raise anything
            faults.append(f"{type(error).__name__}: {str(error)[:200]}")
            continue
        if gap <= PARITY:
            log.debug("graph written; largest relative difference to torch %.1e", gap)
            _keep(graph, path)
            return graph
        faults.append(f"its answers differ from torch's by {gap:.1e} of their size")
    raise HeadstartError(f"this backbone could not be exported to ONNX: {'; '.join(faults)}")


def _keep(graph: bytes, path: Path) -> None:
    try:
        with written_aside(path) as aside:
            aside.write_bytes(graph + _seal(graph))
    except OSError as error:
        log.warning("no graph can be kept in %s (%s); going on without", path.parent, error)


def _seal(graph: bytes | memoryview) -> bytes:
    """Return the graph's checksum as an entry of its metadata, which may stand at the end.

    A file of protocol buffers goes on wherever one ends: it stays a graph that any tool reads.
    """
    key, value = b"headstart.checksum", f"{zlib.crc32(graph):08x}".encode()
    entry = b"\x0a" + bytes([len(key)]) + key + b"\x12" + bytes([len(value)]) + value
    return b"\x72" + bytes([len(entry)]) + entry  # field 14 of ModelProto, metadata_props


def _require_whole(path: Path) -> None:
    content = memoryview(path.read_bytes())
    end = len(content) - len(_seal(b""))
    if end <= 0 or content[end:] != _seal(content[:end]):
        raise ValueError("its content does not match its checksum")


def _written(module: Any, preprocess: Preprocess | Tokenize, *, dynamo: bool) -> bytes:
    import torch

    # Two items or more: exporters take a single one for a fixed size.
    example = next(batch for batch in preprocess.examples() if len(batch[0]) > 1)
    inputs = tuple(torch.from_numpy(array) for array in example)
    free = preprocess.inputs
    names: dict[str, Any] = {"input_names": list(free), "output_names": ["features"]}
    if dynamo:
        dynamic = tuple(dict.fromkeys(axes, torch.export.Dim.DYNAMIC) for axes in free.values())
        made: Any = torch.onnx.export(
            module,
            inputs,
            dynamo=True,
            dynamic_shapes=(dynamic,),  # one for *batch
            **names,
        )
        return bytes(made.model_proto.SerializeToString())
    buffer = io.BytesIO()
    axes = free | {"features": {0: "n"}}
    torch.onnx.export(
        module,
        inputs,
        buffer,  # type: ignore[arg-type]
        dynamo=False,
        dynamic_axes=axes,
        opset_version=18,
        **names,
    )
    return buffer.getvalue()


def difference(expected: Engine, got: Engine, preprocess: Preprocess | Tokenize) -> float:
    """Return the largest difference between two engines, relative to the largest feature."""
    worst = 0.0
    for batch in preprocess.examples():
        truth = expected(batch)
        gap = np.abs(got(batch) - truth).max() / max(float(np.abs(truth).max()), 1e-6)
        worst = max(worst, float(gap))
    return worst


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporters' notes to developers off the user's screen."""
    import logging
    import warnings

    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(None), _shut_stdout():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def _shut_stdout() -> Iterator[None]:
    """Drop what native code prints: torch writes a whole graph to stdout where it cannot go on."""
    flush: Any = lambda _: None  # noqa: E731
    with contextlib.suppress(OSError, TypeError):  # a system without one library of its own
        flush = ctypes.CDLL(None).fflush
    try:
        kept = os.dup(1)
    except OSError:  # closed already
        yield
        return
    flush(None)  # of all that was printed before, and below of what is dropped
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 1)
        yield
    finally:
        flush(None)
        os.dup2(kept, 1)
        os.close(kept)
