"""Graph and torch give the same features, and a graph is made once."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from headstart.backbones import vision
from headstart.backbones.registry import resolve
from headstart.boundary import engine as module
from headstart.boundary.engine import engine, graph_path, torch_engine, weights_key
from headstart.data.pictures.images import Preprocess
from headstart.errors import HeadstartError, UsageError


def pixels(n: int, channels: int = 1, side: int = 32) -> tuple[np.ndarray]:
    rng = np.random.default_rng(n)
    return (rng.integers(0, 256, (n, side, side, channels)).astype(np.uint8),)


def test_graph_and_torch_agree_at_every_batch_size(glyph_graph: Path) -> None:
    entry = resolve("glyphs")
    graph = engine(entry)
    torch = torch_engine(vision.build(entry), -1, "cpu")
    for n in (1, 2, 7):
        expected = torch(pixels(n))
        assert expected.shape == (n, 128)
        assert expected.dtype == np.float32
        np.testing.assert_allclose(graph(pixels(n)), expected, atol=1e-4 * np.abs(expected).max())


def test_an_item_does_not_depend_on_its_batch(glyph_graph: Path) -> None:
    run = engine(resolve("glyphs"))
    together = run(pixels(7))
    alone = np.concatenate([run((pixels(7)[0][i : i + 1],)) for i in range(7)])
    np.testing.assert_allclose(together, alone, atol=1e-5 * np.abs(alone).max())


@pytest.mark.parametrize("block", [0, 2, 4])
def test_features_of_a_block_are_means_over_positions(block: int) -> None:
    import torch

    entry = resolve("glyphs")
    backbone = vision.build(entry)
    with torch.inference_mode():
        maps = backbone.forward_to(torch.from_numpy(pixels(3)[0]), block + 1)
    expected = maps.mean((2, 3)).numpy() if maps.ndim == 4 else maps.numpy()
    got = engine(entry, block=block)(pixels(3))
    np.testing.assert_allclose(got, expected, atol=1e-4 * np.abs(expected).max())
    assert graph_path(entry.key(), block).is_file()


@pytest.mark.parametrize("block", [-2, 5])
def test_no_such_block(block: int) -> None:
    with pytest.raises(UsageError, match=f"block {block} is out of range: this backbone has 0 to"):
        engine(resolve("glyphs"), block=block)


def test_a_graph_is_made_once(monkeypatch: pytest.MonkeyPatch, headstart_home: Path) -> None:
    made: list[Path] = []
    real = module.export

    def counting(backbone: object, path: Path, *how: object, **more: object) -> bytes:
        made.append(path)
        return real(backbone, path, *how, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "export", counting)
    first, second = engine(resolve("glyphs")), engine(resolve("glyphs"))
    assert len(made) == 1
    np.testing.assert_array_equal(first(pixels(2)), second(pixels(2)))
    assert [path.name for path in (headstart_home / "graphs").iterdir()] == [made[0].name]


@pytest.mark.parametrize("content", [b"", b"rubbish", None], ids=["empty", "rubbish", "truncated"])
def test_a_damaged_graph_is_made_again(
    content: bytes | None, glyph_graph: Path, caplog: pytest.LogCaptureFixture
) -> None:
    expected = engine(resolve("glyphs"))(pixels(2))
    whole = glyph_graph.read_bytes()
    glyph_graph.write_bytes(whole[: len(whole) // 2] if content is None else content)
    np.testing.assert_allclose(engine(resolve("glyphs"))(pixels(2)), expected, atol=1e-5)
    assert "making a damaged graph again" in caplog.text
    caplog.clear()
    engine(resolve("glyphs"))
    assert caplog.text == ""


def test_random_weights_of_two_seeds_do_not_share_a_graph() -> None:
    entry = resolve("random:glyphs", seed=0)
    assert weights_key(entry, 0) != weights_key(entry, 1)
    one, two = engine(entry, seed=0)(pixels(2)), engine(entry, seed=1)(pixels(2))
    assert not np.allclose(one, two)
    expected = torch_engine(vision.build(entry, seed=1), -1, "cpu")(pixels(2))
    np.testing.assert_allclose(two, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.slow
def test_a_graph_that_answers_otherwise_is_not_kept_and_torch_takes_over(
    monkeypatch: pytest.MonkeyPatch, headstart_home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "difference", lambda *_: 0.5)
    entry = resolve("glyphs")
    backbone = vision.build(entry)
    with pytest.raises(HeadstartError, match=r"differ from torch's by 5.0e-01"):
        module.export(backbone, headstart_home / "graph.onnx", entry.preprocess)
    expected = torch_engine(backbone, -1, "cpu")(pixels(7))
    for _ in range(2):  # the second time it is known, and nothing is exported
        np.testing.assert_array_equal(engine(entry)(pixels(7)), expected)
        monkeypatch.setattr(module, "export", None)
    assert "glyphs cannot be written as an ONNX graph; torch computes its features" in caplog.text
    assert not list((headstart_home / "graphs").glob("*.onnx"))


def test_an_exporter_that_cannot_go_on_prints_no_graph(capfd: pytest.CaptureFixture[str]) -> None:
    import torch

    class Pooled(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.adaptive_avg_pool2d(x.float(), 7)

    print("before", flush=True)
    with pytest.raises(torch.onnx.errors.OnnxExporterError), module._quiet():
        print("nobody asked")
        module._written(Pooled(), resolve("glyphs").preprocess, dynamo=False)
    with suppress(TypeError):
        ctypes.CDLL(None).fflush(None)  # what native code has printed and not written
    print("after", flush=True)
    out, err = capfd.readouterr()
    assert (out, err) == ("before\nafter\n", "")


def test_an_engine_says_nothing_beside_its_error(capfd: pytest.CaptureFixture[str]) -> None:
    import onnx
    from onnx import TensorProto, helper

    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 4])
    shape = helper.make_tensor("shape", TensorProto.INT64, [2], [2, 4])
    node = helper.make_node("Reshape", ["x", "shape"], ["y"])
    graph = helper.make_graph([node], "two items alone", [x], [y], [shape])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    run = module.onnx_engine(model.SerializeToString())
    with pytest.raises(Exception, match="Reshape"):
        run((np.zeros((3, 4), np.float32),))
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_the_newer_exporter_writes_one_file(
    monkeypatch: pytest.MonkeyPatch, headstart_home: Path
) -> None:
    real = module._written

    def only_new(net: object, preprocess: Preprocess, *, dynamo: bool) -> bytes:
        if not dynamo:
            raise RuntimeError("the older exporter cannot")
        return real(net, preprocess, dynamo=True)

    monkeypatch.setattr(module, "_written", only_new)
    entry = resolve("glyphs")
    expected = torch_engine(vision.build(entry), -1, "cpu")(pixels(7))
    np.testing.assert_allclose(
        engine(entry)(pixels(7)), expected, atol=1e-4 * np.abs(expected).max()
    )
    assert len(list((headstart_home / "graphs").iterdir())) == 1
