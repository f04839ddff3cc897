# SPDX-License-Identifier: Apache-2.0
"""Every family against transformers itself: its processor, its model, its post-processing."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import transformers
from torch import Tensor
from torch.nn import functional

from depth_estimation_ros.core.backends import forward
from depth_estimation_ros.core.checkpoint import Checkpoint
from depth_estimation_ros.core.errors import CheckpointError, ImageError
from depth_estimation_ros.core.families.base import Family, Quantity
from depth_estimation_ros.core.families.prompt_depth_anything import filled
from depth_estimation_ros.core.families.registry import load_family
from depth_estimation_ros.core.frame import Frame, Image
from depth_estimation_ros.tools.seeded import ARCHITECTURES

SIZES = [(640, 480), (480, 640), (1242, 375), (333, 251)]
"""Width and height of the images."""

Load = Callable[[str], Checkpoint]

PROMPTED = 'prompt_depth_anything'

GREY_LEVEL = 1 / 255 + 1e-6


def picture(width: int, height: int) -> Image:
    coarse = np.random.default_rng(3).uniform(-40, 295, (6, 8, 3)).astype(np.float32)
    image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(image, 0, 255).astype(np.uint8)


def processor(settings: dict[str, Any]) -> Any:
    """Return transformers' image processor, the one without torchvision."""
    settings = dict(settings)
    name = settings.pop('image_processor_type')
    if name == 'DepthProImageProcessor':
        return _depth_pro_processor(settings)
    kind = getattr(transformers, f'{name}Pil', None) or getattr(transformers, name)
    return kind(**settings)


def _depth_pro_processor(settings: dict[str, Any]) -> Any:
    """Return Depth Pro's of transformers 4, which lacks one name where torchvision does."""
    if transformers.__version__.startswith('5'):
        pytest.skip("transformers 5's DepthProImageProcessor needs torchvision: make test-triton "
                    "compares with transformers 4's")
    module: Any = import_module('transformers.models.depth_pro.image_processing_depth_pro')
    modes = {2: SimpleNamespace(value='bilinear'), 3: SimpleNamespace(value='bicubic')}
    module.pil_torch_interpolation_mapping = modes  # torchvision's InterpolationMode by PIL's
    return module.DepthProImageProcessor(**settings)


def model(checkpoint: Checkpoint, name: str) -> Any:
    return getattr(transformers, ARCHITECTURES[name].model).from_pretrained(checkpoint.folder)


@torch.inference_mode()
def estimate(family: Family, frame: Frame) -> Tensor:
    inputs = family.inputs(torch.from_numpy(frame.image), frame)
    values, _ = family.routed(forward(family.network, inputs[None]))
    return family.result(values[0], frame)


def worst(depth: Tensor, expected: Tensor) -> float:
    """Return the worst difference, relative to the pixel, or to 1 % of the whole map's range."""
    floor = float(expected.abs().max()) * 0.01
    return float(((depth - expected).abs() / expected.abs().clamp(min=floor)).max())


@pytest.mark.parametrize(('width', 'height'), SIZES)
@pytest.mark.parametrize('name', [name for name in ARCHITECTURES if name != PROMPTED])
def test_pixels_and_depth_are_those_of_transformers(
        name: str, width: int, height: int, seeded_checkpoint: Load) -> None:
    checkpoint = seeded_checkpoint(name)
    family, original = load_family(checkpoint), processor(checkpoint.preprocessor)
    frame = Frame(picture(width, height))
    expected = original(images=frame.image, return_tensors='pt')
    pixels = family.inputs(torch.from_numpy(frame.image), frame)[:3]
    assert pixels.shape == expected.pixel_values.shape[1:]
    assert tuple(pixels.shape[1:]) == family.size(height, width)
    deviation = min(checkpoint.preprocessor.get('image_std', [1.0]))
    assert (pixels - expected.pixel_values[0]).abs().max() <= GREY_LEVEL / min(deviation, 1)
    with torch.inference_mode():
        output = model(checkpoint, name)(pixels[None])
    depth = original.post_process_depth_estimation(
        output, target_sizes=[_target(checkpoint, height, width)])[0]['predicted_depth']
    depth = _without_pad(depth, height, width)
    values = output.predicted_depth
    if name != 'depth_pro':  # whose result is the inverse of what is resized
        depth = depth.clamp(values.min(), values.max())
    result = estimate(family, frame)
    assert depth.std() > 1e-3 * depth.mean()
    assert result.shape == (height, width)
    assert worst(result, depth) <= 1e-4


def _target(checkpoint: Checkpoint, height: int, width: int) -> tuple[int, int]:
    divisor = checkpoint.preprocessor.get('size_divisor', 1) if checkpoint.preprocessor.get(
        'do_pad') else 1
    return -(-height // divisor) * divisor, -(-width // divisor) * divisor


def _without_pad(depth: Tensor, height: int, width: int) -> Tensor:
    top, left = (depth.shape[0] - height) // 2, (depth.shape[1] - width) // 2
    return depth[top:top + height, left:left + width]


@pytest.mark.parametrize(('name', 'quantity', 'range_'), [
    ('depth_anything', Quantity.INVERSE_DEPTH, None),
    ('depth_anything_metric', Quantity.METRES, (0.0, 20.0)),
    ('dpt', Quantity.INVERSE_DEPTH, None), ('dpt_beit', Quantity.INVERSE_DEPTH, None),
    ('dpt_swinv2', Quantity.INVERSE_DEPTH, None), ('dpt_dinov2', Quantity.METRES, None),
    ('glpn', Quantity.METRES, (0.0, 10.0)), ('depth_pro', Quantity.METRES, None),
    ('prompt_depth_anything', Quantity.METRES, None)])
def test_a_family_says_what_it_gives(
        name: str, quantity: Quantity, range_: Any, seeded_checkpoint: Load) -> None:
    family = load_family(seeded_checkpoint(name))
    assert family.quantity is quantity and family.range == range_


@pytest.mark.parametrize(('name', 'height', 'width'), [
    ('depth_anything', 70, 98), ('depth_anything', 70, 0), ('dpt', 64, 64), ('dpt_beit', 64, 96),
    ('glpn', 64, 96), ('dpt_dinov2', 70, 98)])
def test_the_network_size_can_be_chosen(
        name: str, height: int, width: int, seeded_checkpoint: Load) -> None:
    family = load_family(seeded_checkpoint(name), height, width)
    size = family.size(480, 640)
    assert size != load_family(seeded_checkpoint(name)).size(480, 640)
    frame = Frame(picture(640, 480))
    assert tuple(family.inputs(torch.from_numpy(frame.image), frame).shape[1:]) == size
    assert estimate(family, frame).isfinite().all()


@pytest.mark.parametrize(('name', 'height', 'width'), [
    ('depth_pro', 96, 0), ('dpt_swinv2', 64, 64), ('dpt', 64, 96)])
def test_a_size_that_a_network_cannot_see_is_refused(
        name: str, height: int, width: int, seeded_checkpoint: Load) -> None:
    with pytest.raises(CheckpointError, match=r'network\.height'):
        load_family(seeded_checkpoint(name), height, width)


@pytest.mark.parametrize(('kind', 'reason'), [
    ('chmv2', 'canopies'), ('tipsv2_dpt', 'torchvision'), ('vit', 'no depth model')])
def test_another_type_is_refused_with_the_list_of_those_served(kind: str, reason: str) -> None:
    checkpoint = Checkpoint('some/model', Path('/models/some'), {'model_type': kind}, {})
    with pytest.raises(CheckpointError, match=f'{reason}.*depth_anything, depth_pro, dpt, glpn'):
        load_family(checkpoint)


def test_depth_pro_takes_the_focal_length_of_a_calibrated_camera(seeded_checkpoint: Load) -> None:
    checkpoint = seeded_checkpoint('depth_pro')
    family, image = load_family(checkpoint), picture(640, 480)
    pixels = family.inputs(torch.from_numpy(image), Frame(image))
    with torch.inference_mode():
        inverse = model(checkpoint, 'depth_pro')(pixels[None]).predicted_depth
    depth = estimate(family, Frame(image, focal_length=500.0))
    expected = 500 / 640 / functional.interpolate(inverse[None], (480, 640), mode='bilinear')[0, 0]
    torch.testing.assert_close(depth, expected.clamp(1e-4, 1e4), rtol=1e-5, atol=0)
    torch.testing.assert_close(estimate(family, Frame(image, 1000.0)), 2 * depth,
                               rtol=1e-5, atol=0)


def test_a_prompt_gives_metres_as_transformers_does(seeded_checkpoint: Load) -> None:
    checkpoint = seeded_checkpoint('prompt_depth_anything')
    family, original = load_family(checkpoint), processor(checkpoint.preprocessor)
    image = picture(640, 480)
    prompt = np.random.default_rng(0).uniform(0.5, 4.0, (192, 256)).astype(np.float32)
    result = estimate(family, Frame(image, prompt=prompt))
    inputs = original(images=image, prompt_depth=prompt * 1000, return_tensors='pt')
    with torch.inference_mode():
        output = model(checkpoint, 'prompt_depth_anything')(**inputs)
    expected = original.post_process_depth_estimation(
        output, target_sizes=[(480, 640)])[0]['predicted_depth']
    expected = expected.clamp(output.predicted_depth.min(), output.predicted_depth.max())
    assert worst(result, expected) <= 1e-4
    with pytest.raises(ImageError, match='prompt'):
        estimate(family, Frame(image))


def test_a_mirrored_input_is_that_of_the_mirrored_image_and_prompt(
        seeded_checkpoint: Load) -> None:
    family, image = load_family(seeded_checkpoint('prompt_depth_anything')), picture(640, 480)
    prompt = np.random.default_rng(0).uniform(0.5, 4.0, (192, 256)).astype(np.float32)
    plain, mirrored = (
        family.inputs(torch.from_numpy(pixels), Frame(pixels, prompt=depth))
        for pixels, depth in ((image, prompt),
                              (image[:, ::-1].copy(), prompt[:, ::-1].copy())))
    torch.testing.assert_close(family.mirrored(plain[None])[0], mirrored, rtol=0, atol=0.05)


def test_a_hole_in_the_prompt_takes_the_nearest_known_value() -> None:
    prompt = np.full((6, 8), 2.0, np.float32)
    prompt[:, 4:] = 3.0
    holed = prompt.copy()
    holed[1, 1], holed[2, 6], holed[4, 0], holed[5, 7] = np.nan, np.inf, 0.0, -1.0
    np.testing.assert_array_equal(filled(holed), prompt)
    with pytest.raises(ImageError, match='covered'):
        filled(np.full((6, 8), np.nan, np.float32))
