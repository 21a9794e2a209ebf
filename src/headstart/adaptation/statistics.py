"""A network of batch norm under the batch statistics of one domain, as a backbone of its own."""

from __future__ import annotations

import uuid
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import nn

from headstart.backbones.build import build
from headstart.backbones.entry import Entry
from headstart.boundary.inputs import PLAIN, Indices, Inputs, in_batches
from headstart.data.dataset import Dataset
from headstart.store import digest, home, named_by_content, whole_weights, written_aside
from headstart.training import batchnorm

BATCH = 64
MOST = 512
"""Items that tell the statistics."""


def own_statistics(
    entry: Entry, dataset: Dataset, indices: Indices, *, seed: int = 0, device: str = "cpu"
) -> Entry | None:
    """Return the entry whose batch norm has the mean and variance of a domain's items.

    All else stays. Where it has been made before of the same items, its weights file is kept. None
    where the network has no batch norm, or no weights that it has learned.

    Args:
        entry: the backbone.
        dataset: audited items of the domain.
        indices: of those that may be looked at; their labels are not.
        seed: of the choice among many.
        device: "cpu", "cuda" or "mps".

    Source: Li et al. 2016, arXiv:1603.04779 (adaptive batch normalisation).
    """
    if entry.kind != "image" or not entry.pretrained:
        return None
    chosen = np.sort(np.random.default_rng([seed, 19]).permutation(indices)[:MOST])
    content = digest(*(dataset.digest(int(i)) for i in chosen)).hex()
    name = digest(entry.key().encode(), content.encode()).hex()
    folder = home() / "adapted"
    path = whole_weights(folder, name)
    if path is None:
        backbone = build(entry, seed=seed).to(device)
        if not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in backbone.net.modules()):
            return None
        inputs = Inputs(dataset, entry.preprocess)
        seen = (inputs.collate(list(inputs.rows(one, PLAIN))) for one in in_batches(chosen, BATCH))
        batchnorm.settle(backbone, inputs, seen, device)
        path = folder / f"{name}.{uuid.uuid4().hex[:12]}.safetensors"
        _save(backbone.net, path)
        path = named_by_content(path, name)
    named = f"{entry.name} in own statistics"
    return replace(entry, name=named, weights=path, digest=name, num_classes=0, prefix="")


def _save(net: nn.Module, path: Path) -> None:
    from safetensors.torch import save_file

    with written_aside(path) as aside:
        save_file({k: v.cpu().contiguous() for k, v in net.state_dict().items()}, aside)
