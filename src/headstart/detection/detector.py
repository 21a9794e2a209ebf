"""Faster R-CNN on the maps of a backbone: a pyramid, proposals, and what is in them.

The parts are torchvision's. Pictures are squares that a preprocessing made, so none of its resizing
takes part: what training sees is what prediction sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import log2
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign

from headstart.tasks.box_figures import NUMBERS
from headstart.tasks.boxes import MOST

Truth = dict[str, Tensor]
"""Of one picture: ``boxes``, (n, 4) in pixels of the square, and ``labels``, (n,), from 1."""

LEAST, WIDEST = 64, 256
"""Channels of the pyramid: half of the last map's within these, torchvision's being 256."""

WINDOW = 7
"""Points a side that are read of a proposal."""


@dataclass(frozen=True)
class Spec:
    """All that a detector is made of besides its weights.

    Attributes:
        channels: of each map, the finest first.
        strides: of each map.
        side: of the square that is read, in pixels.
        sizes: of the anchors of each map, in pixels.
        ratios: of all anchors, height over width.
        n_classes: the ground not among them.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]
    side: int
    sizes: tuple[tuple[float, ...], ...]
    ratios: tuple[float, ...]
    n_classes: int

    def facts(self) -> dict[str, Any]:
        """Return the values as JSON holds them; `of` reads them back."""
        return asdict(self)

    @classmethod
    def of(cls, facts: dict[str, Any]) -> Spec:
        """Return what `facts` was called on."""
        tuples = {k: tuple(facts[k]) for k in ("channels", "strides", "ratios")}
        sizes = tuple(tuple(level) for level in facts["sizes"])
        return cls(**tuples, sizes=sizes, side=facts["side"], n_classes=facts["n_classes"])


class Detector(nn.Module):
    """From maps to things.

    Source: Ren et al. 2015, arXiv:1506.01497, with the pyramid of Lin et al. 2017,
    arXiv:1612.03144, where there are several maps; fewer proposals and samples than torchvision's
    defaults, which are for pictures of 800 pixels.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec = spec
        width = min(WIDEST, max(LEAST, spec.channels[-1] // 2))
        self.names = [str(level) for level in range(len(spec.channels))]
        self.pyramid = FeaturePyramidNetwork(list(spec.channels), width)
        self.proposals = _proposals(spec, width)
        self.things = _things(spec, width, self.names)

    @property
    def n_outputs(self) -> int:
        """Numbers of an answer."""
        return MOST * NUMBERS

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return what is found, shape (N, 6 x 100): see `headstart.tasks.boxes`."""
        self.eval()
        levels, images = self._read(maps)
        proposals, _ = self.proposals(images, levels)
        found, _ = self.things(levels, proposals, images.image_sizes)
        out = maps[0].new_zeros(len(found), MOST, NUMBERS, dtype=torch.float32)
        for row, one in zip(out, found, strict=True):
            n = len(one["scores"])
            row[:n, :4] = one["boxes"] / self.spec.side
            row[:n, 4] = one["labels"] - 1
            row[:n, 5] = one["scores"]
        return out.flatten(1)

    def loss(self, maps: Sequence[Tensor], truth: list[Truth]) -> Tensor:
        """Return the sum of the four losses: of proposals and of things, what and where each."""
        self.train()
        levels, images = self._read(maps)
        proposals, first = self.proposals(images, levels, truth)
        _, second = self.things(levels, proposals, images.image_sizes, truth)
        return torch.stack([*first.values(), *second.values()]).sum()

    def _read(self, maps: Sequence[Tensor]) -> tuple[dict[str, Tensor], ImageList]:
        """Return the pyramid's maps by name, and pictures of which only the sizes are known."""
        side = self.spec.side
        levels = self.pyramid(dict(zip(self.names, maps, strict=True)))
        pixels = torch.empty(len(maps[0]), 1, side, side, device="meta")
        return levels, ImageList(pixels, [(side, side)] * len(pixels))


def _proposals(spec: Spec, width: int) -> RegionProposalNetwork:
    anchors = AnchorGenerator(spec.sizes, (spec.ratios,) * len(spec.sizes))
    head = RPNHead(width, anchors.num_anchors_per_location()[0])
    return RegionProposalNetwork(
        anchors,
        head,
        fg_iou_thresh=0.7,
        bg_iou_thresh=0.3,
        batch_size_per_image=128,
        positive_fraction=0.5,
        pre_nms_top_n={"training": 1000, "testing": 500},
        post_nms_top_n={"training": 500, "testing": 200},
        nms_thresh=0.7,
    )


def _things(spec: Spec, width: int, names: list[str]) -> RoIHeads:
    middle = len(names) // 2
    pool = MultiScaleRoIAlign(
        names,
        WINDOW,
        2,
        # A thing of the middle level's anchors is read from the middle level.
        canonical_scale=max(1, round(spec.sizes[middle][0])),
        canonical_level=round(log2(spec.strides[middle])),
    )
    return RoIHeads(
        pool,
        TwoMLPHead(width * WINDOW**2, 4 * width),
        FastRCNNPredictor(4 * width, spec.n_classes + 1),
        fg_iou_thresh=0.5,
        bg_iou_thresh=0.5,
        batch_size_per_image=64,
        positive_fraction=0.25,
        bbox_reg_weights=None,
        score_thresh=0.05,
        nms_thresh=0.5,
        detections_per_img=MOST,
    )
