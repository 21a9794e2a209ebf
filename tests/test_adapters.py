"""Adapters add B A to the attention's weights, train alone, and leave a plain network behind."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import timm
import torch
import transformers
from torch import nn

from headstart.backbones import encoders, surgery, vision
from headstart.backbones.blocks import Backbone, Normalise
from headstart.errors import UsageError
from headstart.strategies.plan import Adapters
from headstart.training.adapters import attach, merge, parameters

HALF = ((0.5,) * 3,) * 2
TWO = Adapters(rank=2, alpha=3.0)
SIZES = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
CONFIGS = {
    "bert": lambda: transformers.BertConfig(**SIZES, intermediate_size=24),
    "distilbert": lambda: transformers.DistilBertConfig(
        vocab_size=40, dim=16, n_layers=2, n_heads=2, hidden_dim=24
    ),
    "mpnet": lambda: transformers.MPNetConfig(**SIZES, intermediate_size=24, pad_token_id=1),
    "albert": lambda: transformers.AlbertConfig(**SIZES, intermediate_size=24, embedding_size=8),
}
LAYERS = {"bert": 8, "distilbert": 8, "mpnet": 8, "albert": 4, "vit": 4, "swin": 4}
"""Adapted layers: four a layer, which ALBERT's two share; query, key and value are one in timm."""


def encoder(kind: str) -> Backbone:
    facts = {
        "architecture": kind,
        "config": CONFIGS[kind]().to_dict(),
        "hidden_size": 16,
        "pooling": "mean",
        "normalise": False,
        "weights": [],
    }
    return encoders.build(facts)


def pictures(net: nn.Module) -> Backbone:
    n_features = surgery.take_off_head(net)
    return Backbone(net, vision.features, Normalise(*HALF), n_features, size=(3, 16, 16)).eval()


def network(kind: str) -> Backbone:
    """Return a tiny network with random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if kind in CONFIGS:
            return encoder(kind)
        sizes = {"img_size": 16, "patch_size": 4, "embed_dim": 16}
        if kind == "vit":
            return pictures(timm.models.VisionTransformer(**sizes, depth=2, num_heads=2))
        swin = {"depths": (1, 1), "num_heads": (2, 2), "window_size": 2}
        return pictures(timm.models.SwinTransformer(**sizes, **swin))


def items(kind: str) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(0)
    if kind not in CONFIGS:
        return torch.from_numpy(rng.integers(0, 256, (3, 16, 16, 3)).astype(np.uint8))
    mask = torch.arange(6) < torch.tensor([[6], [3], [4]])
    return torch.from_numpy(rng.integers(2, 40, (3, 6))), mask.long()


def stir(backbone: Backbone, size: float = 0.3) -> None:
    """Give adapters weights, as if they had been trained."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in parameters(backbone).values():
            parameter.copy_(size * torch.randn(parameter.shape, generator=generator))


@pytest.mark.parametrize("kind", LAYERS)
def test_merged_answers_as_adapted_and_is_plain_again(kind: str) -> None:
    backbone, x = network(kind), items(kind)
    plain = {name: w.clone() for name, w in backbone.net.state_dict().items()}
    modules = [(name, type(module)) for name, module in backbone.net.named_modules()]
    with torch.inference_mode():
        before = backbone(x)
    attach(backbone, TWO, seed=0)
    with torch.inference_mode():
        assert torch.equal(backbone(x), before)
    stir(backbone)
    with torch.inference_mode():
        adapted = backbone(x)
    assert not torch.allclose(adapted, before, atol=1e-2)
    found = {name: w.detach().clone() for name, w in parameters(backbone).items()}
    assert len(found) == 2 * LAYERS[kind]

    merge(backbone)
    assert not parameters(backbone)
    assert [(name, type(module)) for name, module in backbone.net.named_modules()] == modules
    assert not hasattr(backbone.net, "peft_config")
    with torch.inference_mode():
        torch.testing.assert_close(backbone(x), adapted, atol=1e-5, rtol=0)
        for k in range(backbone.n_blocks + 1):
            cut = backbone.forward_from(backbone.forward_to(x, k), k)
            torch.testing.assert_close(cut, adapted, atol=1e-5, rtol=0)

    # By hand: W + alpha/rank B A, and nothing else has moved.
    for name, down in found.items():
        if ".lora_A." in name:
            up = found[name.replace(".lora_A.", ".lora_B.")]
            plain[f"{name.partition('.lora_A.')[0]}.weight"] += 3 / 2 * up @ down
    merged = backbone.net.state_dict()
    assert list(merged) == list(plain)
    for name, weight in merged.items():
        torch.testing.assert_close(weight, plain[name], atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("kind", LAYERS)
def test_every_adapter_is_used_and_trains_alone(kind: str) -> None:
    backbone = network(kind)
    attach(backbone, TWO, seed=0)
    found = parameters(backbone)
    needs = {name for name, p in backbone.net.named_parameters() if p.requires_grad}
    assert needs == set(found)
    stir(backbone)
    backbone(items(kind)).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in found.values())


def test_adapters_stand_in_the_blocks_of_their_layers() -> None:
    backbone = network("bert")
    attach(backbone, TWO, seed=0)
    assert {backbone.owner(name) for name in parameters(backbone)} == {1, 2}


def test_the_seed_decides_the_adapters() -> None:
    state = torch.random.get_rng_state()

    def weights(seed: int) -> list[np.ndarray]:
        backbone = network("bert")
        attach(backbone, TWO, seed=seed)
        return [p.detach().numpy() for p in parameters(backbone).values()]

    first, again, other = weights(0), weights(0), weights(1)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))
    assert torch.equal(state, torch.random.get_rng_state())


def test_a_state_of_adapters_can_be_put_back() -> None:
    backbone, x = network("vit"), items("vit")
    attach(backbone, TWO, seed=0)
    stir(backbone)
    kept = {name: p.detach().clone() for name, p in parameters(backbone).items()}
    expected = backbone(x)
    again = network("vit")
    attach(again, TWO, seed=5)
    again.net.load_state_dict(kept, strict=False)
    assert torch.equal(again(x), expected)


@pytest.mark.parametrize("name", ["resnet10t", "swinv2_cr_tiny_ns_224", "beit_base_patch16_224"])
def test_without_attention_that_is_known_lora_is_refused(name: str) -> None:
    with torch.device("meta"):
        net = timm.create_model(name)
    backbone = Backbone(net, vision.features, nn.Identity(), 8, size=(3, 224, 224))
    with pytest.raises(UsageError, match=rf"none in {type(net).__name__}; take a text encoder"):
        attach(backbone, TWO, seed=0)


def test_torchvisions_attention_reads_weights_and_is_refused() -> None:
    import torchvision

    net = torchvision.models.VisionTransformer(16, 4, 1, 2, 16, 24)
    backbone = Backbone(net, vision.features, nn.Identity(), 16, size=(3, 16, 16))
    with pytest.raises(UsageError, match=r"timm:vit_tiny_patch16_224"):
        attach(backbone, TWO, seed=0)


def test_without_peft_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(UsageError, match="pip install 'peft>=0.18'"):
        attach(network("bert"), TWO, seed=0)


@pytest.mark.slow
def test_a_vision_transformer_of_full_size() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        backbone = pictures(timm.create_model("vit_tiny_patch16_224"))
        x = torch.randint(0, 256, (2, 224, 224, 3), dtype=torch.uint8)
    attach(backbone, Adapters(8, 8.0), seed=0)
    with torch.inference_mode():
        before = backbone(x)
        stir(backbone, 0.05)
        adapted = backbone(x)
        merge(backbone)
        merged = backbone(x)
    assert not torch.allclose(adapted, before, atol=1e-2)
    torch.testing.assert_close(merged, adapted, atol=1e-5, rtol=0)
