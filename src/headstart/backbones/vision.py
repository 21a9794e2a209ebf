"""Build image backbones: torchvision's, timm's and our own networks, with weights or without."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from headstart.backbones import surgery
from headstart.backbones.blocks import Backbone, Normalise
from headstart.backbones.entry import Entry
from headstart.backbones.known import Known
from headstart.backbones.weights import fill, tensors_of
from headstart.data.pictures.images import Preprocess
from headstart.errors import BackboneError


def build(entry: Entry, *, seed: int = 0) -> Backbone:
    """Return the backbone that ``entry`` describes, in eval mode, its head taken off.

    Where the weights were trained on pictures of other channels, the first convolution is adapted.

    Args:
        entry: which network, weights and preprocessing.
        seed: of random weights, when the entry has no weights file.

    Raises:
        BackboneError: the weights do not fit the architecture; names the first tensors that do not.
    """
    prepared = _preprocess(entry)
    wanted = prepared.channels
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = _network(entry)
        n_features = surgery.take_off_head(net)
        tensors = tensors_of(entry) if entry.weights else {}
        # A bundle's weights were adapted before they were saved; a library's are adapted after.
        first = next((n for n, m in net.named_modules() if isinstance(m, nn.Conv2d)), None)
        saved = tensors.get(f"{first}.weight")
        if saved is not None and saved.shape[1] == wanted:
            surgery.fit_channels(net, wanted)
        if entry.weights:
            _load(net, entry, tensors)
        surgery.fit_channels(net, wanted)
    start, size = Normalise(prepared.mean, prepared.std), (wanted, *prepared.size)
    known = Known(entry.network, entry.library, size)
    backbone = Backbone(net, features, start, n_features, size=size, known=known)
    return backbone.to(memory_format=torch.channels_last).eval()


def features(net: nn.Module, pixels: Tensor) -> Tensor:
    """Return what ``net`` makes of normalised ``pixels``, one vector an item: maps are averaged."""
    out: Any = net(pixels)
    while isinstance(out, tuple | list):
        out = out[0]
    channels = getattr(net, "num_features", out.shape[1])
    axes = {2: (), 3: (1,), 4: (2, 3) if out.shape[1] == channels else (1, 2)}[out.ndim]
    pooled: Tensor = out.mean(axes) if axes else out
    return pooled


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

        # Other names make timm ask a network or a folder, whatever the file says that they are in.
        if not timm.is_model(entry.architecture):
            raise _no_such(entry)
        net: nn.Module = timm.create_model(
            entry.architecture, pretrained=False, num_classes=outputs
        )
        return net
    import torchvision.models

    if entry.architecture not in torchvision.models.list_models(module=torchvision.models):
        raise _no_such(entry)
    extra: dict[str, Any] = {}
    if entry.architecture in ("inception_v3", "googlenet"):
        extra = {"aux_logits": False, "init_weights": entry.weights is None}
    found: nn.Module = torchvision.models.get_model(
        entry.architecture, weights=None, num_classes=outputs, **extra
    )
    return found


def _no_such(entry: Entry) -> BackboneError:
    return BackboneError(f"{entry.library} has no network '{entry.architecture}' for {entry.name}.")


def _load(net: nn.Module, entry: Entry, tensors: dict[str, torch.Tensor]) -> None:
    """Load ``tensors`` into ``net``; only the head may be missing."""
    own = {name: value.shape for name, value in net.state_dict().items()}
    body = {name for name in own if not name.endswith("num_batches_tracked")}
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
    fill(net, fitting)
