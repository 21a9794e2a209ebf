"""One pass over the items: read, hash, unpack, and note the facts.

The facts (is it an image, how large, what does it resemble) are kept in the store by content. So
an audit unpacks a file once in its life, and an extraction that brings its preprocessing unpacks
it once for audit and features together.
"""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from headstart.data.dataset import Dataset
from headstart.data.pictures import room
from headstart.data.pictures.images import Decoded, Preprocess, examine
from headstart.data.texts.tokens import LONGEST, Tokenize, clean_text
from headstart.errors import ItemError
from headstart.store import DIGEST, Store, digest, home

A = TypeVar("A")
B = TypeVar("B")

_FIELDS = [
    ("fault", "S160"),
    ("width", "<i4"),
    ("height", "<i4"),
    ("mode", "S12"),
    ("fingerprint", "<u8"),
    ("look", "<f4", (5,)),
]

TRAITS = {
    "image": ("width", "height", "brightness", "contrast", "red", "green", "blue"),
    "text": ("characters",),
}
"""What is counted of each kind of items, see `Scanned.traits`."""

_GAP = re.compile(r"[\W_]+")
_PART = 1 << 20

# The fingerprint is made of 32 x 32 pixels; twice that keeps it whatever a JPEG is reduced to.
_SIDE = 32
_FLAT = 4
_COSINES = np.cos(np.pi * np.outer(np.arange(8), 2 * np.arange(_SIDE) + 1) / (2 * _SIDE))

_WINDOW = 4
"""How many items a worker, at most, are in the air at once."""


@dataclass(frozen=True)
class Scanned:
    """What is known of one item after the pass.

    Attributes:
        index: of the item in its data set.
        digest: of the content, 16 bytes; empty where the content could not be read.
        fault: why the item cannot be used; empty where it can.
        width: of the upright image, in pixels; 0 for a text.
        height: of the upright image, in pixels; 0 for a text.
        mode: the kind of pixels in the file, in Pillow's words; empty for a text.
        fingerprint: 64 bits that near copies share: images up to a few bits, texts exactly.
        look: of an image, its brightness, its contrast, and red, green and blue of its border, all
            in 0..255; nothing of a text.
        characters: of a text; 0 for an image.
        prepared: for each `Want` what its preprocessing's ``rows`` takes: of an image the
            network's input, shape (H, W, C), of a text the text; None where it is not needed.
    """

    index: int
    digest: bytes
    fault: str = ""
    width: int = 0
    height: int = 0
    mode: str = ""
    fingerprint: int = 0
    look: tuple[float, ...] = ()
    characters: int = 0
    prepared: tuple[npt.NDArray[np.uint8] | str | None, ...] = ()

    @property
    def traits(self) -> tuple[float, ...]:
        """What a shortcut could be made of, in the order of `TRAITS`; empty where unknown."""
        if self.fault:
            return ()
        return (self.width, self.height, *self.look) if self.width else (float(self.characters),)


class Want(NamedTuple):
    """An input that a network needs of each item, besides its facts.

    Attributes:
        preprocess: how it is made.
        skip: asked with a digest whether it is not needed, for it is in a store already. Called
            in the thread that iterates.
    """

    preprocess: Preprocess | Tokenize
    skip: Callable[[bytes], bool] = lambda digest: False


class _Content(NamedTuple):
    item: int
    digest: bytes
    content: bytes
    fault: str


class _Job(NamedTuple):
    """What a worker is to do with some content; ``known`` are its facts from the store."""

    content: _Content
    known: Scanned | None
    wanted: tuple[Preprocess | Tokenize | None, ...]


def scan(
    dataset: Dataset, *, wants: Sequence[Want] = (), workers: int | None = None
) -> Iterator[Scanned]:
    """Yield one `Scanned` for each item, in order; nothing here stops at a bad item.

    Args:
        dataset: its items are read, once each, and unpacked in threads, a few at a time.
        wants: also prepare each item as these networks' inputs.
        workers: the number of threads; by default one a processor, at most eight.
    """
    if dataset.kind == "text":
        return (_scan_text(_read(dataset, i), wants) for i in range(len(dataset)))
    return _scan_images(dataset, wants, workers or _processors())


def _processors() -> int:
    return min(8, os.cpu_count() or 1)


def _scan_images(dataset: Dataset, wants: Sequence[Want], workers: int) -> Iterator[Scanned]:
    store = Store(home() / "facts" / "image-v2", _FIELDS)
    # Only this thread touches the store; the workers read, hash and unpack.
    with ThreadPoolExecutor(workers, "headstart-scan") as pool:
        read = _in_order(pool, partial(_read, dataset), range(len(dataset)), _WINDOW * workers)
        jobs = (_job(content, store, wants) for content in read)
        try:
            for new, scanned in _in_order(pool, _finish, jobs, _WINDOW * workers):
                if new is not None:
                    store.add(_row(new))
                yield scanned
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            store.flush()


def _in_order(
    pool: ThreadPoolExecutor, function: Callable[[A], B], items: Iterable[A], window: int
) -> Iterator[B]:
    """Like ``pool.map``, but with no more than ``window`` items taken ahead."""
    rest = iter(items)
    flying: deque[Future[B]] = deque(pool.submit(function, item) for item in islice(rest, window))
    while flying:
        result = flying.popleft().result()
        flying.extend(pool.submit(function, item) for item in islice(rest, 1))
        yield result


def _read(dataset: Dataset, index: int) -> _Content:
    try:
        content = dataset.content(index)
    except OSError as error:
        return _Content(index, b"", b"", f"cannot be read: {error.strerror or error}")
    except ItemError as error:
        return _Content(index, b"", b"", str(error))
    known = bytes(dataset.digests[index]) if dataset.digests is not None else b""
    return _Content(index, known or digest(content), content, "")


def _job(content: _Content, store: Store, wants: Sequence[Want]) -> _Job:
    if content.fault:
        return _Job(content, Scanned(content.item, b"", content.fault), ())
    known = _recall(store, content)
    wanted = tuple(None if one.skip(content.digest) else one.preprocess for one in wants)
    return _Job(content, known, wanted)


def _recall(store: Store, content: _Content) -> Scanned | None:
    if content.digest not in store:
        return None
    row = store.get(np.array([content.digest], DIGEST))[0]
    return Scanned(
        content.item,
        content.digest,
        bytes(row["fault"]).decode(errors="ignore"),
        int(row["width"]),
        int(row["height"]),
        bytes(row["mode"]).decode(errors="ignore"),
        int(row["fingerprint"]),
        tuple(row["look"].tolist()) if row["width"] else (),
    )


def _row(facts: Scanned) -> npt.NDArray[np.void]:
    values = (facts.digest, facts.fault.encode(), facts.width, facts.height, facts.mode.encode())
    whole = (*values, facts.fingerprint, facts.look or (0.0,) * 5)
    return np.array([whole], np.dtype([("digest", DIGEST), *_FIELDS]))


def _finish(job: _Job) -> tuple[Scanned | None, Scanned]:
    """Return the facts if they are new, and the result, which may hold more than the facts."""
    with room.lent():
        return _unpacked(job)


def _unpacked(job: _Job) -> tuple[Scanned | None, Scanned]:
    needed = [one for one in job.wanted if isinstance(one, Preprocess)]
    if job.known and (job.known.fault or not needed):
        return None, job.known
    index, key, content, _ = job.content
    sizes = [one.resize for one in needed] or [_SIDE]
    try:
        # A JPEG is decoded no larger than it is needed, so once for each size.
        decoded = {size: examine(content, size) for size in dict.fromkeys(sizes)}
    except ItemError as error:
        facts = Scanned(index, key, str(error))
        return facts, facts
    first = decoded[sizes[0]]
    hashed = job.known.fingerprint if job.known else image_fingerprint(first.image)
    seen = job.known.look if job.known else image_look(first.image)
    facts = Scanned(index, key, "", first.width, first.height, first.mode, hashed, seen)
    return None if job.known else facts, _prepared(facts, decoded, job.wanted)


def _prepared(
    facts: Scanned,
    decoded: dict[int, Decoded],
    wanted: Sequence[Preprocess | Tokenize | None],
) -> Scanned:
    # A wrong number of channels is a fault for this network only, so it is not kept as a fact.
    try:
        made = tuple(
            one.prepare(decoded[one.resize].image) if isinstance(one, Preprocess) else None
            for one in wanted
        )
    except (ItemError, MemoryError) as error:
        return replace(facts, fault=str(error) or "too large for the memory of this machine")
    return replace(facts, prepared=made)


def _scan_text(content: _Content, wants: Sequence[Want]) -> Scanned:
    key = content.digest
    if content.fault:
        return Scanned(content.item, key, content.fault)
    text = content.content.decode("utf-8", errors="replace")
    beginning = text[:LONGEST]
    fault = ""
    if not clean_text(beginning):
        fault = "empty text" + " after cleaning" * bool(beginning.strip())
    return Scanned(
        content.item,
        key,
        fault,
        fingerprint=text_fingerprint(text),
        characters=len(text),
        prepared=() if fault else tuple(None if one.skip(key) else beginning for one in wants),
    )


def text_fingerprint(text: str) -> int:
    """Return 64 bits that do not change with case, white space and punctuation.

    >>> text_fingerprint("Good, good!") == text_fingerprint("good  GOOD")
    True
    """
    parts = (_GAP.sub(" ", part.casefold()).strip() for part in _parts(text))
    words = " ".join(part for part in parts if part)
    return int.from_bytes(digest((words or text).encode("utf-8", "replace"))[:8], "big")


def _parts(text: str) -> Iterator[str]:
    """Yield ``text`` in parts that end between words: millions of words at once fill the memory."""
    start = 0
    while start < len(text):
        gap = _GAP.search(text, start + _PART)
        end = gap.end() if gap else len(text)
        yield text[start:end]
        start = end


def image_look(image: Image.Image | npt.NDArray[np.uint8]) -> tuple[float, ...]:
    """Return brightness, contrast, and red, green and blue of the border, all in 0..255.

    The border is the outermost 32nd on each side. Networks learn such things in place of what they
    are shown, where the classes differ in them.

    >>> image_look(Image.new("RGB", (64, 64), (255, 0, 0)))[2:]
    (255.0, 0.0, 0.0)
    """
    small = _as_picture(image).convert("RGB").resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)
    pixels = np.asarray(small).astype(np.float32)
    grey = pixels.mean(axis=2)
    ring = np.ones((_SIDE, _SIDE), np.bool_)
    ring[1:-1, 1:-1] = False
    # Rounded as the store rounds them, so that a fact is the same when it is met again.
    found = np.array([grey.mean(), grey.std(), *pixels[ring].mean(axis=0)], np.float32)
    return tuple(found.tolist())


def _as_picture(image: Image.Image | npt.NDArray[np.uint8]) -> Image.Image:
    if not isinstance(image, np.ndarray):
        return image
    return Image.fromarray(image if image.ndim == 2 else image.mean(axis=2).astype(np.uint8))


def image_fingerprint(image: Image.Image | npt.NDArray[np.uint8]) -> int:
    """Return 64 bits that scaling, recompression and small edits hardly change; 0 for a flat image.

    The perceptual hash of the 64 lowest frequencies: is each above their median. Unlike the
    difference of neighbouring pixels it also tells digits and sketches apart, which are mostly
    one flat ground.
    """
    small = _as_picture(image).convert("L").resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)
    grey = np.asarray(small).astype(np.float64)
    if np.ptp(grey) < _FLAT:
        return 0
    waves = (_COSINES @ grey @ _COSINES.T).ravel()
    return int.from_bytes(np.packbits(waves > np.median(waves[1:])).tobytes(), "big")
