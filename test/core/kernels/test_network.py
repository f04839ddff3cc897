# SPDX-License-Identifier: Apache-2.0
"""The whole network on the fused kernels: transformers' metres still."""

from __future__ import annotations

import pytest
import torch

from depth_estimation_ros.core import kernels

from ..conftest import noise, patched_model, stock_model
from .test_kernels import DEVICE, NEEDS_TRITON


@NEEDS_TRITON
@pytest.mark.parametrize(('heads', 'bins'), [
    (1, 'softplus'), (1, 'normed'), (2, 'softplus'), (2, 'normed')])
def test_metres_are_those_of_transformers(
        heads: int, bins: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from depth_estimation_ros.core.kernels import fused, fused_resize
    monkeypatch.setattr(kernels, 'form', lambda tensor: fused)
    monkeypatch.setattr(fused_resize, 'ELEMENTS', 1 << 15)  # few programs: each is slow here
    pixels = noise(2, 64, 96)
    with torch.no_grad():
        ours = patched_model(heads, bins).to(DEVICE)(pixels.to(DEVICE)).predicted_depth.cpu()
        exact = torch.cat([stock_model(heads, bins)(image[None]).predicted_depth
                           for image in pixels])
    assert float(((ours - exact) / exact).abs().max()) <= 1e-5
