"""Two arrays paired by position: does row i of both still mean one item, after every cut?

Each item here says in its own content which class it has, so that any slip shows. Items are in an
order without order, with damaged ones and copies between them, in numbers below, at and above
each threshold of the code (16 labels a class, 16 and 32 pictures a batch, 64 pixels, 64 and 256
items of a window). What is paired, and where it is held:

- names, labels, splits, content of a data set, through `take` of `take`
- the audit's digests and ``usable``, with faults and copies removed
- `split`, `draw`, `selection` (the inner part): indices of the whole data set, through filters
- features and labels (`Features.examples`), with some in the store and some not
- a probe's features and labels, with features handed in and without
- views, activations and batches, in any order; texts sorted by length and put back
- a batch's features and its targets in the objectives
- logits of any indices, answers and faults of a prediction, across chunks
- runs of worker processes and of this one; an estimator's X and y; the worst mistakes' names
"""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
import torch

import headstart
from conftest import bars, save_encoder, sentences
from headstart import bundle, model
from headstart.backbones.build import build
from headstart.backbones.registry import resolve, resolve_all
from headstart.boundary import forward as reading
from headstart.boundary.activations import Activations
from headstart.boundary.extract import extract
from headstart.boundary.inputs import PLAIN, Inputs
from headstart.data.audit import audit
from headstart.data.dataset import Dataset
from headstart.data.split import draw, inner, split
from headstart.estimator import TransferClassifier
from headstart.settings.groups import Carried, Options
from headstart.tasks.classes import LEAST_TO_SELECT, Classes
from headstart.training import selection, transfer
from headstart.training.objective import Step
from headstart.training.objectives import Contrastive, Supervised

SIZES = [15, 16, 17, 33, 70]


def told(data: Dataset, index: int) -> int:
    """Return the class that an item's content tells by itself."""
    content = data.content(index)
    if data.kind == "text":
        words = content.decode().split()
        return next(int(word[3]) for word in words if word.startswith("own"))
    picture = np.load(io.BytesIO(content))
    classes = len(data.classes)
    columns = [1 + c * (picture.shape[1] - 2) // classes for c in range(classes)]
    return int(np.argmax([picture[:, c].mean() for c in columns]))


def mixed(data: Dataset, seed: int = 3) -> Dataset:
    """Return ``data`` in a random order; every seventh item is damaged, every ninth a copy."""
    order = np.random.default_rng(seed).permutation(len(data))
    data = data.take(order)
    contents = [data.content(i) for i in range(len(data))]
    for i in range(0, len(data), 7):
        contents[i] = contents[i][:60] if data.kind == "image" else b" "
    for i in range(9, len(data), 9):
        if data.labels[i] == data.labels[i - 1] and i % 7 and (i - 1) % 7:
            contents[i] = contents[i - 1]
    splits = np.where(np.arange(len(data)) % 4 == 1, "test", "train").astype("<U5")
    return replace(data, content=contents.__getitem__, splits=splits)


def same(data: Dataset, indices: np.ndarray) -> None:
    """Assert that each item's label is the one that its content tells."""
    assert [told(data, int(i)) for i in indices] == data.labels[indices].tolist()


@pytest.mark.parametrize("make", [bars, sentences])
@pytest.mark.parametrize("per_class", SIZES)
def test_cuts_of_a_data_set(per_class: int, make: object) -> None:
    data = mixed(make(per_class, 3))  # type: ignore[operator]
    found = audit(data)
    assert 0 < len(found.usable) < len(data)
    same(data, found.usable)
    part = data.take(found.usable[::-1]).take(np.arange(0, len(found.usable), 2))
    same(part, np.arange(len(part)))
    assert part.names[3] == data.names[int(found.usable[::-1][6])]
    again = audit(part)
    assert again.digests.tolist() == found.digests[found.usable[::-1][::2]].tolist()
    parts = split(data, found.usable, val=0.2, seed=0)
    assert set(parts.train) | set(parts.held_out) == set(found.usable.tolist())
    drawn = draw(data.known, parts.train, 5, seed=0, draw=2)
    assert set(drawn) <= set(parts.train.tolist())
    assert np.bincount(data.labels[drawn]).tolist() == [5, 5, 5]
    cut = inner(data.known, drawn, fraction=0.3, seed=0)
    assert sorted([*cut.train, *cut.held_out]) == sorted(drawn)
    fit, select = selection.selection(data.known, parts.train, Options(), 0)
    assert sorted([*fit, *select]) == sorted(parts.train)
    for some in (parts.train, parts.held_out, drawn, fit, select):
        same(data, some)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny encoder's folder, which knows the words of `sentences`."""
    data = sentences(70, 3)
    texts = [data.content(i).decode() for i in range(len(data))]
    return str(save_encoder(tmp_path_factory.mktemp("encoder"), texts))


@pytest.mark.parametrize("kind", ["image", "text"])
@pytest.mark.parametrize("per_class", SIZES)
def test_features_and_labels(per_class: int, kind: str, encoder: str, glyph_graph: object) -> None:
    data = mixed(bars(per_class, 3) if kind == "image" else sentences(per_class, 3))
    entries = resolve_all("glyphs" if kind == "image" else encoder)
    extract(data.take(np.arange(0, len(data), 3)), entries)  # a third is in the store already
    found, features = extract(data, entries)
    assert features.hits
    some = np.random.default_rng(0).permutation(found.usable)
    examples = features.of(data).examples(some)
    same(data, some)
    assert examples.targets.values.tolist() == data.labels[some].tolist()
    for row in (0, len(some) // 2, -1):  # one item alone
        alone = data.take([int(some[row])])
        np.testing.assert_allclose(
            examples.features[row], extract(alone, entries)[1].rows(np.array([0]))[0], atol=1e-5
        )
    with pytest.raises(ValueError, match="another data set"):
        features.of(data.take(some))


@pytest.mark.parametrize("handed_in", [True, False])
@pytest.mark.parametrize("name", ["lp-ft", "gradual", "warm"])
@pytest.mark.parametrize("per_class", [12, 15, 16, 17, 33])
def test_the_probe_and_what_is_expected_know_their_items(
    per_class: int, name: str, handed_in: bool, glyph_graph: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = mixed(bars(2 * per_class, 4))
    entries = resolve_all("glyphs")
    found, features = extract(data, entries)
    train = draw(data.known, found.usable, per_class, seed=1)
    seen = []

    def stop(backbone: object, inputs: object, job: object, **rest: object) -> None:
        seen.append(job)
        raise KeyboardInterrupt

    monkeypatch.setattr("headstart.training.loop.train", stop)
    with pytest.raises(KeyboardInterrupt):
        run = Carried(strategy=name)
        transfer.transfer(data, train, entries, run, features=features if handed_in else None)
    (job,) = seen
    assert len(job.select) == 0 or per_class >= LEAST_TO_SELECT
    assert job.expected() > 0.8
    for part in (job.fit, np.setdiff1d(found.usable, job.fit)) if job.probe else ():
        right = job.probe.logits(features.rows(part)).argmax(1) == data.labels[part]
        assert right.mean() > 0.8  # of four classes, with labels of other items a quarter


@pytest.mark.parametrize("side", [32, 64, 72])
def test_views_and_activations_of_pictures(side: int) -> None:
    data = mixed(bars(17, 3))
    usable = audit(data).usable
    entry = resolve("glyphs").with_image_size(side)
    backbone = build(entry)
    inputs = Inputs(data, entry.preprocess, augment="light", views=2)
    order = np.random.default_rng(0).permutation(usable)
    for source in (inputs, Activations(inputs, backbone, 1, "cpu")):
        if isinstance(source, Activations):
            source.fill(order[::3], order[::2], [0])  # some are kept, for some views
            source.fill(order, order, [0, 1])
        for number in (PLAIN, 0, 1):
            together = list(source.rows(order, number))
            for row in (0, 5, len(order) - 1):
                alone = next(iter(source.rows(order[row : row + 1], number)))
                np.testing.assert_array_equal(together[row], alone)


@pytest.mark.parametrize("boundary", [0, 1, 2])
@pytest.mark.parametrize("per_class", [15, 22, 90])
def test_texts_are_put_back_in_their_order(per_class: int, boundary: int, encoder: str) -> None:
    data = mixed(sentences(per_class, 3))
    order = np.random.default_rng(0).permutation(audit(data).usable)
    entry = resolve(encoder)
    backbone = build(entry)
    source: reading.Source = Inputs(data, entry.preprocess)
    if boundary:
        source = Activations(Inputs(data, entry.preprocess), backbone, boundary, "cpu", limit=0)
    found = reading.features(backbone, source, order, "cpu")
    for row in (0, 7, len(order) - 1):
        alone = reading.features(backbone, source, order[row : row + 1], "cpu")[0]
        np.testing.assert_allclose(found[row], alone, atol=1e-5)
    (batch,) = source.batches([order[:40]], 0)
    with torch.inference_mode():
        trained = reading.forward(backbone, source, batch, "cpu")
    np.testing.assert_allclose(trained.numpy(), found[:40], atol=1e-5)


def test_a_batch_and_its_targets() -> None:
    data = mixed(bars(33, 3))
    usable = audit(data).usable
    fit = np.random.default_rng(1).permutation(usable)[:70]
    # Features that are the class itself: only the right pairing has hardly any loss.
    right = 20 * torch.eye(3)
    head = torch.nn.Linear(3, 3).requires_grad_(False)
    with torch.no_grad():
        head.weight.copy_(torch.eye(3))
        head.bias.zero_()
    classes = Supervised(head, data.known, fit, batch=32, seed=0, weighted=True)
    pairs = Contrastive(data.labels, fit, batch=32, seed=0)

    def first(batch: tuple[torch.Tensor]) -> torch.Tensor:
        return batch[0]

    for objective, most in ((classes, 1e-3), (pairs, 3.5)):
        seen = []
        for batch in objective.order(0):
            assert set(batch) <= set(fit)
            features = torch.stack([right[told(data, int(i))] for i in batch])
            loss = float(objective.loss(Step(batch, (features,), first)))
            assert loss < most
            shifted = objective.loss(Step(np.roll(batch, 1), (features,), first))
            assert float(shifted) > loss + 0.01
            seen += batch.tolist()
        if objective is classes:
            assert sorted(seen) == sorted(fit)


@pytest.mark.parametrize("name", ["frozen", "partial:-1", "lp-ft"])
def test_logits_and_answers(
    name: str, glyph_graph: object, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    data = mixed(bars(20, 3))
    found = audit(data)
    fitted = transfer.transfer(
        data, found.usable[::2], resolve_all("glyphs"), Carried(strategy=name, epochs=3)
    )
    order = np.random.default_rng(0).permutation(found.usable)
    all_at_once = fitted.model.outputs(data, order)
    assert (all_at_once.argmax(1) == data.labels[order]).mean() > 0.9
    np.testing.assert_allclose(fitted.model.outputs(data, order[5:6])[0], all_at_once[5], atol=1e-4)

    result = headstart.fit(
        data, strategy=name, options=Options(epochs=3), out=str(tmp_path) + "/out"
    )
    for row in result.errors:
        at = list(data.names).index(row["item"])
        assert data.classes[data.labels[at]] == row["label"]
    monkeypatch.setattr(model, "CHUNK", 13)
    loaded = bundle.load(result.bundle)
    answers = list(loaded.model.stream_items(data))  # has names and content, as items have
    assert [answer["item"] for answer in answers] == list(data.names)
    wrong = 0
    for i, answer in enumerate(answers):
        assert ("error" in answer) == (i % 7 == 0)
        wrong += "error" not in answer and answer["label"] != data.classes[told(data, i)]
    assert wrong <= 2


@pytest.mark.slow
def test_worker_processes_see_the_same_items(glyph_graph: object) -> None:
    data = mixed(bars(20, 3))
    data = replace(data, content=_Contents([data.content(i) for i in range(len(data))]))
    how = {"strategies": ["frozen", "lp-ft", "partial:-1"], "shots": [8, 16], "draws": 2}
    here, there = (
        headstart.compare(data, **how, options=Options(epochs=2), workers=n)  # type: ignore[arg-type]
        for n in (1, 2)
    )
    assert [run.value for run in here.runs] == [run.value for run in there.runs]
    assert min(run.value for run in here.runs) > 0.8


class _Contents:
    """Contents that can be sent to another process."""

    def __init__(self, contents: list[bytes]) -> None:
        self.contents = contents

    def __call__(self, index: int) -> bytes:
        return self.contents[index]


def test_an_estimator_keeps_x_and_y_together(glyph_graph: object) -> None:
    data = bars(20, 3)
    order = np.random.default_rng(5).permutation(len(data))
    pictures = np.stack([np.load(io.BytesIO(data.content(int(i)))) for i in order])
    names = np.array(["c", "a", "b"])[data.labels[order]]  # sorted otherwise than they come
    model = TransferClassifier().fit(pictures[:40], names[:40])
    assert (model.predict(pictures[40:]) == names[40:]).mean() > 0.9
    np.testing.assert_allclose(
        model.predict_proba(pictures[47:48])[0], model.predict_proba(pictures[40:])[7], atol=1e-5
    )


def test_the_worst_mistakes_are_named_right() -> None:
    chances = np.array([[0.1, 0.9], [0.8, 0.2], [0.6, 0.4], [0.3, 0.7]], np.float32)
    rows = Classes(("no", "yes")).mistakes(np.log(chances), np.array([0, 0, 1, 0]), 5)
    assert [(at, row["label"], row["predicted"]) for at, row in rows] == [
        (0, "no", "yes"),
        (3, "no", "yes"),
        (2, "yes", "no"),
    ]
