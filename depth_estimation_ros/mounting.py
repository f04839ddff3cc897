# SPDX-License-Identifier: Apache-2.0
"""How a camera stands over the floor, and the rotation of its level frame; imports nothing."""

from __future__ import annotations

import math
from typing import NamedTuple

Quaternion = tuple[float, float, float, float]
"""x, y, z, w."""

OPTICAL: Quaternion = (-0.5, 0.5, -0.5, 0.5)
"""Of an optical frame in one with x forward, y left and z up (REP 103)."""


class Mounting(NamedTuple):
    """A camera's place over the floor, in the words of the launch files' arguments."""

    camera_height: float
    """Metres from the floor to the optical centre."""
    pitch: float = 0.0
    """Radians of the optical axis above the horizontal; negative looks down."""
    roll: float = 0.0
    """Radians about the optical axis; positive turns the camera's right side down."""


def times(a: Quaternion, b: Quaternion) -> Quaternion:
    """Return the rotation that is b's, then a's."""
    (ax, ay, az, aw), (bx, by, bz, bw) = a, b
    return (aw * bx + ax * bw + ay * bz - az * by, aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw, aw * bw - ax * bx - ay * by - az * bz)


def optical_in_level(pitch: float, roll: float) -> Quaternion:
    """
    Return the rotation of the camera's optical frame in its level frame, x forward and z up.

    :param pitch: radians above the horizontal: the rotation about y, which points left, is less.
    :param roll: radians about the optical axis.
    """
    up = (0.0, math.sin(-pitch / 2), 0.0, math.cos(pitch / 2))
    about = (math.sin(roll / 2), 0.0, 0.0, math.cos(roll / 2))
    return times(times(up, about), OPTICAL)


def level_in_optical(pitch: float, roll: float) -> Quaternion:
    """Return the inverse of :func:`optical_in_level`."""
    x, y, z, w = optical_in_level(pitch, roll)
    return -x, -y, -z, w
