"""`cycle`: source pictures painted in the target's style by a network that finds its way back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F  # noqa: N812 - the field's own name for it

from headstart.adaptation.method import Method, Style

LARGEST = 64
"""Pixels a side: above it, painting takes a processor hours."""


def critic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Return how far a critic is from saying 1 of real pictures and 0 of painted ones.

    ((real - 1)^2 + fake^2) / 2, on average. Source: Mao et al. 2017, arXiv:1611.04076, equation 9.

    >>> from torch import ones, zeros
    >>> float(critic_loss(ones(2), zeros(2))), float(critic_loss(zeros(1), ones(1)))
    (0.0, 1.0)
    """
    return ((real - 1) ** 2).mean() / 2 + (fake**2).mean() / 2


def fooling_loss(fake: Tensor) -> Tensor:
    """Return how far a critic is from taking painted pictures for real ones: (fake - 1)^2 / 2.

    Source: Mao et al. 2017, equation 9.

    >>> from torch import ones
    >>> float(fooling_loss(ones(3)))
    0.0
    """
    return ((fake - 1) ** 2).mean() / 2


def adversarial(critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """Return both losses at once: the critic learns from the first, the painter from the second.

    The critic's own weights get no gradient from pictures that are to fool it, and the painter
    none from what the critic learns; so one optimiser may step for both.

    Args:
        critic: from pictures to numbers.
        real: shape (N, C, H, W).
        fake: likewise, with a gradient to what painted it.
    """
    held = {name: p.detach() for name, p in critic.named_parameters()}
    fooled = functional_call(critic, held, (fake,))
    return critic_loss(critic(real), critic(fake.detach())) + fooling_loss(fooled)


class Residual(nn.Module):
    """Two convolutions beside the identity, (N, W, H, W) to the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1), nn.InstanceNorm2d(width, affine=True), nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1), nn.InstanceNorm2d(width, affine=True),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Return x and what the convolutions say of it."""
        out: Tensor = x + self.inner(x)
        return out


class Painter(nn.Module):
    """From pictures 0..1 of one domain to those of another, (N, C, H, W) both.

    Half as many pixels, two residual blocks, and back: it sees some ten pixels around each, so it
    can change strokes, ground and colours, but hardly the shape that makes a class. Source: Zhu et
    al. 2017, arXiv:1703.10593, section 4, made small.
    """

    def __init__(self, channels: int, width: int = 8) -> None:
        super().__init__()
        self.down = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, 2, 1), nn.ReLU(),
            Residual(2 * width), Residual(2 * width),
        )  # fmt: skip
        self.up = nn.Sequential(
            nn.Conv2d(2 * width, width, 3, padding=1), nn.ReLU(),
            nn.Conv2d(width, channels, 3, padding=1), nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the pictures as the other domain would have them."""
        wide = F.interpolate(self.down(pictures), pictures.shape[2:])
        painted: Tensor = self.up(wide)
        return painted


class Critic(nn.Sequential):
    """From pictures (N, C, H, W) to numbers, one for each patch: 1 where it looks real."""

    def __init__(self, channels: int, width: int = 16) -> None:
        super().__init__(
            nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 4, 2, 1), nn.LeakyReLU(0.2),
            nn.Conv2d(2 * width, 1, 3, padding=1),
        )  # fmt: skip


@dataclass(frozen=True)
class Painted(Method):
    """Learn from source pictures that a small network has painted in the target's style.

    When: small pictures, to 64 pixels a side, whose strokes, ground or colours differ: dark on
    light and light on dark, say; it takes a minute or two. When not: texts and photos; hardly any
    target pictures; and other shapes, which may come out as another class.

    Source: Zhu et al. 2017, arXiv:1703.10593, equation 3 (CycleGAN), with the labels' consistency
    of Hoffman et al. 2018, arXiv:1711.03213, equation 4 (CyCADA).
    """

    translates: ClassVar[Style] = "painted"
    steps: int = 400
    back: float = 10.0
    meaning: float = 0.1
