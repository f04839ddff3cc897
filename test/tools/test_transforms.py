# SPDX-License-Identifier: Apache-2.0
"""The frames that the recorder writes: where they put what a camera saw."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from rosbags.typesys import Stores, get_typestore

from depth_estimation_ros.core.mount import Mount
from depth_estimation_ros.core.rigid import rotation_matrix
from depth_estimation_ros.tools.transforms import TYPE, static_transforms
from test.core.rendered import camera_at, in_level_frame, room, view

STAMP = 1_700_000_000_123_456_789


def tree(mount: Mount) -> list[Any]:
    store = get_typestore(Stores.ROS2_JAZZY)
    return store.deserialize_cdr(static_transforms('camera', mount, STAMP), TYPE).transforms


def to_parent(transform: Any, points: np.ndarray) -> np.ndarray:
    """Turn points, 3×N, as tf2 does."""
    turn, place = transform.transform.rotation, transform.transform.translation
    rotation = rotation_matrix((turn.x, turn.y, turn.z, turn.w))
    return rotation @ points + np.array([[place.x], [place.y], [place.z]])


def test_the_tree_is_floor_camera_level_under_one_stamp():
    found = tree(Mount(1.2, -0.2))
    assert [(each.header.frame_id, each.child_frame_id) for each in found] == [
        ('camera_floor', 'camera'), ('camera', 'camera_level')]
    assert {(each.header.stamp.sec, each.header.stamp.nanosec) for each in found} == {
        divmod(STAMP, 10**9)}


@pytest.mark.parametrize(('pitch', 'roll'), [(0.0, 0.0), (-0.3, 0.0), (0.1, -0.1), (-0.2, 0.05)])
def test_a_point_of_the_optical_frame_is_where_the_renderer_has_it(pitch, roll):
    seen = view(room(), camera_at(1.0, 3.0, 0.7, yaw=0.4, pitch=pitch, roll=roll))
    depth, lens = seen.depth.double().numpy(), seen.pinhole
    v, u = np.indices(depth.shape)
    optical = np.stack([(u - lens.cx) / lens.fx, (v - lens.cy) / lens.fy,
                        np.ones_like(depth)]).reshape(3, -1) * depth.ravel()
    level = in_level_frame(seen.hits, seen.camera).flatten(1).numpy()
    to_floor, to_camera = tree(Mount(0.7, pitch, roll))
    over_floor = level + np.array([[0.0], [0.0], [0.7]])
    np.testing.assert_allclose(to_parent(to_floor, optical), over_floor, atol=1e-4)
    np.testing.assert_allclose(to_parent(to_camera, level), optical, atol=1e-4)
