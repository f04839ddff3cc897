# SPDX-License-Identifier: Apache-2.0
"""Samples: a seed becomes a scene, and the scene an image with its depth."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import count

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from training.rays import cast_rays, room_hits
from training.render import render
from training.scene import IMAGE_HEIGHT, IMAGE_WIDTH, make_camera, make_world
from training.sensor import draw_sensor, expose
from training.textures import TextureBank, texture_bank
from training.world import Camera, World

SPLITS = ('train', 'validation', 'test', 'clip')
ROLES = ('floor', 'wall', 'object')
CPU = torch.device('cpu')
CORRIDOR_EVERY = 4  # one scene, or one training batch, in four is a corridor
STEPS_A_SEED, SCENES_A_STEP = 100_000, 1000  # the scenes' numbers that a training leaves free


@dataclass(frozen=True)
class Sample:
    """One image and its depth."""

    image: Tensor  # uint8, (3, h, w), RGB
    depth: Tensor  # float32, (h, w), metres along the optical axis; 0 in the padding
    objects: Tensor  # bool, (h, w), whether a shape is seen rather than a face of the room
    camera: Camera
    corridor: bool


@dataclass(frozen=True)
class Grid:
    """Which pixels of the 640 x 480 image to render, and how to pad the result."""

    columns: Tensor  # float32, pixel coordinates
    rows: Tensor
    pad_columns: Tensor  # int64, for each column of the padded image the rendered one
    pad_rows: Tensor
    inside_columns: Tensor  # bool, which columns of the padded image are not padding
    inside_rows: Tensor


def padding(side: int) -> int:
    """Return ZoeDepth's reflected padding for an image side, pixels."""
    return int(np.sqrt(side / 2) * 3)


def network_axis(side: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """
    Follow one axis of ZoeDepth's pad and resize (bilinear, align_corners) to image pixels.

    :param side: of the image.
    :param count: of the network's input.
    :return: the coordinates to render, the rendered pixel for each padded one, and which
        padded pixels are inside.
    """
    pad = padding(side)
    step = (side + 2 * pad - 1) / (count - 1)
    place = torch.arange(count, dtype=torch.float64) * step - pad
    inside = (place >= 0) & (place <= side - 1)
    first = int(inside.nonzero()[0])
    mirrored = (side - 1) - ((side - 1) - place.abs()).abs()
    nearest = ((mirrored + pad) / step).round().long() - first
    return place[inside].float(), nearest.clamp(0, int(inside.sum()) - 1), inside


@lru_cache
def network_grid(height: int, width: int) -> Grid:
    """Return the pixels that the network sees of a 640 x 480 image at its input size."""
    columns, pad_columns, inside_columns = network_axis(IMAGE_WIDTH, width)
    rows, pad_rows, inside_rows = network_axis(IMAGE_HEIGHT, height)
    return Grid(columns, rows, pad_columns, pad_rows, inside_columns, inside_rows)


def is_corridor(index: int) -> bool:
    """Tell which numbers, of scenes or of batches, stand for corridors."""
    return index % CORRIDOR_EVERY == CORRIDOR_EVERY - 1


@lru_cache
def split_textures(split: str) -> dict[str, list[int]]:
    """Return the textures of a split for each role; training shares none with the others."""
    bank = texture_bank()
    return {role: bank.indices(role, held_out=split != 'train') for role in ROLES}


def scene_rng(split: str, index: int) -> np.random.Generator:
    """Return the random numbers that decide one scene."""
    return np.random.default_rng([SPLITS.index(split), index])


def make_scene(rng: np.random.Generator, split: str, corridor: bool) -> tuple[World, Camera]:
    """Draw a world and a camera in it; a world with no room for a camera is drawn anew."""
    while True:
        world = make_world(rng, split_textures(split), corridor)
        camera = make_camera(rng, world)
        if camera is not None:
            return world, camera


def network_sample(split: str, index: int, corridor: bool, height: int, width: int) -> Sample:
    """
    Render what the network sees of a scene, padded by reflection as ZoeDepth pads.

    :param split: 'train', 'validation' or 'test'.
    :param index: of the scene.
    :param corridor: a corridor rather than a room.
    :param height: of the network's input; width alike.
    """
    rng, grid = scene_rng(split, index), network_grid(height, width)
    world, camera = make_scene(rng, split, corridor)
    picture = render(world, camera, grid.columns, grid.rows, texture_bank())
    image = expose(picture.radiance, draw_sensor(rng))
    image, depth, objects = (
        values[..., grid.pad_rows, :][..., grid.pad_columns]
        for values in (image, picture.depth, picture.objects))
    inside = grid.inside_rows[:, None] & grid.inside_columns
    return Sample(image, depth * inside, objects & inside, camera, corridor)


def camera_sample(split: str, index: int, device: torch.device = CPU) -> Sample:
    """
    Render the whole 640 x 480 image of a scene.

    :param split: 'train', 'validation' or 'test'.
    :param index: of the scene; every fourth is a corridor.
    :param device: to render on.
    """
    rng, corridor = scene_rng(split, index), is_corridor(index)
    world, camera = make_scene(rng, split, corridor)
    picture = render(world, camera, *camera_grid(device), bank_on(device))
    image = expose(picture.radiance, draw_sensor(rng))
    return Sample(image, picture.depth, picture.objects, camera, corridor)


def background_depth(split: str, index: int, device: torch.device = CPU) -> Tensor:
    """Return the depth of a scene's `camera_sample` as if the room were empty, (480, 640)."""
    world, camera = make_scene(scene_rng(split, index), split, is_corridor(index))
    return room_hits(world, cast_rays(camera, *camera_grid(device)))[0]


def camera_grid(device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the columns and the rows of the whole image."""
    return (torch.arange(IMAGE_WIDTH, dtype=torch.float32, device=device),
            torch.arange(IMAGE_HEIGHT, dtype=torch.float32, device=device))


@lru_cache
def bank_on(device: torch.device) -> TextureBank:
    """Return the textures on a device."""
    return texture_bank().to(device)


@dataclass(frozen=True)
class Batch:
    """Samples of one kind."""

    images: Tensor  # uint8, (n, 3, h, w)
    depth: Tensor  # float32, (n, h, w), metres, 0 in the padding
    objects: Tensor  # bool, (n, h, w), whether a shape is seen rather than a face of the room
    corridor: bool

    def mirrored(self) -> 'Batch':
        """Return the same scenes with left and right exchanged."""
        return Batch(self.images.flip(-1), self.depth.flip(-1), self.objects.flip(-1),
                     self.corridor)


class Batches(IterableDataset[Batch]):
    """Endless training batches, each either of rooms or of corridors, no scene twice."""

    def __init__(self, first: int, size: int, height: int, width: int, seed: int = 0) -> None:
        """
        Start at a training step, as a resumed training does.

        :param first: the first step.
        :param size: samples a batch.
        :param height: of the network's input; width alike.
        :param seed: of the training; another one sees other scenes.
        """
        self._first, self._size, self._shape = first, size, (height, width)
        self._seed = seed

    def __iter__(self) -> Iterator[Batch]:
        # worker processes take turns, in the order in which the loader asks them
        worker = get_worker_info()
        turn, turns = (worker.id, worker.num_workers) if worker else (0, 1)
        for number in count(self._first + turn, turns):
            yield self._batch(number)

    def _batch(self, number: int) -> Batch:
        corridor = is_corridor(number)
        start = (self._seed * STEPS_A_SEED + number) * SCENES_A_STEP
        samples = [network_sample('train', start + i, corridor, *self._shape)
                   for i in range(self._size)]
        images, depth, objects = (
            torch.stack([getattr(sample, name) for sample in samples])
            for name in ('image', 'depth', 'objects'))
        return Batch(images, depth, objects, corridor)


def loader(source: Batches, workers: int) -> 'DataLoader[Batch]':
    """
    Render in worker processes, ahead of who asks and in order.

    A server forks the workers. A fork of this process, whose libraries run threads, may crash;
    a spawned worker that is told to stop while it hands a batch over does: its interpreter
    ends under a thread that is in torch's C++ ("terminate called without an active exception").
    A server's child leaves without ending its interpreter.
    """
    if not workers:
        return DataLoader(source, batch_size=None)
    return DataLoader(source, batch_size=None, num_workers=workers, prefetch_factor=6,
                      multiprocessing_context='forkserver')
