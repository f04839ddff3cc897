# SPDX-License-Identifier: Apache-2.0
"""The pinhole model of a rectified image, as four numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

LONGEST = 1e6
"""Pixels; no lens has such a focal length, and float32 cannot reckon with a much longer one."""


@dataclass(frozen=True)
class Pinhole:
    """
    Where a pixel looks, in pixels; whole coordinates are the centres of pixels.

    A point (x, y, z) of the optical frame (REP 103: x right, y down, z forward) is seen at
    u = fx x / z + cx, v = fy y / z + cy.
    """

    fx: float
    fy: float
    cx: float
    cy: float

    @classmethod
    def from_matrix(cls, matrix: Sequence[float], columns: int) -> Pinhole:
        """
        Take the numbers from K or P of sensor_msgs/CameraInfo.

        P is that of the rectified image, which points are computed from; the baseline in its
        fourth column places the camera in a stereo pair, and moves no ray.

        :param matrix: row-major, in pixels of the image at hand.
        :param columns: 3 for K, 4 for P.
        :raises ValueError: where the matrix is no calibration: zero, not finite, or beyond all
            lenses.
        """
        fx, cx, fy, cy = (float(matrix[place]) for place in (0, 2, columns + 1, columns + 2))
        numbers = (fx, fy, cx, cy)
        if not all(abs(number) < LONGEST for number in numbers) or min(fx, fy) <= 0:
            raise ValueError(f'not a calibrated camera: fx {fx:g}, fy {fy:g}, cx {cx:g}, '
                             f'cy {cy:g}; calibrate it and publish its camera_info')
        return cls(fx, fy, cx, cy)
