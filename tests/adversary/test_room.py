"""Memory and disks: large pictures take turns, long texts are cut, full disks are gone round."""

from __future__ import annotations

import threading
import time
import tracemalloc
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import headstart
from conftest import bars, save_sentences
from headstart.backbones.registry import resolve
from headstart.boundary import engine
from headstart.boundary.extract import extract
from headstart.data import scan
from headstart.data.pictures import room
from headstart.data.reading import read
from headstart.data.tables import cells
from headstart.data.texts import tokens as texts
from headstart.tasks import scores, temperature
from headstart.tasks.class_figures import MOST_DENSE, evaluate
from headstart.tasks.classes import Classes
from headstart.tasks.head import Head
from headstart.tasks.heads import out_of_fold
from headstart.tasks.label_solvers import one_against_rest
from headstart.tasks.labels import Labels
from headstart.tasks.solvers import SOLVERS
from headstart.tasks.task import Indices, Matrix
from headstart.tasks.temperature import fit_temperature


def test_large_pictures_take_turns() -> None:
    met = []
    meeting = threading.Barrier(2)  # whoever waits alone for a moment breaks it for all

    def unpack() -> None:
        with room.lent():
            room.ask(room.MOST * 2 // 3)
            with suppress(threading.BrokenBarrierError):
                met.append(meeting.wait(0.05))

    threads = [threading.Thread(target=unpack) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not met and room._taken == 0


def test_one_that_is_larger_than_all_room_goes_alone() -> None:
    with room.lent():
        room.ask(room.MOST * 5)
        room.ask(room.MOST)  # who has some already does not wait for it
    assert room._taken == 0
    room.ask(room.MOST)  # nobody would give it back
    assert room._taken == 0


def test_long_texts_are_cut_before_they_are_tokenised() -> None:
    words = texts.fit_vocabulary(["good film"] * 3, min_frequency=1, max_length=16)
    long = "good film " * (texts.LONGEST // 10 + 5)
    (whole,) = words.encode([long])
    assert whole.tolist() == words.encode(["good film " * 20])[0].tolist()


@pytest.mark.slow
def test_a_table_goes_to_memory_where_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import pyarrow as pa

    path = save_sentences(tmp_path / "t.csv", 400)
    expected = [read(path).content(i) for i in range(800)]
    monkeypatch.setattr(cells, "IN_MEMORY", 0)
    written, real = [], pa.ipc.new_stream

    class Full:
        def __init__(self, sink: object, schema: object) -> None:
            self.stream = real(sink, schema)

        def write_batch(self, batch: object) -> None:
            if written:
                raise OSError(28, "No space left on device")
            written.append(batch)
            self.stream.write_batch(batch)

        def close(self) -> None:
            self.stream.close()

    monkeypatch.setattr(pa.ipc, "new_stream", Full)
    from headstart.data.tables import delimited

    monkeypatch.setattr(delimited, "BLOCK", 1 << 12)
    found = read(path)
    assert [found.content(i) for i in range(800)] == expected
    assert caplog.text.count("no room for a table") == 1


def test_a_fit_goes_on_where_nothing_can_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no folder can be here")
    monkeypatch.setenv("HEADSTART_HOME", str(tmp_path / "file" / "home"))
    fitted = headstart.fit(bars(8), out=tmp_path / "out")
    assert fitted.accuracy == 1.0
    assert caplog.text.count("no graph can be kept") == 1
    (answer,) = headstart.predict(tmp_path / "out", bars(1).content(0))
    assert answer["label"] == "bar 0"


def test_a_graph_carries_its_checksum_and_is_a_graph_all_the_same(glyph_graph: Path) -> None:
    import onnx

    model = onnx.load(glyph_graph)
    assert model.metadata_props[-1].key == "headstart.checksum"
    engine._require_whole(glyph_graph)
    content = bytearray(glyph_graph.read_bytes())
    for at in range(0, len(content), max(1, len(content) // 40)):
        content[at] ^= 4
        glyph_graph.write_bytes(content)
        with pytest.raises(ValueError, match="checksum"):
            engine._require_whole(glyph_graph)
        content[at] ^= 4


def test_the_confusion_of_many_classes_is_kept_by_pairs() -> None:
    n = MOST_DENSE + 1
    names = tuple(f"class {i}" for i in range(n))
    labels = np.arange(n).repeat(2)
    chances = np.eye(n, dtype=np.float32)[labels]
    chances[1] = chances[4]
    figures = evaluate(chances, labels, names).to_json()
    counts = np.zeros((n, n), np.int64)
    for c, other, count in figures["confusion"]["pairs"]:
        counts[c, other] = count
    assert counts.sum() == len(labels) and counts[0, 2] == 1 and counts.trace() == len(labels) - 1
    (block,) = [one for one in Classes(names).blocks(figures) if one.title == "Most confused"]
    assert block.rows == [["class 0", "class 2", "1"]]


def test_few_shots_are_measured_on_enough_items_and_nothing_else_is_embedded(
    glyph_graph: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from headstart.data import split

    whole = headstart.fit(bars(40), shots=2, val=0.5)
    assert len(whole.parts.held_out) == 40
    monkeypatch.setattr(split, "MOST_HELD_OUT", 12)
    found = headstart.fit(bars(40, seed=1), shots=2, val=0.5)
    assert len(found.parts.train) == 4 and len(found.parts.held_out) == found.evaluation.n == 12
    assert "measured on 12 of 40 held-out items, drawn at random" in found.notes
    assert found.cache["misses"] == 16, "of 80 items"
    again = headstart.fit(bars(40, seed=1), shots=2, val=0.5)
    np.testing.assert_array_equal(again.parts.held_out, found.parts.held_out)
    assert len(headstart.fit(bars(40, seed=1), val=0.5).parts.held_out) == 40


@pytest.mark.slow
def test_many_labels_are_solved_and_measured_in_seconds() -> None:
    """Three items have at most seven kinds of labels between them, whatever the labels' number."""
    names = tuple(f"label {k}" for k in range(3000))
    rng, kinds = np.random.default_rng(0), np.arange(3000) % 7 + 1
    truth = np.array([kinds >> i & 1 for i in range(3)], np.bool_)
    asked: list[bytes] = []

    def solver(x: Matrix, y: Indices, n_outputs: int, strength: float) -> Head:
        asked.append(y.tobytes())
        return SOLVERS["ridge"](x, y, n_outputs, strength)

    x = rng.normal(size=(3, 8)).astype(np.float32)
    head = one_against_rest(solver)(x, truth, 3000, 1.0)
    assert len(asked) == len(set(asked)) == 6  # and of the seventh kind all items are
    for k in (0, 1, 2993, 2999):
        alone = one_against_rest(SOLVERS["ridge"])(x, truth[:, [k]], 1, 1.0)
        np.testing.assert_array_equal(alone.weight[0], head.weight[k])
        np.testing.assert_array_equal(alone.bias[0], head.bias[k])
    start = time.process_time()
    outputs = rng.normal(size=(40, 3000)).astype(np.float32)
    Labels(names).evaluate(outputs, rng.random((40, 3000)) < 0.05)
    assert time.process_time() - start < 20, "it took 50 when each label was ranked by itself"


def test_figures_of_many_classes_are_those_of_a_few_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    logits, y = rng.normal(size=(60, 30)).astype(np.float32), rng.integers(0, 30, 60)
    said, truth = scores.rows(logits.argmax(axis=1), 30), scores.rows(y, 30)
    whole = fit_temperature(logits, y), scores.macro_f1(said, truth)
    monkeypatch.setattr(temperature, "AT_ONCE", 100)
    monkeypatch.setattr(scores, "AT_ONCE", 100)
    assert fit_temperature(logits, y) == whole[0]
    np.testing.assert_allclose(scores.macro_f1(said, truth), whole[1], rtol=1e-12)


@pytest.mark.slow
def test_thousands_of_classes_do_not_fill_the_memory() -> None:
    """At once, the figures of 2,000 items in 5,000 classes took a gigabyte, and five times."""
    rng = np.random.default_rng(0)
    logits, y = rng.normal(size=(2000, 5000)).astype(np.float32), rng.integers(0, 5000, 2000)
    task = Classes(tuple(f"class {i}" for i in range(5000)))
    tracemalloc.start()
    task.settled(logits[:, :2], y % 2)  # imports
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    task.settled(logits, y)
    task.evaluate(logits, y).beside()
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    assert peak < 500e6


def test_likely_label_errors_of_many_classes_are_found_in_closed_form(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from headstart.checks import left_out, run

    asked = []

    def heads(name: str, *given: Any, **how: Any) -> Any:
        asked.append(name)
        return out_of_fold(name, *given, **how)

    data = bars(12)
    _, features = extract(data, [resolve("glyphs")])
    monkeypatch.setattr(left_out, "MOST", 4)
    monkeypatch.setattr(run, "out_of_fold", heads)
    run.doubts(data, np.arange(24), features)
    monkeypatch.setattr(run, "MANY", 1)
    run.doubts(data, np.arange(24), features)
    assert asked == ["own", "ridge"]


def test_checks_of_a_long_text_look_at_its_beginning_alone() -> None:
    asked: list[int] = []
    tokenize = texts.fit_vocabulary(["many words"], min_frequency=1, max_length=8)

    def clean(text: str) -> str:
        asked.append(len(text))
        return "many words"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(texts, "clean_text", clean)
        long = "many words " * 100_000
        assert tokenize.strangeness([long]) == (0.0, 0.0)
        tokenize.lengths([long]), tokenize.coverage([long]), tokenize.encode([long])
    assert asked == [texts.LONGEST] * 4
    assert texts.beginning("é".encode() * (texts.LONGEST + 9)) == "é" * texts.LONGEST


def test_the_fingerprint_of_a_text_is_the_same_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    for text in (
        "Good, good!",
        "",
        " ... ",
        "ONE  two\tTHREE!? four_five ﬁve",
        "x" * 50,
        "a " * 40,
    ):
        whole = scan.text_fingerprint(text)
        for size in (1, 2, 3, 7):
            monkeypatch.setattr(scan, "_PART", size)
            assert scan.text_fingerprint(text) == whole
        monkeypatch.undo()
