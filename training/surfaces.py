# SPDX-License-Identifier: Apache-2.0
"""What the rays meet: the points, with normals and texture coordinates."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from training.rays import FACES, Rays
from training.world import Box, Cylinder, Shape, Sphere, World


@dataclass
class Surfaces:
    """What each pixel shows; all tensors flat over the pixels."""

    points: Tensor  # float32, (3, n), metres
    normals: Tensor  # float32, (3, n), unit length, towards the camera
    u: Tensor  # float32, (n,), metres; v alike
    v: Tensor
    surface: Tensor  # int64, (n,), 0 to 5 a face of the room, 6 and on a shape


def describe(world: World, rays: Rays, depth: Tensor, surface: Tensor) -> Surfaces:
    """Find normals and texture coordinates at the hit points."""
    origin = torch.tensor(rays.origin, device=depth.device).view(3, 1)
    points = torch.addcmul(origin, rays.directions.view(3, -1), depth.view(1, -1))
    flat = surface.flatten()
    normals, u, v = room_frame(points, flat)
    for index, shape in enumerate(world.shapes):
        pixels = (flat == FACES + index).nonzero()[:, 0]
        if len(pixels):
            normal, su, sv = shape_frame(shape, points[:, pixels])
            normals[:, pixels], u[pixels], v[pixels] = normal, su, sv
    return Surfaces(points, normals, u, v, flat)


def room_frame(points: Tensor, surface: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return inward normals and texture coordinates of the room's faces."""
    inward = torch.tensor(
        [[1, -1, 0, 0, 0, 0], [0, 0, 1, -1, 0, 0], [0, 0, 0, 0, 1, -1]],
        dtype=torch.float32, device=points.device)
    face = surface.clamp(max=FACES - 1)
    axis = face >> 1
    u = torch.where(axis == 0, points[1], points[0])
    v = torch.where(axis == 2, points[1], points[2])
    return inward[:, face], u, v


def shape_frame(shape: Shape, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return outward normals and texture coordinates on a shape."""
    local = points - torch.tensor(shape.centre, device=points.device).view(3, 1)
    if isinstance(shape, Sphere):
        normal = local / shape.radius
        return normal, shape.radius * torch.atan2(local[1], local[0]), local[2]
    if isinstance(shape, Cylinder):
        side = (local[2].abs() < shape.half_height - 1e-4).float()
        normal = torch.stack([local[0] / shape.radius * side, local[1] / shape.radius * side,
                              local[2].sign() * (1 - side)])
        around = shape.radius * torch.atan2(local[1], local[0])
        return normal, torch.where(side > 0, around, local[0]), torch.where(
            side > 0, local[2], local[1])
    return box_frame(shape, local)


def box_frame(box: Box, offset: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return outward normals and texture coordinates on a box."""
    cosine, sine = math.cos(box.yaw), math.sin(box.yaw)
    x, y = offset[0] * cosine + offset[1] * sine, offset[1] * cosine - offset[0] * sine
    local = torch.stack([x, y, offset[2]])
    half = torch.tensor(box.half, device=offset.device).view(3, 1)
    axis = (local.abs() - half).argmax(0)
    sign = local.gather(0, axis[None])[0].sign()
    nx, ny, nz = (sign * (axis == i) for i in range(3))
    normal = torch.stack([nx * cosine - ny * sine, nx * sine + ny * cosine, nz])
    return normal, torch.where(axis == 0, y, x), torch.where(axis == 2, y, offset[2])
