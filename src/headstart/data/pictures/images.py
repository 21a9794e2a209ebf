"""The one preprocessing: from a file's bytes to the pixels that a network sees.

Training, evaluation, prediction, export and serving all come through here, so that a photo looks
the same to the network everywhere.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from headstart.data.pictures import damage, exif, pixels, room
from headstart.errors import ItemError, UsageError, unknown

Pixels = npt.NDArray[np.uint8]
Indices = npt.NDArray[np.int64]

# Only formats that hold plain pixels: Pillow would also run Ghostscript for an EPS named .jpg.
_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "AVIF", "JPEG2000", "DIB")

_HEIF = (b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"heim", b"heis")

_INTERPOLATIONS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "nearest": Image.Resampling.NEAREST,
}

_CROPS = ("center", "fit")

# Part of every key: raise it when the same file would come out with other pixels.
_DECODER = "decode-1"

# A strip longer than this is cut before it is resized; what a crop can see lies in the middle.
_LONGEST = 16


# While a picture is unpacked, turned, laid over white and reduced, this much a pixel is held.
_BYTES = 12


class Decoded(NamedTuple):
    """An unpacked image: upright, 8 bits a channel, and what the file was.

    Attributes:
        image: mode L, RGB or RGBA, or an array (H, W) or (H, W, C); reduced if that was allowed.
        width: of the upright image in the file, in pixels.
        height: of the upright image in the file, in pixels.
        mode: Pillow's name for the kind of pixels in the file, or the array's type.
    """

    image: Image.Image | Pixels
    width: int
    height: int
    mode: str


def decode(content: bytes, channels: int = 3, shorter: int | None = None) -> Image.Image | Pixels:
    """Return the image in ``content``, fully read, upright, with 8 bits a channel.

    Args:
        content: what a file holds: JPEG, PNG, GIF (its first frame), BMP, WebP, TIFF, PPM, AVIF,
            JPEG 2000, or ``.npy`` with (H, W) or (H, W, C).
        channels: 1 gives mode L, 3 RGB, 4 RGBA; another number an array (H, W, C), which only an
            array file has.
        shorter: the image will be reduced to this shorter side. A JPEG may then be unpacked at
            1/2, 1/4 or 1/8, as long as both sides keep twice that; several times faster.

    Raises:
        ItemError: with the reason: not an image, truncated, too large, other channels.

    >>> decode(b"")
    Traceback (most recent call last):
    headstart.errors.ItemError: empty file
    """
    return pixels.with_channels(examine(content, shorter).image, channels)


def examine(content: bytes, shorter: int | None = None) -> Decoded:
    """Return the image in ``content`` as it is, and its facts; see `decode` for the rest."""
    if not content:
        raise ItemError("empty file")
    try:
        if content.startswith(b"\x93NUMPY"):
            return _array(content)
        return _unpack(content, shorter)
    except ItemError:
        raise
    # Pillow and NumPy raise nearly anything on bytes that were made to harm, or just broke.
    except Exception as error:
        raise ItemError(_reason(error)) from error


def _array(content: bytes) -> Decoded:
    array = pixels.from_npy(content)
    return Decoded(array, array.shape[1], array.shape[0], str(array.dtype))


def _unpack(content: bytes, shorter: int | None) -> Decoded:
    way = 1
    if content.startswith(b"\xff\xd8"):
        content, way = exif.cut_out(content)
    source = damage.Watched(content)
    image = _open(content, source)
    width, height = image.size
    pixels.check_size(width, height)
    mode = image.mode
    way = max(way, _stated(image))
    if shorter and image.format == "JPEG":
        image.draft(None, (2 * shorter, 2 * shorter))
    room.ask(_BYTES * image.width * image.height)
    _load_whole(image, content, source, shorter)
    upright = exif.turned(pixels.flatten(image), way)
    return Decoded(upright, *((height, width) if way >= 5 else (width, height)), mode)


def _load_whole(
    image: Image.Image, content: bytes, source: damage.Watched, shorter: int | None
) -> None:
    """Unpack ``image`` in place.

    Raises:
        ItemError: a part of it is missing or damaged, which the decoders do not say.
    """
    if image.format == "PNG":
        parts = damage.png_parts(content)
        image.load()
        damage.check_png_rows(parts, image)
        return
    jpeg = damage.jpeg_parts(content) if image.format == "JPEG" else None
    if jpeg is None:
        image.load()
        damage.check_others(content, image)
        if image.format == "GIF":
            damage.check_gif(content, image)
        return
    damage.check_jpeg(jpeg)
    if jpeg.single:
        source.watch(jpeg)
    image.load()
    source.require_read()
    if damage.doubtful(jpeg):
        _require_same(image, damage.noisy(jpeg), shorter)


def _require_same(image: Image.Image, noisy: bytes, shorter: int | None) -> None:
    again = _open(noisy, io.BytesIO(noisy))
    if shorter:
        again.draft(None, (2 * shorter, 2 * shorter))
    if again.convert(image.mode).tobytes() != image.tobytes():
        raise ItemError("damaged: a part of its data ends before it should")


def _stated(image: Image.Image) -> int:
    # A TIFF is turned by Pillow itself while it loads.
    block = image.info.get("exif")
    return exif.orientation(block) if isinstance(block, bytes) and image.format != "TIFF" else 1


def _open(content: bytes, source: io.BytesIO) -> Image.Image:
    """Like ``Image.open``, but with neither its warnings nor the formats that are not pixels."""
    Image.init()
    start = content[:16].ljust(16, b"\0")  # some plugins look further than a short file goes
    for name in _FORMATS:
        factory, accept = Image.OPEN.get(name, (None, None))
        if factory and accept and accept(start) is True:
            return factory(source, "")
    if content[4:8] == b"ftyp" and content[8:12] in _HEIF:
        return _heic(content)
    if content.startswith(b"version https://git-lfs"):
        raise ItemError("not an image (a Git LFS pointer: run `git lfs pull`)")
    raise ItemError("not an image")


def _heic(content: bytes) -> Image.Image:
    """Open a photo of a telephone's own format, for which Pillow needs another package."""
    try:
        import pillow_heif  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError as error:
        raise ItemError(
            "a HEIC photo, which takes a package: pip install pillow-heif; or save it as JPEG"
        ) from error
    pillow_heif.register_heif_opener()
    return Image.open(io.BytesIO(content), formats=("HEIF",))


def _reason(error: Exception) -> str:
    text = str(error) or type(error).__name__
    if isinstance(error, MemoryError):
        return "too large for the memory of this machine"
    if isinstance(error, EOFError) or "truncated" in text.lower():
        return f"truncated: {text}"
    return f"damaged: {text}"


@dataclass(frozen=True)
class Preprocess:
    """How images become a network's input; it travels with the network's weights.

    Attributes:
        size: height and width of the input.
        resize: the shorter side after resizing, before the crop.
        channels: 1 grey, 3 RGB, 4 RGBA, or as many as the array files have.
        mean: a channel's mean, of pixels / 255. The network normalises, not this code.
        std: a channel's standard deviation, of pixels / 255.
        interpolation: "bilinear", "bicubic" or "nearest"; the first two with antialias.
        crop: "center", or "fit": all of the picture in the upper left corner, as large as fits,
            on ``mean``.

    >>> Preprocess(size=(2, 2), resize=2, channels=1, mean=(0.5,), std=(0.5,)).prepare(
    ...     Image.new("L", (8, 4), 7)).tolist()
    [[[7], [7]], [[7], [7]]]
    """

    size: tuple[int, int]
    resize: int
    channels: int = 3
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    interpolation: str = "bilinear"
    crop: str = "center"

    # What `headstart.data.texts.Tokenize` has too: names of a network's inputs with their free
    # axes, and how many items are prepared before they are run.
    inputs: ClassVar[dict[str, dict[int, str]]] = {"pixels": {0: "n"}}
    window: ClassVar[int] = 16

    def __post_init__(self) -> None:
        if self.interpolation not in _INTERPOLATIONS:
            raise unknown("interpolation", self.interpolation, _INTERPOLATIONS)
        if self.crop not in _CROPS:
            raise unknown("crop", self.crop, _CROPS)
        if len(self.size) != 2 or min(*self.size, self.resize, self.channels) < 1:
            raise UsageError(f"size, resize and channels must be at least 1; got {self}")
        if {len(self.mean), len(self.std)} != {self.channels}:
            raise UsageError(f"mean and std need {self.channels} values, one a channel; got {self}")

    def load(self, content: bytes) -> Pixels:
        """Return the input, shape (H, W, C), 0..255, for a file's ``content``; see `decode`."""
        with room.lent():
            return self.prepare(decode(content, self.channels, shorter=self.resize))

    def prepare(self, image: Image.Image | Pixels) -> Pixels:
        """Return the input, shape (H, W, C), 0..255, for an image that is already unpacked.

        The same bytes as torchvision's ``Resize`` and ``CenterCrop`` make from a Pillow image.
        """
        image = pixels.with_channels(image, self.channels)
        if isinstance(image, Image.Image):
            array = np.asarray(self._fit(image))
            return array if array.ndim == 3 else array[:, :, None]
        planes = [self._fit(Image.fromarray(image[:, :, c])) for c in range(self.channels)]
        return np.stack([np.asarray(plane) for plane in planes], axis=2)

    def _fit(self, image: Image.Image) -> Image.Image:
        if self.crop == "fit":
            return self._whole(image)
        image = _shortened(image, max(_LONGEST, 2 * max(self.size) // self.resize + 1))
        width, height = image.size
        short, long = min(width, height), max(width, height)
        longer = int(self.resize * long / short)
        new = (self.resize, longer) if width <= height else (longer, self.resize)
        if new != image.size:
            image = image.resize(new, _INTERPOLATIONS[self.interpolation])
        return _centred(image, *self.size)

    def _whole(self, image: Image.Image) -> Image.Image:
        height, width = self.size
        scale = min(width / image.width, height / image.height)
        new = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        ground = tuple(round(255 * mean) for mean in self.mean[: len(image.getbands())])
        out = Image.new(image.mode, (width, height), ground if len(ground) > 1 else ground[0])
        out.paste(image.resize(new, _INTERPOLATIONS[self.interpolation]), (0, 0))
        return out

    def rows(self, prepared: Sequence[Any]) -> list[npt.NDArray[Any]]:
        """Return what `prepare` made as rows to collate; nothing is left to do."""
        return list(prepared)

    def collate(self, rows: Sequence[npt.NDArray[Any]]) -> tuple[Pixels]:
        """Return a batch of one array, (N, H, W, C)."""
        return (np.stack(rows),)

    def batches(self, rows: Sequence[npt.NDArray[Any]]) -> list[Indices]:
        """Return which of ``rows`` an engine runs together: at most `window`, in their order."""
        starts = range(0, len(rows), self.window)
        return [np.arange(s, min(s + self.window, len(rows))) for s in starts]

    def examples(self) -> Iterator[tuple[Pixels]]:
        """Yield batches of 1, 2 and 7 made-up pictures, to hold two engines against each other."""
        rng = np.random.default_rng(0)
        shape = (*self.size, self.channels)
        for n in (1, 2, 7):
            # Smooth blobs on noise: noise alone leaves many networks with features near zero.
            coarse = rng.integers(0, 256, (n, 8, 8, self.channels))
            steps = [np.linspace(0, 7, side).astype(int) for side in self.size]
            noisy = coarse[:, steps[0]][:, :, steps[1]] + rng.integers(-20, 20, (n, *shape))
            yield (np.clip(noisy, 0, 255).astype(np.uint8),)

    def geometry(self) -> tuple[object, ...]:
        """Return what decides the pixels; normalisation, which the network does, is left out."""
        return self.size, self.resize, self.channels, self.interpolation, self.crop

    def to_json(self) -> dict[str, Any]:
        """Return the values as a bundle keeps them; `from_json` reads them back."""
        return {name: _plain(value) for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Preprocess:
        """Return what `to_json` was called on."""
        known = {field.name for field in fields(cls)}
        if extra := sorted(set(values) - known):
            raise unknown("preprocessing value", extra[0], sorted(known))
        frozen: dict[str, Any] = {name: _frozen(value) for name, value in values.items()}
        return cls(**frozen)

    def key(self) -> str:
        """Return a text that changes whenever the pixels could; stores are keyed by it."""
        return _DECODER + json.dumps(self.to_json(), sort_keys=True)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _shortened(image: Image.Image, most: int) -> Image.Image:
    """Cut the ends off a strip; resized whole, 1 x 100,000 pixels would fill the memory."""
    width, height = image.size
    limit = most * min(width, height)
    return (
        _centred(image, min(height, limit), min(width, limit))
        if limit < max(width, height)
        else image
    )


def _centred(image: Image.Image, height: int, width: int) -> Image.Image:
    """Return the middle, ``width`` x ``height``; black is added around what is smaller."""
    left = _start(image.width, width)
    top = _start(image.height, height)
    return image.crop((left, top, left + width, top + height))


def _start(have: int, want: int) -> int:
    # torchvision rounds a cut to the even side, but puts the odd pixel of padding at the end.
    return int(round((have - want) / 2)) if have >= want else -((want - have) // 2)
