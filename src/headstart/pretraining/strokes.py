"""Pictures of characters from their distance fields: warped, inked and degraded at random.

One pair of fields gives every stroke width, from the printed shape to a thin pen that follows its
middle line. That is what brings print closer to handwriting, without one handwritten image.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from headstart.backbones.glyphs import INPUT_SIZE


def draw(fields: Tensor, rng: torch.Generator, strength: float = 1.0) -> Tensor:
    """Draw characters (N, 2, FIELD, FIELD) as images (N, 1, INPUT_SIZE, INPUT_SIZE) in [0, 1].

    Each is warped, given a stroke width, thinned to fewer pixels, blurred, and so on at random;
    ``strength`` scales the warp (0: none). N should be a multiple of 4.
    """
    grid = warp(len(fields), rng, strength)
    moved = F.grid_sample(fields.float(), grid, padding_mode="border", align_corners=False)
    ink = strokes(moved, rng)
    return degrade(resample(ink, rng), rng)


def warp(n: int, rng: torch.Generator, strength: float) -> Tensor:
    """Give n sampling grids (n, S, S, 2): random affine maps plus two scales of wobble.

    How strong varies from image to image, between 0.5 and 1.7 times ``strength``.
    """
    each = strength * _uniform(n, rng, 0.5, 1.7)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=rng) * each.view(n, *[1] * (len(shape) - 1))

    angle, shear = 0.15 * normal(n), 0.25 * normal(n)
    # Sampling 0.8 of the field on average lets the character fill the picture, as in cropped scans.
    wide, high = 0.8 * torch.exp(0.20 * normal(n)), 0.8 * torch.exp(0.10 * normal(n))
    cos, sin = torch.cos(angle), torch.sin(angle)
    rows = [wide * cos, wide * (shear * cos - sin), 0.06 * normal(n)]
    rows += [high * sin, high * (shear * sin + cos), 0.06 * normal(n)]
    grid = F.affine_grid(torch.stack(rows, 1).view(n, 2, 3), [n, 1, INPUT_SIZE, INPUT_SIZE], False)
    for cells, size in ((3, 0.13), (5, 0.06)):
        grid = grid + smooth(size * normal(n, 2, cells, cells)).permute(0, 2, 3, 1)
    return grid


def smooth(coarse: Tensor) -> Tensor:
    """Spread a coarse random field (N, C, h, w) over the picture."""
    return F.interpolate(coarse, (INPUT_SIZE, INPUT_SIZE), mode="bicubic", align_corners=True)


def strokes(fields: Tensor, rng: torch.Generator) -> Tensor:
    """Turn distance fields (N, 2, S, S) into ink (N, 1, S, S) in [0, 1].

    Half the characters keep their printed shape, made bolder or lighter; half are drawn with a
    pen of one width along the skeleton. Both vary a little within the character.
    """
    n = len(fields)
    uniform = partial(_uniform, n, rng)
    outline, line = fields[:, :1], fields[:, 1:]
    pen = line + uniform(1.5, 4.5)
    # However light, a printed shape keeps a hairline, or thin fonts would fall apart.
    printed = torch.maximum(outline + uniform(-2.0, 2.0), line + 1.3)
    height = torch.where(uniform(0, 1) < 0.6, pen, printed)
    height = height + 0.4 * smooth(torch.randn(n, 1, 4, 4, generator=rng))
    return torch.sigmoid(height / uniform(0.3, 0.9))


def resample(ink: Tensor, rng: torch.Generator) -> Tensor:
    """Pass three quarters of the images through few pixels and back up, half of all through 8."""
    sizes = [8, 8, int(torch.randint(6, 17, (1,), generator=rng)), INPUT_SIZE]
    parts = []
    for part, size in zip(ink.tensor_split(4), sizes, strict=True):
        small = F.interpolate(part, (size, size), mode="area")
        back = (INPUT_SIZE, INPUT_SIZE)
        parts.append(F.interpolate(small, back, mode="bilinear", align_corners=False))
    return torch.cat(parts)


def degrade(images: Tensor, rng: torch.Generator) -> Tensor:
    """Blur, fade, invert and add noise at random; (N, 1, S, S) in [0, 1] to the same."""
    uniform = partial(_uniform, len(images), rng)
    blurred = F.avg_pool2d(images, 3, 1, 1)
    images = torch.lerp(images, blurred, uniform(-1, 1).clamp(min=0))
    images = images * uniform(0.6, 1.6).clamp(max=1) + uniform(-0.6, 0.2).clamp(min=0)
    images = torch.where(uniform(0, 1) < 0.1, 1 - images, images)
    noise = torch.randn(images.shape, generator=rng) * uniform(-0.2, 0.1).clamp(min=0)
    return (images + noise).clamp(0, 1)


def _uniform(n: int, rng: torch.Generator, low: float, high: float) -> Tensor:
    """Give one random number for each of n images, (n, 1, 1, 1)."""
    return low + (high - low) * torch.rand(n, 1, 1, 1, generator=rng)
