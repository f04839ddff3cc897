# SPDX-License-Identifier: Apache-2.0
"""Points of recorded range sensors, as arrays.

Messages are any objects with the fields of sensor_msgs/LaserScan or PointCloud2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import RecordingError

LASER_SCAN = 'sensor_msgs/msg/LaserScan'
POINT_CLOUD = 'sensor_msgs/msg/PointCloud2'

FLOATS = {7: 'f4', 8: 'f8'}
"""The numbers of PointField's types that coordinates come in."""


def points_of(message: Any) -> NDArray[np.float64]:
    """
    Return what a scan or a cloud saw.

    :return: metres in the sensor's own frame, N×3; what it did not see is left out.
    :raises RecordingError: when the message is neither, or broken.
    """
    return _of_scan(message) if hasattr(message, 'ranges') else _of_cloud(message)


def _of_scan(message: Any) -> NDArray[np.float64]:
    """Return the ends of a LaserScan's beams, z 0; by REP 117 others than those saw nothing."""
    ranges = np.asarray(message.ranges, np.float64)
    angles = message.angle_min + message.angle_increment * np.arange(len(ranges))
    with np.errstate(invalid='ignore'):
        seen = np.isfinite(ranges) & (ranges >= message.range_min) & (ranges <= message.range_max)
    ends = np.stack([np.cos(angles), np.sin(angles), np.zeros(len(ranges))], axis=1)
    return np.asarray(ends[seen] * ranges[seen, None])


def _of_cloud(message: Any) -> NDArray[np.float64]:
    """Return the points of a PointCloud2 that are finite."""
    if not hasattr(message, 'point_step'):
        raise RecordingError('a message without ranges and without points is no scan and no cloud')
    fields = {field.name: field for field in message.fields}
    if any(name not in fields or fields[name].datatype not in FLOATS for name in 'xyz'):
        raise RecordingError(f'a cloud with the fields {", ".join(fields)} has no x, y and z as '
                             'floats')
    layout = _layout(message, fields)
    height, width, step = message.height, message.width, message.row_step
    if step < width * message.point_step or len(message.data) < height * step:
        raise RecordingError(f'a cloud of {width}x{height} points with row_step {step} does not '
                             f'fit its {len(message.data)} bytes')
    points: NDArray[Any] = np.ndarray((height, width), layout, buffer=np.ascontiguousarray(
        message.data), strides=(step, message.point_step))
    found = np.stack([points[name].astype(np.float64).ravel() for name in 'xyz'], axis=1)
    return np.asarray(found[np.isfinite(found).all(1)])


def _layout(message: Any, fields: Mapping[str, Any]) -> np.dtype[np.void]:
    """Return how x, y and z lie in a point; raises RecordingError where they reach beyond it."""
    order = '>' if message.is_bigendian else '<'
    try:
        return np.dtype({
            'names': list('xyz'),
            'formats': [order + FLOATS[fields[name].datatype] for name in 'xyz'],
            'offsets': [fields[name].offset for name in 'xyz'], 'itemsize': message.point_step})
    except (ValueError, OverflowError) as error:
        raise RecordingError(f'a cloud whose x, y and z do not fit its point_step of '
                             f'{message.point_step} bytes: {error}') from error
