# SPDX-License-Identifier: Apache-2.0
"""Random rooms and corridors with furniture, seen from a robot's camera."""

import math

import numpy as np

from training.furniture import doors, furnish
from training.materials import Palette, vector
from training.world import Camera, Intrinsics, Light, Shape, Vector, World, reach

CAMERA_HEIGHT_M = (1.15, 1.25)
CAMERA_PITCH_RAD = (-0.22, -0.16)  # negative looks down
CAMERA_ROLL_RAD = (-0.01, 0.01)
FOCAL_PX = (515.0, 535.0)  # at 640 x 480
PRINCIPAL_POINT_SHIFT_PX = 4.0
IMAGE_WIDTH, IMAGE_HEIGHT = 640, 480

ROOM_SIDE_M = (4.0, 8.0)
CORRIDOR_LENGTH_M = (6.0, 10.0)
CORRIDOR_WIDTH_M = (1.8, 2.6)
CEILING_M = (2.4, 3.0)


def make_world(rng: np.random.Generator, textures: dict[str, list[int]], corridor: bool) -> World:
    """
    Build a random room or corridor without a camera.

    :param rng: decides everything.
    :param textures: for each role, the textures that may be used.
    :param corridor: a long narrow room with doors.
    """
    palette = Palette(rng, textures)
    size = _room_size(rng, corridor)
    wall, floor, ceiling = palette.draw('wall'), palette.draw('floor'), palette.draw('wall')
    other = palette.draw('wall') if rng.random() < 0.4 else wall
    faces = (wall, wall, other, other, floor, ceiling)
    shapes = doors(rng, palette, size, corridor) + furnish(rng, palette, size, corridor)
    return World(size, faces, tuple(shapes), _lights(rng, size), _ambient(rng), corridor)


def _room_size(rng: np.random.Generator, corridor: bool) -> Vector:
    height = rng.uniform(*CEILING_M)
    if corridor:
        return rng.uniform(*CORRIDOR_LENGTH_M), rng.uniform(*CORRIDOR_WIDTH_M), height
    return rng.uniform(*ROOM_SIDE_M), rng.uniform(*ROOM_SIDE_M), height


def _lights(rng: np.random.Generator, size: Vector) -> tuple[Light, ...]:
    count = int(rng.integers(1, 3))
    return tuple(_light(rng, size, count) for _ in range(count))


def _light(rng: np.random.Generator, size: Vector, count: int) -> Light:
    x, y = (float(rng.uniform(0.15, 0.85)) * side for side in size[:2])
    power = rng.uniform(0.8, 1.4) / math.sqrt(count)
    warmth = rng.uniform(-0.12, 0.12)
    colour = power * np.array([1 + warmth, 1.0, 1 - warmth])
    return Light((x, y, size[2] - rng.uniform(0.05, 0.3)), vector(colour))


def _ambient(rng: np.random.Generator) -> Vector:
    return vector(rng.uniform(0.3, 0.6) * rng.uniform(0.92, 1.08, 3))


def make_camera(rng: np.random.Generator, world: World) -> Camera | None:
    """
    Place the camera where it sees some floor and nothing stands right before it.

    :param rng: decides everything.
    :param world: the room to stand in.
    :return: None where the room is too full.
    """
    intrinsics = draw_intrinsics(rng)
    height = rng.uniform(*CAMERA_HEIGHT_M)
    for _ in range(200):
        position = _stand(rng, world, height)
        yaw = _look(rng, world)
        if clear_view(world, position, yaw):
            pitch, roll = rng.uniform(*CAMERA_PITCH_RAD), rng.uniform(*CAMERA_ROLL_RAD)
            return Camera(position, yaw, pitch, roll, intrinsics)
    return None


def draw_intrinsics(rng: np.random.Generator) -> Intrinsics:
    """Draw the intrinsics of a 640 x 480 camera from the stated band."""
    focal = rng.uniform(*FOCAL_PX)
    shift = rng.uniform(-PRINCIPAL_POINT_SHIFT_PX, PRINCIPAL_POINT_SHIFT_PX, 2).tolist()
    centre = (IMAGE_WIDTH - 1) / 2 + shift[0], (IMAGE_HEIGHT - 1) / 2 + shift[1]
    return Intrinsics(focal, focal * rng.uniform(0.995, 1.005), centre[0], centre[1])


def _stand(rng: np.random.Generator, world: World, height: float) -> Vector:
    margin = 0.5
    x, y = (rng.uniform(margin, side - margin) for side in world.size[:2])
    return x, y, height


def _look(rng: np.random.Generator, world: World) -> float:
    if world.corridor:
        return float(rng.choice([0.0, math.pi]) + rng.normal(0, 0.25))
    return float(rng.uniform(-math.pi, math.pi))


def clear_view(world: World, position: Vector, yaw: float) -> bool:
    """Tell whether the wall ahead is at least 2.4 m away and no object is within reach."""
    if wall_distance(world, position, yaw) < 2.4:
        return False
    return all(_clearance(shape, position) > 0.8 for shape in world.shapes)


def wall_distance(world: World, position: Vector, yaw: float) -> float:
    """Return the distance to the wall ahead at the camera's height, metres."""
    distances = []
    for place, side, step in zip(position, world.size, (math.cos(yaw), math.sin(yaw))):
        if abs(step) > 1e-9:
            distances.append(((side if step > 0 else 0.0) - place) / step)
    return min(distances)


def _clearance(shape: Shape, position: Vector) -> float:
    offset = math.hypot(shape.centre[0] - position[0], shape.centre[1] - position[1])
    return offset - reach(shape)
