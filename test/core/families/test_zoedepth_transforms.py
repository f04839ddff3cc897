# SPDX-License-Identifier: Apache-2.0
"""Pre- and post-processing against transformers' own."""

from __future__ import annotations

import gc
import json
import sys
import weakref
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from depth_estimation_ros.core import device_constants
from depth_estimation_ros.core.errors import CheckpointError, ImageError
from depth_estimation_ros.core.families.zoedepth.transforms import Preprocessing, Transforms

from ..conftest import (
    SIZES,
    Image,
    noise,
    smooth_image,
    stock_depth,
    stock_pixels,
    stock_processor,
)

PUBLISHED = Preprocessing(height=384, width=512)


def pixels_of(image: Image, preprocessing: Preprocessing) -> torch.Tensor:
    size = preprocessing.network_size(*image.shape[:2])
    return Transforms(preprocessing).to_network(torch.from_numpy(image), size)


def stock_module() -> ModuleType:
    return sys.modules[type(stock_processor()).__module__]


def difference(image: Image, **configured: Any) -> float:
    """Return the largest difference between our pixels and those of transformers."""
    processor = stock_processor(**configured)
    ours = pixels_of(image, Preprocessing.from_config(processor.to_dict()))
    expected = stock_pixels(processor, image)[0]
    assert ours.shape == expected.shape
    return float((ours - expected).abs().max())


@pytest.mark.parametrize(('wanted', 'size'), [
    ((0, 0), (384, 512)), ((192, 0), (192, 256)), ((0, 256), (192, 256)), ((64, 0), (64, 85)),
    ((64, 96), (64, 96)), ((0, 2048), (1536, 2048))], ids=str)
def test_one_side_alone_takes_the_other_along(
        wanted: tuple[int, int], size: tuple[int, int]) -> None:
    sized = PUBLISHED.sized(*wanted)
    assert (sized.height, sized.width) == size


@pytest.mark.parametrize('keep', [True, False])
@pytest.mark.parametrize('wanted', [64, 96, 192, 768])
@pytest.mark.parametrize(('height', 'width'), [(480, 640), (720, 1280), (375, 1242), (900, 400)])
def test_a_side_alone_is_what_the_network_sees_whatever_the_images_proportion(
        height: int, width: int, wanted: int, keep: bool) -> None:
    own = replace(PUBLISHED, keep_aspect_ratio=keep, pad=False)
    sizes = [own.sized(wanted, 0).network_size(height, width),
             own.sized(0, wanted).network_size(height, width)]
    assert (sizes[0][0], sizes[1][1]) == (wanted, wanted)
    proportion = height / width if keep else 384 / 512
    assert sizes[0][1] == pytest.approx(wanted / proportion, abs=own.multiple)
    assert sizes[1][0] == pytest.approx(wanted * proportion, abs=own.multiple)


@pytest.mark.parametrize(('width', 'height'), SIZES)
def test_pixels_are_those_of_transformers(width: int, height: int) -> None:
    sharp = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    assert difference(smooth_image(width, height)) <= 1e-6
    assert difference(sharp) <= 1e-6


@pytest.mark.parametrize('configured', [
    {'image_mean': [0.485, 0.456, 0.406], 'image_std': [0.5, 0.7, 0.9]},
    {'rescale_factor': 0.00371},
    {'do_normalize': False},
    {'do_pad': False},
    {'keep_aspect_ratio': False},
    {'size': {'height': 192, 'width': 256}},
    {'size': {'height': 100, 'width': 333}, 'ensure_multiple_of': 8},
], ids=lambda configured: '-'.join(configured))
def test_every_setting_of_the_checkpoint_is_honoured(configured: dict[str, Any]) -> None:
    for width, height in ((640, 480), (100, 130), (33, 47)):
        assert difference(smooth_image(width, height), **configured) <= 1e-6


def test_without_rescaling_pixels_are_those_that_transformers_rounds() -> None:
    assert difference(smooth_image(100, 130), do_rescale=False, do_normalize=False) < 1


def test_a_multiple_below_one_is_the_published_32() -> None:
    assert Preprocessing.from_config({'ensure_multiple_of': 1 / 32}).multiple == 32


@given(st.integers(5, 3000), st.integers(5, 3000), st.booleans())
@example(12, 38, True).via('6.5 multiples of 32, a tie')
@example(9, 16, True).via('10.5 multiples of 32, a tie')
@settings(deadline=None, max_examples=200)
def test_the_network_size_is_that_of_transformers(height: int, width: int, keep: bool) -> None:
    ours = Preprocessing(height=384, width=512, keep_aspect_ratio=keep)
    padded = np.zeros((1, height + 2 * ours.margin(height), width + 2 * ours.margin(width)))
    expected = stock_module().get_resize_output_image_size(
        padded, (384, 512), keep, 32, 'channels_first')
    if min(expected) > 0 and expected[0] * expected[1] <= 6 * 384 * 512:
        assert ours.network_size(height, width) == expected
    else:
        with pytest.raises(ImageError, match='too elongated'):
            ours.network_size(height, width)


@pytest.mark.parametrize(('width', 'height'), SIZES)
@pytest.mark.parametrize('pad', [True, False])
def test_depth_is_resized_and_cropped_as_by_transformers(
        width: int, height: int, pad: bool) -> None:
    image = smooth_image(width, height)
    metres = 1 + noise(1, 96, 160)[:, 0].abs()
    expected = stock_depth(stock_processor(do_pad=pad), metres, image)
    preprocessing = Preprocessing(height=384, width=512, pad=pad)
    ours = Transforms(preprocessing).to_depth(metres[0], height, width)
    assert ours.is_contiguous() and ours.shape == (height, width)
    np.testing.assert_allclose(ours, expected, rtol=3e-6)  # float32 itself is 1.5e-6 from exact
    exact = stock_depth(stock_processor(do_pad=pad), metres.double(), image)
    np.testing.assert_allclose(ours, exact, rtol=1e-6)


def test_what_is_kept_for_a_size_goes_when_it_is_forgotten() -> None:
    device_constants.forget()
    transforms = Transforms(PUBLISHED)
    transforms.to_network(torch.from_numpy(smooth_image(64, 48)), (97, 131))
    kept = [weakref.ref(tensor) for tensor in gc.get_objects() if type(tensor) is torch.Tensor
            and tensor.shape == (4 * 97 * 131,) and tensor.dtype == torch.int32]
    assert len(kept) == 1
    gc.disable()  # so that a cycle would be seen
    try:
        device_constants.forget()
        assert not any(tensor() is not None for tensor in kept)
    finally:
        gc.enable()


@pytest.mark.parametrize(('height', 'width'), [(4, 100), (100, 4), (1, 1), (0, 0), (0, 100)])
def test_an_image_smaller_than_its_padding_is_refused(height: int, width: int) -> None:
    with pytest.raises(ImageError, match=f'{width}x{height} pixels is too small'):
        PUBLISHED.network_size(height, width)


def test_the_smallest_image_taken_is_5_pixels_wide() -> None:
    assert difference(smooth_image(5, 5)) <= 1e-6


@pytest.mark.parametrize(('height', 'width'), [(10, 4000), (4000, 5)])
def test_an_elongated_image_is_refused(height: int, width: int) -> None:
    with pytest.raises(ImageError, match=f'{width}x{height} pixels is too elongated'):
        PUBLISHED.network_size(height, width)


def test_the_padding_is_a_reflection() -> None:
    image = smooth_image(64, 48)
    preprocessing = Preprocessing(height=48 + 2 * 14, width=64 + 2 * 16, multiple=1, mean=(0,) * 3,
                                  std=(1,) * 3)
    pixels = (255 * pixels_of(image, preprocessing)).round().byte().permute(1, 2, 0).numpy()
    assert (pixels == np.pad(image, ((14, 14), (16, 16), (0, 0)), mode='reflect')).all()


@pytest.mark.parametrize('configured', [
    {'do_resize': False}, {'resample': 3}], ids=lambda configured: next(iter(configured)))
def test_what_zoedepth_never_does_is_refused(configured: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match=next(iter(configured))):
        Preprocessing.from_config(configured)


def test_the_settings_that_transformers_saves_are_read(tmp_path: Path) -> None:
    stock_processor(image_mean=[0.1, 0.2, 0.3]).save_pretrained(tmp_path)
    saved = json.loads((tmp_path / 'preprocessor_config.json').read_text())
    assert Preprocessing.from_config(saved) == Preprocessing(
        height=384, width=512, mean=(0.1, 0.2, 0.3))
