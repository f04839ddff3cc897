# SPDX-License-Identifier: Apache-2.0
"""Points and scan as the node sends them: the messages' layout, their geometry, their silence."""

from __future__ import annotations

import math
import struct
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from rclpy.time import Time
from sensor_msgs.msg import PointField
from std_msgs.msg import Header

from depth_estimation_ros.core.frame import Prediction
from depth_estimation_ros.core.maps import Maps, download
from depth_estimation_ros.core.shaping.reduce import Reduction, reduce_depth
from depth_estimation_ros.ros.outputs import Estimate, Limits
from depth_estimation_ros.ros.outputs.scan import FARTHEST, ScanOutput, ScanSettings
from depth_estimation_ros.ros.settings import Settings
from depth_estimation_ros.ros.shaping import Shaping

from .conftest import camera_info
from .test_outputs import DEPTH, LIMITS, encoded, prepared

WALL = np.full((48, 64), 3.0, np.float32)


def estimate(depth: np.ndarray) -> Estimate:
    return Estimate(Header(frame_id='optical'), depth, camera_info(*depth.shape), depth.shape)


def test_a_point_lies_where_its_pixel_looks() -> None:
    cloud = encoded('depth/points')
    info = camera_info(4, 8)
    assert [(each.name, each.offset, each.datatype, each.count) for each in cloud.fields] == [
        (name, 4 * place, PointField.FLOAT32, 1) for place, name in enumerate('xyz')]
    assert (cloud.height, cloud.width) == DEPTH.shape and not cloud.is_dense
    assert (cloud.point_step, cloud.row_step) == (16, 16 * DEPTH.shape[1])
    assert cloud.header.frame_id == 'optical' and len(cloud.data) == 16 * DEPTH.size
    # The calibration is of an image twice as large: pixel centres lie at whole numbers.
    scale = DEPTH.shape[1] / info.width
    fx, cx = info.p[0] * scale, (info.p[2] + 0.5) * scale - 0.5
    for row in range(DEPTH.shape[0]):
        for column in range(DEPTH.shape[1]):
            x, _, z = struct.unpack_from('<fff', cloud.data, 16 * (row * DEPTH.shape[1] + column))
            depth = DEPTH[row, column]
            if np.isfinite(depth):
                assert z == depth and x == pytest.approx((column - cx) * depth / fx, abs=1e-5)
            else:
                assert np.isnan(x) and np.isnan(z)


def test_points_are_decimated_and_clear_as_the_settings_say() -> None:
    depth = WALL.copy()
    depth[:24] = np.inf
    output = prepared('depth/points', points__stride=4, points__clearing=9.0)
    for _ in range(2):  # the second one in the first one's memory
        cloud = output.encode(estimate(depth))
        z = np.frombuffer(cloud.data, np.float32).reshape(12, 16, 4)[..., 2]
        assert (z[:6] == 9.0).all() and (z[6:] == 3.0).all()
    sparse = prepared('depth/points', points__voxel=0.5).encode(estimate(WALL))
    assert sparse.height == 1 and 1 < sparse.width < WALL.size / 4 and sparse.is_dense
    empty = prepared('depth/points', points__voxel=0.5).encode(estimate(WALL * np.nan))
    assert empty.width == 0 and not empty.data


@pytest.mark.parametrize('shrink', [1, 2])
def test_points_have_the_images_colours(shrink: int) -> None:
    picture = np.repeat(np.repeat(np.random.default_rng(0).integers(
        0, 256, (*WALL.shape, 3), np.uint8), shrink, 0), shrink, 1)
    given = replace(estimate(WALL), image=picture, source=picture.shape[:2])
    cloud = prepared('depth/points', points__color=True).encode(given)
    assert [(field.name, field.offset) for field in cloud.fields] == [
        ('x', 0), ('y', 4), ('z', 8), ('rgb', 16)]
    assert (cloud.point_step, cloud.row_step) == (32, 32 * WALL.shape[1])
    colours = np.frombuffer(cloud.data, np.uint8).reshape(*WALL.shape, 32)[..., 16:19]
    np.testing.assert_array_equal(colours[..., ::-1], picture[::shrink, ::shrink])
    z = np.frombuffer(cloud.data, np.float32).reshape(*WALL.shape, 8)[..., 2]
    np.testing.assert_array_equal(z, WALL)


def test_points_of_smaller_depth_lie_where_those_of_the_whole_do() -> None:
    info = camera_info(*WALL.shape)
    cells = Reduction.to_size(WALL.shape, 16, 16)
    small = reduce_depth(torch.from_numpy(WALL), cells, 'nearest').numpy()
    cloud = prepared('depth/points').encode(Estimate(Header(), small, info, WALL.shape))
    x, y, z = np.frombuffer(cloud.data, np.float32).reshape(16, 16, 4)[..., :3].transpose(2, 0, 1)
    u, v = (np.arange(16) + 0.5) * 4 - 0.5, (np.arange(16) + 0.5) * 3 - 0.5
    np.testing.assert_allclose(x, np.broadcast_to((u - info.p[2]) / info.p[0] * 3.0, x.shape),
                               atol=1e-5)
    np.testing.assert_allclose(y, np.broadcast_to(((v - info.p[6]) / info.p[5] * 3.0)[:, None],
                                                  y.shape), atol=1e-5)
    assert (z == 3.0).all()


@pytest.mark.parametrize('matrix', [[0.0] * 12, [float('nan')] * 12])
def test_a_camera_without_calibration_gives_no_points_and_no_scan(matrix: list[float]) -> None:
    info = camera_info()
    info.k, info.p, info.d = matrix[:9], matrix, [0.1] * 5
    uncalibrated = Estimate(Header(), WALL, info, WALL.shape)
    assert prepared('depth/points').encode(uncalibrated) is None
    assert prepared('depth/scan', scan__camera_height=1.0).encode(uncalibrated) is None


def test_a_wall_is_seen_at_its_distance_and_the_scan_is_level() -> None:
    output = prepared('depth/scan', scan__camera_height=1.0, scan__min_height=0.2)
    scan = output.encode(estimate(WALL))
    angles = scan.angle_min + np.arange(len(scan.ranges)) * scan.angle_increment
    np.testing.assert_allclose(np.array(scan.ranges) * np.cos(angles), 3.0, rtol=5e-3)
    assert scan.angle_max == pytest.approx(angles[-1], abs=1e-6) and angles[0] < 0 < angles[-1]
    assert scan.header.frame_id == 'optical_level'
    assert (scan.range_min, scan.range_max) == (np.float32(LIMITS.near * 0.1), 2 * LIMITS.far)
    named = prepared('depth/scan', scan__camera_height=1.0, scan__frame='base_scan')
    assert named.encode(estimate(WALL)).header.frame_id == 'base_scan'


def test_a_scans_rays_are_of_one_moment_and_its_time_is_that_since_the_one_before() -> None:
    output = prepared('depth/scan', scan__camera_height=1.0)
    times = []
    for frame, at in (('a', 7.0), ('a', 7.25), ('b', 7.3), ('a', 7.5), ('a', 3.0), ('a', 90.0)):
        given = estimate(WALL)
        given.header.frame_id, given.header.stamp = frame, Time(seconds=at).to_msg()
        scan = output.encode(given)
        assert scan.time_increment == 0.0
        times.append(scan.scan_time)
    assert times == pytest.approx([0.0, 0.25, 0.0, 0.25, 0.0, 0.0])


def test_a_scan_without_the_cameras_height_is_silent_and_says_why() -> None:
    output = prepared('depth/scan')
    assert output.encode(estimate(WALL)) is None
    assert 'scan.camera_height' in output.silent_because
    assert not prepared('depth/scan', scan__camera_height=1.0).silent_because


def shaped(settings: Settings, limits: Limits, *maps: NDArray[np.float32]) -> Prediction:
    """Return what becomes of metres, and of a confidence where one is given."""
    found, = download([Shaping(settings, limits, ())(
        Maps(*(torch.from_numpy(each.copy()) for each in maps)), metric=True)])()
    return found


def test_sky_is_no_wall() -> None:
    depth = np.full((48, 64), 10000.0, np.float32)  # what a model without a far end calls sky
    limits = Limits(0.0, math.inf)
    scan = ScanOutput(ScanSettings(camera_height=1.0), limits).encode(estimate(depth))
    assert scan is not None
    assert np.isposinf(scan.ranges).all() and scan.range_max == FARTHEST
    far = shaped(Settings(), Limits(0.0, 100.0), depth).depth
    assert np.isposinf(far).all()
    cloud = prepared('depth/points', points__clearing=30.0).encode(estimate(far))
    z = np.frombuffer(cloud.data, np.float32).reshape(*depth.shape, 4)[..., 2]
    assert (z == 30.0).all()


def test_a_band_without_height_is_refused() -> None:
    with pytest.raises(ValueError, match=r'scan\.max_height'):
        Settings().changed({'scan.min_height': 2.0})


def test_what_is_doubtful_is_no_depth_and_both_shrink_together() -> None:
    with pytest.raises(ValueError, match=r'confidence\.min needs flip_augmentation'):
        Settings().changed({'confidence.min': 0.5})
    settings = Settings().changed({'confidence.min': 0.5, 'flip_augmentation': True,
                                   'depth.stride': 2})
    confidence = np.full(WALL.shape, 0.75, np.float32)
    confidence[:, :32] = 0.25
    depth, sure = shaped(settings, LIMITS, WALL, confidence)
    assert np.isnan(depth[:, :16]).all() and (depth[:, 16:] == 3.0).all()
    assert sure is not None and sure.shape == depth.shape == (24, 32)
    assert (sure[:, :16] == 0.25).all() and (sure[:, 16:] == 0.75).all()
    message = prepared('depth/confidence').encode(replace(estimate(depth), confidence=sure))
    assert (message.encoding, message.height, message.width) == ('32FC1', 24, 32)
    np.testing.assert_array_equal(np.frombuffer(message.data, np.float32).reshape(24, 32), sure)
    assert prepared('depth/confidence').encode(estimate(depth)) is None


def test_edges_become_unknown_where_they_are_asked_for() -> None:
    depth = np.repeat(np.array([[1.0, 1.0, 1.01, 2.0, 2.0, 50.0]], np.float32), 4, axis=0)
    plain, masked = (
        shaped(Settings().changed({'edges.jump': jump}), LIMITS, depth).depth
        for jump in (0.0, 0.05))
    np.testing.assert_array_equal(
        plain[0], np.array([1, 1, 1.01, 2, 2, np.inf], np.float32))
    np.testing.assert_array_equal(
        masked[0], np.array([1, 1, np.nan, np.nan, np.nan, np.nan], np.float32))
