"""Memory and disks: large pictures take turns, long texts are cut, full disks are gone round."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

import headstart
from conftest import bars, save_sentences
from headstart.boundary import engine
from headstart.data.pictures import room
from headstart.data.reading import read
from headstart.data.tables import cells
from headstart.data.texts import tokens as texts
from headstart.tasks.class_figures import MOST_DENSE, evaluate
from headstart.tasks.classes import Classes


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
