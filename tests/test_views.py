"""Random views: seeded item by item, of the network's size, and no further off than allowed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from conftest import bars
from headstart.boundary.inputs import Inputs
from headstart.boundary.views import LEVELS, Augment, view
from headstart.data.pictures.images import Preprocess

NOTHING = Augment(area=1.0, flip=0.0, colour=0.0, degrees=0.0)


def preprocess(channels: int, *, size: tuple[int, int] = (16, 20), **how: str) -> Preprocess:
    middle = (0.5,) * channels
    return Preprocess(size=size, resize=20, channels=channels, mean=middle, std=middle, **how)


def picture(channels: int, height: int = 30, width: int = 40, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, channels)).astype(np.uint8)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("channels", [1, 3, 4, 5])
def test_shape_and_type(channels: int, level: str, interpolation: str) -> None:
    pixels = picture(channels)
    image = Image.fromarray(np.squeeze(pixels)) if channels < 5 else pixels
    p = preprocess(channels, interpolation=interpolation)
    for seed in range(4):
        out = view(image, p, LEVELS[level], np.random.default_rng(seed))
        assert out.shape == (16, 20, channels)
        assert out.dtype == np.uint8


@pytest.mark.parametrize("channels", [3, 5])
def test_the_same_seed_gives_the_same_view(channels: int) -> None:
    image = picture(channels)
    first, second, other = (
        view(image, preprocess(channels), LEVELS["strong"], np.random.default_rng(seed))
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()


def test_nothing_allowed_changes_nothing() -> None:
    # Of a picture as wide as the crop's shape allows, the crop is the whole.
    image = picture(3, 32, 32)
    out = view(image, preprocess(3, size=(32, 32)), NOTHING, np.random.default_rng(0))
    np.testing.assert_array_equal(out, image)


def test_a_mirror_is_a_mirror() -> None:
    image = picture(3, 32, 32)
    mirror = replace(NOTHING, flip=1.0)
    out = view(image, preprocess(3, size=(32, 32)), mirror, np.random.default_rng(0))
    np.testing.assert_array_equal(out, image[:, ::-1])


@pytest.mark.parametrize("shape", [(2, 300), (300, 2), (1, 1)])
def test_strips(shape: tuple[int, int]) -> None:
    out = view(picture(3, *shape), preprocess(3), LEVELS["strong"], np.random.default_rng(0))
    assert out.shape == (16, 20, 3)


def test_crops_keep_at_least_the_area_they_must() -> None:
    # Each pixel holds its own place, so a view shows where it was cut.
    rows, columns = np.mgrid[0:64, 0:64] * 4
    image = np.stack([rows, columns, 0 * rows], axis=2).astype(np.uint8)
    for seed in range(30):
        out = view(image, preprocess(3, size=(64, 64)), replace(NOTHING, area=0.5), _rng(seed))
        height, width = (int(np.ptp(out[:, :, c])) / 252 for c in (0, 1))
        assert height * width > 0.45


def test_colours_stay_when_there_are_not_three() -> None:
    image = picture(5, 32, 32)
    vivid = replace(NOTHING, colour=0.4)
    np.testing.assert_array_equal(view(image, preprocess(5, size=(32, 32)), vivid, _rng(0)), image)
    three = image[:, :, :3]
    assert (view(three, preprocess(3, size=(32, 32)), vivid, _rng(0)) != three).any()


def _rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("side", [8, 40])
def test_views_of_arrays_of_one_channel(side: int) -> None:
    data = bars(4, side=side)
    pictures = Inputs(data, preprocess(1), augment="strong")
    try:
        (views,) = next(iter(pictures.batches([np.arange(8)], 0)))
        assert views.shape == (8, 16, 20, 1)
        assert len({one.tobytes() for one in views}) == 8
    finally:
        pictures.close()
