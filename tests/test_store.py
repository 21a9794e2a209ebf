"""The store: whole or not at all, shared by several processes, never stale."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstart.store import DIGEST, Store, digest, file_digest, home, written_aside

FIELDS = [("vector", "<f4", (3,))]


def keys(*numbers: int) -> np.ndarray:
    return np.array([digest(str(number).encode()) for number in numbers], DIGEST)


def rows(*numbers: int) -> np.ndarray:
    made = np.zeros(len(numbers), [("digest", DIGEST), *FIELDS])
    made["digest"] = keys(*numbers)
    made["vector"] = np.array(numbers, np.float32)[:, None]
    return made


def filled(folder: Path, *numbers: int) -> Store:
    store = Store(folder, FIELDS)
    store.add(rows(*numbers))
    store.flush()
    return store


def shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.npy"))


def test_rows_come_back_in_the_order_asked_for(tmp_path):
    filled(tmp_path, 1, 2, 3)
    filled(tmp_path, 9, 8)
    store = Store(tmp_path, FIELDS)
    assert len(store) == 5
    assert store.get(keys(8, 1, 8, 3))["vector"][:, 0].tolist() == [8, 1, 8, 3]
    assert store.has(keys(1, 7, 9)).tolist() == [True, False, True]
    assert digest(b"2") in store and digest(b"4") not in store
    with pytest.raises(KeyError, match="1 of 2 rows"):
        store.get(keys(1, 4))


def test_rows_wait_until_they_are_many(tmp_path):
    store = Store(tmp_path, FIELDS, flush_rows=3)
    store.add(rows(1, 2))
    assert not shards(tmp_path)
    store.add(rows(3))
    assert len(shards(tmp_path)) == 1 and len(store) == 3
    store.flush()
    assert len(shards(tmp_path)) == 1


@given(st.lists(st.integers(0, 50), max_size=40), st.lists(st.integers(0, 50), max_size=20))
def test_it_behaves_like_a_dict(tmp_path_factory, put, asked):
    store = filled(tmp_path_factory.mktemp("store"), *put) if put else Store(Path("none"), FIELDS)
    assert store.has(keys(*asked)).tolist() == [number in put for number in asked]
    there = [number for number in asked if number in put]
    assert store.get(keys(*there))["vector"][:, 0].tolist() == there


def test_a_failed_write_leaves_the_old_content(tmp_path):
    path = tmp_path / "folder" / "file.json"
    with written_aside(path) as aside:
        aside.write_text("old")
    with pytest.raises(RuntimeError), written_aside(path) as aside:
        aside.write_text("half of the ne")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [one.name for one in path.parent.iterdir()] == ["file.json"]


def test_what_a_killed_process_leaves_is_not_read(tmp_path):
    filled(tmp_path, 1)
    (tmp_path / ".abc.npy.0123.part").write_bytes(b"half")
    assert len(Store(tmp_path, FIELDS)) == 1


@pytest.mark.parametrize("damage", ["cut", "rubbish", "empty", "other fields"])
def test_a_damaged_part_is_dropped_and_the_rest_kept(tmp_path, caplog, damage):
    filled(tmp_path, 1)
    (first,) = shards(tmp_path)
    filled(tmp_path, 2)
    content = first.read_bytes()
    if damage == "other fields":
        np.save(first, np.zeros(2, [("digest", DIGEST), ("vector", "<f4", (4,))]))
    else:
        first.write_bytes({"cut": content[:-4], "rubbish": b"rubbish", "empty": b""}[damage])
    store = Store(tmp_path, FIELDS)
    assert store.has(keys(1, 2)).tolist() == [False, True]
    assert "damaged" in caplog.text and not first.exists()


def test_two_writers(tmp_path):
    one, other = Store(tmp_path, FIELDS), Store(tmp_path, FIELDS)
    for store, number in ((one, 1), (other, 1), (other, 2)):
        store.add(rows(number))
        store.flush()
    assert digest(b"2") not in one
    joined = Store(tmp_path, FIELDS)
    assert joined.get(keys(1, 2))["vector"][:, 0].tolist() == [1, 2]


def test_many_writers_at_once(tmp_path):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: filled(tmp_path, number, number + 100), range(20)))
    store = Store(tmp_path, FIELDS)
    assert store.has(keys(*range(20), *range(100, 120))).all()


def test_many_small_parts_become_one(tmp_path):
    for number in range(70):
        filled(tmp_path, number, 1000)
    assert len(shards(tmp_path)) <= 66
    store = Store(tmp_path, FIELDS)
    assert store.has(keys(*range(70), 1000)).all()
    before = Store(tmp_path, FIELDS)
    assert len(shards(tmp_path)) < 10
    assert before.get(keys(69, 0, 1000))["vector"][:, 0].tolist() == [69, 0, 1000]


def test_where_nothing_can_be_written_it_goes_on_in_memory(tmp_path, caplog):
    folder = tmp_path / "a file" / "store"
    folder.parent.write_text("no folder can be here")
    store = Store(folder, FIELDS)
    with caplog.at_level(logging.WARNING):
        for number in (1, 2):
            store.add(rows(number))
            store.flush()
    assert store.get(keys(2, 1))["vector"][:, 0].tolist() == [2, 1]
    assert caplog.text.count("going on in memory") == 1


def test_digests(tmp_path, monkeypatch):
    (tmp_path / "x").write_bytes(b"abc")
    assert digest(b"ab", b"c").hex() == file_digest(tmp_path / "x")
    assert len(digest(b"")) == 16
    monkeypatch.setenv("HEADSTART_HOME", "~/here")
    assert home() == Path("~/here").expanduser()
    monkeypatch.delenv("HEADSTART_HOME")
    assert home().name == "headstart"
