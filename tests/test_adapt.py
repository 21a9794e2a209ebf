"""`adapt`: two domains, the choice without labels, and what it says of bad input."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import headstart
from conftest import bars, sentences, shared_data, truth
from headstart.adaptation.choice import choose
from headstart.adaptation.cycle import Painted
from headstart.adaptation.kept import adapted
from headstart.adaptation.registry import METHODS, PREFERRED
from headstart.adaptation.scores import Scores, expected, mixval, nuclear_norm
from headstart.adaptation.space import Material
from headstart.adaptation.statistics import own_statistics
from headstart.backbones.build import build
from headstart.backbones.registry import resolve
from headstart.data.audit import audit
from headstart.data.dataset import Dataset
from headstart.data.memory.arrays import from_items
from headstart.errors import DataError, UsageError
from headstart.report import tables
from headstart.settings.groups import Options
from headstart.tasks.heads import Examples
from headstart.tasks.task import Targets
from headstart.training import loop
from test_pairing import mixed

KEPT = [name for name, method in METHODS.items() if not method.translates]


def shifted(n: int = 120, *, seed: int = 3) -> tuple[Material, np.ndarray, np.ndarray]:
    """Return features of three classes, the target's moved and stretched, and its labels."""
    rng = np.random.default_rng(seed)
    centres = 1.5 * rng.normal(size=(3, 10))
    labels = np.arange(n) % 3
    source, target = (centres[labels] + rng.normal(size=(n, 10)) for _ in range(2))
    moved = (1.4 * target + 3 * rng.normal(size=10)).astype(np.float32)
    return Material(Examples(source.astype(np.float32), truth(labels)), moved), moved, labels


def right(found: Any, features: np.ndarray, labels: np.ndarray) -> float:
    return float((found.target.logits(features).argmax(1) == labels).mean())


@pytest.mark.parametrize("name", KEPT)
def test_every_method_keeps_the_source_and_repeats(name: str) -> None:
    material, features, labels = shifted()
    how: dict[str, Any] = {"options": Options(epochs=2), "seed": 3}
    found, again = (adapted(METHODS[name](), material, **how) for _ in range(2))
    np.testing.assert_array_equal(found.target.weight, again.target.weight)
    source = material.source
    answers = found.source.logits(source.features).argmax(1)
    least = 0.5 if METHODS[name].source_free else 0.9
    assert (answers == source.targets.values).mean() > least
    if name not in ("none", "reweight"):
        base = right(adapted(METHODS["none"](), material, **how), features, labels)
        assert right(found, features, labels) > base


def test_the_source_alone_is_what_a_frozen_fit_solves() -> None:
    from headstart.tasks.heads import solve

    material, _, _ = shifted()
    found = adapted(METHODS["none"](), material, options=Options(), seed=0)
    expected, _ = solve("logistic", material.source, seed=0)
    np.testing.assert_allclose(found.target.weight, expected.weight, rtol=1e-5)
    np.testing.assert_allclose(found.source.bias, expected.bias, rtol=1e-5)


def test_a_shift_and_a_scale_alone_are_undone_by_own_statistics() -> None:
    material, _, _ = shifted()
    same = Material(material.source, 2 * material.source.features + 5)
    found = adapted(METHODS["norm"](), same, options=Options(), seed=0)
    x = material.source.features
    np.testing.assert_allclose(
        found.target.logits(2 * x + 5), found.source.logits(x), rtol=1e-2, atol=1e-2
    )


def test_labelled_target_items_are_learned_from() -> None:
    material, features, labels = shifted()
    few = np.arange(9)
    told = Material(material.source, material.target, labelled=Examples(features[few],
                    truth(labels[few])))  # fmt: skip
    swapped = Material(material.source, material.target, labelled=Examples(features[few],
                       truth((labels[few] + 1) % 3)))  # fmt: skip
    found = [adapted(METHODS["norm"](), one, options=Options(), seed=0) for one in (told, swapped)]
    assert right(found[0], features, labels) > right(found[1], features, labels)


# -- scores and choice ----------------------------------------------------------------------------


def test_nuclear_norm_falls_where_all_answers_are_one_class() -> None:
    varied = np.eye(5, dtype=np.float32)[np.arange(50) % 5]
    assert nuclear_norm(varied) == pytest.approx(1.0)
    assert nuclear_norm(np.eye(5, dtype=np.float32)[np.zeros(50, int)]) == pytest.approx(5**-0.5)


def test_mixes_of_well_parted_answers_stay_with_the_larger_part() -> None:
    far = 10 * np.eye(3, dtype=np.float32)[np.arange(30) % 3]
    assert mixval(far) == 1.0
    # Short answers of one class are outvoted by the longer ones of another.
    uneven = far * np.array([1, 1, 9], np.float32)[np.arange(30) % 3][:, None]
    assert mixval(uneven) < 0.8
    assert mixval(np.ones((4, 2), np.float32)) == 0


def test_doubt_tells_what_is_lost_on_the_way_to_a_target() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 4000)

    def logits(scale: float) -> np.ndarray:
        """Gaussian classes at distance ``scale``, by Bayes' rule, so confidence is honest."""
        x = scale * np.eye(3)[labels] + rng.normal(size=(len(labels), 3))
        return (scale * x).astype(np.float32)

    source, near, far = logits(3), logits(3), logits(1)
    right = (source.argmax(1) == labels).mean()
    assert expected(source, labels, source) == pytest.approx(right)
    assert expected(source, labels, near) == pytest.approx(right, abs=0.02)
    assert expected(source, labels, far) < right - 0.2
    assert expected(source, (source.argmax(1) + 1) % 3, near) == 0  # nothing right, nothing hoped


@dataclass
class Judged:
    source_accuracy: float
    spread: float
    expected: float = 0.8

    @property
    def scores(self) -> Scores:
        return Scores(0.1, self.spread, 1.0)


def test_the_order_is_fixed_and_what_is_known_vetoes() -> None:
    all_well = {name: Judged(0.9, 0.5 + 0.01 * i) for i, name in enumerate(METHODS)}
    assert choose(all_well, PREFERRED)[0] == "mcc"
    lost = all_well | {"mcc": Judged(0.79, 0.9), "shot": Judged(0.9, 0.4)}
    chosen, why = choose(lost, PREFERRED)
    assert chosen == "cdan"
    assert "loses 11.0 points" in why["mcc"] and "sure and varied" in why["shot"]
    assert chosen not in why and len(why) == len(METHODS) - 1
    assert choose({"none": Judged(0.9, 0.5), "mcc": Judged(0.86, 0.9)}, PREFERRED)[0] == "mcc"
    assert choose({"none": Judged(0.9, 0.5), "mcc": Judged(0.84, 0.9)}, PREFERRED)[0] == "none"
    # Without a shift there is nothing to win, so nothing may be lost for it.
    level = {"none": Judged(0.9, 0.5, expected=0.91), "mcc": Judged(0.9, 0.9)}
    chosen, why = choose(level, PREFERRED)
    assert chosen == "none" and "nothing to win" in why["mcc"]
    assert "changes by +0.0 points" in why["mcc"]
    better = level | {"mcc": Judged(0.95, 0.9)}
    assert choose(better, PREFERRED)[0] == "mcc"


# -- own batch statistics -------------------------------------------------------------------------


def test_own_statistics_are_those_of_the_domain() -> None:
    entry, data = resolve("glyphs"), audit(bars(20)).dataset
    own = own_statistics(entry, data, np.arange(len(data)))
    assert own is not None and own.key() != entry.key()
    assert own_statistics(entry, data, np.arange(len(data))) == own
    before, after = build(entry).net, build(own).net
    state, moved = before.state_dict(), after.state_dict()
    changed = {k for k in state if not torch.equal(state[k], moved[k])}
    assert changed and all(k.split(".")[-1].startswith(("running", "num_b")) for k in changed)
    # The first batch norm sees the first convolution of the pictures: its mean is theirs.
    pixels = np.stack([entry.preprocess.load(data.content(i)) for i in range(len(data))])
    x = (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255 - 0.3) / 0.35
    expected = before.stem[0](x).mean((0, 2, 3))
    torch.testing.assert_close(after.stem[1].running_mean, expected, rtol=1e-2, atol=1e-2)


def test_a_network_without_batch_norm_or_weights_has_no_own_statistics() -> None:
    data = audit(bars(4)).dataset
    assert own_statistics(resolve("random:glyphs"), data, np.arange(8)) is None
    assert own_statistics(resolve("bilstm"), data, np.arange(8)) is None


# -- the verb -------------------------------------------------------------------------------------


def darker(data: Dataset) -> Dataset:
    """Return pictures in memory at half their light, inverted."""
    import io

    pictures = np.stack([np.load(io.BytesIO(data.content(i))) for i in range(len(data))])
    return from_items(
        (200 - pictures // 2).astype(np.uint8), [data.said(i) for i in range(len(data))]
    )


@pytest.fixture
def pair(glyph_graph: Path) -> tuple[Dataset, Dataset]:
    return bars(30, seed=1), darker(bars(30, seed=2))


@pytest.mark.slow
def test_adapt_measures_chooses_and_says_what_labels_would_bring(
    pair: tuple[Dataset, Dataset], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = headstart.adapt(*pair, epochs=2, out=tmp_path / "bundle")
    found = result.to_json()
    assert list(found["scores"]) == ["none", "norm", "coral", "mcc"]
    assert found["method"] in found["scores"] and found["why_not"].keys() | {found["method"]} == {
        *found["scores"]
    }
    assert 0 <= found["interval"][0] <= found["accuracy"] <= found["interval"][1] <= 1
    best = max(one["accuracy"] for one in found["scores"].values())
    assert found["oracle"] == best
    assert found["oracle_gap"] == pytest.approx(best - found["accuracy"])
    assert found["with_labels"].keys() == {"1", "3"}
    assert 0 <= found["source_only_expected"] <= 1
    tables.adaptation(result)
    expected = f"right in {result.fit.model.task.shown(result.expected)} of the target"
    assert expected in capsys.readouterr().out
    assert (found["n_source"], found["n_target"], found["n_test"]) == (48, 48, 12)
    loaded = headstart.load(tmp_path / "bundle")
    assert loaded.facts["strategy"] == f"adapt {found['method']}"
    figures, _ = headstart.evaluate(loaded, pair[1])
    assert figures.n == 60
    answers = headstart.predict(loaded, np.zeros((8, 8), np.uint8))
    assert answers[0]["label"] in ("bar 0", "bar 1")


@pytest.mark.slow
def test_no_label_of_the_target_takes_part_in_the_choice(
    pair: tuple[Dataset, Dataset],
) -> None:
    source, target = pair
    target = replace(target, splits=np.array(["train", "train", "train", "test"] * 15, "U5"))
    turned = replace(target, targets=Targets(target.known.task, 1 - target.labels))
    plain = headstart.adapt(source, target, epochs=2)
    other = headstart.adapt(source, turned, epochs=2)
    bare = headstart.adapt(source, target, epochs=2, unlabelled=True)
    assert plain.method == other.method and plain.expected == other.expected
    np.testing.assert_array_equal(plain.chosen.model.head.weight, other.chosen.model.head.weight)
    assert bare.oracle is None
    found = bare.to_json()
    assert "accuracy" not in found and "oracle_gap" not in found and found["n_target"] == 60
    assert any("held-out source items" in note for note in found["notes"])


def test_a_method_that_is_named_is_taken(pair: tuple[Dataset, Dataset]) -> None:
    found = headstart.adapt(*pair, method="norm")
    assert found.method == "norm" and list(found.candidates) == ["none", "norm"]


def test_few_target_labels(pair: tuple[Dataset, Dataset]) -> None:
    found = headstart.adapt(*pair, method="norm", target_labels=2).to_json()
    assert found["accuracy"] > 0.8 and found["with_labels"] == {}
    with pytest.raises(UsageError, match="target has none"):
        headstart.adapt(*pair, target_labels=2, unlabelled=True)


def test_texts_and_tables(tmp_path: Path) -> None:
    from conftest import save_encoder

    source, target = sentences(30, seed=1), sentences(30, seed=2)
    texts = [source.content(i).decode() for i in range(len(source))]
    encoder = save_encoder(tmp_path / "tiny", texts)
    lines = [target.content(i).decode() for i in range(len(target))]
    (tmp_path / "target.csv").write_text("\n".join(["text", *lines]) + "\n")
    found = headstart.adapt(
        source, tmp_path / "target.csv", backbone=f"hf:{encoder}", epochs=2, method="mcc"
    )
    assert found.oracle is None and found.to_json()["n_target"] == 60


@pytest.mark.slow
def test_translated_pictures_are_the_sources_in_the_targets_light(
    pair: tuple[Dataset, Dataset],
) -> None:
    from headstart.adaptation.styled import styled

    entry = resolve("glyphs")
    source, target = (audit(one).dataset for one in pair)
    made = styled((source.take(range(20)), target), entry.preprocess, seed=1)
    assert len(made) == 20 and made.said(3) == source.said(3)

    def light(data: Dataset, n: int) -> float:
        return float(np.mean([entry.preprocess.load(data.content(i)).mean() for i in range(n)]))

    assert abs(light(made, 20) - light(target, 60)) < abs(light(made, 20) - light(source, 20))
    assert made.content(5) == made.content(5)
    found = headstart.adapt(*pair, method="translate").to_json()
    assert found["method"] == "translate" and found["accuracy"] > 0.5


@dataclass(frozen=True)
class Hasty(Painted):
    steps: int = 2


@dataclass(frozen=True)
class Patient(Painted):
    steps: int = 100


@pytest.mark.slow
def test_painted_pictures_are_the_sources_and_come_again(
    pair: tuple[Dataset, Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    from headstart.adaptation.kept import start
    from headstart.adaptation.painted import painted
    from headstart.boundary.extract import extract

    entry = resolve("glyphs")
    source, target = (audit(one).dataset for one in pair)
    _, features = extract(source, (entry,), device="cpu", seed=0)
    known = features.of(source).examples(np.arange(20))
    assert start(known.features, known.targets).weight.shape == (2, 128)
    sides = source.take(range(20)), target
    one, again = (painted(Hasty(), sides, entry, known, seed=3, device="cpu") for _ in range(2))
    other = painted(Hasty(), sides, entry, known, seed=4, device="cpu")
    assert [one.said(i) for i in range(20)] == [source.said(i) for i in range(20)]
    assert one.content(7) == again.content(7) != other.content(7)
    assert entry.preprocess.load(one.content(7)).shape == (32, 32, 1)
    monkeypatch.setitem(METHODS, "cycle", Hasty)
    runs, real = [], loop.train

    def train(*args: Any, **how: Any) -> Any:
        runs.append(args)
        return real(*args, **how)

    monkeypatch.setattr("headstart.adaptation.painted.train", train)
    found = headstart.adapt(*pair, method="cycle")
    assert found.method == "cycle" and found.chosen.model.backbone is None
    assert len(runs) == 1 and found.few.keys() == {1, 3}  # painted once, whatever is tried on it
    with pytest.raises(UsageError, match="this backbone reads 96"):
        headstart.adapt(*pair, method="cycle", image_size=96)


@pytest.mark.slow
def test_painters_find_the_way_to_dark_digits_on_striped_ground(
    glyph_graph: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sklearn.datasets import load_digits

    data = load_digits()
    x, order = data.images * 255 / 16, np.random.default_rng(0).permutation(len(data.images))
    stripes = 55 * (np.indices((8, 8))[0] % 2)
    ours, theirs = order[:300], order[300:600]
    source = from_items(x[ours].astype(np.uint8), data.target[ours])
    target = from_items((200 - x[theirs] / 2 - stripes).clip(0).astype(np.uint8),
                        data.target[theirs])  # fmt: skip
    monkeypatch.setitem(METHODS, "cycle", Patient)
    found = headstart.adapt(source, target, method="cycle").to_json()["scores"]
    assert found["none"]["accuracy"] < 0.35 and found["cycle"]["accuracy"] > 0.5


@pytest.mark.slow
def test_methods_above_trained_blocks(pair: tuple[Dataset, Dataset], tmp_path: Path) -> None:
    how: dict[str, Any] = {"backbone": "random:glyphs", "strategy": "scratch", "epochs": 1}
    found = headstart.adapt(*pair, method="mcc,coral", **how, out=tmp_path / "bundle")
    assert list(found.candidates) == ["none", "mcc", "coral"]
    assert len(found.candidates["mcc"].history) == 1
    figures, _ = headstart.evaluate(tmp_path / "bundle", pair[1].take(found.fit.parts.held_out))
    assert figures.value == pytest.approx(found.to_json()["accuracy"])
    with pytest.raises(UsageError, match="kept features"):
        headstart.adapt(*pair, method="gaussian", **how)
    with pytest.raises(UsageError, match="goes with 'frozen', or one that trains blocks"):
        headstart.adapt(*pair, strategy="contrastive")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["shot", "cdan"])
def test_blocks_above_a_boundary_learn_from_the_target(
    name: str, pair: tuple[Dataset, Dataset]
) -> None:
    one, again = (
        headstart.adapt(*pair, method=name, strategy="partial:-1", epochs=1, seed=4)
        for _ in range(2)
    )
    mine, theirs = one.candidates[name].model, again.candidates[name].model
    np.testing.assert_array_equal(mine.head.weight, theirs.head.weight)
    assert mine.unchanged > 0  # what lies below was computed once, and has not moved
    assert {row["stage"] for row in one.candidates[name].history} == (
        {0, 1} if name == "shot" else {0}
    )


@pytest.mark.slow
def test_trainings_that_are_broken_off_go_on_to_the_same_weights(
    pair: tuple[Dataset, Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    how: dict[str, Any] = {"strategy": "partial:-1", "method": "cdan", "epochs": 1, "batch": 16}
    whole = headstart.adapt(*pair, **how).candidates["cdan"].model
    real, done = loop._Run._step, []

    def step(self: Any, *args: Any) -> float:
        done.append(args)
        if len(done) == 40:  # the second method's training is on its way
            raise KeyboardInterrupt
        return real(self, *args)

    kept = how | {"out": tmp_path / "out", "checkpoint_every": 0.0}
    monkeypatch.setattr("os.fsync", lambda opened: None)
    monkeypatch.setattr(loop._Run, "_step", step)
    with pytest.raises(KeyboardInterrupt):
        headstart.adapt(*pair, **kept)
    before = len(done)
    with pytest.raises(UsageError, match="was .*is "):
        headstart.adapt(*pair, **kept, resume=True, seed=3)
    found = headstart.adapt(*pair, **kept, resume=True)
    assert len(done) - before < before  # what was done is not done again
    mine = found.candidates["cdan"].model
    np.testing.assert_array_equal(mine.head.weight, whole.head.weight)
    assert mine.backbone is not None and whole.backbone is not None
    for name, tensor in whole.backbone.net.state_dict().items():
        torch.testing.assert_close(mine.backbone.net.state_dict()[name], tensor, rtol=0, atol=0)
    assert not (tmp_path / "out" / "checkpoints").exists()
    headstart.load(tmp_path / "out")


# -- bad input ------------------------------------------------------------------------------------


def test_no_class_in_common(pair: tuple[Dataset, Dataset]) -> None:
    strange = from_items(np.zeros((20, 8, 8), np.uint8) + np.arange(20, dtype=np.uint8)[:, None,
                         None], ["x"] * 10 + ["y"] * 10)  # fmt: skip
    with pytest.raises(DataError, match=r"no class of .* \(x, y\) is one of .*--unlabelled"):
        headstart.adapt(pair[0], strange)


def test_one_target_picture(pair: tuple[Dataset, Dataset]) -> None:
    with pytest.raises(DataError, match="1 usable item, and 8 are the least"):
        headstart.adapt(pair[0], pair[1].take([0]))


@pytest.mark.slow
def test_classes_that_one_side_lacks(pair: tuple[Dataset, Dataset]) -> None:
    source, target = bars(20, 3), darker(bars(20, 2, seed=2))
    notes = headstart.adapt(source, target, method="norm").to_json()["notes"]
    assert any("the target lacks: bar 2" in note for note in notes)
    notes = headstart.adapt(target, source, method="norm").to_json()["notes"]
    assert any("the source lacks: bar 2 (20 items)" in note for note in notes)


def test_a_target_much_larger_than_the_source(
    monkeypatch: pytest.MonkeyPatch, pair: tuple[Dataset, Dataset]
) -> None:
    from headstart.adaptation import domains

    monkeypatch.setattr(domains, "RATIO", 1)
    found = headstart.adapt(pair[0].take(range(20)), pair[1], method="norm").to_json()
    assert (found["n_source"], found["n_target"]) == (16, 16)
    assert any("16 of them, drawn at random" in note for note in found["notes"])


def test_other_kinds_and_tasks_are_refused(pair: tuple[Dataset, Dataset]) -> None:
    with pytest.raises(DataError, match="texts"):
        headstart.adapt(pair[0], sentences())
    numbers = from_items(np.zeros((20, 8, 8), np.uint8), list(np.linspace(0, 1, 20)))
    with pytest.raises(DataError, match="task here is 'number'"):
        headstart.adapt(numbers, pair[1])
    with pytest.raises(UsageError, match="rank is not read here"):
        headstart.adapt(*pair, rank=4)


@pytest.mark.slow
def test_usps_to_mnist_gains_without_a_label() -> None:
    found = headstart.adapt(shared_data("usps"), shared_data("mnist"), method="mcc").to_json()
    assert found["accuracy"] > found["scores"]["none"]["accuracy"] + 0.02


@pytest.mark.slow
@pytest.mark.parametrize("method", ["none", "norm", "coral", "mcc", "shot", "pseudo", "reweight"])
@pytest.mark.parametrize("per_class", [15, 33])
def test_shuffled_and_damaged_domains(method: str, per_class: int, glyph_graph: Path) -> None:
    # Nothing to adapt to: only items beside other items' labels could be answered wrongly.
    source, target = mixed(bars(per_class, 3, seed=1)), mixed(bars(70, 3, seed=2), seed=4)
    found = headstart.adapt(source, target, backbone="glyphs", method=method).to_json()
    assert found["accuracy"] > 0.9
