# SPDX-License-Identifier: Apache-2.0
"""What a scene is made of: a room, shapes, materials, lights and a camera, in metres."""

import math
from dataclasses import dataclass

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Intrinsics:
    """A pinhole camera, pixels."""

    fx: float
    fy: float
    cx: float
    cy: float


@dataclass(frozen=True)
class Camera:
    """Where the camera stands (metres, z up) and where it looks (radians)."""

    position: Vector
    yaw: float
    pitch: float
    roll: float
    intrinsics: Intrinsics


@dataclass(frozen=True)
class Material:
    """A two-coloured pattern."""

    texture: int
    base: Vector  # linear RGB in [0, 1]
    accent: Vector
    offset: tuple[float, float]  # metres


@dataclass(frozen=True)
class Box:
    """A cuboid that stands upright."""

    centre: Vector
    half: Vector
    yaw: float
    material: Material
    shadow: bool = True


@dataclass(frozen=True)
class Cylinder:
    """An upright cylinder."""

    centre: Vector
    radius: float
    half_height: float
    material: Material
    shadow: bool = True


@dataclass(frozen=True)
class Sphere:
    """A ball."""

    centre: Vector
    radius: float
    material: Material
    shadow: bool = True


Shape = Box | Cylinder | Sphere


@dataclass(frozen=True)
class Light:
    """A lamp: a point that throws soft shadows."""

    position: Vector
    colour: Vector


@dataclass(frozen=True)
class World:
    """A closed room from (0, 0, 0) to `size`, what stands in it, and how it is lit."""

    size: Vector
    faces: tuple[Material, ...]  # -x, +x, -y, +y, floor, ceiling
    shapes: tuple[Shape, ...]
    lights: tuple[Light, ...]
    ambient: Vector
    corridor: bool


def reach(shape: Shape) -> float:
    """Return the radius of the circle on the floor that holds the shape, metres."""
    if isinstance(shape, Box):
        return math.hypot(shape.half[0], shape.half[1])
    return shape.radius
