# SPDX-License-Identifier: Apache-2.0
"""torch.compile for real: the same metres, built while frames are served."""

from __future__ import annotations

import shutil

import pytest
import torch

from depth_estimation_ros.core.backends.compiled import TORCH_COMPILE
from depth_estimation_ros.core.running.planner import Planner

from ..conftest import always, noise, patched_model
from .conftest import same_metres


@pytest.mark.slow
@pytest.mark.skipif(shutil.which('g++') is None, reason='torch.compile needs g++')
def test_torch_compile_gives_the_same_metres_while_frames_are_served() -> None:
    pixels = noise(1, 96, 128)
    planner = Planner(patched_model(), backends=[TORCH_COMPILE], measure=always(2.0))
    expected = planner(pixels).clone()
    while planner.building:
        torch.testing.assert_close(planner(pixels), expected, rtol=1e-4, atol=0)
    assert planner.backend == 'torch.compile'
    same_metres(planner)
    planner.close()
