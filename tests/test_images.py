"""Decoding whatever lies in a folder, and the one preprocessing."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from conftest import png_header, shared_data
from headstart.data.pictures import exif
from headstart.data.pictures.images import Preprocess, decode, examine
from headstart.errors import ItemError, UsageError

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (40, 60, 3), dtype=np.uint8)


def saved(image: Image.Image | np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def huge_npy() -> bytes:
    header = "{'descr': '|u1', 'fortran_order': False, 'shape': (900000, 900000), }"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", 118) + header.ljust(117).encode() + b"\n"


def smooth(width: int = 640, height: int = 480) -> Image.Image:
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([x * 255 // width, y * 255 // height, (x + y) % 256], 2)
    return Image.fromarray(pixels.astype(np.uint8))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"hello", "not an image"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "git lfs pull"),
        (saved(NOISE, "JPEG")[:-400], "truncated"),
        (saved(NOISE, "JPEG")[:30], "truncated|damaged|not an image"),
        (saved(NOISE)[:-400], "truncated|damaged"),
        (saved(NOISE, "GIF")[:500], "truncated|damaged"),
        (saved(NOISE, "BMP")[:500], "truncated|damaged"),
        (saved(NOISE, "TIFF")[:500], "truncated|damaged|not an image"),
        (saved(NOISE, "WEBP")[:500], "truncated|damaged|not an image"),
        (png_header(50_000, 50_000), r"too large: 50000 x 50000 pixels \(at most 100 million\)"),
        (png_header(9_600, 10_000), "truncated|damaged"),
        (png_header(12_000, 10_000), "too large"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
        (npy(np.array([[0.0, np.nan]])), "not finite"),
        (npy(np.array([[0.0, 300.0]])), "from 0 to 300"),
        (npy(np.array([[-1, 3]])), "from -1 to 3"),
        (npy(np.array(["a"])), r"an array of shape \(1,\)"),
        (npy(np.array([["a"]])), "an array of <U1; wanted uint8"),
        (npy(np.zeros((4, 4), np.uint8))[:-3], "truncated"),
        (huge_npy(), "too large"),
    ],
)
def test_what_is_no_image_says_why(content, reason):
    with pytest.raises(ItemError, match=reason):
        decode(content)


def test_a_pickle_in_an_array_file_is_not_run():
    with pytest.raises(ItemError):
        decode(npy(np.array([[object()]], dtype=object)))


@pytest.mark.slow
def test_real_lfs_pointers_and_placeholders():
    for path in shared_data("not_images").rglob("*.jpg"):
        with pytest.raises(ItemError, match="git lfs pull"):
            decode(path.read_bytes())
    for path in shared_data("web_placeholders").glob("*.jpg"):
        assert decode(path.read_bytes()).mode == "RGB"


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "F"])
def test_every_mode_becomes_the_channels_asked_for(mode, channels):
    source = smooth(32, 24)
    if mode == "I;16":
        source = Image.fromarray(np.asarray(source.convert("L")).astype(np.uint16) * 257)
    else:
        source = source.convert(mode)
    kind = "TIFF" if mode in {"CMYK", "YCbCr", "I;16", "F"} else "PNG"
    image = decode(saved(source, kind), channels)
    assert image.size == (32, 24)
    assert image.mode == {1: "L", 3: "RGB", 4: "RGBA"}[channels]
    assert np.asarray(image).std() > 30  # not black, not white, not one flat grey


def test_sixteen_bits_keep_their_scale():
    values = np.array([[0, 257 * 7, 65535]], np.uint16)
    for content in (saved(values), saved(values, "TIFF"), npy(values)):
        assert np.asarray(decode(content, 1)).tolist() == [[0, 7, 255]]


def test_transparency_lies_over_white():
    clear = Image.new("RGBA", (4, 4), (200, 0, 0, 0))
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 200, 0, 0])
    marked = Image.new("RGB", (4, 4), (9, 9, 9))
    for content in (
        saved(clear),
        saved(clear.convert("LA")),
        saved(palette, transparency=1),
        saved(palette, transparency=bytes([255, 0])),
        saved(palette, "GIF", transparency=1),
        saved(marked, transparency=(9, 9, 9)),
    ):
        assert decode(content).getpixel((1, 1)) == (255, 255, 255)
        assert decode(content, 1).getpixel((1, 1)) == 255
        assert decode(content, 4).getpixel((1, 1))[3] == 0


def test_an_animation_is_its_first_frame():
    frames = [Image.new("RGB", (5, 5), colour) for colour in ("red", "blue")]
    content = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode(content).getpixel((2, 2)) == (255, 0, 0)


@pytest.mark.parametrize("way", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation(way, kind):
    upright = Image.new("L", (32, 16), 0)
    upright.paste(255, (0, 0, 16, 8))
    upright = upright.convert("RGB")
    back = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}[way]
    tag = Image.Exif()
    tag[0x0112] = way
    facts = examine(saved(exif.turned(upright, back), kind, exif=tag))
    assert (facts.width, facts.height) == (32, 16)
    grey = np.asarray(facts.image.convert("L")).astype(int)
    assert abs(grey - np.asarray(upright.convert("L"))).mean() < 8


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=80))
def test_damaged_exif_does_not_stop_a_photo(rubbish):
    content = saved(smooth(32, 24), "JPEG", exif=b"Exif\0\0" + rubbish)
    assert sorted(decode(content).size) == [24, 32]


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_no_bytes_raise_anything_but_item_error(data):
    kind = data.draw(st.sampled_from(["JPEG", "PNG", "GIF", "BMP", "WEBP", "PPM"]))
    content = bytearray(saved(NOISE, kind))
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, min(200, len(content) - 1)))] = data.draw(
            st.integers(0, 255)
        )
    try:
        assert isinstance(decode(bytes(content)), Image.Image)
    except ItemError as error:
        assert str(error)


def test_a_big_jpeg_may_be_unpacked_smaller_but_not_too_small():
    content = saved(smooth(1600, 1200), "JPEG", quality=95)
    facts = examine(content, shorter=100)
    assert facts.image.size == (400, 300)
    assert (facts.width, facts.height) == (1600, 1200)
    assert decode(content).size == (1600, 1200)
    small = Preprocess(size=(96, 96), resize=100).load(content).astype(int)
    full = Preprocess(size=(96, 96), resize=100).prepare(decode(content)).astype(int)
    assert abs(small - full).mean() < 2


def test_arrays_of_other_channels_stay_arrays():
    array = RNG.integers(0, 256, (30, 50, 7), dtype=np.uint8)
    assert np.array_equal(decode(npy(array), 7), array)
    with pytest.raises(ItemError, match="has 7 channels; the network wants 3"):
        decode(npy(array), 3)
    with pytest.raises(ItemError, match="has 3 channels; the network wants 7"):
        decode(saved(NOISE), 7)
    scans = Preprocess((16, 16), 20, channels=7, mean=(0.5,) * 7, std=(0.2,) * 7)
    alone = Preprocess((16, 16), 20, channels=1, mean=(0.5,), std=(0.2,))
    together = scans.load(npy(array))
    assert together.shape == (16, 16, 7)
    for c in range(7):
        assert np.array_equal(together[:, :, c], alone.prepare(array[:, :, c])[:, :, 0])


def test_float_arrays_by_their_range():
    assert np.asarray(decode(npy(np.array([[0.0, 1.0]])), 1)).tolist() == [[0, 255]]
    assert np.asarray(decode(npy(np.array([[0.0, 200.0]])), 1)).tolist() == [[0, 200]]


SIZES = [(640, 480), (333, 500), (224, 224), (30, 50), (50, 31), (256, 256), (257, 341), (20, 15)]


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "nearest"])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
@pytest.mark.parametrize(("resize", "crop"), [(256, (224, 224)), (32, (33, 21)), (17, (16, 40))])
def test_the_same_bytes_as_torchvision(interpolation, mode, resize, crop):
    v2 = pytest.importorskip("torchvision.transforms.v2")
    channels = len(mode)
    ours = Preprocess(crop, resize, channels, (0.5,) * channels, (0.2,) * channels, interpolation)
    resampling = v2.InterpolationMode[interpolation.upper()]
    judge = v2.Compose([v2.Resize(resize, interpolation=resampling), v2.CenterCrop(crop)])
    for width, height in SIZES:
        pixels = RNG.integers(0, 256, (height, width, channels), dtype=np.uint8)
        image = Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels)
        theirs = np.asarray(judge(image)).reshape(*crop, channels)
        assert np.array_equal(ours.prepare(image), theirs), (width, height)


def test_a_long_strip_does_not_fill_the_memory():
    strip = Image.new("RGB", (50_000, 1), "white")
    assert Preprocess((224, 224), 256).prepare(strip).shape == (224, 224, 3)


def test_preprocess_travels_as_json():
    one = Preprocess((32, 48), 40, interpolation="bicubic")
    assert Preprocess.from_json(one.to_json()) == one
    assert one.key() == Preprocess.from_json(one.to_json()).key()
    assert one.key() != Preprocess((32, 48), 41, interpolation="bicubic").key()
    with pytest.raises(UsageError, match="did you mean 'resize'"):
        Preprocess.from_json({**one.to_json(), "resise": 3})


@pytest.mark.parametrize(
    "wrong", [{"interpolation": "bilinar"}, {"crop": "left"}, {"channels": 2}, {"resize": 0}]
)
def test_preprocess_refuses_what_it_cannot_do(wrong):
    with pytest.raises(UsageError):
        Preprocess(**{"size": (8, 8), "resize": 8, **wrong})
