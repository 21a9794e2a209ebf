"""What every strategy promises, whatever backbone it carries over, of pictures and of texts."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import headstart
from conftest import bars, make_images, save_encoder, sentences, shared_weights
from headstart import bundle
from headstart.backbones.build import build
from headstart.data.dataset import Dataset
from headstart.errors import DataError, UsageError
from headstart.settings.groups import Options
from headstart.strategies.registry import STRATEGIES, strategy
from headstart.tasks.solvers import softmax
from headstart.training.fitted import Fitted

ALL = [
    *("scratch", "frozen", "warm", "discriminative", "partial:2", "partial:-1", "first:2"),
    *("gradual", "lp-ft", "l2-sp", "auto-freeze", "bitfit"),
]
ALL += ["rehearsal", "lwf", "adapt-refit"]
TEXTS = [*ALL, "lora", "contrastive"]
PICTURES = ["glyphs", "random:glyphs"]
# The graph of `transformer` takes the slow exporter.
TRAINED_HERE = [
    *((name, ()) for name in ("bilstm", "bigru", "textcnn")),
    ("transformer", pytest.mark.slow),
]
CASES = [
    *((backbone, name) for backbone in PICTURES for name in ALL),
    *(("encoder", name) for name in TEXTS),
    *(
        pytest.param(backbone, name, marks=marks)
        for backbone, marks in TRAINED_HERE
        for name in ("scratch", "partial:1")  # frozen is refused: nothing was learned before
    ),
]
# Rates at which a random network, too, visibly learns in a few steps.
FEW = Options(epochs=4, batch=8, body_rate=1e-3, head_rate=1e-2, min_frequency=1)


def test_every_registered_strategy_is_covered() -> None:
    assert {name.partition(":")[0] for name in TEXTS} == set(STRATEGIES)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny encoder's folder, which knows the words of `sentences`."""
    data = sentences(classes=3)
    texts = [data.content(i).decode() for i in range(len(data))]
    return str(save_encoder(tmp_path_factory.mktemp("encoder"), texts))


def digest(fitted: Fitted) -> str:
    """Return a digest of all numbers of a model."""
    state = hashlib.blake2b()
    arrays = [
        fitted.model.head.weight,
        fitted.model.head.bias,
        np.array(fitted.model.head.temperature),
    ]
    if fitted.model.backbone is not None:
        arrays += [
            v.detach().numpy() for _, v in sorted(fitted.model.backbone.net.state_dict().items())
        ]
    for array in arrays:
        state.update(np.ascontiguousarray(array).tobytes())
    return state.hexdigest()


def some(backbone: str, **how: int) -> Dataset:
    return bars(**how) if "glyphs" in backbone else sentences(**how)


def known(root: Path, pictures: bool) -> Path:
    """Write a small labelled set that can be rehearsed; return its path."""
    if pictures:
        folder = root / "known"
        return folder if folder.exists() else make_images(folder, {"p": 6, "q": 6})
    data, table = sentences(6, seed=3), root / "known.csv"
    rows = [f"{data.content(i).decode()},{data.said(i)}" for i in range(len(data))]
    table.write_text("\n".join(["text,label", *rows]) + "\n")
    return table


def fit(
    name: str, backbone: str, encoder: str, *, seed: int = 0, data: Dataset | None = None
) -> headstart.Fit:
    probe = {}
    if name == "rehearsal":
        probe = {"probe": known(Path(os.environ["HEADSTART_HOME"]), "glyphs" in backbone)}
    return headstart.fit(
        some(backbone) if data is None else data,
        **probe,
        strategy=name,
        backbone=encoder if backbone == "encoder" else backbone,
        seed=seed,
        options=FEW,
        device="cpu",
    )


@pytest.mark.parametrize(("backbone", "name"), CASES)
def test_fits_tiny_data_repeats_and_saves_to_the_same_answers(
    backbone: str, name: str, encoder: str, tmp_path: Path, glyph_graph: Path
) -> None:
    data = some(backbone)
    result = fit(name, backbone, encoder, data=data)
    losses = [row["loss"] for row in result.fitted.history]
    if name == "frozen":
        assert not losses
        assert result.accuracy == 1.0 or backbone not in PICTURES
    else:
        assert len(losses) >= FEW.epochs
        # Rehearsal begins where what was known before is answered best, with nothing to gain.
        assert losses[-1] < losses[0] or losses[0] < 1e-6 or name == "rehearsal"
    assert digest(fit(name, backbone, encoder, data=data).fitted) == digest(result.fitted)

    result.save(tmp_path / "out")
    loaded = bundle.load(tmp_path / "out")
    everything = np.arange(len(data))
    expected = softmax(result.fitted.model.outputs(data, everything))
    np.testing.assert_allclose(softmax(loaded.model.outputs(data, everything)), expected, atol=1e-4)
    assert loaded.classes == data.classes
    if data.kind == "text":
        texts = [data.content(i).decode() for i in range(4)]
        answers = list(loaded.model.stream_texts(texts))
        got = [list(answer["probabilities"].values()) for answer in answers]
        np.testing.assert_allclose(got, expected[:4], atol=1e-4)


@pytest.mark.parametrize("name", [name for name in TEXTS if name != "frozen"])
def test_another_seed_trains_another_way(name: str, encoder: str) -> None:
    # The same training items, so that only the order and the random weights differ.
    backbone = "glyphs" if name in ALL else "encoder"
    data = some(backbone)
    splits = np.array(["train"] * 18 + ["val"] * 6, "<U5")
    data = Dataset(**{**vars(data), "splits": splits})
    first, second = (fit(name, backbone, encoder, seed=seed, data=data) for seed in (0, 1))
    np.testing.assert_array_equal(first.parts.train, second.parts.train)
    assert digest(first.fitted) != digest(second.fitted)


@pytest.mark.parametrize("backbone", [*PICTURES, "encoder"])
@pytest.mark.parametrize(
    "name", ["partial:2", "partial:-1", "partial:0", "partial:4", "first:1", "gradual", "warm"]
)
def test_what_is_frozen_did_not_move(name: str, backbone: str, encoder: str) -> None:
    fitted = fit(name, backbone, encoder).fitted
    before = build(fitted.model.entries[0], seed=fitted.model.seed)
    after = fitted.model.backbone
    assert after is not None
    plan = strategy(name).plan(after.n_blocks, 18, FEW)
    trained = frozenset().union(*(stage.trained for stage in plan.stages))
    moved = set()
    for (key, old), new in zip(
        before.net.state_dict().items(), after.net.state_dict().values(), strict=True
    ):
        if not np.array_equal(old.numpy(), new.numpy()):
            moved.add(after.owner(key))
            assert "running" not in key, "batch norm keeps what it learned, also where it trains"
    assert moved == trained


def test_adapters_are_merged_and_only_attention_moves(encoder: str) -> None:
    fitted = fit("lora", "encoder", encoder).fitted
    before = build(fitted.model.entries[0]).net.state_dict()
    assert fitted.model.backbone is not None
    after = fitted.model.backbone.net.state_dict()
    assert list(before) == list(after)
    moved = {key for key in before if not np.array_equal(before[key], after[key])}
    assert moved
    assert all(".attention." in key and key.endswith("weight") for key in moved)


def test_scratch_starts_from_random_weights_and_learns_the_statistics(encoder: str) -> None:
    fitted = fit("scratch", "glyphs", encoder).fitted
    assert fitted.model.entries[0].name == "random:glyphs"
    assert not fitted.model.entries[0].pretrained
    before = build(fitted.model.entries[0], seed=fitted.model.seed).net.state_dict()
    assert fitted.model.backbone is not None
    after = fitted.model.backbone.net.state_dict()
    moved = [key for key in before if not np.array_equal(before[key], after[key])]
    assert any("running_mean" in key for key in moved)


@pytest.mark.parametrize("name", TEXTS)
def test_bad_data_are_refused_clearly(name: str, encoder: str, glyph_graph: Path) -> None:
    backbone = "glyphs" if name in ALL else "encoder"
    with pytest.raises(DataError, match="only one class"):
        fit(name, backbone, encoder, data=some(backbone, classes=1))
    with pytest.raises(DataError, match="nothing usable"):
        fit(name, backbone, encoder, data=some(backbone).take([]))
    with pytest.raises(DataError, match="nothing is left to measure on"):
        fit(name, backbone, encoder, data=some(backbone, per_class=1))


def test_kinds_are_not_mixed(encoder: str) -> None:
    with pytest.raises(UsageError, match="'contrastive' is for texts, not for images"):
        fit("contrastive", "glyphs", encoder)
    with pytest.raises(DataError, match="holds texts, but the backbone 'glyphs' is for images"):
        fit("frozen", "glyphs", encoder, data=sentences())
    with pytest.raises(DataError, match="holds images, but the backbone 'bigru' is for texts"):
        fit("scratch", "bigru", encoder, data=bars())
    with pytest.raises(UsageError, match="lora.*finds none in GlyphNet"):
        fit("lora", "glyphs", encoder)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in ALL if name != "rehearsal"])
def test_mobilenet(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADSTART_WEIGHTS", str(shared_weights()))
    root = make_images(tmp_path / "data", {"a": 6, "b": 6})
    rates = Options(epochs=2, batch=4, body_rate=1e-4)
    first, second = (
        headstart.fit(
            root, strategy=name, backbone="mobilenet_v2", options=rates, out=tmp_path / f"{i}"
        )
        for i in range(2)
    )
    assert digest(first.fitted) == digest(second.fitted)
    pictures = sorted((root / "a").iterdir())
    answers = list(headstart.predict(tmp_path / "0", pictures, device="cpu"))
    indices = np.array([first.dataset.names.index(f"a/{path.name}") for path in pictures])
    expected = softmax(first.fitted.model.outputs(first.dataset, indices))
    got = [list(answer["probabilities"].values()) for answer in answers]
    np.testing.assert_allclose(got, expected, atol=1e-4)


@pytest.mark.slow
def test_joined_backbones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADSTART_WEIGHTS", str(shared_weights()))
    root = make_images(tmp_path / "data", {"a": 6, "b": 6})
    result = headstart.fit(root, backbone="mobilenet_v2+mobilenetv1_100", out=tmp_path / "out")
    assert result.accuracy == 1.0
    assert result.to_json()["backbone"] == "mobilenet_v2+mobilenetv1_100"
    assert result.fitted.model.head.weight.shape == (2, 1280 + 1024)
    Image.open(sorted((root / "b").iterdir())[0]).save(tmp_path / "new.png")
    (answer,) = headstart.predict(tmp_path / "out", tmp_path / "new.png")
    assert answer["label"] == "b"
