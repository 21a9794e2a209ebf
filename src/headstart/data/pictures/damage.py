"""Damage in pictures that decoders pass over: they fill what is missing with grey, and say nothing.

Each format is asked in its own way, and almost nothing is unpacked twice:

- PNG: each part has a checksum, and the rows that the compressed stream should hold are counted
  where the picture ends in black, as it does where rows are missing.
- JPEG: has no checksum, but its data must end exactly with its last block. So the decoder is given
  noise where the end mark stands: a whole picture never reads on into it, one that was cut does,
  and one that is garbled somewhere stops early or reads on, since its blocks no longer end where
  they should. Of several scans, each must bring what is left out so far.
- WebP, AVIF and JPEG 2000: compressed data have no long rows of zero bytes, unless the picture is
  flat there; a disk that lost a part of a file has.
- GIF: the frame must unpack to all of its pixels.
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from PIL import Image

from headstart.errors import ItemError

_ZEROS = bytes(48)

# -- PNG ------------------------------------------------------------------------------------------

_PASSES = (
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
    *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
)
"""Of an interlaced PNG: where each pass starts (x, y) and how far its pixels stand apart."""

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def png_parts(content: bytes) -> list[tuple[bytes, memoryview]]:
    """Return the parts of a PNG that its picture needs, by their names.

    Raises:
        ItemError: a part's checksum is wrong, or the end is missing.
    """
    view, at, found = memoryview(content), 8, []
    while at + 12 <= len(view):
        size, name = int.from_bytes(view[at : at + 4], "big"), bytes(view[at + 4 : at + 8])
        body, stated = view[at + 8 : at + 8 + size], view[at + 8 + size : at + 12 + size]
        if len(stated) < 4:
            raise ItemError(f"truncated: the part {_name(name)} is not all there")
        needed = not name[0] & 32 or name == b"tRNS"
        if needed and zlib.crc32(view[at + 4 : at + 8 + size]) != int.from_bytes(stated, "big"):
            raise ItemError(f"damaged: the checksum of the part {_name(name)} is wrong")
        found.append((name, body))
        if name == b"IEND":
            return found
        at += 12 + size
    raise ItemError("truncated: the PNG does not end")


def _name(part: bytes) -> str:
    return repr(part.decode("latin-1"))


def check_png_rows(parts: list[tuple[bytes, memoryview]], picture: Image.Image) -> None:
    """Raise `ItemError` where the PNG holds fewer rows than it says."""
    head = next(body for name, body in parts if name == b"IHDR")
    interlaced = bool(head[12])
    if not interlaced and picture.crop((0, picture.height - 1, *picture.size)).getbbox():
        return
    width, height = (int.from_bytes(head[i : i + 4], "big") for i in (0, 4))
    bits = head[8] * _CHANNELS.get(head[9], 1)
    wanted = sum(rows * (1 + (columns * bits + 7) // 8) for columns, rows in _areas(width, height))
    if not interlaced:
        wanted = height * (1 + (width * bits + 7) // 8)
    there = _unpacked((body for name, body in parts if name == b"IDAT"), wanted)
    if there < wanted:
        raise ItemError(f"truncated: {there:,} of {wanted:,} bytes of pixels are there")


def _areas(width: int, height: int) -> Iterator[tuple[int, int]]:
    for x, y, across, down in _PASSES:
        columns, rows = -(-(width - x) // across), -(-(height - y) // down)
        if columns > 0 and rows > 0:
            yield columns, rows


def _unpacked(bodies: Iterator[memoryview], most: int) -> int:
    """Return how many bytes the stream unpacks to, at most ``most``; nothing of it is kept."""
    stream, total = zlib.decompressobj(), 0
    for body in bodies:
        rest: bytes | memoryview = body
        while rest and not stream.eof and total < most:
            total += len(stream.decompress(rest, 1 << 20))
            rest = stream.unconsumed_tail
    while not stream.eof and total < most and (piece := stream.decompress(b"", 1 << 20)):
        total += len(piece)
    return total


# -- JPEG -----------------------------------------------------------------------------------------

_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
_RESTART = re.compile(rb"\xff[\xd0-\xd7]", re.DOTALL)
_NOISE = bytes(byte for byte in np.random.default_rng(0).integers(1, 255, 4096).tolist())
_NEAR = 16
_AHEAD = 8
"""Bytes that libjpeg reads ahead, at most, to decode the last block."""

_FILL = 2
"""Bytes of padding that some write behind the data."""


class _Scan(NamedTuple):
    """A scan of a JPEG: its data are ``content[start:end]``; ``zeros`` says if these may be so."""

    header: bytes
    start: int
    end: int
    zeros: bool


class Jpeg(NamedTuple):
    """What is to be known of a JPEG to see whether it is whole.

    Attributes:
        content: the file.
        scans: in order.
        frame: the frame header: precision, size, components.
        progressive: whether scans refine each other.
        interval: blocks between two restart marks, 0 for none.
    """

    content: bytes
    scans: tuple[_Scan, ...]
    frame: bytes
    progressive: bool
    interval: int

    @property
    def single(self) -> bool:
        """Whether one scan holds everything."""
        return len(self.scans) == 1 and not self.progressive


def jpeg_parts(content: bytes) -> Jpeg | None:
    """Return the parts of a JPEG; None of one that is not built as usual."""
    at, frame, progressive, interval, scans = 2, b"", False, 0, []
    shortest: dict[int, int] = {}
    while content[at : at + 1] == b"\xff" and at + 4 <= len(content):
        kind = content[at + 1]
        if kind == 0xFF:  # padding
            at += 1
            continue
        if kind == 0xD9:
            break
        end = at + 2 + int.from_bytes(content[at + 2 : at + 4], "big")
        body = content[at + 4 : end]
        if kind in (0xC0, 0xC1, 0xC2):
            frame, progressive = body, kind == 0xC2
        elif 0xC3 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            return None
        elif kind == 0xC4:
            shortest |= _shortest(body)
        elif kind == 0xDD and len(body) == 2:
            interval = int.from_bytes(body, "big")
        elif kind == 0xDA:
            whole = not progressive and len(frame) > 5 and body[:1] == frame[5:6]
            last = _data_end(content, end, whole=whole)
            scans.append(_Scan(body, end, last, _zeros_mean(body, shortest)))
            end = scans[-1].end
        at = end
    good = len(frame) >= 6 and len(frame) >= 6 + 3 * frame[5] and frame[5] > 0
    return Jpeg(content, tuple(scans), frame, progressive, interval) if good and scans else None


def _shortest(body: bytes) -> dict[int, int]:
    """Return for each Huffman table for details what its shortest code, all zeros, stands for."""
    found, at = {}, 0
    while at + 17 < len(body):
        if body[at] & 16:
            found[body[at] & 15] = body[at + 17]
        at += 17 + sum(body[at + 1 : at + 17])
    return found


def _zeros_mean(header: bytes, shortest: dict[int, int]) -> bool:
    """Return whether a long row of zero bytes can be data: blocks without details, one and all.

    Else zeros stand for details in every place of every block, which no picture has.
    """
    details = header[-2] > 0 if len(header) >= 4 else True
    tables = [header[2 + 2 * i] & 15 for i in range(header[0])] if header else []
    return not details or all(shortest.get(one, 0) & 15 == 0 for one in tables)


def _data_end(content: bytes, start: int, *, whole: bool) -> int:
    """Return where the data of a scan end; after that of a ``whole`` picture comes the end mark."""
    if whole:
        found = content.find(b"\xff\xd9", start)
    else:
        mark = _MARKER.search(content, start)
        found = mark.start() if mark else -1
    end = found if found >= 0 else len(content)
    while content[end - 1] == 0xFF:  # padding, or half of what was cut: noise would make it a mark
        end -= 1
    return end


class Watched(io.BytesIO):
    """The content of a JPEG with one scan, with noise behind its data while it is unpacked.

    Raises `ItemError` from `read` when the decoder goes on into the noise.
    """

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.end: int | None = None

    def watch(self, jpeg: Jpeg) -> None:
        """From now on, stand noise behind the data."""
        self.end = jpeg.scans[0].end

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next bytes; near the end few at a time, to see how far the decoder reads."""
        if self.end is None:
            return super().read(size)
        at = self.tell()
        if at < self.end - _NEAR:
            return super().read(self.end - _NEAR - at)
        if at < self.end:
            return super().read(1)
        if at >= self.end + _AHEAD:
            raise ItemError("truncated: its data end before the picture does")
        self.seek(at + 1)
        return _NOISE[:1]

    def require_read(self) -> None:
        """Raise `ItemError` where the decoder was done long before the end of the data."""
        if self.end is not None and self.tell() < self.end - _FILL:
            raise ItemError("damaged: at its end are data of which it has no need")


def check_jpeg(jpeg: Jpeg) -> None:
    """Raise `ItemError` where marks or scans are missing, or zeros stand in place of data."""
    for scan in jpeg.scans:
        if not scan.zeros and (at := jpeg.content.find(_ZEROS, scan.start, scan.end)) >= 0:
            raise ItemError(f"damaged: from byte {at:,} on its data are zeros")
    if jpeg.single:
        _check_restarts(jpeg)
        return
    left = {(part, k): 14 for part in _components(jpeg) for k in range(64)}
    for scan in jpeg.scans:
        _bring(scan, left, progressive=jpeg.progressive)
    if any(left.values()):
        raise ItemError("truncated: scans are missing, so that not all details are there")


def _components(jpeg: Jpeg) -> list[int]:
    return [jpeg.frame[6 + 3 * i] for i in range(jpeg.frame[5])]


def _bring(scan: _Scan, left: dict[tuple[int, int], int], *, progressive: bool) -> None:
    """Note in ``left`` how many bits of each coefficient are still to come after ``scan``."""
    head = scan.header
    parts = [head[1 + 2 * i] for i in range(head[0])] if head and len(head) > 2 * head[0] else []
    first, last, bits = head[-3:] if len(head) >= 4 else (0, 63, 0)
    if not progressive:
        first, last, bits = 0, 63, 0
    left.update({(part, k): bits & 15 for part in parts for k in range(first, min(last, 63) + 1)})


def _check_restarts(jpeg: Jpeg) -> None:
    if not jpeg.interval:
        return
    scan = jpeg.scans[0]
    marks = [one[1] & 7 for one in _RESTART.findall(jpeg.content, scan.start, scan.end)]
    if marks != [number % 8 for number in range(-(-_units(jpeg) // jpeg.interval) - 1)]:
        raise ItemError("damaged: restart marks are missing or out of order")


def _units(jpeg: Jpeg) -> int:
    """Return how many units of blocks the picture has."""
    frame = jpeg.frame
    height, width = (int.from_bytes(frame[i : i + 2], "big") for i in (1, 3))
    across = [frame[7 + 3 * i] >> 4 for i in range(frame[5])]
    down = [frame[7 + 3 * i] & 15 for i in range(frame[5])]
    wide, high = (8, 8) if frame[5] == 1 else (8 * max(across), 8 * max(down))
    return -(-width // max(wide, 1)) * -(-height // max(high, 1))


def doubtful(jpeg: Jpeg) -> bool:
    """Return whether only a second look can tell that the picture is whole: see `noisy`."""
    if not jpeg.single:
        return True
    scan = jpeg.scans[0]
    return bool(jpeg.interval) and jpeg.content.find(_ZEROS, scan.start, scan.end) >= 0


def noisy(jpeg: Jpeg) -> bytes:
    """Return the JPEG with noise before each mark behind data; of a whole one the same picture.

    A decoder passes over it where it has all that it wants, and else takes it for data.
    """
    ends = [scan.end for scan in jpeg.scans]
    for scan in jpeg.scans if jpeg.interval else ():
        ends += [mark.start() for mark in _RESTART.finditer(jpeg.content, scan.start, scan.end)]
    cuts = [0, *sorted(ends), len(jpeg.content)]
    pieces = [jpeg.content[a:b] for a, b in zip(cuts[:-1], cuts[1:], strict=True)]
    return _NOISE[:64].join(pieces)


# -- the others -----------------------------------------------------------------------------------


_BLOCK = 16
_FLAT_BLOCK = 0.5
"""Bytes, at most, that a flat block of 16 x 16 pixels takes."""


def check_others(content: bytes, picture: Image.Image) -> None:
    """Raise `ItemError` for a WebP, AVIF or JPEG 2000 that was cut, or lost a part to zeros."""
    for start, end in _COMPRESSED.get(picture.format or "", _nowhere)(content):
        if end > len(content):
            raise ItemError(f"truncated: {len(content):,} of {end:,} bytes are there")
        at = content.find(_ZEROS, start, end)
        if at >= 0 and _row(content, at, end) > len(_ZEROS) + _FLAT_BLOCK * _flat_blocks(picture):
            raise ItemError(f"damaged: from byte {at:,} on its data are zeros")


def _row(content: bytes, at: int, end: int) -> int:
    """Return how many zeros stand from ``at`` on."""
    return end - at - len(content[at:end].lstrip(b"\0"))


def _flat_blocks(picture: Image.Image) -> int:
    grey = np.asarray(picture.convert("L"))
    high, wide = (side // _BLOCK * _BLOCK for side in grey.shape)
    blocks = grey[:high, :wide].reshape(high // _BLOCK, _BLOCK, wide // _BLOCK, _BLOCK)
    return int((blocks.max(axis=(1, 3)) == blocks.min(axis=(1, 3))).sum()) if blocks.size else 0


def _nowhere(content: bytes) -> Iterator[tuple[int, int]]:
    return iter(())


def _in_webp(content: bytes) -> Iterator[tuple[int, int]]:
    yield 0, 0
    whole = 8 + int.from_bytes(content[4:8], "little")
    at = 12
    while at + 8 <= min(len(content), whole):
        name, size = content[at : at + 4], int.from_bytes(content[at + 4 : at + 8], "little")
        if name in (b"VP8 ", b"VP8L"):
            yield at + 8, at + 8 + size
        # A frame of an animation holds its parts behind 16 bytes of its own.
        at += 24 if name == b"ANMF" else 8 + size + size % 2
    if whole > len(content):
        yield 0, whole


def _in_avif(content: bytes) -> Iterator[tuple[int, int]]:
    at = 0
    while at + 8 <= len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        end = at + size if size >= 8 else len(content)
        if content[at + 4 : at + 8] == b"mdat":
            yield at + 8, end
        at = end


def _in_jpeg2000(content: bytes) -> Iterator[tuple[int, int]]:
    yield max(0, content.find(b"\xff\x4f\xff\x51")), len(content)


_COMPRESSED = {"WEBP": _in_webp, "AVIF": _in_avif, "JPEG2000": _in_jpeg2000}


def check_gif(content: bytes, picture: Image.Image) -> None:
    """Raise `ItemError` where the first frame of a GIF unpacks to fewer pixels than it has."""
    if np.ptp(np.asarray(picture.crop((0, picture.height - 1, *picture.size)))) > 0:
        return
    frame = _gif_frame(content)
    if frame and (there := _gif_pixels(*frame[2:])) < frame[0] * frame[1]:
        raise ItemError(f"truncated: {there:,} of {frame[0] * frame[1]:,} pixels are there")


def _gif_frame(content: bytes) -> tuple[int, int, int, bytes] | None:
    """Return width and height of the first frame, the size of its codes, and its data."""
    flags = content[10] if len(content) > 13 else 0
    at = 13 + (3 << ((flags & 7) + 1) if flags & 128 else 0)
    while at < len(content) and content[at] == 0x21:
        at = _gif_blocks(content, at + 2)[1]
    if at + 11 > len(content) or content[at] != 0x2C:
        return None
    width, height = (int.from_bytes(content[at + i : at + i + 2], "little") for i in (5, 7))
    flags = content[at + 9]
    at += 10 + (3 << ((flags & 7) + 1) if flags & 128 else 0)
    return width, height, content[at], _gif_blocks(content, at + 1)[0]


def _gif_blocks(content: bytes, at: int) -> tuple[bytes, int]:
    parts = []
    while at < len(content) and content[at]:
        parts.append(content[at + 1 : at + 1 + content[at]])
        at += 1 + content[at]
    return b"".join(parts), at + 1


def _gif_pixels(bits: int, data: bytes) -> int:
    """Return how many pixels the LZW codes in ``data`` stand for, without making them."""
    clear, buffer, held, total = 1 << bits, 0, 0, 0
    lengths, width, before = [1] * clear + [0, 0], bits + 1, 0
    for byte in data:
        buffer, held = buffer | byte << held, held + 8
        while held >= width:
            code, buffer, held = buffer & ((1 << width) - 1), buffer >> width, held - width
            if code == clear:
                del lengths[clear + 2 :]
                width, before = bits + 1, 0
                continue
            if code == clear + 1:
                return total
            if before and len(lengths) < 4096:
                lengths.append(before + 1)
                if len(lengths) == 1 << width and width < 12:
                    width += 1
            before = lengths[code] if code < len(lengths) else 0
            total += before
    return total
