"""Standard corruptions of pictures: what cameras, weather and compression do to them.

Nine of the fifteen of ImageNet-C (Hendrycks and Dietterich 2019, arXiv:1903.12261, appendix B), at
their middle severity, 3 of 5: those that need nothing but NumPy, SciPy and Pillow. They act on the
network's input; of pictures under 100 pixels a side at the strength of the authors' CIFAR-10-C.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]
Unit = npt.NDArray[np.float64]
"""A picture (H, W, C) with values in 0..1."""

SMALL = 100
"""Pixels a side below which a picture counts as small."""


def corrupted(picture: Pixels, name: str, seed: int) -> Pixels:
    """Return ``picture``, shape (H, W, C), under the corruption called ``name``.

    The same ``seed`` gives the same noise.

    >>> grey = np.full((32, 32, 1), 128, np.uint8)
    >>> int(corrupted(grey, "brightness", 0)[0, 0, 0])
    153
    """
    rng = np.random.default_rng(seed)
    small = min(picture.shape[:2]) < SMALL
    made = CORRUPTIONS[name](picture.astype(np.float64) / 255, rng, small)
    return np.asarray(np.clip(made * 255, 0, 255), np.uint8)


def _gaussian_noise(x: Unit, rng: np.random.Generator, small: bool) -> Unit:
    return x + rng.normal(0, 0.08 if small else 0.18, x.shape)


def _shot_noise(x: Unit, rng: np.random.Generator, small: bool) -> Unit:
    rate = 100 if small else 12
    return np.asarray(rng.poisson(x * rate) / rate)


def _impulse_noise(x: Unit, rng: np.random.Generator, small: bool) -> Unit:
    lot = rng.random(x.shape)
    share = 0.03 if small else 0.09
    return np.where(lot < share / 2, 0.0, np.where(lot < share, 1.0, x))


def _defocus_blur(x: Unit, rng: np.random.Generator, small: bool) -> Unit:
    radius = 0.8 if small else 6.0
    side = np.arange(-np.ceil(radius + 1), np.ceil(radius + 1) + 1)
    distance = np.hypot(*np.meshgrid(side, side))
    disk = np.clip(radius + 0.5 - distance, 0, 1)  # its rim shares a pixel
    return _filtered(x, disk / disk.sum())


def _motion_blur(x: Unit, rng: np.random.Generator, small: bool) -> Unit:
    length = 5 if small else 15
    angle = np.deg2rad(rng.uniform(-45, 45))
    kernel = np.zeros((2 * length + 1, 2 * length + 1))
    for at in np.linspace(-length / 2, length / 2, 4 * length):
        kernel[round(length + at * np.sin(angle)), round(length + at * np.cos(angle))] += 1
    return _filtered(x, kernel / kernel.sum())


def _filtered(x: Unit, kernel: Unit) -> Unit:
    from scipy.ndimage import convolve

    planes = [convolve(x[..., c], kernel, mode="nearest") for c in range(x.shape[2])]
    return np.stack(planes, axis=2)


def _brightness(x: Unit, rng: np.random.Generator, small: bool) -> Unit:
    return x + (0.1 if small else 0.3)


def _contrast(x: Unit, rng: np.random.Generator, small: bool) -> Unit:
    means = x.mean(axis=(0, 1), keepdims=True)
    return np.asarray((x - means) * (0.4 if small else 0.2) + means)


def _pixelate(x: Unit, rng: np.random.Generator, small: bool) -> Unit:
    share = 0.85 if small else 0.4
    height, width = x.shape[:2]
    coarse = (max(1, int(width * share)), max(1, int(height * share)))

    def one(plane: Unit) -> Unit:
        picture = Image.fromarray((plane * 255).astype(np.uint8))
        few = picture.resize(coarse, Image.Resampling.BOX)
        return np.asarray(few.resize((width, height), Image.Resampling.NEAREST)) / 255

    return np.stack([one(x[..., c]) for c in range(x.shape[2])], axis=2)


def _jpeg(x: Unit, rng: np.random.Generator, small: bool) -> Unit:
    pixels = (x * 255).astype(np.uint8)
    together = pixels.shape[2] == 3
    planes = [pixels] if together else [pixels[..., c] for c in range(pixels.shape[2])]
    done = [_through_jpeg(plane, 58 if small else 15) for plane in planes]
    return done[0] if together else np.stack(done, axis=2)


def _through_jpeg(pixels: Pixels, quality: int) -> Unit:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    with Image.open(file) as picture:
        return np.asarray(picture) / 255


CORRUPTIONS: dict[str, Callable[[Unit, np.random.Generator, bool], Unit]] = {
    "gaussian_noise": _gaussian_noise,
    "shot_noise": _shot_noise,
    "impulse_noise": _impulse_noise,
    "defocus_blur": _defocus_blur,
    "motion_blur": _motion_blur,
    "brightness": _brightness,
    "contrast": _contrast,
    "pixelate": _pixelate,
    "jpeg": _jpeg,
}
"""From a picture, a source of chance and whether it is small, to what became of it."""
