# SPDX-License-Identifier: Apache-2.0
"""What every backend's network must give."""

from __future__ import annotations

import torch
from torch import nn

from depth_estimation_ros.core.backends import Network, forward

from ..conftest import noise, patched_model


def same_metres(network: Network, model: nn.Module | None = None, batch: int = 1) -> None:
    """See that a network gives a model's own metres, call after call."""
    pixels = noise(batch, 96, 128, seed=1)
    with torch.inference_mode():
        expected = forward(model or patched_model(), pixels)
        for _ in range(2):
            metres = network(pixels)
            assert metres.shape == expected.shape and metres.dtype == torch.float32
            torch.testing.assert_close(metres, expected, rtol=1e-4, atol=0)
