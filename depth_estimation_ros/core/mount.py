# SPDX-License-Identifier: Apache-2.0
"""How a camera stands over the floor, and the level frame that it stands in."""

from __future__ import annotations

import math
from dataclasses import dataclass

Quaternion = tuple[float, float, float, float]
"""x, y, z, w."""

OPTICAL: Quaternion = (-0.5, 0.5, -0.5, 0.5)
"""Of an optical frame in one with x forward, y left and z up (REP 103)."""

STEEPEST = 1.4
"""Radians of pitch, up or down, beyond which a camera has no heading that a level frame takes."""


class UnknownMountError(ValueError):
    """Nobody can tell how a camera stands; the text says why, and what to do."""


@dataclass(frozen=True)
class Mount:
    """How a camera stands over the floor."""

    height: float
    """Metres from the floor to the optical centre."""
    pitch: float = 0.0
    """Radians that the optical axis points above the horizontal; negative looks down. The
    rotation about REP 103's y axis, which points left, has the opposite sign."""
    roll: float = 0.0
    """Radians about the optical axis; positive turns the camera's right side down (REP 103)."""


def level_frame(optical_frame: str) -> str:
    """Return the name of a camera's level frame, where the robot has none of its own."""
    return f'{optical_frame}_level'


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


def mount_from_transform(height: float, rotation: Quaternion) -> Mount:
    """
    Return how a camera stands from where its optical frame is in a level one on the floor.

    :param height: metres, z of the transform.
    :param rotation: of the optical frame in the level one, not necessarily of length 1.
    :raises UnknownMountError: when it stands below the floor, or looks straight up or down.
    """
    x, y, z, w = (part / math.hypot(*rotation) for part in rotation)
    # the heights of the ends of the optical frame's axes, the last row of the rotation's matrix
    right, down, ahead = 2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)
    pitch = math.asin(max(-1.0, min(ahead, 1.0)))
    if not height > 0:
        raise UnknownMountError(f'the camera is {height:.3f} m above the floor')
    if abs(pitch) > STEEPEST:
        raise UnknownMountError(f'the camera looks straight {"up" if pitch > 0 else "down"}, '
                                f"{math.degrees(pitch):.0f} degrees: is the images' frame_id that "
                                'of the optical frame, with z ahead (REP 103)?')
    return Mount(height, pitch, math.atan2(-right, -down))
