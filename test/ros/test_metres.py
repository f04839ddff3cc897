# SPDX-License-Identifier: Apache-2.0
"""Depth without a scale has a name of its own; a calibration makes metres of it, and of better."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sensor_msgs.msg import CameraInfo, Image

from depth_estimation_ros.calibration_file import CalibrationFile, CameraKey
from depth_estimation_ros.core.colour import INVALID_BGR, Colouriser
from depth_estimation_ros.core.correction import INVERSE, Correction, inverse_depth
from depth_estimation_ros.core.estimator import DepthEstimator, EstimatorOptions
from depth_estimation_ros.core.families.base import Quantity
from depth_estimation_ros.ros import codec
from depth_estimation_ros.ros.settings import DepthSize
from depth_estimation_ros.tools.seeded import ARCHITECTURES, write_checkpoint

from .conftest import camera_info, image, metres, stamped
from .test_node import counts

SHOWN = image()
KEY = CameraKey(64, 48, 64.0)


@pytest.fixture(scope='module')
def relative(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(ARCHITECTURES['depth_anything'], tmp_path_factory.mktemp('relative'))


def written(folder: Path, model: Path, correction: Correction, key: CameraKey = KEY) -> Path:
    path = folder / 'calibration.yaml'
    CalibrationFile(str(model), key, correction, 0.01, '2026-11-26T00:00:00+00:00', {}).write(path)
    return path


def alone(model: Path) -> np.ndarray:
    """Return what the model itself gives for :data:`SHOWN`."""
    estimator = DepthEstimator(EstimatorOptions(str(model), device='cpu', backend='torch'))
    depth, = estimator.estimate([codec.decode(SHOWN)])
    estimator.close()
    return depth


def received(peer, topic: str, kind=Image):
    """Send images until something comes on a topic; return the last of it."""
    heard = peer.listen(topic, kind)
    del heard[:]
    shown_until(peer, lambda: bool(heard))
    return heard[-1]


def shown_until(peer, condition) -> None:
    """Send the image, each time with a stamp of its own, until the condition holds."""
    peer.until(lambda: condition() or (
        peer.send('image', stamped(SHOWN)), peer.spin_for(0.2)) is None)


def test_a_relative_model_is_served_under_its_own_name_only(start, relative, peer):
    node = start(model=relative, device='cpu')
    node.wait_for('configured')
    silent = peer.listen('depth/image_rect', Image)
    inverse = metres(received(peer, 'depth/relative'))
    np.testing.assert_allclose(inverse, alone(relative), rtol=1e-4, atol=1e-6)
    shown = received(peer, 'depth/preview')
    colours = np.frombuffer(shown.data, np.uint8).reshape(48, 64, 3)
    np.testing.assert_array_equal(colours, Colouriser('turbo', 0.0, 10.0).stretched(inverse))
    node.wait_for('depth/image_rect is subscribed to, but the model gives inverse depth')
    status = peer.diagnostics()
    assert 'depth/relative' in status['camera'].message and not silent
    assert {pair.key: pair.value for pair in status['model'].values}['gives'] == 'inverse depth'
    node.end()


def test_a_calibration_makes_metres_of_it(start, relative, peer, tmp_path):
    values = alone(relative)
    correction = Correction(INVERSE, 3.0, float(values.min()) - 0.5)
    node = start(model=relative, device='cpu', far=100.0, near=0.01,
                 calibration__file=written(tmp_path, relative, correction))
    node.wait_for('configured')
    silent = peer.listen('depth/relative', Image)
    depth = metres(received(peer, 'depth/image_rect'))
    np.testing.assert_allclose(depth, correction(values), rtol=1e-4)
    node.wait_for("depth/relative is subscribed to, but the camera's depth is in metres")
    assert not silent and not counts(peer).get('dropped_failed')
    node.end()


def test_relative_depth_becomes_inverse_depth():
    depth = torch.tensor([2.0, 4.0, 0.0, -1.0, np.nan])
    inverse = inverse_depth(depth, Quantity.RELATIVE_DEPTH)
    np.testing.assert_array_equal(inverse, np.array([0.5, 0.25, *[np.nan] * 3], np.float32))


def test_colours_without_a_scale_are_those_of_metres():
    inverse = np.reciprocal(np.linspace(1, 10, 100, dtype=np.float32)).reshape(10, 10)
    inverse[0, 0] = np.nan
    colours = Colouriser('turbo', 0.0, 10.0).stretched(inverse)
    assert tuple(colours[0, 0]) == INVALID_BGR
    ends = Colouriser('turbo', 0.0, 1.0)(np.array([[0.0, 1.0]], np.float32))
    np.testing.assert_array_equal(colours[0, 1], ends[0, 0])
    np.testing.assert_array_equal(colours[9, 9], ends[0, 1])
    for flat in (np.zeros((2, 2), np.float32), np.full((2, 2), np.nan, np.float32)):
        assert Colouriser('turbo', 0.0, 10.0).stretched(flat).shape == (2, 2, 3)


@pytest.mark.parametrize(('settings', 'size'), [
    ({}, (480, 640)), ({'stride': 4}, (120, 160)), ({'width': 160}, (120, 160)),
    ({'height': 100}, (100, 133)), ({'width': 9999, 'height': 9999}, (480, 640)),
    ({'stride': 64}, (7, 10)), ({'width': 5, 'height': 50, 'stride': 3}, (50, 5))])
def test_the_size_of_the_depth_is_as_asked_for(settings, size):
    assert DepthSize(**settings).of(480, 640) == size


def test_depth_is_never_without_a_pixel():
    assert DepthSize(stride=64).of(32, 48) == (1, 1) and DepthSize(width=1).of(10, 900) == (1, 1)


def test_smaller_depth_takes_everything_along(start, checkpoint, peer):
    node = start(model=checkpoint, device='cpu', depth__stride=4, depth__pick='minimum')
    node.wait_for('configured')
    whole = alone(checkpoint)
    infos = peer.listen('depth/camera_info', CameraInfo)
    given = camera_info()
    shown_until(peer, lambda: bool(infos or not peer.send('camera_info', given)))
    depth = metres(received(peer, 'depth/image_rect'))
    np.testing.assert_allclose(depth, whole.reshape(12, 4, 16, 4).min((1, 3)), rtol=1e-4)
    info = infos[-1]
    assert (info.height, info.width) == (12, 16)
    assert info.p[0] == given.p[0] / 4 and info.p[2] == (given.p[2] + 0.5) / 4 - 0.5
    missing = 'no camera_info has come'  # as is so until the first has come
    assert not [line for line in node.text().splitlines()
                if 'WARN' in line and missing not in line]
    del infos[:]
    peer.deafen()  # without an estimate the calibration has the same size
    infos = peer.listen('depth/camera_info', CameraInfo)
    shown_until(peer, lambda: bool(infos))
    assert (infos[-1].height, infos[-1].width) == (12, 16)
    node.end()
