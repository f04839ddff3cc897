# SPDX-License-Identifier: Apache-2.0
"""The truth about collisions: exact distances from the floor plan's points to the shapes."""

import math

import numpy as np
from numpy.typing import NDArray

from training.drive.robot import GROUND_CLEARANCE_M, RADIUS_M, TALL_M, Pose
from training.world import Box, Cylinder, Shape, World

Array = NDArray[np.float64]


def clearance(world: World, x: Array, y: Array) -> Array:
    """
    Return the distance to the nearest wall or shape that the robot's body could meet, metres.

    :param x: of points on the floor, metres; y alike.
    :return: negative inside a shape or outside the room.
    """
    nearest = np.minimum(np.minimum(x, world.size[0] - x), np.minimum(y, world.size[1] - y))
    for shape in world.shapes:
        if _meets_body(shape):
            nearest = np.minimum(nearest, _distance(shape, x, y))
    return nearest


def collides(world: World, pose: Pose) -> bool:
    """Tell whether the robot's footprint touches something."""
    return float(clearance(world, np.array(pose.x), np.array(pose.y))) < RADIUS_M


def _meets_body(shape: Shape) -> bool:
    half = _half_height(shape)
    return (shape.centre[2] + half > GROUND_CLEARANCE_M) and (shape.centre[2] - half < TALL_M)


def _half_height(shape: Shape) -> float:
    if isinstance(shape, Box):
        return shape.half[2]
    return shape.half_height if isinstance(shape, Cylinder) else shape.radius


def _distance(shape: Shape, x: Array, y: Array) -> Array:
    """Return the distance in plan; a ball counts as wide as it is between the body's ends."""
    x, y = x - shape.centre[0], y - shape.centre[1]
    if isinstance(shape, Box):
        return _box_distance(shape, x, y)
    if isinstance(shape, Cylinder):
        return np.asarray(np.hypot(x, y) - shape.radius)
    outside = max(GROUND_CLEARANCE_M - shape.centre[2], shape.centre[2] - TALL_M, 0.0)
    return np.asarray(np.hypot(x, y) - math.sqrt(shape.radius**2 - outside**2))


def _box_distance(box: Box, x: Array, y: Array) -> Array:
    cosine, sine = np.cos(box.yaw), np.sin(box.yaw)
    beyond_x = np.abs(x * cosine + y * sine) - box.half[0]
    beyond_y = np.abs(y * cosine - x * sine) - box.half[1]
    outside = np.hypot(np.maximum(beyond_x, 0), np.maximum(beyond_y, 0))
    return np.asarray(outside + np.minimum(np.maximum(beyond_x, beyond_y), 0))
