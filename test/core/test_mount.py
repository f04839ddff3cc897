# SPDX-License-Identifier: Apache-2.0
"""How a camera stands, from its place among the robot's frames."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from depth_estimation_ros.core.mount import (
    Mount,
    Quaternion,
    UnknownMountError,
    level_in_optical,
    mount_from_transform,
    times,
)
from depth_estimation_ros.core.scan import Band, scan_from_depth

from .rendered import box, camera_at, room, view

ANGLE = st.floats(-math.pi, math.pi)


def optical_in_level(pitch: float, roll: float, yaw: float = 0.0) -> Quaternion:
    """Turn a camera to the left, then up, then about its axis."""
    x, y, z, w = level_in_optical(pitch, roll)
    return times((0.0, 0.0, math.sin(yaw / 2), math.cos(yaw / 2)), (-x, -y, -z, w))


@given(st.floats(-1.39, 1.39), ANGLE, ANGLE, st.sampled_from([1.0, 1e-3, 2.0]))
def test_the_tilt_is_that_of_the_rotation_whatever_the_heading(
        pitch: float, roll: float, yaw: float, length: float) -> None:
    x, y, z, w = (length * part for part in optical_in_level(pitch, roll, yaw))
    found = mount_from_transform(0.4, (x, y, z, w))
    assert (found.height, found.pitch) == pytest.approx((0.4, pitch), abs=1e-6)
    assert math.sin((found.roll - roll) / 2) == pytest.approx(0.0, abs=1e-6)


def test_a_camera_by_its_frame_alone_looks_ahead() -> None:
    assert mount_from_transform(1.0, (-0.5, 0.5, -0.5, 0.5)) == Mount(1.0)


@pytest.mark.parametrize(('height', 'pitch', 'said'), [
    (0.0, 0.0, '0.000 m above'), (-0.3, 0.0, '-0.300 m above'), (math.nan, 0.0, 'nan m above'),
    (1.0, -1.5, 'straight down'), (1.0, 1.57, 'straight up')])
def test_what_no_scan_can_be_made_from_is_named(height: float, pitch: float, said: str) -> None:
    with pytest.raises(UnknownMountError, match=said):
        mount_from_transform(height, optical_in_level(pitch, 0.0))


def test_a_frame_that_is_not_the_optical_one_is_asked_for() -> None:
    with pytest.raises(UnknownMountError, match='optical frame, with z ahead'):
        mount_from_transform(0.3, (0.0, 0.0, 0.0, 1.0))  # camera_link, whose x is ahead


def test_a_camera_upside_down_sees_the_same_obstacles() -> None:
    seen = view(room(box(4.0, 3.2, 0.5, 0.4), box(3.0, 2.0, 0.2)),
                camera_at(1.0, 3.0, yaw=0.2, pitch=-0.1))
    height, band = seen.camera.position[2], Band(0.04, 1.8, 0.01)
    turned = seen.depth.flip(0, 1).contiguous()
    k = seen.pinhole
    rows, columns = seen.depth.shape
    upright = scan_from_depth(seen.depth, k, Mount(height, -0.1), band)
    hanging = scan_from_depth(
        turned, type(k)(k.fx, k.fy, columns - 1 - k.cx, rows - 1 - k.cy),
        mount_from_transform(height, optical_in_level(-0.1, math.pi)), band)
    assert hanging.angle_min == pytest.approx(upright.angle_min, abs=1e-5)
    np.testing.assert_allclose(hanging.ranges, upright.ranges, atol=1e-3)
