# SPDX-License-Identifier: Apache-2.0
"""preprocessor_config.json with less than published ones say, and with what nobody expects."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from depth_estimation_ros.core.checkpoint import Checkpoint, read_checkpoint
from depth_estimation_ros.core.errors import CheckpointError, ImageError
from depth_estimation_ros.core.families.base import Family, Size
from depth_estimation_ros.core.families.preprocessing import Preprocessing
from depth_estimation_ros.core.families.registry import load_family
from depth_estimation_ros.core.frame import Frame

from .test_parity import GREY_LEVEL, picture, processor

Load = Callable[[str], Checkpoint]


@pytest.mark.parametrize('given', [
    {}, {'size': {'height': 64, 'width': 96}}, {'image_mean': 0.3, 'image_std': [0.2, 0.3, 0.4]},
    {'do_normalize': False}, {'do_rescale': False, 'image_mean': 127.5, 'image_std': 127.5},
    {'rescale_factor': 1 / 127.5, 'image_mean': [1.0] * 3}, {'resample': 2}], ids=str)
def test_what_is_left_out_has_transformers_default(given: dict[str, Any]) -> None:
    image = picture(160, 120)
    expected = processor({'image_processor_type': 'DPTImageProcessor', **given})(
        images=image, return_tensors='pt').pixel_values[0]
    ours = Preprocessing.from_config(given)
    pixels = ours.pixels(torch.from_numpy(image))
    assert pixels.shape == expected.shape
    assert (pixels - expected).abs().max() <= 255 * ours.factor * GREY_LEVEL / min(1, *ours.std)


def configured(checkpoint: Checkpoint, folder: Path, **changes: Any) -> Family:
    """Load a checkpoint with another preprocessor_config.json."""
    shutil.copytree(checkpoint.folder, folder, dirs_exist_ok=True)
    (folder / 'preprocessor_config.json').write_text(
        json.dumps({**checkpoint.preprocessor, **changes}))
    return load_family(read_checkpoint(str(folder)))


NULLED = ('ensure_multiple_of', 'image_mean', 'rescale_factor', 'resample', 'size')


def test_what_is_null_is_as_if_it_were_left_out(seeded_checkpoint: Load, tmp_path: Path) -> None:
    family: Any = configured(seeded_checkpoint('dpt'), tmp_path, **dict.fromkeys(NULLED))
    assert family.preprocessing == Preprocessing.from_config({})


@pytest.mark.parametrize('change', [
    {'size': {'shortest_edge': 384}}, {'image_mean': [0.5]}, {'image_std': 'wide'},
    {'resample': 0}, {'resample': [3]}, {'ensure_multiple_of': 0}, {'ensure_multiple_of': 13.5},
    {'image_std': 0}, {'image_std': [0.5, -0.5, 0.5]}, {'image_mean': math.nan},
    {'rescale_factor': 0}, {'rescale_factor': math.inf}, {'size': 0},
    {'size': {'height': -5, 'width': 96}}, {'do_pad': True, 'size_divisor': -14}], ids=str)
@pytest.mark.parametrize('name', ['dpt', 'depth_anything', 'depth_pro'])
def test_what_cannot_be_meant_is_named(seeded_checkpoint: Load, tmp_path: Path, name: str,
                                       change: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match=r'preprocessor_config\.json') as error:
        configured(seeded_checkpoint(name), tmp_path, **change)
    text = str(error.value)
    assert str(tmp_path) in text and '\n' not in text


@pytest.mark.parametrize(('change', 'reason'), [
    ({'ensure_multiple_of': 0}, 'ensure_multiple_of is 0, not a number above 0'),
    ({'ensure_multiple_of': 32.5}, 'ensure_multiple_of is 32.5, not a whole number above 0'),
    ({'image_std': [0.5, 0, 0.5]}, 'image_std is 0, not a number above 0'),
    ({'rescale_factor': 0}, 'rescale_factor is 0, not a number above 0'),
    ({'image_mean': [0.5, 0.5]}, 'not three numbers'),
    ({'size': {'height': 0, 'width': 96}}, 'height of size is 0')], ids=str)
def test_zoedepths_is_named_likewise(checkpoint_of: Callable[..., Path], tmp_path: Path,
                                     change: dict[str, Any], reason: str) -> None:
    with pytest.raises(CheckpointError, match=reason):
        configured(read_checkpoint(str(checkpoint_of())), tmp_path, **change)


@pytest.mark.parametrize(('name', 'change'), [
    ('glpn', {'resample': 0}), ('glpn', {'do_resize': False}), ('glpn', {'size_divisor': 'x'}),
    ('depth_pro', {'do_resize': False}), ('dpt', {'do_resize': False}),
    ('dpt', {'keep_aspect_ratio': True}), ('dpt', {'size': {'height': 96, 'width': 128}}),
    ('depth_anything', {'size': 13, 'ensure_multiple_of': 1}), ('depth_pro', {'size': 127}),
    ('glpn', {'size_divisor': 16})], ids=str)
def test_so_is_what_a_family_cannot_do(seeded_checkpoint: Load, tmp_path: Path, name: str,
                                       change: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match=r'preprocessor_config\.json'):
        configured(seeded_checkpoint(name), tmp_path, **change)


def test_a_square_network_whose_images_are_made_square_loads(
        seeded_checkpoint: Load, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match='do_resize is false, but'):
        configured(seeded_checkpoint('dpt'), tmp_path, do_resize=False)
    family = load_family(read_checkpoint(str(tmp_path)), 64, 64)
    assert family.size(480, 640) == Size(64, 64)


def test_depth_pro_resizes_by_the_kernel_that_it_is_told(
        seeded_checkpoint: Load, tmp_path: Path) -> None:
    family: Any = configured(seeded_checkpoint('depth_pro'), tmp_path, resample=3)
    plain: Any = load_family(seeded_checkpoint('depth_pro'))
    frame = Frame(picture(200, 150), focal_length=200.0)
    image = torch.from_numpy(frame.image)
    pixels = plain.preprocessing.normalised(image.permute(2, 0, 1))[None]
    values = torch.rand(2, 96, 96, generator=torch.Generator().manual_seed(0)) + 1
    for each, mode in ((plain, 'bilinear'), (family, 'bicubic')):
        expected = functional.interpolate(pixels, (128, 128), mode=mode)[0]
        assert torch.equal(each.inputs(image, frame), expected)
        inverse = functional.interpolate(values[None, :1], (150, 200), mode=mode)[0, 0]
        torch.testing.assert_close(each.result(values, frame), 1 / inverse)


def test_glpn_rescales_as_it_is_told(seeded_checkpoint: Load, tmp_path: Path) -> None:
    family: Any = configured(seeded_checkpoint('glpn'), tmp_path, rescale_factor=1 / 127.5)
    image = torch.from_numpy(picture(64, 64))
    plain: Any = load_family(seeded_checkpoint('glpn'))
    torch.testing.assert_close(family.preprocessing.pixels(image),
                               2 * plain.preprocessing.pixels(image))


@pytest.mark.parametrize(('height', 'width', 'image', 'seen'), [
    (480, 0, (1080, 1920), (480, 864)), (0, 640, (1080, 1920), (352, 640)),
    (480, 0, (640, 480), (480, 352)), (480, 640, (1080, 1920), (480, 640))])
def test_one_side_alone_keeps_the_images_proportion(
        seeded_checkpoint: Load, height: int, width: int, image: tuple[int, int],
        seen: tuple[int, int]) -> None:
    assert load_family(seeded_checkpoint('glpn'), height, width).size(*image) == Size(*seen)


def test_an_elongated_image_is_refused_by_one_side_too(seeded_checkpoint: Load) -> None:
    with pytest.raises(ImageError, match='too elongated'):
        load_family(seeded_checkpoint('glpn'), 480, 0).size(60, 1200)
