# SPDX-License-Identifier: Apache-2.0
"""Rooms seen by a robot that turns on the spot, with patterns on their walls or bare."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from training.dataset import CPU, bank_on, is_corridor, make_scene, scene_rng
from training.render import render
from training.scene import IMAGE_HEIGHT, IMAGE_WIDTH
from training.world import World

Radiance = NDArray[np.float32]

TURN_RAD = 0.2
"""From one view to the next: a robot that turns by a radian a second, looked at at 5 Hz."""


def views(split: str, index: int, count: int, step: int = 1) -> Iterator[Radiance]:
    """
    Yield what a turning camera gets of a room, float32, h×w×3, linear.

    :param split: 'validation' or 'test'.
    :param index: of the room, which is seen twice: odd numbers paint its walls plain.
    :param step: pixels of the 640 x 480 image from one rendered pixel to the next.
    """
    number = index // 2
    world, camera = make_scene(scene_rng(split, number), split, is_corridor(number))
    if index % 2:
        world = painted(world)
    columns, rows = (torch.arange((step - 1) / 2, side, step)
                     for side in (IMAGE_WIDTH, IMAGE_HEIGHT))
    for number in range(count):
        turned = replace(camera, yaw=camera.yaw + number * TURN_RAD)
        picture = render(world, turned, columns, rows, bank_on(CPU))
        yield picture.radiance.permute(1, 2, 0).contiguous().numpy()


def painted(world: World) -> World:
    """Return the room with floor, walls and ceiling of one colour each."""
    return replace(world, faces=tuple(replace(face, accent=face.base) for face in world.faces))
