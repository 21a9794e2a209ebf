"""The contract of every backbone: head found, cut into blocks, equal at every cut."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from headstart.backbones import surgery, vision
from headstart.backbones.build import check_size
from headstart.backbones.registry import resolve
from headstart.backbones.weights import fill
from headstart.data.pictures.images import Preprocess
from headstart.errors import BackboneError

SMALL = ["torchvision:resnet18", "timm:mobilenetv1_100", "random:glyphs"]
LARGE = [
    "torchvision:alexnet",
    "torchvision:convnext_tiny",
    "torchvision:densenet121",
    "torchvision:mobilenet_v2",
    "torchvision:mobilenet_v3_large",
    "torchvision:resnet50",
    "torchvision:vgg16",
    "torchvision:vit_b_16",
    "timm:convnext_tiny",
    "timm:mobilenetv3_large_100",
    "timm:resnet18",
    "timm:vit_small_patch16_224",
]
LEAST_BLOCKS = {"torchvision:vgg16": 15, "timm:vit_small_patch16_224": 12, "timm:convnext_tiny": 4}


def small(name: str):
    """Return an entry with random weights: convolutions take any size, attention does not."""
    entry = resolve(name, random=True)
    fixed = any(word in entry.architecture for word in ("vit", "swin", "glyphs"))
    return entry if fixed else entry.with_image_size(64)


def pixels(entry, n: int = 2) -> torch.Tensor:
    p = entry.preprocess
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, *p.size, p.channels), dtype=torch.uint8, generator=generator)


def check(name: str) -> None:
    entry = small(name)
    backbone = vision.build(entry)
    x = pixels(entry)
    with torch.inference_mode():
        whole = backbone(x)
        own = backbone.net(backbone.start(x))  # the network's own forward; its head is gone
        assert whole.shape == (2, backbone.n_features)
        torch.testing.assert_close(whole, own.reshape(whole.shape), rtol=1e-5, atol=1e-5)
        for k in range(backbone.n_blocks + 1):
            again = backbone.forward_from(backbone.forward_to(x, k), k)
            torch.testing.assert_close(again, whole, rtol=1e-5, atol=1e-5)
    names = [n for n, _ in backbone.net.named_parameters()]
    counted = [p for k in range(backbone.n_blocks) for p in backbone.parameters_of(k)]
    assert len(counted) == len(names)  # every parameter belongs to exactly one block
    assert all(backbone.parameters_of(k) for k in range(backbone.n_blocks))
    assert backbone.n_blocks >= LEAST_BLOCKS.get(name, 5)


@pytest.mark.parametrize("name", SMALL)
def test_cut(name: str) -> None:
    check(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
def test_cut_large(name: str) -> None:
    check(name)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "torchvision:efficientnet_b0",
        "torchvision:swin_t",
        "torchvision:regnet_y_400mf",
        "torchvision:shufflenet_v2_x0_5",
        "torchvision:mnasnet0_5",
        "timm:efficientnet_b0",
        "timm:regnety_002",
        "timm:vgg11",
        "timm:densenet121",
        "timm:swin_tiny_patch4_window7_224",
    ],
)
def test_cut_of_the_rest_of_the_tables(name: str) -> None:
    check(name)


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("torchvision:resnet18", "fc"),
        ("torchvision:mobilenet_v2", "classifier.1"),
        ("timm:mobilenetv1_100", "classifier"),
        ("torchvision:mobilenet_v3_small", "classifier.3"),
        ("timm:convnext_atto", "head.fc"),
    ],
)
def test_head_is_found_whatever_it_is_called(name: str, head: str) -> None:
    library, architecture = name.split(":")
    if library == "timm":
        import timm

        net = timm.create_model(architecture)
    else:
        import torchvision

        net = torchvision.models.get_model(architecture, weights=None)
    features = net.get_submodule(head).in_features
    assert surgery.find_head(net) == head
    assert surgery.take_off_head(net) == features
    assert isinstance(net.get_submodule(head), nn.Identity)


def test_a_head_may_be_a_convolution() -> None:
    backbone = vision.build(small("torchvision:squeezenet1_1"))
    assert backbone.n_features == 512
    with torch.inference_mode():
        assert backbone(torch.zeros(2, 64, 64, 3, dtype=torch.uint8)).shape == (2, 512)
    with pytest.raises(LookupError, match="no layer that could be its head"):
        surgery.find_head(nn.Sequential(nn.ReLU()))


def test_modules_that_ask_for_their_version_can_be_filled() -> None:
    net = vision.build(small("torchvision:mnasnet0_5")).net
    name, weight = next(iter(net.named_parameters()))
    with pytest.raises(ValueError, match="version"):
        net.load_state_dict({name: weight.detach()}, strict=False)
    rest = {key: value.clone() for key, value in net.state_dict().items() if key != name}
    fill(net, {name: torch.full_like(weight, 0.5)})
    assert (weight == 0.5).all()
    assert all(torch.equal(net.state_dict()[key], value) for key, value in rest.items())


@pytest.mark.parametrize("channels", [1, 2, 3, 5, 13])
def test_first_convolution_is_adapted(channels: int) -> None:
    entry = resolve("torchvision:resnet18", random=True).with_channels(channels)
    backbone = vision.build(entry)
    name, first = surgery.first_convolution(backbone.net)
    assert (name, first.in_channels) == ("conv1", channels)
    with torch.inference_mode():
        assert backbone(pixels(entry)).shape == (2, 512)


def test_one_channel_answers_as_three_equal_ones() -> None:
    entry = resolve("random:timm:mobilenetv1_100")  # its mean and spread are equal by channel
    grey = pixels(entry.with_channels(1))
    with torch.inference_mode():
        one = vision.build(entry.with_channels(1))(grey)
        three = vision.build(entry)(grey.expand(-1, -1, -1, 3))
    torch.testing.assert_close(one, three, rtol=1e-4, atol=1e-5)


def test_frozen_blocks_stay_in_eval_mode_and_unchanged() -> None:
    entry = resolve("torchvision:resnet18", random=True)
    backbone = vision.build(entry)
    backbone.batch_statistics = True
    backbone.set_trainable(range(backbone.n_blocks - 1, backbone.n_blocks))
    before = backbone.frozen_digest()
    backbone.train()
    backbone(pixels(entry)).sum().backward()
    assert backbone.frozen_digest() == before
    assert not backbone.net.get_submodule("bn1").training
    assert backbone.net.get_submodule("layer4.1.bn1").training
    assert all(p.grad is None for p in backbone.parameters_of(0))
    # The classic mistakes are seen: a buffer that moves, a weight that decays.
    backbone.net.get_buffer("bn1.running_mean").add_(1e-6)
    assert backbone.frozen_digest() != before


def test_pictures_of_another_size() -> None:
    entry = resolve("torchvision:mobilenet_v2", random=True)
    small = entry.with_image_size(64)
    assert isinstance(small.preprocess, Preprocess) and isinstance(entry.preprocess, Preprocess)
    assert small.preprocess.size == (64, 64)
    assert small.preprocess.resize == round(entry.preprocess.resize * 64 / 224)
    assert small.key() != entry.key()
    assert entry.with_image_size(224) == entry
    check_size(small)
    with pytest.raises(BackboneError, match=r"64 pixels a side .* --image-size"):
        check_size(resolve("torchvision:vit_b_16", random=True).with_image_size(64))
    with pytest.raises(BackboneError, match="minilm' does not read"):
        resolve("minilm", random=True).with_image_size(64)
