"""What is kept on disk: a byte that flips, and files that change while they are read."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import headstart
from conftest import bars, save_bars, save_encoder, sentences
from headstart import bundle, store
from headstart.data.audit import audit
from headstart.errors import BackboneError, BundleError, DataError
from headstart.settings.groups import Options


def kept(home: Path) -> list[Path]:
    return sorted(path for path in home.rglob("*") if path.is_file() and path.stat().st_size)


def flipped(path: Path, chance: np.random.Generator) -> tuple[int, int]:
    """Flip one bit of the file, and return where and to what it must be set back."""
    content = bytearray(path.read_bytes())
    at = int(chance.integers(len(content)))
    before, content[at] = content[at], content[at] ^ (1 << int(chance.integers(8)))
    path.write_bytes(content)
    return at, before


def outputs(out: Path, strategy: str, data: Path) -> np.ndarray:
    how = Options() if strategy == "frozen" else Options(epochs=1, batch=8)
    fitted = headstart.fit(data, strategy=strategy, options=how, out=out)
    return fitted.model.outputs(fitted.dataset, np.arange(len(fitted.dataset)))


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["frozen", "partial:-1"])
def test_a_flipped_bit_in_any_kept_file_changes_no_answer(
    strategy: str, tmp_path: Path, headstart_home: Path
) -> None:
    chance = np.random.default_rng(5)
    data = save_bars(tmp_path / "data", 8)
    expected = outputs(tmp_path / "first", strategy, data)
    files = kept(headstart_home)
    assert {path.suffix for path in files} >= {".npy", ".json"}
    tries = 0
    for path in files:
        for _ in range(2):
            if not path.exists():  # dropped, and made anew under another name
                break
            if path.suffix == ".onnx":  # nobody asks the graph for what is kept
                shutil.rmtree(headstart_home / "features")
            flipped(path, chance)
            store._CHECKED.clear()  # as in a process of its own
            np.testing.assert_array_equal(outputs(tmp_path / "again", strategy, data), expected)
            tries += 1
    assert tries >= len(files)


def test_a_flipped_bit_in_a_text_fit_changes_no_answer(
    tmp_path: Path, headstart_home: Path
) -> None:
    chance = np.random.default_rng(6)
    texts = sentences(6)
    encoder = save_encoder(tmp_path / "encoder", [texts.content(i).decode() for i in range(12)])

    def answers() -> np.ndarray:
        fitted = headstart.fit(sentences(6), backbone=str(encoder))
        return fitted.model.outputs(fitted.dataset, np.arange(12))

    expected = answers()
    for path in kept(headstart_home):
        flipped(path, chance)
        store._CHECKED.clear()
        np.testing.assert_allclose(answers(), expected, atol=1e-6)


def test_a_flipped_bit_in_a_bundle_is_seen(tmp_path: Path, glyph_graph: Path) -> None:
    chance = np.random.default_rng(7)
    out = tmp_path / "out"
    headstart.fit(bars(6), out=out)
    before = bundle.load(out)
    refused = same = 0
    for name in ("bundle.json", "model.safetensors"):
        content = (out / name).read_bytes()
        for _ in range(60):
            flipped(out / name, chance)
            try:
                # A space for a line break, say, is no change.
                assert bundle.load(out).facts == before.facts
                same += 1
            except BundleError:
                refused += 1
            (out / name).write_bytes(content)
    assert refused + same == 120 and same < 10


def test_pictures_swapped_under_a_fit_do_not_enter_the_store(
    tmp_path: Path, headstart_home: Path
) -> None:
    data = save_bars(tmp_path / "data", 8)
    found = audit(headstart.read(data))
    one, other = (sorted((data / f"bar {i}").iterdir())[0] for i in range(2))
    content = one.read_bytes(), other.read_bytes()
    one.write_bytes(content[1])
    other.write_bytes(content[0])
    how = Options(epochs=1, batch=8)
    fitted = headstart.fit(found.dataset, strategy="partial:-1", options=how)
    assert [("changed after" in reason) for _, reason in fitted.audit.rejected] == [True, True]
    one.write_bytes(content[0])
    other.write_bytes(content[1])
    after = outputs(tmp_path / "after", "partial:-1", data)
    for path in kept(headstart_home):
        path.unlink()
    np.testing.assert_array_equal(outputs(tmp_path / "clean", "partial:-1", data), after)


def test_a_picture_swapped_after_the_audit_ends_the_fit() -> None:
    data, seen = bars(8), set()

    def swapping(index: int) -> bytes:
        again = index == 5 and index in seen
        seen.add(index)
        return data.content(4 if again else index)

    with pytest.raises(DataError, match=r"item 5 was changed after it was looked at"):
        how = Options(epochs=1, batch=8)
        headstart.fit(replace(data, content=swapping), strategy="partial:-1", options=how)


def test_statistics_of_a_domain_are_made_again_where_they_are_damaged(
    headstart_home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from headstart.adaptation.statistics import own_statistics
    from headstart.backbones.registry import resolve

    data = audit(bars(8)).dataset
    made = own_statistics(resolve("glyphs"), data, np.arange(16))
    assert made is not None and made.weights is not None
    whole, chance = made.weights.read_bytes(), np.random.default_rng(8)
    for _ in range(10):
        flipped(made.weights, chance)
        again = own_statistics(resolve("glyphs"), data, np.arange(16))
        assert again is not None and again.weights == made.weights
        assert made.weights.read_bytes() == whole
    assert caplog.text.count("making again what is damaged") == 10
    assert len(kept(headstart_home / "adapted")) == 1


def test_what_a_bundle_learned_from_is_held_against_its_digest(
    tmp_path: Path, glyph_graph: Path
) -> None:
    from headstart.verbs import trained

    fitted = headstart.fit(bars(6), out=tmp_path)
    digests, path = fitted.audit.digests, tmp_path / trained.NAME
    expected, whole = trained.among(tmp_path, digests), path.read_bytes()
    assert expected.sum() == len(fitted.parts.train)
    for seed in range(40):
        flipped(path, np.random.default_rng(seed))
        try:  # of a name in the head that nobody reads, say
            np.testing.assert_array_equal(trained.among(tmp_path, digests), expected)
        except BundleError as error:
            assert "is damaged" in str(error)
        path.write_bytes(whole)
    assert path.read_bytes() == whole


def test_a_card_of_one_s_own_is_held_against_its_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from headstart.backbones.registry import resolve
    from headstart.verbs import pretrain

    pretrain.supervised(bars(8), out=tmp_path, name="mine", epochs=1, backbone="glyphs")
    monkeypatch.setenv("HEADSTART_WEIGHTS", str(tmp_path))
    expected, path = resolve("mine"), tmp_path / "mine.json"
    whole, refused = path.read_bytes(), 0
    for seed in range(60):
        flipped(path, np.random.default_rng(seed))
        try:
            assert resolve("mine") == expected
        except BackboneError:
            refused += 1
        path.write_bytes(whole)
    assert refused > 50


def test_a_note_of_where_data_were_is_held_against_its_digest(
    tmp_path: Path, headstart_home: Path, glyph_graph: Path
) -> None:
    headstart.fit(save_bars(tmp_path / "data", 6), out=tmp_path / "out")
    (note,) = kept(headstart_home / "bundles")
    loaded = bundle.load(tmp_path / "out").origin
    assert loaded is not None and loaded.root == tmp_path / "data"
    for seed in range(20):
        whole = note.read_bytes()
        flipped(note, np.random.default_rng(seed))
        assert bundle.load(tmp_path / "out").origin is None
        note.write_bytes(whole)
