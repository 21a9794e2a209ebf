"""Build image backbones: torchvision's, timm's and our own networks, with weights or without."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from headstart.backbones import surgery
from headstart.backbones.blocks import Backbone, Normalise, chain
from headstart.backbones.entry import Entry
from headstart.backbones.weights import tensors_of
from headstart.data.images import Preprocess
from headstart.errors import BackboneError


def build(entry: Entry, *, seed: int = 0, channels: int | None = None) -> Backbone:
    """Return the backbone that ``entry`` describes, in eval mode, its head taken off.

    Args:
        entry: which network, weights and preprocessing.
        seed: of random weights, when the entry has no weights file.
        channels: of the pictures; when it differs from what the weights were trained on, the
            first convolution is adapted. Default: the channels of the entry's preprocessing.

    Raises:
        BackboneError: the weights do not fit the architecture; names the first tensors that do not.
    """
    wanted = channels or _preprocess(entry).channels
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = _network(entry)
        tensors = tensors_of(entry) if entry.weights else {}
        path, first = surgery.first_convolution(net)
        saved = tensors.get(f"{path}.weight")
        # A bundle's weights were adapted before they were saved; a library's are adapted after.
        adapted = saved is not None and saved.shape[1] == wanted != first.in_channels
        if adapted:
            surgery.fit_channels(net, wanted)
        if entry.weights:
            _load(net, entry, tensors)
        n_features = surgery.take_off_head(net)
        if not adapted:
            surgery.fit_channels(net, wanted)
    prepared = _preprocess(entry.with_channels(wanted))
    start = Normalise(prepared.mean, prepared.std)
    backbone = Backbone(net, chain(net, entry.library), start, n_features)
    return backbone.to(memory_format=torch.channels_last).eval()


def _preprocess(entry: Entry) -> Preprocess:
    if not isinstance(entry.preprocess, Preprocess):
        raise BackboneError(f"'{entry.name}' is not a backbone for pictures.")
    return entry.preprocess


def _network(entry: Entry) -> nn.Module:
    """Return the network with a head of some size; the size only matters for loading weights."""
    outputs = entry.num_classes or 2
    if entry.library == "headstart":
        from headstart.backbones.glyphs import GlyphNet

        return GlyphNet(num_classes=outputs, in_channels=1)
    if entry.library == "timm":
        import timm

        net: nn.Module = timm.create_model(
            entry.architecture, pretrained=False, num_classes=outputs
        )
        return net
    import torchvision.models

    extra: dict[str, Any] = {}
    if entry.architecture in ("inception_v3", "googlenet"):
        extra = {"aux_logits": False, "init_weights": entry.weights is None}
    found: nn.Module = torchvision.models.get_model(
        entry.architecture, weights=None, num_classes=outputs, **extra
    )
    return found


def _load(net: nn.Module, entry: Entry, tensors: dict[str, torch.Tensor]) -> None:
    """Load ``tensors`` into ``net``; only the head may be missing."""
    head = surgery.find_head(net)
    own = {k: v.shape for k, v in net.state_dict().items()}
    body = {
        k for k in own if not k.startswith(f"{head}.") and not k.endswith("num_batches_tracked")
    }
    wrong = sorted(k for k in body if k not in tensors or tensors[k].shape != own[k])
    if wrong:
        shown = ", ".join(
            f"{k}: the network has {tuple(own[k])}, the file "
            f"{tuple(tensors[k].shape) if k in tensors else 'nothing'}"
            for k in wrong[:3]
        )
        raise BackboneError(
            f"{entry.weights} does not fit {entry.library}'s {entry.architecture}: {len(wrong)} "
            f"tensors differ ({shown}). Check 'library' and 'architecture' in the JSON beside it."
        )
    fitting = {k: v for k, v in tensors.items() if k in own and v.shape == own[k]}
    net.load_state_dict(fitting, strict=False)
