"""Each item is read and hashed once: the audit hands on what it checked, with its digests."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import headstart
from conftest import bars
from headstart import store
from headstart.backbones.registry import resolve
from headstart.data import dataset as datasets
from headstart.data import scan
from headstart.data.audit import audit
from headstart.data.dataset import Dataset
from headstart.settings.groups import Options


class Counting:
    """Contents that note how often each is read."""

    def __init__(self, data: Dataset) -> None:
        self.data, self.reads = data, Counter[int]()

    def __call__(self, index: int) -> bytes:
        self.reads[index] += 1
        return self.data.content(index)


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> Counter[bytes]:
    """How often each content is hashed."""
    seen: Counter[bytes] = Counter()

    def counting(*parts: bytes) -> bytes:
        seen[parts[0]] += 1
        return store.digest(*parts)

    monkeypatch.setattr(scan, "digest", counting)
    monkeypatch.setattr(datasets, "digest", counting)
    return seen


def counted() -> tuple[Dataset, Counter[int]]:
    contents = Counting(bars(18))
    return replace(contents.data, content=contents), contents.reads


def most(reads: Counter[int]) -> set[int]:
    """Return how often items are read; of the first the channels are looked at before."""
    assert reads[0] in (2, 3) and len(reads) == 36
    return {n for index, n in reads.items() if index}


def test_a_fit_of_a_head_reads_and_hashes_once(hashed: Any, glyph_graph: Path) -> None:
    data, reads = counted()
    headstart.fit(data, backbone="glyphs")  # the default looks at some items first
    assert most(reads) == {1} and set(hashed.values()) == {1}


@pytest.mark.slow
def test_a_comparison_of_many_backbones_reads_and_hashes_once(
    hashed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, reads = counted()
    backbones = ["glyphs", "random:glyphs", "glyphs+random:glyphs"]
    result = headstart.compare(data, strategies=["frozen"], backbones=backbones, draws=2)
    assert len(result.runs) == 6
    reads[0] -= 2  # each backbone looks at the channels of the first
    assert most(reads) == {1} and set(hashed.values()) == {1}


@pytest.mark.parametrize("strategy", ["partial:-1", "lp-ft"])
def test_training_decodes_again_and_hashes_what_it_decodes(
    strategy: str, hashed: Any, glyph_graph: Path, tmp_path: Path
) -> None:
    data, reads = counted()
    how = Options(epochs=2, batch=8)
    headstart.fit(data, backbone="glyphs", strategy=strategy, options=how, out=tmp_path / "out")
    # Once where it is looked at, and then whenever it is read: it may have changed.
    assert max(reads.values()) <= 4
    assert all(hashed[data.content(i)] <= n for i, n in reads.copy().items())


def test_what_the_audit_hands_on() -> None:
    data, reads = counted()
    found = audit(data)
    checked = found.dataset
    assert checked.digests is not None and len(checked.digests) == 36
    part = checked.take([5, 2])
    assert part.digest(1) == store.digest(data.content(2))
    assert audit(checked).digests.tolist() == found.digests.tolist()
    # A digest that ends in a zero comes out of NumPy shorter than it went in.
    short = replace(data, digests=np.array([b"123456789012345\0"] * 36, store.DIGEST))
    assert short.digest(0) == b"123456789012345\0"


def test_backbones_of_other_sizes_share_one_reading(hashed: Any) -> None:
    from headstart.boundary.extract import extract_all

    data, reads = counted()
    entries = [resolve("glyphs"), resolve("glyphs").with_image_size(40)]
    found, features = extract_all(data, [[one] for one in entries])
    assert set(reads.values()) == {1} and set(hashed.values()) == {1}
    assert [one.misses for one in features] == [36, 36]
    assert not np.array_equal(features[0].rows(found.usable), features[1].rows(found.usable))
