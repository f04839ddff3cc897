# SPDX-License-Identifier: Apache-2.0
"""A device that is played on the CPU."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from torch import Tensor
from torch.nn import functional

from depth_estimation_ros.core.estimator import DepthEstimator, EstimatorOptions
from depth_estimation_ros.core.families.zoedepth.transforms import Transforms
from depth_estimation_ros.core.running import graphs
from depth_estimation_ros.core.running.graphs import Graphs
from depth_estimation_ros.core.running.planner import Planner

from .cuda_double import DEVICE, Cuda, install


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cuda]:
    """torch.cuda played on the CPU; that nothing disturbed a capture is seen at the end."""
    monkeypatch.setattr(graphs, '_FREE_STREAMS', [])
    double = install(monkeypatch)
    yield double
    assert not double.violations
    assert double.current is double.default


@pytest.fixture
def estimator(cuda: Cuda, checkpoint_of: Callable[..., Path],
              monkeypatch: pytest.MonkeyPatch) -> Iterator[DepthEstimator]:
    """An estimator whose planner captures, and whose resizing is the device's."""
    def to_depth(transforms: Transforms, depth: Tensor, height: int, width: int) -> Tensor:
        margin = transforms.settings.margin
        top, left = margin(height), margin(width)
        resized = functional.interpolate(depth[None, None], (height + 2 * top, width + 2 * left),
                                         mode='bicubic')[0, 0]
        return resized[top:top + height, left:left + width].contiguous()

    monkeypatch.setattr(Transforms, 'to_depth', to_depth)
    made = DepthEstimator(EstimatorOptions(str(checkpoint_of()), device='cpu', backend='torch'))
    made.loaded.planner = Planner(made.loaded.planner.model, graphs=Graphs(DEVICE))
    yield made
    made.close()  # while torch.cuda is still the double


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records
            if record.levelno == logging.WARNING]
