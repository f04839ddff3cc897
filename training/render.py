"""Ray casting: one ray a pixel, Z depth, soft shadows; a few tensor operations per shape."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from training.textures import TextureBank
from training.world import Box, Camera, Cylinder, Light, Material, Shape, Sphere, World

NEAR_M = 0.05
FACES = 6  # the room's own surfaces come before the shapes in the map of surfaces


@dataclass(frozen=True)
class Rays:
    """Rays of a pixel grid; their length parameter is the Z depth, since the optical axis is 1."""

    origin: tuple[float, float, float]
    directions: Tensor  # float32, (3, h, w), world axes


@dataclass
class Surfaces:
    """What each pixel shows; all tensors flat over the pixels."""

    points: Tensor  # float32, (3, n), metres
    normals: Tensor  # float32, (3, n), unit length, towards the camera
    u: Tensor  # float32, (n,), metres; v alike
    v: Tensor
    surface: Tensor  # int64, (n,), 0 to 5 a face of the room, 6 and on a shape


@dataclass(frozen=True)
class Picture:
    """Noiseless radiance and the depth behind it."""

    radiance: Tensor  # float32, (3, h, w), linear, about [0, 1]
    depth: Tensor  # float32, (h, w), metres along the optical axis
    objects: Tensor  # bool, (h, w), whether a shape is seen rather than a face of the room


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


def render(
    world: World, camera: Camera, columns: Tensor, rows: Tensor, bank: TextureBank
) -> Picture:
    """
    Render a grid of pixels.

    :param columns: float32, (w,), pixel coordinates; decides the device, which the bank shares.
    :param rows: float32, (h,).
    :param bank: the textures that the world's materials index.
    """
    rays = cast_rays(camera, columns, rows)
    depth, surface = first_hits(world, camera, rays)
    hits = describe(world, rays, depth, surface)
    albedo = paint(world, hits, depth.flatten() / camera.intrinsics.fx, rays, bank)
    light = illuminate(world, hits)
    return Picture((albedo * light).view(3, *depth.shape), depth, surface >= FACES)


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


def paint(
    world: World, hits: Surfaces, pixel_angle: Tensor, rays: Rays, bank: TextureBank
) -> Tensor:
    """
    Look up the colour of each surface.

    :param pixel_angle: float32, (n,), metres that a pixel of the full image covers head on.
    :return: float32, (3, n), albedo.
    """
    materials = [*world.faces, *(shape.material for shape in world.shapes)]
    device = hits.u.device
    texture = torch.tensor([m.texture for m in materials], device=device)[hits.surface]
    offset = torch.tensor([m.offset for m in materials], device=device).T[:, hits.surface]
    slant = (hits.normals * rays.directions.view(3, -1)).sum(0).abs().clamp_(0.2, 1)
    pattern = bank.sample(texture, hits.u + offset[0], hits.v + offset[1], pixel_angle / slant)
    return torch.lerp(_colours(materials, 'base', hits), _colours(materials, 'accent', hits),
                      pattern)


def _colours(materials: list[Material], name: str, hits: Surfaces) -> Tensor:
    table = torch.tensor([getattr(m, name) for m in materials], device=hits.u.device)
    return table.T[:, hits.surface]


def illuminate(world: World, hits: Surfaces) -> Tensor:
    """Return the light that reaches each point, (3, n): ambient and every lamp."""
    ambient = torch.tensor(world.ambient, device=hits.u.device).view(3, 1)
    total = ambient * corner_shade(world, hits)
    for light in world.lights:
        colour = torch.tensor(light.colour, device=hits.u.device).view(3, 1)
        total = total + colour * lamp_light(world, light, hits)
    return total


def corner_shade(world: World, hits: Surfaces) -> Tensor:
    """Darken the ambient light near the room's edges, (n,)."""
    shade = torch.ones_like(hits.u)
    for axis in range(3):
        place = hits.points[axis]
        gap = torch.minimum(place, world.size[axis] - place)
        edge = 0.35 * torch.exp(gap * -4.0)
        shade.mul_(1 - edge * (1 - hits.normals[axis].abs()))
    return shade.clamp_(0.2, 1)


def lamp_light(world: World, light: Light, hits: Surfaces) -> Tensor:
    """Return the part of a lamp's light that reaches each point, (n,)."""
    lamp = torch.tensor(light.position, device=hits.u.device).view(3, 1)
    towards = lamp - hits.points
    distance = towards.square().sum(0).sqrt_()
    facing = ((towards * hits.normals).sum(0) / distance).clamp_(0, 1)
    falloff = 1.5 / (1 + 0.15 * distance * distance)
    return facing * falloff * visibility(world, hits, towards, distance)


def visibility(world: World, hits: Surfaces, towards: Tensor, distance: Tensor) -> Tensor:
    """
    Return how much of a lamp each point sees, (n,), in [0, 1].

    The length that a shadow ray runs inside a shape, against a penumbra that widens with the
    distance to that shape, stands for the covered part of the lamp.
    """
    visible = torch.ones_like(distance)
    for index, shape in enumerate(world.shapes):
        if not shape.shadow:
            continue
        enter, leave = overlap(shape, hits.points, towards)
        inside = (leave.clamp_(max=1) - enter.clamp_(min=0)) * distance
        width = 0.03 + 0.12 * enter * distance
        covered = (inside / width).add_(0.5).clamp_(0, 1)
        covered.masked_fill_(hits.surface == FACES + index, 0)
        visible.mul_(1 - covered.nan_to_num_(0))
    return visible
