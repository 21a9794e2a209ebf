"""First filters as one small picture."""

from __future__ import annotations

import base64
import io

import numpy as np
import numpy.typing as npt
from PIL import Image

_MOST, _COLUMNS = 64, 16


def sheet(kernel: npt.NDArray[np.float32], top: float) -> str:
    """Return the first filters of ``kernel``, (filters, channels, H, W), as a PNG's data URI.

    Filters of three channels are in colour, others grey by the mean of their channels; ``top`` is
    the value that is brightest.
    """
    shown = kernel[:_MOST]
    if shown.shape[1] != 3:
        shown = np.repeat(shown.mean(axis=1, keepdims=True), 3, axis=1)
    n, _, high, wide = shown.shape
    columns = min(_COLUMNS, n)
    lines = -(-n // columns)
    out = np.full((lines * (high + 1), columns * (wide + 1), 3), 128, np.uint8)
    for i, one in enumerate(shown):
        y, x = (i // columns) * (high + 1), (i % columns) * (wide + 1)
        pixels = 0.5 + one.transpose(1, 2, 0) / (2 * top)
        out[y : y + high, x : x + wide] = (255 * pixels).clip(0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(out).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
