# SPDX-License-Identifier: Apache-2.0
"""Low precision: how its distance from fp32 is told, and that a copy leaves the model as it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from transformers.models.zoedepth.modeling_zoedepth import ZoeDepthPatchTransformerEncoder

from depth_estimation_ros.core.errors import DeviceError
from depth_estimation_ros.core.families.recorded import position_encodings
from depth_estimation_ros.core.families.zoedepth.family import float32_parts
from depth_estimation_ros.core.precision import (
    Deviation,
    candidates,
    deviation,
    lowered,
    sample_images,
)

from .conftest import noise, patched_model


def test_the_worst_image_counts_by_its_mean_and_its_99th_percentile() -> None:
    reference = np.full((10, 100), 2.0, np.float32)
    near, spots = reference * 1.001, reference.copy()
    spots[0, :50] = 3.0
    found = deviation([near, spots], [reference, reference])
    assert found == pytest.approx((0.025, 0.5), rel=1e-3)
    assert not found.within(Deviation(0.03, 0.03)) and found.within(Deviation(0.03, 0.6))
    assert '2.50% from fp32' in str(found) and '50.00%' in str(found)


@pytest.mark.parametrize('bad', [np.nan, np.inf])
def test_a_pixel_without_a_finite_depth_is_beyond_any_limit(bad: float) -> None:
    depth = np.ones((4, 5), np.float32)
    spoilt = depth.copy()
    spoilt[1, 2] = bad
    assert deviation([depth, spoilt], [depth, depth]) == (np.inf, np.inf)


def dtype_of(module: Any) -> torch.dtype:
    return next(module.parameters()).dtype


def test_a_lowered_copy_leaves_the_model_and_shares_what_stays_in_float32() -> None:
    model, pixels = patched_model(), noise(1, 64, 96)
    with torch.inference_mode():
        before = model(pixels).predicted_depth
        low = lowered(model, torch.bfloat16, ('metric_head',))
        assert all(code is None for code in position_encodings(low))
        assert all(code is not None for code in position_encodings(model))
        metres = low(pixels.bfloat16()).predicted_depth.float()
        assert torch.equal(model(pixels).predicted_depth, before)
    assert 0 < ((metres - before).abs() / before).mean() < 0.05
    assert dtype_of(low.backbone) == torch.bfloat16 and dtype_of(model.backbone) == torch.float32
    kept = {id(tensor) for tensor in model.get_submodule('metric_head').parameters()}
    assert kept and kept <= {id(tensor) for tensor in low.parameters()}


def test_the_router_goes_along_and_its_positions_are_reckoned_in_float32() -> None:
    model, pixels = patched_model(), noise(1, 64, 96).half()
    low = lowered(model, torch.float16, float32_parts(model))
    with torch.inference_mode():
        low(pixels)
    positions = low.metric_head.router.transformer.recorded
    assert dtype_of(low.metric_head.router) == positions.dtype == torch.float16
    assert low.metric_head.near.dtype == low.metric_head.bank.weights.dtype == torch.float32
    exact = ZoeDepthPatchTransformerEncoder.positional_encoding_1d(
        low.metric_head.router.transformer, 1, positions.shape[1], positions.shape[2],
        device='cpu', dtype=torch.float32)
    torch.testing.assert_close(positions.float(), exact, rtol=0, atol=5e-4)


def test_what_is_tried() -> None:
    assert candidates('auto', torch.device('cpu')) == []
    assert candidates('auto', torch.device('cuda', 0)) == ['fp16', 'bf16']
    assert candidates('bf16', torch.device('cpu')) == ['bf16']
    assert candidates('fp32', torch.device('cuda', 0)) == []
    with pytest.raises(DeviceError, match='int8'):
        candidates('int8', torch.device('cpu'))


def test_the_sample_images_differ_and_are_the_same_each_time() -> None:
    images = sample_images()
    assert len(images) == 3 and {image.shape for image in images} == {(480, 640, 3)}
    sample_images.cache_clear()
    assert all(map(np.array_equal, images, sample_images()))
    assert images[0].std() > 20 and images[2].mean() < images[0].mean()
