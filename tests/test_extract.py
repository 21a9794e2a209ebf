"""From a data set to features: computed once, kept by content, never stale."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from conftest import bars, save_bars
from headstart.backbones.entry import Entry
from headstart.backbones.registry import resolve
from headstart.boundary import extract as module
from headstart.boundary.extract import extract, vectors, warn_if_strange
from headstart.data import scan
from headstart.data.dataset import Dataset
from headstart.data.pictures.images import Preprocess
from headstart.data.reading import read


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Every content that is unpacked."""
    seen: list[bytes] = []
    real = scan.examine

    def counting(content: bytes, *rest: object) -> object:
        seen.append(content)
        return real(content, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(scan, "examine", counting)
    return seen


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """An engine that answers with means and never needs a network; the sizes of its batches."""
    sizes: list[int] = []

    def make(entry: Entry, **_: object) -> object:
        def run(batch: tuple[np.ndarray]) -> np.ndarray:
            (pixels,) = batch
            sizes.append(len(pixels))
            values = pixels.reshape(len(pixels), -1).astype(np.float32)
            return values[:, :3] + float(len(entry.name))

        return run

    monkeypatch.setattr(module, "engine", make)
    return sizes


def counts(dataset: Dataset, *entries: Entry, block: int = -1) -> tuple[int, int]:
    _, features = extract(dataset, entries, block=block)
    return features.hits, features.misses


GLYPHS = resolve("glyphs")


def test_the_second_time_everything_is_there(fake: list[int], decoded: list[bytes]) -> None:
    data = bars()
    first_audit, first = extract(data, [GLYPHS])
    assert (first.hits, first.misses) == (0, 24)
    assert len(decoded) == 24, "audit and features share one decoding"
    again_audit, again = extract(data, [GLYPHS])
    assert (again.hits, again.misses) == (24, 0)
    assert len(decoded) == 24
    everything = np.arange(24)
    np.testing.assert_array_equal(first.rows(everything), again.rows(everything))
    assert first_audit.to_json() == again_audit.to_json()


def test_batches_are_bounded(fake: list[int]) -> None:
    extract(bars(per_class=20), [GLYPHS])
    assert sum(fake) == 40
    assert max(fake) <= Preprocess.window


def test_rows_come_as_asked_for(fake: list[int]) -> None:
    _, features = extract(bars(), [GLYPHS])
    rows = features.rows(np.arange(24))
    np.testing.assert_array_equal(features.rows(np.array([5, 3, 3])), rows[[5, 3, 3]])
    assert features.n_features == 3


def test_other_answers_are_other_entries(fake: list[int]) -> None:
    data = bars()
    assert counts(data, GLYPHS) == (0, 24)
    other_weights = Entry(**{**vars(GLYPHS), "digest": "0" * 32})
    assert counts(data, other_weights) == (0, 24)
    preprocess = Preprocess(**{**vars(GLYPHS.preprocess), "resize": 40})
    assert counts(data, Entry(**{**vars(GLYPHS), "preprocess": preprocess})) == (0, 24)
    brighter = Preprocess(**{**vars(GLYPHS.preprocess), "mean": (0.9,)})
    assert counts(data, Entry(**{**vars(GLYPHS), "preprocess": brighter})) == (0, 24)
    assert counts(data, GLYPHS.with_channels(3)) == (0, 24)
    assert counts(data, GLYPHS, block=2) == (0, 24)
    assert counts(data, resolve("random:glyphs", seed=0)) == (0, 24)
    assert counts(data, resolve("random:glyphs", seed=1)) == (0, 24)
    assert counts(data, GLYPHS) == (24, 0)


def test_only_what_is_new_is_computed(fake: list[int], decoded: list[bytes]) -> None:
    data = bars(per_class=20)
    extract(data.take(range(30)), [GLYPHS])
    decoded.clear()
    assert counts(data, GLYPHS) == (30, 10)
    assert len(decoded) == 10


def test_faults_are_listed_and_the_rest_goes_on(fake: list[int], tmp_path: Path) -> None:
    root = save_bars(tmp_path)
    (root / "bar 0" / "bad.png").write_text("rubbish")
    (root / "bar 1" / "empty.png").touch()
    data = read(root)
    for _ in range(2):
        found, features = extract(data, [GLYPHS])
        assert {one.item: one.reason for one in found.rejected} == {
            "bar 0/bad.png": "not an image",
            "bar 1/empty.png": "empty file",
        }
        assert len(found.usable) == 24
        assert np.isfinite(features.rows(found.usable)).all()


def test_nothing_usable(fake: list[int], tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.png").write_text("rubbish " + name)
    found, features = extract(read(tmp_path), [GLYPHS])
    assert (len(found.usable), features.n_features, fake) == (0, 0, [])


def test_joined_backbones_share_the_decoding(fake: list[int], decoded: list[bytes]) -> None:
    data = bars()
    other = resolve("random:glyphs")
    _, joined = extract(data, [GLYPHS, other])
    assert len(decoded) == 24
    assert (joined.misses, joined.n_features) == (48, 6)
    _, one = extract(data, [GLYPHS])
    _, two = extract(data, [other])
    assert one.misses == two.misses == 0
    everything = np.arange(24)
    np.testing.assert_array_equal(
        joined.rows(everything), np.hstack([one.rows(everything), two.rows(everything)])
    )


def test_joined_backbones_of_other_sizes(fake: list[int]) -> None:
    bigger = Preprocess(**{**vars(GLYPHS.preprocess), "size": (40, 40), "resize": 40})
    entries = [GLYPHS, Entry(**{**vars(GLYPHS), "preprocess": bigger})]
    found, features = extract(bars(), entries)
    assert features.misses == 48
    assert features.rows(found.usable).shape == (24, 6)


def test_an_unwritable_home_goes_on_in_memory_with_a_notice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # A file where a folder should be: refused for everybody, the administrator too.
    (tmp_path / "file").touch()
    expected = extract(bars(), [GLYPHS])[1].rows(np.arange(24))
    monkeypatch.setenv("HEADSTART_HOME", str(tmp_path / "file" / "home"))
    _, features = extract(bars(), [GLYPHS])
    assert features.misses == 24
    np.testing.assert_allclose(features.rows(np.arange(24)), expected, atol=1e-5)
    assert "going on in memory" in caplog.text
    assert "no graph can be kept" in caplog.text


def test_prediction_answers_twins_and_keeps_nothing(fake: list[int], headstart_home: Path) -> None:
    data = bars().take([0, 1, 0, 0])
    faults, features = vectors(data, [GLYPHS])
    assert faults == {}
    rows = features.rows(np.arange(4))
    np.testing.assert_array_equal(rows[0], rows[3])
    assert not (headstart_home / "features").exists()


@pytest.mark.parametrize(
    ("low", "high", "strange"),
    [(0, 256, False), (0, 2, True), (250, 256, True), (60, 180, False), (128, 129, True)],
)
def test_strange_pictures_are_noticed(
    low: int, high: int, strange: bool, caplog: pytest.LogCaptureFixture
) -> None:
    p = Preprocess(size=(32, 32), resize=32)
    pixels = np.random.default_rng(0).integers(low, high, (4, 32, 32, 3)).astype(np.uint8)
    warn_if_strange(pixels, p)
    assert ("look unlike what this backbone learned from" in caplog.text) == strange
