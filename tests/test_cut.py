"""Where the boundary may stand: known by hand, and as the families have always been cut."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from headstart.backbones import cut, encoders, passage, textnets, vision
from headstart.backbones.blocks import Backbone
from headstart.backbones.known import Known
from headstart.backbones.look import example, passages
from headstart.backbones.registry import resolve

FAMILIES = json.loads((Path(__file__).parent / "families.json").read_text("utf-8"))
QUICK = {"torchvision:resnet18", "timm:regnetx_002", "timm:vgg11", "glyphs"}
ENCODERS = {
    "hidden_size": 16,
    "vocab_size": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 40,
    "pad_token_id": 1,
}


class Block(nn.Module):
    """Two layers in a row."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x).tanh())


class Skips(nn.Module):
    """Six blocks; the fourth and fifth lie beside a skip, so between them two values pass."""

    def __init__(self, *, shared: bool = False) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block() for _ in range(6))
        if shared:
            self.blocks[5].second = self.blocks[0].second
        self.register_buffer("scale", torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks[1](self.blocks[0](x))
        x = x + self.blocks[2](x)
        x = x + self.blocks[4](self.blocks[3](x)).relu()
        return self.blocks[5](x * self.scale)


def run(net: nn.Module, x: Tensor) -> Tensor:
    out: Tensor = net(x)
    return out


def digests(backbone: Backbone) -> list[str]:
    """Return a digest of the sorted names of the parameters of each block."""
    rows: list[list[str]] = [[] for _ in range(backbone.n_blocks)]
    for name, _ in backbone.net.named_parameters():
        rows[backbone.owner(name)].append(name)
    return [hashlib.blake2b("\n".join(sorted(r)).encode(), digest_size=4).hexdigest() for r in rows]


def test_what_lies_beside_a_skip_is_no_boundary() -> None:
    backbone = Backbone(Skips(), run, nn.Identity(), 4, size=(4,)).eval()
    legal = cut.find(backbone.net, run, (4,)).boundaries
    assert [b.path for b in legal] == [f"blocks.{i}" for i in (1, 2, 3, 5)]
    # What the fourth block is given was made outside of any module, and is read beside it too.
    assert [b.path for b in backbone.cut.boundaries] == [f"blocks.{i}" for i in (1, 2, 5)]
    assert [backbone.owner(f"blocks.{i}.first.weight") for i in range(6)] == [0, 1, 2, 2, 2, 3]
    assert backbone.owner("scale") == 0


def test_no_boundary_stands_between_shared_weights() -> None:
    assert cut.find(Skips(shared=True), run, (4,)).boundaries == ()


def test_passages_by_hand() -> None:
    x = torch.ones(2, requires_grad=True)
    a = x * 2
    b = a.exp()
    c, d = (b * 3).split(1)
    e = c + d
    values = [(t.grad_fn, t.output_nr) for t in (a, b, c, d, e)]
    assert [value in passages(e) for value in values] == [True, True, False, False, True]


@pytest.mark.parametrize("training", [False, True])
def test_answers_and_gradients_are_those_of_the_whole_at_every_cut(training: bool) -> None:
    backbone = Backbone(Skips(), run, nn.Identity(), 4, size=(4,)).train(training)
    x = torch.randn(5, 4)
    whole = backbone(x)
    expected = torch.autograd.grad(whole.sum(), list(backbone.net.parameters()))
    for k in range(backbone.n_blocks + 1):
        for j in range(k + 1):
            middle = backbone.forward_between(backbone.forward_to(x, j), j, k)
            torch.testing.assert_close(backbone.forward_from(middle, k), whole)
        found = torch.autograd.grad(
            backbone.forward_from(backbone.forward_to(x, k), k).sum(),
            list(backbone.net.parameters()),
        )
        torch.testing.assert_close(found, expected)
    assert not any("forward" in vars(module) for module in backbone.net.modules())


def test_a_boundary_that_does_not_hold_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    class Secret(Skips):
        def forward(self, x: Tensor) -> Tensor:
            first = self.blocks[0](x)
            seen = first.detach().mean()  # what passes without a gradient is not on the graph
            return self.blocks[2](self.blocks[1](first)) + seen

    backbone = Backbone(Secret(), run, nn.Identity(), 4, size=(4,)).eval()
    with caplog.at_level("WARNING", logger="headstart"):
        assert "blocks.2" not in [b.path for b in backbone.cut.boundaries]
    assert "do not hold" in caplog.text
    x = torch.randn(2, 4)
    for k in range(backbone.n_blocks + 1):
        again = backbone.forward_from(backbone.forward_to(x, k), k)
        torch.testing.assert_close(again, backbone(x))


def test_what_is_proven_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    known = Known("skips", "torch", (4,))
    first = Backbone(Skips(), run, nn.Identity(), 4, size=(4,), known=known)
    assert first.n_blocks == 4
    monkeypatch.setattr(passage, "_whole", lambda *_: pytest.fail("proven again"))
    again = Backbone(Skips(), run, nn.Identity(), 4, size=(4,), known=known)
    assert again.n_blocks == 4


def test_a_network_that_cannot_be_looked_at_is_one_block(caplog: pytest.LogCaptureFixture) -> None:
    def asks(net: nn.Module, x: Tensor) -> Tensor:
        if x.requires_grad:
            raise RuntimeError("not on me")
        return run(net, x)

    backbone = Backbone(Skips(), asks, nn.Identity(), 4, size=(4,))
    assert backbone.n_blocks == 1
    assert "stays whole" in caplog.text
    backbone.set_trainable([0])
    assert backbone(torch.ones(2, 4)).shape == (2, 4)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in FAMILIES["pictures"]],
)
def test_families_of_pictures_keep_their_blocks(name: str) -> None:
    assert digests(vision.build(resolve(name, random=True))) == FAMILIES["pictures"][name]


@pytest.mark.parametrize("kind", FAMILIES["texts"])
def test_families_of_texts_keep_their_blocks(kind: str) -> None:
    if kind in textnets.NETWORKS:
        backbone = textnets.build(kind, 30)
    else:
        import transformers

        sizes = {"n_layers": 3, "n_heads": 2, "dim": 16, "hidden_dim": 24}
        sizes = sizes if kind == "distilbert" else ENCODERS
        more = {"embedding_size": 8} if kind == "electra" else {}
        config = transformers.AutoConfig.for_model(kind, **(sizes | {"vocab_size": 40} | more))
        facts = {"architecture": kind, "config": config.to_dict(), "hidden_size": 16}
        facts |= {"pooling": "mean", "normalise": False, "weights": []}
        backbone = encoders.build(facts)
    assert digests(backbone) == FAMILIES["texts"][kind]


@pytest.mark.parametrize("length", [4, 19])
def test_texts_of_other_lengths_and_batches(length: int) -> None:
    backbone = textnets.build("transformer", 30)
    ids, mask = example(backbone.net, 5, (), "words")
    ids, mask = ids[:, :length], mask[:, :length]
    whole = backbone((ids, mask))
    for k in range(backbone.n_blocks + 1):
        again = backbone.forward_from(backbone.forward_to((ids, mask), k), k)
        torch.testing.assert_close(again, whole)


def test_threads_that_run_parts_of_one_network_wait_for_each_other() -> None:
    from concurrent.futures import ThreadPoolExecutor

    backbone = vision.build(resolve("glyphs"))
    x = torch.randint(0, 256, (2, 32, 32, 1), dtype=torch.uint8)
    with torch.inference_mode():
        start = backbone.start(x)
        marks = range(backbone.n_blocks + 1)
        wanted = [backbone.forward_between(start, 0, k) for k in marks]

    def step(number: int) -> bool:
        k = number % backbone.n_blocks
        with torch.inference_mode():
            found = backbone.forward_between(wanted[k], k, k + 1)
        return found.shape == wanted[k + 1].shape and torch.allclose(found, wanted[k + 1])

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(step, range(60)))
