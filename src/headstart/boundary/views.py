"""Random views of a picture, seeded item by item.

torchvision draws its random numbers from one global stream, so what a picture gets would depend on
the order in which threads come by. Here each view has a generator of its own: the same seed gives
the same views, whatever the number of workers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as F  # noqa: N812 - the field's own name for it

from headstart.data.pictures.images import Preprocess


@dataclass(frozen=True)
class Augment:
    """How far a view may be from its picture.

    Attributes:
        area: least share of the picture's area that a random crop keeps.
        flip: chance of a mirror image.
        colour: largest relative change of brightness, contrast and saturation; hue a tenth of it.
        degrees: largest rotation.
    """

    area: float
    flip: float
    colour: float
    degrees: float


LEVELS = {
    "light": Augment(area=0.5, flip=0.5, colour=0.1, degrees=0.0),
    "strong": Augment(area=0.25, flip=0.5, colour=0.4, degrees=15.0),
}


def view(
    image: Image.Image | npt.NDArray[np.uint8],
    preprocess: Preprocess,
    level: Augment,
    rng: np.random.Generator,
) -> npt.NDArray[np.uint8]:
    """Return a random view of ``image`` as the network's input, shape (H, W, C), 0..255.

    A random crop of 3/4 to 4/3 in shape, resized with antialias; then mirror, rotation, colours.
    Colours of pictures with other than three channels are left alone.
    """
    picture: Any = image
    if isinstance(image, np.ndarray):
        picture = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)
    height, width = F.get_size(picture)
    top, left, h, w = _crop(height, width, level.area, rng)
    mode = InterpolationMode(preprocess.interpolation)
    picture = F.resized_crop(
        picture, top, left, h, w, list(preprocess.size), interpolation=mode, antialias=True
    )
    if rng.random() < level.flip:
        picture = F.horizontal_flip(picture)
    if level.degrees:
        # torchvision turns tensors of other than three channels no finer than bilinearly.
        coarse = isinstance(picture, torch.Tensor) and mode is InterpolationMode.BICUBIC
        how = InterpolationMode.BILINEAR if coarse else mode
        picture = F.rotate(picture, float(rng.uniform(-level.degrees, level.degrees)), how)
    if level.colour and preprocess.channels == 3:
        picture = _colours(picture, level.colour, rng)
    if isinstance(picture, torch.Tensor):
        return np.asarray(picture.permute(1, 2, 0).numpy())
    array = np.array(picture)
    return array if array.ndim == 3 else array[:, :, None]


def _crop(
    height: int, width: int, least: float, rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """Return (top, left, height, width) of a crop as in Szegedy et al. 2015, arXiv:1409.4842."""
    for _ in range(10):
        area = height * width * rng.uniform(least, 1.0)
        ratio = np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3)))
        w, h = round(np.sqrt(area * ratio)), round(np.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            return int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1)), h, w
    side = min(height, width)  # a strip: its middle
    return (height - side) // 2, (width - side) // 2, side, side


def _colours(picture: Any, most: float, rng: np.random.Generator) -> Any:
    picture = F.adjust_brightness(picture, float(rng.uniform(1 - most, 1 + most)))
    picture = F.adjust_contrast(picture, float(rng.uniform(1 - most, 1 + most)))
    picture = F.adjust_saturation(picture, float(rng.uniform(1 - most, 1 + most)))
    return F.adjust_hue(picture, float(rng.uniform(-most / 10, most / 10)))
