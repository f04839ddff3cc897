# SPDX-License-Identifier: Apache-2.0
"""What is done without where the memory of a device, played on the CPU, is short; and how long."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from torch import Tensor

from depth_estimation_ros.core import memory_limits
from depth_estimation_ros.core.errors import DeviceError
from depth_estimation_ros.core.estimator import DepthEstimator
from depth_estimation_ros.core.memory_limits import PAUSE
from depth_estimation_ros.core.running.guard import GUARD

from ..conftest import smooth_image
from .conftest import warnings_of
from .cuda_double import Cuda
from .test_guard import Holder


def tight(estimator: DepthEstimator, monkeypatch: pytest.MonkeyPatch, most: int,
          cuda: Cuda, graphs_too: bool = False) -> list[int]:
    """Let the network run out of memory beyond a batch, or while there are graphs."""
    network, batches_seen = estimator.loaded.planner._forward, []

    def limited(pixels: Tensor) -> Tensor:
        batches_seen.append(len(pixels))
        if len(pixels) > most or (graphs_too and cuda.alive and cuda.capturing is None):
            raise torch.OutOfMemoryError('CUDA out of memory.')
        return network(pixels)

    monkeypatch.setattr(estimator.loaded.planner, '_forward', limited)
    return batches_seen


def test_out_of_memory_drops_the_graphs_first(
        cuda: Cuda, estimator: DepthEstimator, monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture) -> None:
    estimator.estimate([smooth_image(64, 48)])
    assert cuda.alive
    tight(estimator, monkeypatch, 8, cuda, graphs_too=True)
    images = [smooth_image(64, 48, seed) for seed in range(2)]
    assert len(estimator.estimate(images)) == 2
    assert not cuda.alive and not estimator.loaded.planner.captures
    assert any('serving without CUDA graphs' in text for text in warnings_of(caplog))
    caplog.clear()
    estimator.estimate(images)
    assert not warnings_of(caplog)


def test_out_of_memory_then_halves_the_batch_and_remembers(
        cuda: Cuda, estimator: DepthEstimator, monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture) -> None:
    estimator.estimate([smooth_image(64, 48)])
    seen = tight(estimator, monkeypatch, 2, cuda)
    images = [smooth_image(64, 48, seed) for seed in range(4)]
    expected = [estimator.estimate([image])[0].copy() for image in images]
    for depth, good in zip(estimator.estimate(images), expected, strict=True):
        np.testing.assert_allclose(depth, good, rtol=1e-4)
    texts = warnings_of(caplog)
    assert any('without CUDA graphs' in text for text in texts)
    assert any('batch of 4' in text and 'halving' in text for text in texts)
    del seen[:]
    caplog.clear()
    estimator.estimate(images)
    assert estimator.loaded.planner.captures and max(seen, default=0) <= 2
    assert not warnings_of(caplog)


def test_after_a_while_without_graphs_they_are_captured_again(
        cuda: Cuda, estimator: DepthEstimator, monkeypatch: pytest.MonkeyPatch) -> None:
    images = [smooth_image(64, 48)]
    estimator.estimate(images)
    with monkeypatch.context() as context:
        tight(estimator, context, 1, cuda, graphs_too=True)
        estimator.estimate([smooth_image(48, 64)])
    assert not estimator.loaded.planner.captures and not cuda.alive
    estimator.estimate(images)
    assert not cuda.alive
    monkeypatch.setattr(memory_limits, 'monotonic', lambda: time.monotonic() + PAUSE)
    estimator.estimate(images)
    assert estimator.loaded.planner.captures and cuda.alive


def test_short_while_another_model_is_loaded_no_image_is_lost_and_nothing_halved(
        cuda: Cuda, estimator: DepthEstimator, monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture) -> None:
    estimator.estimate([smooth_image(64, 48)])
    loading = Holder(GUARD, GUARD.work_off)
    with monkeypatch.context() as context:
        tight(estimator, context, 8, cuda, graphs_too=True)
        images = [smooth_image(64, 48, seed) for seed in range(2)]
        assert len(estimator.estimate(images)) == 2
    warning, = warnings_of(caplog)
    assert 'without CUDA graphs' in warning and not cuda.alive
    loading.release()
    estimator.estimate(images)
    assert estimator.loaded.planner.captures and cuda.alive, 'not only after a while'


def test_a_batch_too_large_while_another_model_is_loaded_is_not_halved_for_good(
        cuda: Cuda, estimator: DepthEstimator, monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(memory_limits, 'PATIENCE', 0.05)
    images = [smooth_image(64, 48, seed) for seed in range(2)]
    loading = Holder(GUARD)
    with monkeypatch.context() as context:
        tight(estimator, context, 1, cuda)
        assert len(estimator.estimate(images)) == 2
    assert 'while another model is loaded' in warnings_of(caplog)[-1]
    loading.release()
    seen = tight(estimator, monkeypatch, 8, cuda)
    estimator.estimate(images)
    assert max(seen) == 2 and not estimator.loaded.limits.batches


def test_one_image_too_large_is_an_error_and_the_next_is_served(
        cuda: Cuda, estimator: DepthEstimator, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as context:
        tight(estimator, context, 0, cuda)
        with pytest.raises(DeviceError, match='batch of 1 at network size 128x96'):
            estimator.estimate([smooth_image(64, 48)])
    assert len(estimator.estimate([smooth_image(64, 48)])) == 1
