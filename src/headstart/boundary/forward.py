"""A network on what it reads: items from below the boundary, or activations kept at it."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from headstart.backbones.blocks import Backbone
from headstart.boundary.activations import Activations, as_maps
from headstart.boundary.engine import Batch
from headstart.boundary.inputs import PLAIN, Indices, Inputs
from headstart.compute.running import autocast, to_device
from headstart.data.texts.tokens import by_length
from headstart.progress import track
from headstart.tasks.task import Matrix

Source = Inputs | Activations

PART = 16
"""Texts that go through a network together while it is trained."""

WINDOW = 64
"""Items that are at least read ahead, to find those of like length."""


def forward(backbone: Backbone, source: Source, batch: Batch, device: str) -> Tensor:
    """Return the features of a batch of ``source``, shape (N, D).

    Texts go through the network in parts of like length, so that little is padded.
    """
    if len(batch) == 1:
        return _through(backbone, source, batch, device)
    vectors, mask = batch
    lengths = mask.sum(1)
    parts = by_length(lengths, batch=PART)
    found = []
    for at in parts:
        longest = lengths[at].max()
        part = vectors[at, :longest], mask[at, :longest]
        found.append(_through(backbone, source, part, device))
    back = np.argsort(np.concatenate(parts), kind="stable")
    return torch.cat(found)[torch.from_numpy(back).to(found[0].device)]


def _through(backbone: Backbone, source: Source, batch: Batch, device: str) -> Tensor:
    x: Any = to_device(batch, device)
    x = as_maps(x) if source.boundary else backbone.forward_to(x, 0)
    return backbone.forward_from(x, source.boundary)


@torch.inference_mode()
def features(
    backbone: Backbone,
    source: Source,
    indices: Indices,
    device: str,
    head: nn.Module | None = None,
) -> Matrix:
    """Return the features of the plain items at ``indices``, shape (len(indices), D).

    With a ``head`` that reads something else, maps say, its ``n_outputs`` numbers an item.
    """
    backbone.to(device).eval()
    preprocess = source.preprocess
    # Tokens are small, what stands at a boundary is not.
    window = WINDOW if source.boundary else max(WINDOW, preprocess.window)
    width: int = backbone.n_features if head is None else cast("Any", head).n_outputs
    out = np.empty((len(indices), width), np.float32)
    starts = range(0, len(indices), window)
    for start in track(starts, "evaluation", len(starts)):
        rows = list(source.rows(indices[start : start + window], PLAIN))
        for at in preprocess.batches(rows):
            batch = source.collate([rows[i] for i in at])
            with autocast(device):
                found = _through(backbone, source, batch, device)
                found = found if head is None else head(found)
            out[start + at] = found.float().cpu().numpy()
    return out
