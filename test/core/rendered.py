# SPDX-License-Identifier: Apache-2.0
"""Rendered rooms with the truth that the renderer itself holds: depth and where its rays hit."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from depth_estimation_ros.core.pinhole import Pinhole
from training.rays import NEAR_M, Rays, cast_rays, first_hits, room_hits, shape_hits
from training.scene import make_camera, make_world
from training.world import Box, Camera, Intrinsics, Light, Material, Shape, World

GREY = Material(0, (0.5, 0.5, 0.5), (0.6, 0.6, 0.6), (0.0, 0.0))
LIGHT = Light((2.0, 3.0, 2.4), (1.0, 1.0, 1.0))


@dataclass(frozen=True)
class View:
    """What a camera sees of a world."""

    world: World
    camera: Camera
    depth: Tensor  # float32, (h, w), metres along Z
    hits: Tensor  # float64, (3, h, w), world axes, metres

    @property
    def pinhole(self) -> Pinhole:
        k = self.camera.intrinsics
        return Pinhole(k.fx, k.fy, k.cx, k.cy)


def room(*shapes: Shape, size: tuple[float, float, float] = (8.0, 6.0, 2.6)) -> World:
    return World(size, (GREY,) * 6, shapes, (LIGHT,), (0.4, 0.4, 0.4), False)


def box(x: float, y: float, side: float, yaw: float = 0.0) -> Box:
    """A cube on the floor."""
    return Box((x, y, side / 2), (side / 2, side / 2, side / 2), yaw, GREY)


def camera_at(x: float, y: float, height: float = 1.2, *, yaw: float = 0.0, pitch: float = -0.2,
              roll: float = 0.0, size: tuple[int, int] = (240, 320)) -> Camera:
    scale = size[1] / 640
    return Camera((x, y, height), yaw, pitch, roll, Intrinsics(
        525 * scale, 530 * scale, 317 * scale, 243 * scale))


def view(world: World, camera: Camera, size: tuple[int, int] = (240, 320)) -> View:
    rays = cast_rays(camera, *(torch.arange(float(count)) for count in size[::-1]))
    depth, _ = first_hits(world, camera, rays)
    origin = torch.tensor(camera.position, dtype=torch.float64)[:, None, None]
    return View(world, camera, depth, origin + rays.directions.double() * depth.double())


def furnished_view(seed: int, pitch: float, size: tuple[int, int] = (240, 320)) -> View:
    """A random furnished room from a robot's camera, as the demo model's training draws them."""
    rng = np.random.default_rng([seed, 11])
    textures = {role: [0] for role in ('floor', 'wall', 'object')}
    camera = None
    while camera is None:
        world = make_world(rng, textures, corridor=False)
        camera = make_camera(rng, world)
    x, y, height = camera.position
    return view(world, camera_at(
        x, y, height, yaw=camera.yaw, pitch=pitch, roll=camera.roll, size=size), size)


def in_level_frame(points: Tensor, camera: Camera) -> Tensor:
    """Turn world points, (3, ...), into the frame of a scan: x ahead, y left, z up."""
    x, y, z = (axis - place for axis, place in zip(points, camera.position, strict=True))
    cosine, sine = math.cos(camera.yaw), math.sin(camera.yaw)
    return torch.stack([x * cosine + y * sine, y * cosine - x * sine, z])


def true_ranges(world: World, camera: Camera, angles: Tensor, low: float, high: float) -> Tensor:
    """Cast rays in each direction towards a fine ladder of slopes; the nearest hit in a band."""
    slopes = torch.linspace(-1.2, 0.8, 2001)
    bearings = angles.float() + camera.yaw
    directions = torch.stack([
        bearings.cos().expand(len(slopes), -1), bearings.sin().expand(len(slopes), -1),
        slopes[:, None].expand(-1, len(bearings))])
    level = Camera(camera.position, camera.yaw, 0.0, 0.0, camera.intrinsics)
    reach = _all_hits(world, level, Rays(camera.position, directions.contiguous()))
    height = camera.position[2] + slopes[:, None] * reach
    inside = (height >= low) & (height <= high)
    return reach.where(inside, torch.inf).amin(0)


def laser_ranges(world: World, place: tuple[float, float, float], yaw: float,
                 angles: Tensor) -> Tensor:
    """Cast the beams of a level laser scanner, metres."""
    bearings = angles.float() + yaw
    directions = torch.stack([bearings.cos(), bearings.sin(), torch.zeros_like(bearings)])
    level = Camera(place, yaw, 0.0, 0.0, Intrinsics(1, 1, 0, 0))
    return _all_hits(world, level, Rays(place, directions[:, None].contiguous()))[0]


def _all_hits(world: World, camera: Camera, rays: Rays) -> Tensor:
    """As first_hits, for rays that are no pixel grid: every shape is tried against every ray."""
    best, _ = room_hits(world, rays)
    for shape in world.shapes:
        reach = shape_hits(shape, rays)
        best = torch.where((reach > NEAR_M) & (reach < best), reach, best)
    return best
