# SPDX-License-Identifier: Apache-2.0
"""Depth as a cloud of coloured points, in PLY and PCD."""

from __future__ import annotations

from math import radians, tan

import numpy as np
from numpy.typing import NDArray

from ..core.pinhole import Pinhole
from .network import Depth, Pixels

PLACE = [('x', '<f4'), ('y', '<f4'), ('z', '<f4')]
PLY_POINT = np.dtype([*PLACE, ('red', 'u1'), ('green', 'u1'), ('blue', 'u1')])
PCD_POINT = np.dtype([*PLACE, ('blue', 'u1'), ('green', 'u1'), ('red', 'u1'), ('none', 'u1')])
"""Its colour is one number, 0x00RRGGBB, which PCL reads as the bits of a float."""


def pinhole_of_view(degrees: float, size: tuple[int, int]) -> Pinhole:
    """Return the rays of an image that sees an angle from its left to its right side."""
    width, height = size
    focal = width / 2 / tan(radians(degrees) / 2)
    return Pinhole(focal, focal, (width - 1) / 2, (height - 1) / 2)


def ply(depth: Depth, rgb: Pixels, camera: Pinhole) -> bytes:
    """
    Return the points of an image as PLY, in its optical frame: x right, y down, z ahead, metres.

    :param depth: float32 metres, H×W; what is not finite is no point.
    :param rgb: uint8, H×W×3.
    """
    points = _points(depth, rgb, camera, PLY_POINT)
    kinds = {'f': 'float', 'u': 'uchar'}
    names = PLY_POINT.names or ()
    properties = ''.join(f'property {kinds[PLY_POINT[name].kind]} {name}\n' for name in names)
    head = ('ply\nformat binary_little_endian 1.0\n'
            f'element vertex {len(points)}\n{properties}end_header\n')
    return head.encode() + points.tobytes()


def pcd(depth: Depth, rgb: Pixels, camera: Pinhole) -> bytes:
    """Return the points as PCD 0.7 (pointclouds.org), as :func:`ply` otherwise."""
    points = _points(depth, rgb, camera, PCD_POINT)
    head = ('VERSION 0.7\nFIELDS x y z rgb\nSIZE 4 4 4 4\nTYPE F F F F\nCOUNT 1 1 1 1\n'
            f'WIDTH {len(points)}\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS {len(points)}\n'
            'DATA binary\n')
    return head.encode() + points.tobytes()


CLOUDS = {'ply': ply, 'pcd': pcd}
"""What makes the bytes of a cloud, by the suffix of its file."""


def _points(depth: Depth, rgb: Pixels, camera: Pinhole,
            kind: np.dtype[np.void]) -> NDArray[np.void]:
    rows, columns = np.nonzero(np.isfinite(depth))
    z = depth[rows, columns]
    points = np.zeros(len(z), kind)
    points['x'] = (columns - camera.cx) / camera.fx * z
    points['y'] = (rows - camera.cy) / camera.fy * z
    points['z'] = z
    for index, name in enumerate(('red', 'green', 'blue')):
        points[name] = rgb[rows, columns, index]
    return points
