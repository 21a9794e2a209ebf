"""How torch runs on a device: in which precision, and how a batch gets there."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

Batch = tuple[npt.NDArray[Any], ...]
"""What a preprocessing collates: ``(pixels,)``, or ``(ids, mask)`` of texts."""


def autocast(device: str) -> torch.autocast:
    """Return the context in which networks run: bf16 on CUDA, else 32 bits."""
    return torch.autocast(device, torch.bfloat16, enabled=device == "cuda")


def to_device(batch: Batch, device: str) -> Any:
    """Return ``batch`` as what a backbone reads on ``device``: a tensor, or a tuple of two."""
    tensors = tuple(_moved(array, device) for array in batch)
    return tensors if len(tensors) > 1 else tensors[0]


def _moved(array: npt.NDArray[Any], device: str) -> Tensor:
    tensor = torch.from_numpy(array)
    if device == "cuda":  # without waiting for the copy
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
