"""`translate`: source pictures in the target's style, by an exchange of spectra."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from headstart.adaptation.method import Method, Style


def spectrum_exchange(source: Tensor, target: Tensor, share: float = 0.05) -> Tensor:
    """Return the source pictures with the target's amplitudes at low frequencies.

    The phase, which holds the shapes, stays the source's; colours, contrast and lighting, which
    low amplitudes hold, become the target's.

    Args:
        source: shape (N, C, H, W), 0 to 255.
        target: shape (N, C, H, W), 0 to 255, another picture for each.
        share: half the side of the square of frequencies that is exchanged, as a share of the
            shorter side, 0 to 0.5; 0 exchanges the mean colour alone.

    Source: Yang and Soatto 2020, arXiv:2004.05498, equation 2 (Fourier domain adaptation).

    >>> x, y = torch.full((1, 1, 4, 4), 10.0), torch.full((1, 1, 4, 4), 30.0)
    >>> round(float(spectrum_exchange(x, y, 0.0).mean()), 4)
    30.0
    """
    ours, theirs = torch.fft.fft2(source), torch.fft.fft2(target)
    low = low_frequencies(source.shape[2], source.shape[3], share).to(source.device)
    amplitude = torch.where(low, theirs.abs(), ours.abs())
    mixed = torch.polar(amplitude, ours.angle())
    exchanged: Tensor = torch.fft.ifft2(mixed).real
    return exchanged.clamp(0, 255)


def low_frequencies(height: int, width: int, share: float) -> Tensor:
    """Return which frequencies of a picture's spectrum are low, shape (H, W)."""
    reach = int(share * min(height, width))
    rows = (torch.fft.fftfreq(height) * height).abs().round() <= reach
    columns = (torch.fft.fftfreq(width) * width).abs().round() <= reach
    low: Tensor = rows[:, None] & columns[None, :]
    return low


@dataclass(frozen=True)
class Translated(Method):
    """Learn from source pictures in the target's colours and light as well.

    When: pictures that differ in colour, contrast or lighting. When not: texts; and pictures that
    differ in shape, photos and line drawings say.
    """

    translates: ClassVar[Style] = "exchanged"
