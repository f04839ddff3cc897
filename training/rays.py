# SPDX-License-Identifier: Apache-2.0
"""Ray casting: one ray a pixel, and the Z depth at which it meets the room and its shapes."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from training.world import Box, Camera, Cylinder, Shape, Sphere, World

NEAR_M = 0.05
FACES = 6  # the room's own surfaces come before the shapes in the map of surfaces


@dataclass(frozen=True)
class Rays:
    """Rays of a pixel grid; their length parameter is the Z depth, since the optical axis is 1."""

    origin: tuple[float, float, float]
    directions: Tensor  # float32, (3, h, w), world axes


def camera_axes(camera: Camera) -> Tensor:
    """Return the camera's right, down and forward axes as the columns of a 3 x 3 matrix."""
    cy, sy = math.cos(camera.yaw), math.sin(camera.yaw)
    cp, sp = math.cos(camera.pitch), math.sin(camera.pitch)
    cr, sr = math.cos(camera.roll), math.sin(camera.roll)
    forward = torch.tensor([cy * cp, sy * cp, sp])
    level_right, level_down = torch.tensor([sy, -cy, 0.0]), torch.tensor([cy * sp, sy * sp, -cp])
    right, down = cr * level_right + sr * level_down, cr * level_down - sr * level_right
    return torch.stack([right, down, forward], dim=1)


def cast_rays(camera: Camera, columns: Tensor, rows: Tensor) -> Rays:
    """
    Make one ray for each pixel of a grid.

    :param columns: float32, (w,), pixel coordinates, may be fractional.
    :param rows: float32, (h,).
    """
    k = camera.intrinsics
    x, y = (columns - k.cx) / k.fx, (rows - k.cy) / k.fy
    right, down, forward = camera_axes(camera).to(columns.device).T[:, :, None, None]
    directions = right * x[None, None, :] + down * y[None, :, None] + forward
    return Rays(camera.position, directions.contiguous())


def first_hits(world: World, camera: Camera, rays: Rays) -> tuple[Tensor, Tensor]:
    """Return the Z depth and the index of the nearest surface, each (h, w)."""
    depth, surface = room_hits(world, rays)
    for index, shape in enumerate(world.shapes):
        window = screen_window(shape, camera, rays)
        if window is None:
            continue
        part = Rays(rays.origin, rays.directions[:, window[0], window[1]])
        distance = shape_hits(shape, part)
        nearer = (distance > NEAR_M) & (distance < depth[window])
        depth[window] = torch.where(nearer, distance, depth[window])
        surface[window].masked_fill_(nearer, FACES + index)
    return depth, surface


def room_hits(world: World, rays: Rays) -> tuple[Tensor, Tensor]:
    """Return depth and face index of the room that encloses the camera."""
    best, face = None, None
    for axis, direction in enumerate(rays.directions):
        ahead = direction > 0
        wall = torch.where(ahead, world.size[axis] - rays.origin[axis], -rays.origin[axis])
        distance, index = wall / direction, 2 * axis + ahead.long()
        distance = distance.nan_to_num_(torch.inf).where(direction != 0, torch.inf)
        if best is None or face is None:
            best, face = distance, index
        else:
            nearer = distance < best
            best, face = torch.where(nearer, distance, best), torch.where(nearer, index, face)
    assert best is not None and face is not None
    return best, face


def screen_window(shape: Shape, camera: Camera, rays: Rays) -> tuple[slice, slice] | None:
    """Return the rows and columns that may show the shape, or None if none does."""
    corners = torch.tensor(bounds(shape)) - torch.tensor(camera.position)
    x, y, z = (corners @ camera_axes(camera)).T.tolist()
    if max(z) < NEAR_M:
        return None
    height, width = rays.directions.shape[1:]
    if min(z) < 0.1:
        return slice(0, height), slice(0, width)
    first, last = rays.directions[:, 0, 0], rays.directions[:, -1, -1]
    axes = camera_axes(camera)
    left, top, _ = (axes.T @ first.cpu()).tolist()
    right, bottom, _ = (axes.T @ last.cpu()).tolist()
    columns = span([a / b for a, b in zip(x, z)], left, right, width)
    rows = span([a / b for a, b in zip(y, z)], top, bottom, height)
    return None if rows is None or columns is None else (rows, columns)


def span(values: list[float], first: float, last: float, count: int) -> slice | None:
    """Return the grid indices whose coordinates cover the values, with a pixel to spare."""
    step = (last - first) / (count - 1)
    low = max(math.floor((min(values) - first) / step) - 1, 0)
    high = min(math.ceil((max(values) - first) / step) + 2, count)
    return slice(low, high) if low < high else None


def bounds(shape: Shape) -> list[list[float]]:
    """Return the corners of an upright box around the shape."""
    if isinstance(shape, Box):
        half, yaw = shape.half, shape.yaw
    elif isinstance(shape, Cylinder):
        half, yaw = (shape.radius, shape.radius, shape.half_height), 0.0
    else:
        half, yaw = (shape.radius, shape.radius, shape.radius), 0.0
    cosine, sine = math.cos(yaw), math.sin(yaw)
    corners = []
    for a, b, c in ((i, j, k) for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)):
        x, y = a * half[0], b * half[1]
        corners.append([shape.centre[0] + x * cosine - y * sine,
                        shape.centre[1] + x * sine + y * cosine, shape.centre[2] + c * half[2]])
    return corners


def shape_hits(shape: Shape, rays: Rays) -> Tensor:
    """Return the distance at which each ray enters the shape, Inf where it misses."""
    enter, leave = overlap(shape, rays.origin, rays.directions)
    return torch.where(enter < leave, enter, torch.inf)


Coordinates = tuple[float, float, float] | Tensor


def overlap(shape: Shape, origin: Coordinates, directions: Tensor) -> tuple[Tensor, Tensor]:
    """
    Return where each ray enters and leaves the shape, in multiples of its direction.

    A ray that misses leaves before it enters; by how much tells how closely it misses.
    """
    x, y, z = (origin[axis] - shape.centre[axis] for axis in range(3))
    dx, dy, dz = directions
    if isinstance(shape, Sphere):
        return quadric(dx * dx + dy * dy + dz * dz, x * dx + y * dy + z * dz,
                       x * x + y * y + z * z - shape.radius**2)
    if isinstance(shape, Cylinder):
        enter, leave = quadric(dx * dx + dy * dy, x * dx + y * dy,
                               x * x + y * y - shape.radius**2)
        low, high = slab(z, dz, shape.half_height)
        return torch.maximum(enter, low), torch.minimum(leave, high)
    if shape.yaw != 0.0:
        cosine, sine = math.cos(shape.yaw), math.sin(shape.yaw)
        x, y = x * cosine + y * sine, y * cosine - x * sine
        dx, dy = dx * cosine + dy * sine, dy * cosine - dx * sine
    enter, leave = slab(x, dx, shape.half[0])
    for place, direction, half in ((y, dy, shape.half[1]), (z, dz, shape.half[2])):
        low, high = slab(place, direction, half)
        enter, leave = torch.maximum(enter, low), torch.minimum(leave, high)
    return enter, leave


def slab(place: float | Tensor, direction: Tensor, half: float) -> tuple[Tensor, Tensor]:
    """Return where rays cross the space between two parallel planes."""
    inverse = (direction + 1e-12).reciprocal()  # or a parallel ray in the middle gives 0 / 0
    middle, reach = inverse * place, inverse.abs() * half
    return -middle - reach, reach - middle


def quadric(a: Tensor, b: Tensor, c: float | Tensor) -> tuple[Tensor, Tensor]:
    """Return the roots of a t^2 + 2 b t + c; swapped and mirrored where there is none."""
    discriminant = b * b - a * c
    root = discriminant.abs().sqrt() * discriminant.sign()
    return (-b - root) / a, (root - b) / a
