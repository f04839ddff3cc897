# SPDX-License-Identifier: Apache-2.0
"""Resizing against PIL, bit for bit, and against torch; pixels that are not finite stay put."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from depth_estimation_ros.core.resample import _along, resize_depth, resize_like_pil

PIL_KERNELS = {'bilinear': Image.Resampling.BILINEAR, 'bicubic': Image.Resampling.BICUBIC}

SHAPES = [((480, 640), (518, 686)), ((375, 1242), (518, 1722)), ((1080, 1920), (518, 924)),
          ((251, 333), (251, 500)), ((640, 480), (384, 384)), ((5, 7), (900, 3)),
          ((1, 1), (4, 9)), ((48, 64), (48, 64))]


@pytest.mark.parametrize('kernel', PIL_KERNELS)
@pytest.mark.parametrize(('source', 'size'), SHAPES)
def test_noise_is_resized_to_the_very_values_of_pil(
        source: tuple[int, int], size: tuple[int, int], kernel: str) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*source, 3), np.uint8)
    planes, pil = torch.from_numpy(image).permute(2, 0, 1), PIL_KERNELS[kernel]
    ours = resize_like_pil(planes, size, kernel)
    assert ours.dtype == torch.uint8
    np.testing.assert_array_equal(ours.permute(1, 2, 0),
                                  Image.fromarray(image).resize(size[::-1], pil))
    rows = Image.fromarray(image).resize((size[1], source[0]), pil)  # before the columns
    device = _along(_along(planes.contiguous(), size[1], 2, kernel), size[0], 1, kernel)
    np.testing.assert_array_equal(device.permute(1, 2, 0), rows.resize(size[::-1], pil))


def smooth(height: int, width: int) -> Tensor:
    coarse = torch.rand(1, 1, 5, 6, generator=torch.Generator().manual_seed(0)) * 9 + 1
    return functional.interpolate(coarse, (height, width), mode='bicubic')[0, 0]


@pytest.mark.parametrize('size', [(480, 640), (100, 130), (32, 40)])
def test_finite_depth_is_resized_as_torch_does(size: tuple[int, int]) -> None:
    depth = smooth(32, 40)
    expected = functional.interpolate(depth[None, None], size, mode='bicubic')[0, 0]
    torch.testing.assert_close(resize_depth(depth, size),
                               expected.clamp(depth.min(), depth.max()), rtol=1e-5, atol=1e-5)


def test_a_step_does_not_overshoot() -> None:
    depth = torch.cat([torch.full((8, 8), 0.5), torch.full((8, 8), 9.0)], dim=1)
    assert functional.interpolate(depth[None, None], (40, 80), mode='bicubic').min() < 0.2
    resized = resize_depth(depth, (40, 80))
    assert resized.min() == 0.5 and resized.max() == 9.0


@pytest.mark.parametrize('bad', [torch.nan, torch.inf, -torch.inf])
def test_a_pixel_that_is_not_finite_does_not_spread(bad: float) -> None:
    depth = smooth(16, 16)
    damaged = depth.clone()
    damaged[7, 9] = bad
    resized = resize_depth(damaged, (64, 64))
    hole = torch.zeros(64, 64, dtype=torch.bool)
    hole[28:32, 36:40] = True
    assert resized[hole].isnan().all() and resized[~hole].isfinite().all()
    assert (resized - resize_depth(depth, (64, 64))).abs()[~hole].max() < 1.0


def test_nothing_finite_gives_nan() -> None:
    assert resize_depth(torch.full((4, 4), torch.nan), (8, 8)).isnan().all()
