# SPDX-License-Identifier: Apache-2.0
"""Pictures of the world: textures, lamps and soft shadows; a few tensor operations per shape."""

from dataclasses import dataclass

import torch
from torch import Tensor

from training.rays import FACES, Rays, cast_rays, first_hits, overlap
from training.surfaces import Surfaces, describe
from training.textures import TextureBank
from training.world import Camera, Light, Material, World


@dataclass(frozen=True)
class Picture:
    """Noiseless radiance and the depth behind it."""

    radiance: Tensor  # float32, (3, h, w), linear, about [0, 1]
    depth: Tensor  # float32, (h, w), metres along the optical axis
    objects: Tensor  # bool, (h, w), whether a shape is seen rather than a face of the room


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
