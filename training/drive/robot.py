# SPDX-License-Identifier: Apache-2.0
"""The robot: a round base with two driven wheels, and the camera on its mast."""

import math
from dataclasses import dataclass

from depth_estimation_ros.core.mount import Mount
from depth_estimation_ros.core.pinhole import Pinhole
from training.scene import IMAGE_HEIGHT, IMAGE_WIDTH
from training.world import Camera, Intrinsics

RADIUS_M = 0.2
TALL_M = 1.3
GROUND_CLEARANCE_M = 0.05
"""What is lower passes under the robot."""

SPEED_M_S = 0.4
TURN_RAD_S = 0.8

MOUNT = Mount(height=1.2, pitch=-0.19)
"""The middle of what the demo model was trained on; the camera is over the base's centre."""
FOCAL_PX = 525.0
"""At 640 x 480."""


@dataclass(frozen=True)
class Pose:
    """Where the base's centre is, metres, and where the robot heads, radians."""

    x: float
    y: float
    yaw: float


def step(pose: Pose, speed: float, turn: float, seconds: float) -> Pose:
    """
    Drive along the arc of constant speeds.

    :param speed: m/s, forwards.
    :param turn: rad/s, to the left.
    """
    yaw = pose.yaw + turn * seconds
    chord = speed * seconds * _sinc(turn * seconds / 2)
    middle = (pose.yaw + yaw) / 2
    return Pose(pose.x + chord * math.cos(middle), pose.y + chord * math.sin(middle), yaw)


def _sinc(angle: float) -> float:
    return math.sin(angle) / angle if abs(angle) > 1e-9 else 1.0


def camera_at(pose: Pose, divisor: int = 1) -> Camera:
    """
    Return the camera of a pose.

    :param divisor: of the image's 640 x 480 pixels.
    """
    k = pinhole(divisor)
    return Camera((pose.x, pose.y, MOUNT.height), pose.yaw, MOUNT.pitch, MOUNT.roll,
                  Intrinsics(k.fx, k.fy, k.cx, k.cy))


def pinhole(divisor: int = 1) -> Pinhole:
    """Return the camera's intrinsics; the principal point is the image's middle."""
    return Pinhole(FOCAL_PX / divisor, FOCAL_PX / divisor, (IMAGE_WIDTH / divisor - 1) / 2,
                   (IMAGE_HEIGHT / divisor - 1) / 2)


def blind_m() -> float:
    """Return how far ahead the floor comes into view, metres."""
    below = math.atan(IMAGE_HEIGHT / 2 / FOCAL_PX) - MOUNT.pitch
    return MOUNT.height / math.tan(below)
