# SPDX-License-Identifier: Apache-2.0
"""Depth as a cloud of coloured points, in PLY."""

from __future__ import annotations

from math import radians, tan
from typing import Any

import numpy as np

from ..core.pinhole import Pinhole
from ..ros.camera_info import RECTIFIED, calibration_of
from .network import Depth, Pixels

POINT = np.dtype([('x', '<f4'), ('y', '<f4'), ('z', '<f4'),
                  ('red', 'u1'), ('green', 'u1'), ('blue', 'u1')])


def pinhole_of(info: Any, size: tuple[int, int], topic: str) -> Pinhole | None:
    """
    Return the rays of an image by its calibration, None where it is not calibrated.

    :param info: with the fields of sensor_msgs/CameraInfo.
    :param size: the image's width and height.
    :param topic: the image's, whose name says whether it is rectified.
    """
    calibration = calibration_of(info).of_image(size)
    p, k = calibration.p, calibration.k
    if p[0] and p[5] and RECTIFIED.search(topic):
        return Pinhole(p[0], p[5], p[2], p[6])
    return Pinhole(k[0], k[4], k[2], k[5]) if calibration.is_calibrated else None


def pinhole_of_view(degrees: float, size: tuple[int, int]) -> Pinhole:
    """Return the rays of an image that sees an angle from its left to its right side."""
    width, height = size
    focal = width / 2 / tan(radians(degrees) / 2)
    return Pinhole(focal, focal, (width - 1) / 2, (height - 1) / 2)


def ply(depth: Depth, rgb: Pixels, camera: Pinhole) -> bytes:
    """
    Return the points of an image in its optical frame: x right, y down, z ahead, in metres.

    :param depth: float32 metres, H×W; what is not finite is no point.
    :param rgb: uint8, H×W×3.
    """
    rows, columns = np.nonzero(np.isfinite(depth))
    z = depth[rows, columns]
    points = np.empty(len(z), POINT)
    points['x'] = (columns - camera.cx) / camera.fx * z
    points['y'] = (rows - camera.cy) / camera.fy * z
    points['z'] = z
    for index, name in enumerate(('red', 'green', 'blue')):
        points[name] = rgb[rows, columns, index]
    return _head(len(z)).encode() + points.tobytes()


def _head(count: int) -> str:
    kinds = {'f': 'float', 'u': 'uchar'}
    names = POINT.names or ()
    properties = ''.join(f'property {kinds[POINT[name].kind]} {name}\n' for name in names)
    return ('ply\nformat binary_little_endian 1.0\n'
            f'element vertex {count}\n{properties}end_header\n')
