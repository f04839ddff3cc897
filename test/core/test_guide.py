# SPDX-License-Identifier: Apache-2.0
"""
The three ways of transformers' guide to monocular depth estimation, each through the core.

https://huggingface.co/docs/transformers/tasks/monocular_depth_estimation
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from torch.nn import functional

from depth_estimation_ros.core.colour import greyscale
from depth_estimation_ros.core.estimator import DepthEstimator, EstimatorOptions
from depth_estimation_ros.core.frame import Depth
from depth_estimation_ros.tools.architectures import save_checkpoint, seeded_model, tiny_config
from depth_estimation_ros.tools.benchmark.rivals import ByHand
from depth_estimation_ros.tools.seeded import ARCHITECTURES, write_checkpoint

TOLERANCE = 1e-4
"""Relative to the pixel, or to 1 % of the map's largest value."""


def picture(width: int = 320, height: int = 240) -> Any:
    coarse = np.random.default_rng(8).uniform(0, 255, (6, 8, 3)).astype(np.float32)
    return np.clip(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC),
                   0, 255).astype(np.uint8)


def ours(folder: Path, *, flip: bool = False) -> Depth:
    estimator = DepthEstimator(EstimatorOptions(str(folder), device='cpu', backend='torch'))
    depth, = estimator.estimate([picture()], flip=flip)
    estimator.close()
    return depth


def worst(depth: Depth, expected: Depth) -> float:
    """Return the worst relative difference; the core cuts off what bicubic overshoots."""
    expected = np.clip(expected, depth.min(), depth.max())
    return float((np.abs(depth - expected)
                  / np.maximum(np.abs(expected), 0.01 * np.abs(expected).max())).max())


@pytest.mark.parametrize('name', ['depth_anything', 'dpt', 'glpn'])
def test_the_pipeline_gives_the_same_depth_and_picture(name: str, tmp_path: Path) -> None:
    folder = write_checkpoint(ARCHITECTURES[name], tmp_path)
    try:
        pipeline: Any = transformers.pipeline('depth-estimation', model=str(folder), device='cpu')
        expected = pipeline(Image.fromarray(picture()))
    except (ImportError, NameError, ValueError) as error:
        pytest.skip(f'the pipeline of transformers {transformers.__version__} does not run here: '
                    f'{str(error).strip().splitlines()[0]}')
    depth, theirs = ours(folder), expected['predicted_depth'].numpy()
    assert depth.shape == theirs.shape and np.ptp(depth) > 0
    assert worst(depth, theirs) <= TOLERANCE
    levels = np.abs(greyscale(theirs).astype(int) - np.asarray(expected['depth']))
    assert greyscale(depth).shape == levels.shape and levels.max() <= 1
    cut = np.clip(theirs, depth.min(), depth.max())
    assert np.abs(greyscale(depth).astype(int) - greyscale(cut)).max() <= 1


@pytest.mark.parametrize('name', ['depth_anything_metric', 'dpt_beit', 'glpn'])
def test_auto_classes_by_hand_give_the_same_depth(name: str, tmp_path: Path) -> None:
    folder = write_checkpoint(ARCHITECTURES[name], tmp_path)
    try:
        processor = transformers.AutoImageProcessor.from_pretrained(folder)
    except (ImportError, ValueError) as error:
        pytest.skip(f'no image processor runs here: {str(error).strip().splitlines()[0]}')
    model = transformers.AutoModelForDepthEstimation.from_pretrained(folder)
    image = Image.fromarray(picture())
    with torch.no_grad():
        predicted = model(**processor(images=image, return_tensors='pt')).predicted_depth
    expected = functional.interpolate(predicted[:, None], image.size[::-1], mode='bicubic',
                                      align_corners=False)[0, 0].numpy()
    depth = ours(folder)
    assert np.ptp(depth) > 0 and worst(depth, expected) <= TOLERANCE


@pytest.mark.parametrize('flip', [False, True])
def test_zoedepth_with_the_mirrored_average_gives_the_same_metres(
        flip: bool, tmp_path: Path) -> None:
    folder = save_checkpoint(seeded_model(tiny_config(heads=1)), tmp_path, 96, 128)
    depth = ours(folder, flip=flip)
    expected, = ByHand(str(folder), 'cpu', 'fp32')([picture()], flip=flip)
    assert worst(depth, expected) <= TOLERANCE
    assert worst(depth, ours(folder, flip=not flip)) > 10 * TOLERANCE


def test_a_picture_of_what_is_not_finite_is_black_there() -> None:
    depth = np.array([[1.0, np.nan], [2.0, np.inf]], np.float32)
    np.testing.assert_array_equal(greyscale(depth), [[0, 0], [255, 0]])
    np.testing.assert_array_equal(greyscale(np.full((2, 2), np.nan, np.float32)), np.zeros((2, 2)))
    np.testing.assert_array_equal(greyscale(np.full((2, 2), 3.0, np.float32)), np.zeros((2, 2)))
