"""GlyphNet: the small residual network behind the embedded default backbone, ``glyphs``."""

from __future__ import annotations

from torch import Tensor, nn

INPUT_SIZE = 32  # four times 8: the smallest images the demo feeds scale up by whole pixels

# The stem brings 32 x 32 down to 8 x 8 at once: what the demo feeds holds no more detail than
# that, and on a processor most of the time would go into the large maps.
STEM = (16, 32)

# (channels, stride) of each residual block.
BLOCKS = ((32, 1), (64, 2), (80, 1), (128, 2))


def convolution(inputs: int, outputs: int, stride: int = 1) -> tuple[nn.Module, ...]:
    """Give a 3 x 3 convolution, its batch normalisation and a ReLU."""
    return (
        nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut (He et al. 2016, arXiv:1512.03385, figure 2).

    Maps (N, inputs, H, W) to (N, outputs, H / stride, W / stride). The shortcut is the identity
    where the shape stays, a 1 x 1 convolution where it changes.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU()
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        y: Tensor = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        out: Tensor = self.relu(y + self.shortcut(x))
        return out


class GlyphNet(nn.Module):
    """A stem, four residual blocks, average pooling and a linear head; see ``STEM``, ``BLOCKS``.

    ``forward`` takes normalised images (N, in_channels, 32, 32), that is
    ``(pixel / 255 - mean) / std``, and returns logits (N, num_classes). It is exactly
    ``head(pool(blocks(stem(x))))``, so the network can be cut between any two of these.

    >>> import torch
    >>> GlyphNet(num_classes=10).eval()(torch.zeros(2, 1, 32, 32)).shape
    torch.Size([2, 10])
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 1) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            *convolution(in_channels, STEM[0], stride=2), *convolution(STEM[0], STEM[1], stride=2)
        )
        inputs = (STEM[-1], *(channels for channels, _ in BLOCKS))
        self.blocks = nn.Sequential(
            *(ResidualBlock(i, o, s) for i, (o, s) in zip(inputs, BLOCKS, strict=False))
        )
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.n_features = BLOCKS[-1][0]
        self.head = nn.Linear(self.n_features, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map normalised images (N, in_channels, 32, 32) to logits (N, num_classes)."""
        logits: Tensor = self.head(self.pool(self.blocks(self.stem(x))))
        return logits
