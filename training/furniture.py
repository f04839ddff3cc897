# SPDX-License-Identifier: Apache-2.0
"""Things that stand in rooms, each a few boxes, cylinders and spheres of usual size."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from training.materials import Palette
from training.world import Box, Cylinder, Material, Shape, Sphere, Vector

Rng = np.random.Generator
Item = tuple[list[Shape], float]  # shapes around the origin and the radius they need


class Group:
    """Collects boxes that share a yaw, placed in the item's own axes."""

    def __init__(self, rng: Rng) -> None:
        self.yaw = float(rng.choice([0, 0.5, 1, 1.5]) * math.pi + rng.normal(0, 0.15))
        self.shapes: list[Shape] = []

    def box(self, centre: Vector, size: Vector, material: Material) -> None:
        """
        Add a box.

        :param centre: metres from the item's origin on the floor.
        :param size: full lengths, metres.
        :param material: what it is made of.
        """
        half = (size[0] / 2, size[1] / 2, size[2] / 2)
        thick = sorted(size)[1] >= 0.1  # a leg's shadow is not worth its time
        self.shapes.append(Box(turned(centre, self.yaw), half, self.yaw, material, thick))


def turned(place: Vector, yaw: float) -> Vector:
    """Turn a place about the vertical axis."""
    cosine, sine = math.cos(yaw), math.sin(yaw)
    return (place[0] * cosine - place[1] * sine, place[0] * sine + place[1] * cosine, place[2])


def table(rng: Rng, palette: Palette) -> Item:
    """A board on four legs."""
    group, material = Group(rng), palette.draw('object')
    length, width, height = rng.uniform(0.9, 1.6), rng.uniform(0.6, 0.9), rng.uniform(0.7, 0.78)
    group.box((0, 0, height - 0.02), (length, width, 0.04), material)
    for x in (-0.45, 0.45):
        for y in (-0.42, 0.42):
            leg = (x * length, y * width, (height - 0.04) / 2)
            group.box(leg, (0.06, 0.06, height - 0.04), material)
    return group.shapes, math.hypot(length, width) / 2


def chair(rng: Rng, palette: Palette) -> Item:
    """A seat, a back and two side frames."""
    group, material = Group(rng), palette.draw('object')
    group.box((0, 0, 0.45), (0.44, 0.44, 0.05), material)
    group.box((-0.2, 0, 0.7), (0.04, 0.42, 0.46), material)
    for y in (-0.19, 0.19):
        group.box((-0.18, y, 0.21), (0.05, 0.05, 0.42), material)
        group.box((0.18, y, 0.21), (0.05, 0.05, 0.42), material)
    return group.shapes, 0.35


def cabinet(rng: Rng, palette: Palette) -> Item:
    """A closed block: a cupboard, a fridge, a chest of drawers."""
    group = Group(rng)
    width, depth, height = rng.uniform(0.5, 1.2), rng.uniform(0.4, 0.6), rng.uniform(0.6, 2.0)
    group.box((0, 0, height / 2), (depth, width, height), palette.draw('object'))
    return group.shapes, math.hypot(width, depth) / 2


def shelf(rng: Rng, palette: Palette) -> Item:
    """Two sides with open boards between them."""
    group, material = Group(rng), palette.draw('object')
    width, depth, height = rng.uniform(0.7, 1.1), 0.32, rng.uniform(1.2, 2.0)
    for y in (-width / 2, width / 2):
        group.box((0, y, height / 2), (depth, 0.04, height), material)
    for level in (0.06, 0.36, 0.66, 0.97):
        group.box((0, 0, level * height), (depth, width, 0.04), material)
    group.box((-depth / 2, 0, height / 2), (0.02, width, height), material)
    return group.shapes, math.hypot(width, depth) / 2


def sofa(rng: Rng, palette: Palette) -> Item:
    """A seat, a back and two arms."""
    group, material = Group(rng), palette.draw('object')
    width = rng.uniform(1.3, 1.9)
    group.box((0, 0, 0.21), (0.8, width, 0.42), material)
    group.box((-0.32, 0, 0.62), (0.18, width, 0.4), material)
    for y in (-width / 2 + 0.09, width / 2 - 0.09):
        group.box((0, y, 0.52), (0.8, 0.18, 0.22), material)
    return group.shapes, math.hypot(width, 0.8) / 2


def crates(rng: Rng, palette: Palette) -> Item:
    """One to three boxes, the upper ones smaller."""
    shapes: list[Shape] = []
    top, side = 0.0, rng.uniform(0.4, 0.7)
    for _ in range(int(rng.integers(1, 4))):
        group, height = Group(rng), rng.uniform(0.25, 0.5)
        group.box((0, 0, top + height / 2), (side, side, height), palette.draw('object'))
        shapes += group.shapes
        top, side = top + height, side * rng.uniform(0.6, 0.9)
    return shapes, 0.5


def bin_(rng: Rng, palette: Palette) -> Item:
    """An upright barrel or bin."""
    radius, height = rng.uniform(0.15, 0.35), rng.uniform(0.35, 1.0)
    return [Cylinder((0, 0, height / 2), radius, height / 2, palette.draw('object'))], radius


def pillar(rng: Rng, palette: Palette) -> Item:
    """A round pillar from floor to ceiling."""
    radius = rng.uniform(0.12, 0.25)
    return [Cylinder((0, 0, 1.5), radius, 1.5, palette.draw('wall'))], radius


def ball(rng: Rng, palette: Palette) -> Item:
    """A ball on the floor."""
    radius = rng.uniform(0.12, 0.4)
    return [Sphere((0, 0, radius), radius, palette.draw('object'))], radius


def plant(rng: Rng, palette: Palette) -> Item:
    """A pot with a round plant."""
    pot, crown = rng.uniform(0.14, 0.22), rng.uniform(0.25, 0.4)
    return [
        Cylinder((0, 0, 0.2), pot, 0.2, palette.draw('object')),
        Sphere((0, 0, 0.4 + 0.8 * crown), crown, palette.draw('object')),
    ], crown


def lamp(rng: Rng, palette: Palette) -> Item:
    """A standing lamp."""
    height, material = rng.uniform(1.3, 1.7), palette.draw('object')
    return [
        Cylinder((0, 0, 0.02), 0.15, 0.02, material, False),
        Cylinder((0, 0, height / 2), 0.02, height / 2, material, False),
        Cylinder((0, 0, height), 0.18, 0.14, palette.draw('wall')),
    ], 0.2


ITEMS: list[Callable[[Rng, Palette], Item]] = [
    table, chair, cabinet, shelf, sofa, crates, bin_, pillar, ball, plant, lamp,
]
NARROW_ITEMS: list[Callable[[Rng, Palette], Item]] = [chair, crates, bin_, ball, plant, cabinet]


def furnish(rng: Rng, palette: Palette, size: Vector, corridor: bool) -> list[Shape]:
    """
    Place items that don't overlap.

    :param rng: decides everything.
    :param palette: where materials come from.
    :param size: the room's, metres.
    :param corridor: fewer and smaller items, along the walls.
    """
    wanted = int(rng.integers(1, 4)) if corridor else int(rng.integers(4, 9))
    taken: list[tuple[float, float, float]] = []
    shapes: list[Shape] = []
    for _ in range(wanted):
        choices = NARROW_ITEMS if corridor else ITEMS
        item, radius = choices[int(rng.integers(len(choices)))](rng, palette)
        place = free_place(rng, size, radius, taken, along_wall=corridor or rng.random() < 0.5)
        if place is not None:
            taken.append((*place, radius))
            shapes += [moved(shape, *place) for shape in item]
    return shapes


def free_place(
    rng: Rng,
    size: Vector,
    radius: float,
    taken: list[tuple[float, float, float]],
    *,
    along_wall: bool,
) -> tuple[float, float] | None:
    """Find a free circle on the floor, or None after a few tries."""
    margin = radius + 0.04
    for _ in range(12):
        x, y = (rng.uniform(margin, max(side - margin, margin + 0.01)) for side in size[:2])
        if along_wall and rng.random() < size[0] / (size[0] + size[1]):
            y = margin if rng.random() < 0.5 else size[1] - margin
        elif along_wall:
            x = margin if rng.random() < 0.5 else size[0] - margin
        if all(math.hypot(x - u, y - v) > radius + other for u, v, other in taken):
            return x, y
    return None


def moved(shape: Shape, x: float, y: float) -> Shape:
    """Move a shape along the floor."""
    return replace(shape, centre=(shape.centre[0] + x, shape.centre[1] + y, shape.centre[2]))


def doors(rng: Rng, palette: Palette, size: Vector, corridor: bool) -> list[Shape]:
    """Put doors, pictures and windows on the walls as thin boxes."""
    frame, leaf = palette.draw('object'), palette.draw('object')
    shapes: list[Shape] = []
    for _ in range(int(rng.integers(3, 6)) if corridor else int(rng.integers(1, 4))):
        along_x = corridor or rng.random() < 0.5
        far = bool(rng.random() < 0.5)
        if corridor or rng.random() < 0.6:
            shapes.append(on_wall(rng, size, along_x, far, (1.0, 0.03, 2.1), 0.0, frame))
            inner = shapes[-1].centre
            shapes.append(on_wall(rng, size, along_x, far, (0.86, 0.05, 2.03), 0.0, leaf, inner))
        else:
            picture = (rng.uniform(0.4, 1.4), 0.04, rng.uniform(0.4, 1.0))
            material = palette.draw('object')
            shapes.append(on_wall(rng, size, along_x, far, picture, 1.1, material))
    return shapes


def on_wall(
    rng: Rng,
    size: Vector,
    along_x: bool,
    far: bool,
    extent: Vector,
    bottom: float,
    material: Material,
    beside: Vector | None = None,
) -> Box:
    """
    Fix a thin box to a wall.

    :param extent: width along the wall, thickness, height, metres.
    :param bottom: height of its lower edge, metres.
    :param beside: share the place along the wall of this earlier box.
    """
    axis = 0 if along_x else 1
    place = rng.uniform(extent[0] / 2, size[axis] - extent[0] / 2)
    if beside is not None:
        place = beside[axis]
    wall = size[1 - axis] if far else 0.0
    height = bottom + extent[2] / 2
    half = (extent[0] / 2, extent[1], extent[2] / 2)
    if along_x:
        return Box((place, wall, height), half, 0.0, material, False)
    return Box((wall, place, height), (half[1], half[0], half[2]), 0.0, material, False)
