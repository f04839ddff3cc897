# SPDX-License-Identifier: Apache-2.0
"""The planner on a device played on the CPU: graphs of frames, padding, budget, freeing."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from depth_estimation_ros.core import device_errors
from depth_estimation_ros.core.backends import Backend, Network, forward
from depth_estimation_ros.core.errors import DeviceLostError
from depth_estimation_ros.core.estimator import DepthEstimator, EstimatorOptions
from depth_estimation_ros.core.running import room
from depth_estimation_ros.core.running.graphs import Graphs
from depth_estimation_ros.core.running.guard import GUARD
from depth_estimation_ros.core.running.planner import Planner, Stages
from depth_estimation_ros.core.running.shape import MAX_GRAPH_BATCH, padded

from ..conftest import always, noise, patched_model, smooth_image
from .conftest import warnings_of
from .cuda_double import DEVICE, Cuda
from .test_guard import PATIENCE, Holder

SMALL, WIDE = (64, 96), (64, 160)
MEBI = 2**20


@pytest.fixture
def planner(cuda: Cuda) -> Planner:
    return Planner(patched_model(), graphs=Graphs(DEVICE))


def expected(pixels: Tensor) -> Tensor:
    with torch.inference_mode():
        depth: Tensor = patched_model()(pixels).predicted_depth
    return depth


def same(metres: Tensor, pixels: Tensor) -> None:
    torch.testing.assert_close(metres, expected(pixels), rtol=1e-5, atol=0)


@pytest.mark.parametrize(('batch', 'captured'), [
    (1, 1), (2, 2), (3, 4), (4, 4), (5, 8), (8, 8), (9, 16), (17, 24)])
def test_batches_are_padded(batch: int, captured: int) -> None:
    assert padded(batch) == captured


def test_replayed_metres_are_the_models_own(cuda: Cuda, planner: Planner) -> None:
    for seed in range(3):
        pixels = noise(1, *SMALL, seed)
        same(planner(pixels), pixels)
    assert (cuda.captures, cuda.replays) == (1, 3)


def test_batches_in_between_share_a_graph(cuda: Cuda, planner: Planner) -> None:
    for batch in (3, 4, 3):
        pixels = noise(batch, *SMALL, seed=batch)
        same(planner(pixels), pixels)
    assert cuda.captures == 1
    pixels = noise(MAX_GRAPH_BATCH + 2, *SMALL)
    same(planner(pixels), pixels)
    assert cuda.captures == 3


def test_a_size_that_returns_replays_with_its_own_encodings(cuda: Cuda, planner: Planner) -> None:
    for _ in range(3):
        for size in (SMALL, WIDE):
            pixels = noise(1, *size)
            same(planner(pixels), pixels)
    assert cuda.captures == 2 and planner.built == 2


def test_what_the_pool_takes_counts_and_older_sizes_make_room(
        cuda: Cuda, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, 'IN_USE', 0.0)
    plain = Planner(patched_model(), graphs=Graphs(DEVICE))
    plain(noise(1, *SMALL))
    assert plain.graphs is not None
    encodings = plain.bytes - plain.graphs.bytes
    assert plain.graphs.pool_bytes == cuda.graph_bytes > 0
    cuda.graph_bytes = 3 * MEBI
    planner = Planner(patched_model(), graphs=Graphs(DEVICE),
                      budget_mb=5 + 3 * encodings / MEBI)
    planner(noise(1, *SMALL))
    assert planner.sizes == [SMALL]
    pixels = noise(1, *WIDE)
    same(planner(pixels), pixels)
    assert planner.graphs is not None
    assert planner.sizes == [WIDE] and len(planner.graphs) == 1
    assert planner.graphs.pool_bytes == 3 * MEBI, 'the pool of the size that left stays'
    captures = cuda.captures
    same(planner(pixels), pixels)
    assert cuda.captures == captures


@pytest.mark.parametrize('wide', [WIDE, (96, 64)], ids=['foreseen', 'seen when captured'])
@pytest.mark.parametrize('frames', [True, False])
def test_sizes_in_turn_that_do_not_fit_are_captured_once_at_most(
        cuda: Cuda, caplog: pytest.LogCaptureFixture, wide: tuple[int, int],
        frames: bool) -> None:
    cuda.graph_bytes = 3 * MEBI
    planner = Planner(patched_model(), graphs=Graphs(DEVICE), budget_mb=8 if frames else 5)
    stages = Stages(lambda images: images.permute(0, 3, 1, 2) / 127.5 - 1, lambda each: (each,))
    captured = []
    for seed in range(10):
        for size in (SMALL, wide):
            before = cuda.captures
            if frames:
                images = torch.from_numpy(smooth_image(size[1], size[0], seed))[None]
                depth, = planner.run_frames(images, size, stages)
                same(depth, stages.before(images))
            else:
                pixels = noise(2, *size, seed)
                same(planner(pixels), pixels)
            captured.append((cuda.captures - before, size))
    assert max(count for count, _ in captured) == 1
    for size in (SMALL, wide):
        assert sum(count for count, each in captured if each == size) <= 1 + frames
    assert not any(count for count, _ in captured[6:])
    assert planner.built == 2 and len(planner.sizes) == 1
    assert len(warnings_of(caplog)) == 1


def test_a_budget_too_small_for_one_size_does_not_capture_again_and_again(cuda: Cuda) -> None:
    planner = Planner(patched_model(), graphs=Graphs(DEVICE), budget_mb=0)
    for _ in range(3):
        planner(noise(1, *SMALL))
    assert cuda.captures == 1


def test_a_built_network_is_captured_in_the_place_of_the_models(cuda: Cuda) -> None:
    shapes: list[Any] = []

    def build(model: nn.Module, pixels: Tensor, stop: Event) -> Network:
        shapes.append(tuple(pixels.shape))
        return lambda frame: forward(model, frame) * 1.0005

    planner = Planner(patched_model(), graphs=Graphs(DEVICE),
                      backends=[Backend('built', build, copies=False)], measure=always(2.0))
    pixels = noise(3, *SMALL)
    same(planner(pixels), pixels)
    assert planner.settle(PATIENCE) and shapes == [(4, 3, *SMALL)]
    torch.testing.assert_close(planner(pixels), expected(pixels) * 1.0005, rtol=1e-5, atol=0)
    assert planner.graphs is not None
    assert planner.backend == 'built' and len(planner.graphs) == 1


@pytest.mark.parametrize('flip', [False, True])
def test_frames_of_a_size_that_repeats_are_one_graph_from_pixels_to_metres(
        cuda: Cuda, estimator: DepthEstimator, estimator_of: Callable[..., DepthEstimator],
        flip: bool) -> None:
    for seed in range(5):
        images = [smooth_image(100, 80, seed), smooth_image(100, 80, seed + 9)]
        before = cuda.captures
        depths = [depth.copy() for depth in estimator.estimate(images, flip=flip)]
        for depth, good in zip(depths, estimator_of().estimate(images, flip=flip), strict=True):
            np.testing.assert_allclose(depth, good, rtol=1e-4)
        assert cuda.captures - before == (1 if seed < 2 else 0), 'the network, then the frame'
    assert cuda.replays == 5


def test_three_images_run_in_a_graph_for_four(
        cuda: Cuda, estimator: DepthEstimator,
        estimator_of: Callable[..., DepthEstimator]) -> None:
    images = [smooth_image(64, 48, seed) for seed in range(4)]
    for count in (3, 4, 3):
        for depth, good in zip(estimator.estimate(images[:count]),
                               estimator_of().estimate(images[:count]), strict=True):
            np.testing.assert_allclose(depth, good, rtol=1e-4)
    assert cuda.captures == 2


def test_images_of_several_sizes_still_share_the_networks_graph(
        cuda: Cuda, estimator: DepthEstimator,
        estimator_of: Callable[..., DepthEstimator]) -> None:
    images = [smooth_image(64, 48), smooth_image(128, 96)]
    for _ in range(3):
        for depth, good in zip(estimator.estimate(images), estimator_of().estimate(images),
                               strict=True):
            np.testing.assert_allclose(depth, good, rtol=1e-4)
    assert cuda.captures == 1 and cuda.replays == 3


def test_an_error_that_sticks_ends_the_estimator_by_its_name(
        estimator: DepthEstimator, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(pixels: Tensor) -> Tensor:
        raise RuntimeError('CUDA error: device-side assert triggered\nmore')

    monkeypatch.setattr(device_errors, 'is_alive', lambda device: False)
    monkeypatch.setattr(estimator.loaded.planner, '_forward', lost)
    with pytest.raises(DeviceLostError, match=r'lost to this process: CUDA error: device-side'):
        estimator.estimate([smooth_image(64, 48)])


def test_a_live_change_beside_the_work_disturbs_nothing(
        cuda: Cuda, estimator: DepthEstimator) -> None:
    images = [smooth_image(64, 48)]
    for _ in range(3):
        estimator.estimate(images)
    captures = cuda.captures
    holder = Holder(GUARD)  # as another model's construction does
    assert len(estimator.estimate(images)) == 1
    assert len(estimator.estimate([smooth_image(48, 64)])) == 1
    assert cuda.captures == captures, 'what is captured replays, what is new runs without'
    holder.release()
    estimator.estimate([smooth_image(48, 64)])
    assert cuda.captures == captures + 1


def test_rebuilds_leave_no_tensor_no_graph_and_no_pool(cuda: Cuda) -> None:
    def rebuild() -> weakref.ref:
        model = patched_model()
        planner = Planner(model, graphs=Graphs(DEVICE))
        planner(noise(1, 32, 32))
        planner.close()
        return weakref.ref(model)

    def tensors() -> int:
        gc.collect()
        return sum(issubclass(type(thing), Tensor) for thing in gc.get_objects())

    rebuild()
    before = tensors()
    models = [rebuild() for _ in range(20)]
    assert tensors() == before
    assert not any(model() for model in models)
    assert not cuda.alive and set(cuda.pools.values()) == {0}


def test_a_closed_estimator_leaves_no_tensor(
        checkpoint_of: Callable[..., Path]) -> None:
    options = EstimatorOptions(str(checkpoint_of()), device='cpu', backend='torch',
                               precision='bf16')

    def cycle() -> None:
        made = DepthEstimator(options)
        made.estimate([smooth_image(64, 48)])
        made.close()

    def tensors() -> int:
        gc.collect()
        return sum(issubclass(type(thing), Tensor) for thing in gc.get_objects())

    cycle()
    before = tensors()
    for _ in range(2):
        cycle()
        assert tensors() == before


