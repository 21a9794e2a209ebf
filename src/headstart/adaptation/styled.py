"""Source pictures in the target's style, as a data set of their own; made when they are read."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image

from headstart.adaptation.translate import spectrum_exchange
from headstart.data.dataset import Dataset
from headstart.data.items import packed
from headstart.data.pictures.images import Preprocess, decode
from headstart.tasks.task import Indices


@dataclass(frozen=True)
class _Content:
    """Content of item i: source picture i with the low amplitudes of target picture partner[i]."""

    source: Dataset
    target: Dataset
    partner: Indices
    preprocess: Preprocess

    def __call__(self, index: int) -> bytes:
        ours = self._pixels(self.source.content(index), None)
        theirs = self._pixels(
            self.target.content(int(self.partner[index])), (ours.shape[3], ours.shape[2])
        )
        mixed = spectrum_exchange(ours, theirs).round().byte()[0].permute(1, 2, 0).numpy()
        return packed(mixed[:, :, 0] if mixed.shape[2] == 1 else mixed)

    def _pixels(self, content: bytes, size: tuple[int, int] | None) -> torch.Tensor:
        """Return a picture as (1, C, H, W), its shorter side as the network reads it, or ``size``.

        Arrays of another number of channels have no other size than their own.
        """
        image = decode(content, self.preprocess.channels)
        if isinstance(image, Image.Image):
            scale = self.preprocess.resize / min(image.size)
            wide, high = (max(1, round(side * scale)) for side in image.size)
            image = image.resize(size or (wide, high), Image.Resampling.BILINEAR)
        pixels = np.asarray(image, np.float32)
        pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels
        return torch.from_numpy(pixels).permute(2, 0, 1)[None]


def styled(sides: tuple[Dataset, Dataset], how: Preprocess, seed: int) -> Dataset:
    """Return the source's items in the style of target items drawn at random.

    Args:
        sides: audited pictures of the source, and of the target that may be used.
        how: the preprocessing of the backbone that will read them.
        seed: of the partners.
    """
    ours, theirs = sides
    partner = np.random.default_rng([seed, 31]).choice(len(theirs), len(ours))
    return replace(ours, content=_Content(ours, theirs, partner, how), digests=None)
