# SPDX-License-Identifier: Apache-2.0
"""Messages of a robot's other sensors: scans, clouds and static transforms."""

from __future__ import annotations

from typing import Any

import numpy as np

from depth_estimation_ros.core.mount import Quaternion

from .bags import TYPES, Said, header

SCAN, CLOUD = 'sensor_msgs/msg/LaserScan', 'sensor_msgs/msg/PointCloud2'
TF = 'tf2_msgs/msg/TFMessage'
Numbers = tuple[float, float, float]


def scan(ranges: np.ndarray, angles: np.ndarray, time: int, frame: str = 'laser',
         topic: str = '/scan') -> Said:
    message = TYPES.types[SCAN](
        header(time, frame), float(angles[0]), float(angles[-1]), float(angles[1] - angles[0]),
        0.0, 0.1, 0.05, 30.0, ranges.astype(np.float32), np.zeros(0, np.float32))
    return Said(topic, SCAN, time, message)


def cloud(points: np.ndarray, time: int, frame: str = 'lidar', topic: str = '/points',
          dtype: str = '<f4') -> Said:
    """Points of x, y, z and an intensity between them."""
    layout = np.dtype([('x', dtype), ('i', '<u2'), ('y', dtype), ('z', dtype), ('pad', '<u2')])
    rows = np.zeros(len(points), layout)
    for name, column in zip('xyz', points.T, strict=True):
        rows[name] = column
    kind = 7 if dtype.endswith('4') else 8
    fields = [TYPES.types['sensor_msgs/msg/PointField'](name, layout.fields[name][1], kind, 1)
              for name in 'xyz'] if layout.fields else []
    message = TYPES.types[CLOUD](
        header(time, frame), 1, len(points), fields, dtype.startswith('>'), layout.itemsize,
        layout.itemsize * len(points), np.frombuffer(rows.tobytes(), np.uint8), False)
    return Said(topic, CLOUD, time, message)


def static_transform(time: int, *transforms: tuple[str, str, Numbers, Quaternion]) -> Said:
    """Say where children lie in their parents."""
    def make(kind: str, *values: Any) -> Any:
        return TYPES.types[f'geometry_msgs/msg/{kind}'](*values)

    message = TYPES.types[TF](transforms=[
        make('TransformStamped', header(time, parent), child, make(
            'Transform', make('Vector3', *place), make('Quaternion', *turn)))
        for parent, child, place, turn in transforms])
    return Said('/tf_static', TF, time, message)
