"""Weights in files: safetensors, and torch's own from which no code is run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from headstart.backbones.entry import Entry
from headstart.errors import BackboneError
from headstart.store import written_aside


def tensors_of(entry: Entry) -> dict[str, Tensor]:
    """Return the tensors of the weights file, as 32-bit floats, without the entry's prefix.

    Raises:
        BackboneError: the file cannot be read.
    """
    return {
        name.removeprefix(entry.prefix): value.float() if value.is_floating_point() else value
        for name, value in read_tensors([Path(str(entry.weights))]).items()
        if name.startswith(entry.prefix)
    }


def fill(net: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give ``net`` these tensors of its own, by name; the others stay as they are.

    The versions of modules, which some libraries ask for, are in a state dict and in no file of
    safetensors; they are the network's own.
    """
    own = net.state_dict()
    own.update(tensors)
    net.load_state_dict(own)


def old_head(
    entry: Entry, n_features: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]] | None:
    """Return weight (K, D) and bias (K,) of the linear head in the weights file; None without."""
    if not entry.num_classes or entry.weights is None:
        return None
    tensors = tensors_of(entry)
    for name, weight in tensors.items():
        bias = tensors.get(f"{name.removesuffix('weight')}bias")
        if bias is not None and weight.numel() == entry.num_classes * n_features:
            return weight.reshape(entry.num_classes, n_features).numpy(), bias.numpy()
    return None


def read_tensors(paths: list[Path]) -> dict[str, Tensor]:
    """Return the tensors of safetensors files, or of torch's own, from which no code is run.

    Raises:
        BackboneError: a file cannot be read.
    """
    from safetensors.torch import load_file

    found: dict[str, Tensor] = {}
    for path in paths:
        try:
            if path.suffix == ".safetensors":
                found |= load_file(path)
            else:
                found |= torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # both raise anything on a damaged file
            raise BackboneError(f"{path} cannot be read: {error}") from error
    return found


def convert(paths: list[Path], out: Path) -> None:
    """Write the tensors of ``paths``, see `read_tensors`, to the safetensors file ``out``."""
    from safetensors.torch import save_file

    # Tied weights share memory, which a file cannot.
    tensors = {name: tensor.clone() for name, tensor in read_tensors(paths).items()}
    with written_aside(out) as aside:
        save_file(tensors, aside)
