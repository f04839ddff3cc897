# SPDX-License-Identifier: Apache-2.0
"""Tiny ZoeDepth models, smooth images, and what transformers itself makes of them."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from threading import Event
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from transformers.models.zoedepth.modeling_zoedepth import ZoeDepthDepthEstimatorOutput

from depth_estimation_ros.core.backends import Backend, Network, forward
from depth_estimation_ros.core.estimator import DepthEstimator, EstimatorOptions
from depth_estimation_ros.core.families.zoedepth import patch
from depth_estimation_ros.core.running.trial import Measure
from depth_estimation_ros.tools.architectures import save_checkpoint, seeded_model, tiny_config

try:
    from transformers.models.zoedepth.image_processing_pil_zoedepth import (
        ZoeDepthImageProcessorPil as StockProcessor,
    )
except ImportError:  # transformers 4
    from transformers import ZoeDepthImageProcessor as StockProcessor

SEEDS = {(1, 'softplus'): 8, (2, 'softplus'): 9, (1, 'normed'): 0, (2, 'normed'): 12}
"""Random weights under which fp32 is good for 1e-5 at all: under others transformers itself is up
to 1e-3 from its own float64 result, because low temperatures amplify every rounding."""

SIZES = ((640, 480), (480, 640), (1280, 720), (848, 480), (1242, 375), (100, 130), (33, 47))
"""Width and height of the images on which we must agree with transformers."""

Image = NDArray[np.uint8]

torch.set_num_threads(1)  # more only get in each other's way with networks this small


@lru_cache
def stock_model(heads: int = 2, bins: str = 'softplus', seed: int | None = None) -> nn.Module:
    """Return a model as transformers makes it; shared, so not to be changed."""
    return seeded_model(tiny_config(heads, bins), SEEDS[heads, bins] if seed is None else seed)


def patched_model(heads: int = 2, bins: str = 'softplus', seed: int | None = None) -> nn.Module:
    """Return a model of one's own with the same weights, patched."""
    return patch(deepcopy(stock_model(heads, bins, seed)))


def smooth_image(width: int, height: int, seed: int = 0) -> Image:
    """Return a random image as smooth as a photograph, uint8 RGB."""
    coarse = np.random.default_rng(seed).uniform(-40, 295, (6, 8, 3)).astype(np.float32)
    image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(image, 0, 255).astype(np.uint8)


def noise(batch: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Return normalised pixels for the network."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(batch, 3, 5, 7, generator=generator) * 2 - 1
    return functional.interpolate(coarse, (height, width), mode='bilinear')


def stock_processor(**settings: Any) -> Any:
    """Return transformers' image processor with the published settings, or others."""
    published = {'image_mean': [0.5] * 3, 'image_std': [0.5] * 3, 'ensure_multiple_of': 32,
                 'keep_aspect_ratio': True, 'size': {'height': 384, 'width': 512}}
    return StockProcessor(**{**published, **settings})


def stock_pixels(processor: Any, image: Image) -> Tensor:
    """Return what transformers feeds to the network, 1×3×height×width."""
    pixels: Tensor = processor(images=image, return_tensors='pt').pixel_values
    return pixels


def stock_depth(processor: Any, metres: Tensor, image: Image,
                flipped: Tensor | None = None) -> NDArray[np.float32]:
    """Return what transformers makes of the network's output for an image."""
    outputs, outputs_flipped = (
        None if depth is None else ZoeDepthDepthEstimatorOutput(predicted_depth=depth)
        for depth in (metres, flipped))
    try:
        done = processor.post_process_depth_estimation(
            outputs, source_sizes=[image.shape[:2]], outputs_flipped=outputs_flipped)
    except NameError:  # of torchvision, without which transformers 5 cannot do it
        return _post_processed(processor, metres, image, flipped)
    return done[0]['predicted_depth'].numpy()


def _post_processed(processor: Any, metres: Tensor, image: Image,
                    flipped: Tensor | None) -> NDArray[np.float32]:
    """Do what transformers' post-processing is documented to do."""
    if flipped is not None:
        metres = (metres + torch.flip(flipped, dims=[-1])) / 2
    height, width = image.shape[:2]
    top, left = (int(np.sqrt(side / 2) * 3) * processor.do_pad for side in (height, width))
    padded = functional.interpolate(
        metres[:, None], size=(height + 2 * top, width + 2 * left), mode='bicubic',
        align_corners=False)
    return padded[0, 0, top:top + height, left:left + width].numpy()


def scaled(factor: float, built: list[Any] | None = None, *, copies: bool = False) -> Backend:
    """A backend whose metres are the model's own times a factor."""
    def build(model: nn.Module, pixels: Tensor, stop: Event) -> Network:
        if built is not None:
            built.append(tuple(pixels.shape))
        return lambda frame: forward(model, frame) * factor
    return Backend('scaled', build, copies)


def always(gain: float) -> Measure:
    """A measure by which every network has the same gain."""
    return lambda used, other, pixels: gain


@pytest.fixture(scope='session')
def checkpoint_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A function from heads, bins, height and width to a checkpoint's folder."""
    @lru_cache
    def folder(heads: int = 2, bins: str = 'softplus', height: int = 96, width: int = 128) -> Path:
        return save_checkpoint(stock_model(heads, bins), tmp_path_factory.mktemp('checkpoint'),
                               height, width)
    return folder


@pytest.fixture(scope='session')
def estimator_of(checkpoint_of: Callable[..., Path]) -> Callable[..., DepthEstimator]:
    """A function from the same to an estimator on the CPU; shared, so not to be changed."""
    @lru_cache
    def estimator(*args: Any, **kwargs: Any) -> DepthEstimator:
        return DepthEstimator(EstimatorOptions(
            str(checkpoint_of(*args, **kwargs)), device='cpu', backend='torch'))
    return estimator
