# SPDX-License-Identifier: Apache-2.0
"""The scan of a model's depth in held-out rooms: no worse than the depth that it is made of."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from depth_estimation_ros.core.estimator import DepthEstimator, EstimatorOptions
from depth_estimation_ros.core.frame import Frame
from depth_estimation_ros.core.mount import Mount
from depth_estimation_ros.core.pinhole import Pinhole
from depth_estimation_ros.core.scan import Band, scan_from_depth
from depth_estimation_ros.resources import model_folder
from training.dataset import Sample, camera_sample, is_corridor, make_scene, scene_rng

from ..core.rendered import true_ranges

BAND = Band(0.15, 1.8, 0.02)
"""Its lower limit lies above what an error of 10 % makes of the camera's height."""

EVERY = 8
"""Which rays are compared."""


def range_errors(depth: np.ndarray, sample: Sample, index: int) -> np.ndarray:
    """Relative errors of the rays that find something where something stands."""
    camera, k = sample.camera, sample.camera.intrinsics
    world, _ = make_scene(scene_rng('test', index), 'test', is_corridor(index))
    scan = scan_from_depth(torch.from_numpy(depth), Pinhole(k.fx, k.fy, k.cx, k.cy),
                           Mount(camera.position[2], camera.pitch, camera.roll), BAND)
    angles = scan.angle_min + torch.arange(len(scan.ranges))[::EVERY] * scan.angle_increment
    truth = true_ranges(world, camera, angles, BAND.min_height, BAND.max_height)
    ranges = scan.ranges[::EVERY]
    both = ranges.isfinite() & truth.isfinite()
    assert both.float().mean() > 0.9
    return (ranges[both] / truth[both] - 1).abs().numpy()


@pytest.mark.slow
def test_ranges_are_as_right_as_the_depth() -> None:
    """Print the medians; `make test ARGS='-n 0 -s -m slow -k as_right_as'`."""
    estimator = DepthEstimator(EstimatorOptions(model=model_folder('demo'), device='cpu'))
    depth_errors: list[float] = []
    errors: dict[str, list[float]] = {'true depth': [], 'demo model': []}
    for index in range(24):
        sample = camera_sample('test', index)
        truth, image = sample.depth.numpy(), sample.image.permute(1, 2, 0).contiguous().numpy()
        depth, = estimator.estimate([Frame(image, sample.camera.intrinsics.fx)])
        depth_errors.append(float(np.mean(np.abs(depth / truth - 1))))
        errors['true depth'].append(float(np.median(range_errors(truth, sample, index))))
        errors['demo model'].append(float(np.median(range_errors(depth, sample, index))))
    estimator.close()
    true, model = (float(np.mean(errors[name])) for name in errors)
    print(f'AbsRel {np.mean(depth_errors):.3f}, median range error by true depth {true:.4f}, '
          f'by the demo model {model:.3f}')
    assert true <= 0.01
    assert model <= np.mean(depth_errors) + 0.02
