"""Denoising: a network learns what its pictures look like by mending them. No labels."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the field's own name for it

from headstart.backbones.blocks import Backbone
from headstart.boundary.inputs import Indices, in_batches
from headstart.compute.running import to_device
from headstart.training.job import Scene
from headstart.training.objective import Objective, Step

SIDE = 32
"""Pixels a side, at most, of the picture that is put together again: coarse is what it teaches."""

PATCHES = 8
"""Patches a side that a picture is cut into; some of them are taken out."""


def spoil(pictures: Tensor, noise: float, rng: torch.Generator | None = None) -> Tensor:
    """Return ``pictures`` with a share ``noise`` of their patches gone, and grain all over.

    What is gone is 0, the mean of normalised pixels. Single pixels are no loss, for their
    neighbours tell them; so whole patches go, as in He et al. 2022, arXiv:2111.06377.

    Args:
        pictures: normalised, shape (N, C, H, W).
        noise: share of the patches, 0..1; half of it is the spread of the grain.
        rng: of all that is random; None for torch's own.

    Source: Vincent et al. 2008, section 2.3 (masking noise), and 2010, JMLR 11 (Gaussian).

    >>> spoil(torch.ones(1, 1, 8, 8), 0.0).unique()
    tensor([1.])
    """
    n, _, *size = pictures.shape
    kept = torch.rand(n, 1, PATCHES, PATCHES, generator=rng) >= noise
    grain = torch.randn(pictures.shape, generator=rng) * noise / 2
    mask = F.interpolate(kept.float(), size).to(pictures.device)
    return (pictures + grain.to(pictures.device)) * mask


def target(pictures: Tensor) -> Tensor:
    """Return normalised ``pictures``, (N, C, H, W), as they are to be put together again."""
    if min(pictures.shape[2:]) <= SIDE:
        return pictures
    return F.adaptive_avg_pool2d(pictures, SIDE)


class Decoder(nn.Sequential):
    """From features (N, D) to pictures (N, C, H, W): ever larger maps from one of 4 x 4."""

    def __init__(self, n_features: int, shape: tuple[int, int, int], width: int = 128) -> None:
        channels, *size = shape
        layers: list[nn.Module] = [nn.Linear(n_features, 16 * width)]
        layers += [nn.Unflatten(1, (width, 4, 4))]
        side = 4
        while 2 * side <= max(size):
            layers += [nn.ReLU(), nn.Upsample(scale_factor=2)]
            layers += [nn.Conv2d(width, max(width // 2, 16), 3, padding=1)]
            side, width = 2 * side, max(width // 2, 16)
        layers += [nn.ReLU(), nn.Upsample(tuple(size)), nn.Conv2d(width, channels, 3, padding=1)]
        super().__init__(*layers)


class Denoising(Objective):
    """The squared error of pictures that a decoder makes of a spoilt picture's features.

    The decoder reads the features themselves, where they are one vector a picture: what it needs
    must come through there, and that is what a head reads later.

    Source: Vincent et al. 2008, "Extracting and composing robust features with denoising
    autoencoders", ICML, equation 6.
    """

    def __init__(self, scene: Scene, *, noise: float, shape: tuple[int, int, int]) -> None:
        decoder = Decoder(scene.backbone.n_features, shape)
        super().__init__(
            scene.job.fit,
            len(in_batches(scene.job.fit, scene.batch)),
            modules={"decoder": decoder},
        )
        self.backbone, self.decoder, self.noise = scene.backbone, decoder, noise
        self.batch, self.seed, self.device = scene.batch, scene.job.seed, scene.job.device

    def order(self, epoch: int) -> list[Indices]:
        """Return all items in batches of nearly equal length, in a random order."""
        shuffled = np.random.default_rng([self.seed, 13, epoch]).permutation(self.reads)
        return in_batches(shuffled, self.batch)

    def loss(self, step: Step) -> Tensor:
        """Return the mean squared error over all pixels of the batch."""
        clean = self.backbone.forward_to(to_device(step.batch, self.device), 0)
        found = self.backbone.forward_from(spoil(clean, self.noise), 0)
        return F.mse_loss(self.decoder(found).float(), target(clean))


@torch.inference_mode()
def explained(backbone: Backbone, decoder: nn.Module, pictures: list[Tensor]) -> float:
    """Return which share of the variance of unspoilt ``pictures`` the decoder gets right, to 1.

    ``pictures`` are batches of pixels, (N, H, W, C), that were not trained on; 0 is what the mean
    picture would get.
    """
    backbone.eval()
    decoder.eval().to("cpu")
    wanted = [target(backbone.forward_to(x, 0)) for x in pictures]
    made = [decoder(backbone(x)) for x in pictures]
    truth = torch.cat(wanted)
    error = ((torch.cat(made) - truth) ** 2).sum()
    return float(1 - error / ((truth - truth.mean(0)) ** 2).sum())
