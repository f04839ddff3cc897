# SPDX-License-Identifier: Apache-2.0
"""What a camera sees: it stands or drives through a room, where a column may go by."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from depth_estimation_ros.core.estimator import DepthEstimator
from depth_estimation_ros.core.evaluation.steadiness import Maps, Video
from depth_estimation_ros.core.pinhole import Pinhole
from depth_estimation_ros.core.rigid import Rigid
from depth_estimation_ros.core.shaping.temporal import Moment, TemporalFilter
from training.clip import INTRINSICS, RATE_HZ, drive, suits
from training.dataset import CPU, bank_on, camera_grid, scene_rng, split_textures
from training.rays import camera_axes, cast_rays, first_hits
from training.render import render
from training.scene import make_world
from training.sensor import Sensor, expose
from training.world import Camera, Cylinder, World

MEMORY, GATE = 16, 0.1
"""The filter's settings; chosen in rooms of the split 'validation'."""

FRAMES = 40
SETTLED = 10
"""The first frames, which do not count."""

ROUND_S = 20.0
"""Seconds that a drive takes for one round through the room: 0.4 m/s and 0.3 rad/s."""

NOISE = 0.01
"""Of the sensor, of a full scale of 1: the middle of what the demo model was trained on."""

RADIUS_M, TALL_M = 0.22, 1.6
"""The column, about a person's size."""

LENS = Pinhole(INTRINSICS.fx, INTRINSICS.fy, INTRINSICS.cx, INTRINSICS.cy)

Place = Callable[[float], tuple[float, float]]
"""Metres ahead of and to the left of where the camera starts, after so many seconds."""


def crossing(seconds: float) -> tuple[float, float]:
    """Go by from left to right at 0.8 m/s."""
    way = 0.8 * (seconds - SETTLED / RATE_HZ)
    return 2.6 - 0.25 * way, 1.6 - way


def approaching(seconds: float) -> tuple[float, float]:
    """Come nearer at 0.3 m/s."""
    return 2.4 - 0.3 * seconds, 0.1


@dataclass(frozen=True)
class Kind:
    """A kind of drive."""

    name: str
    moves: bool
    column: Place | None


KINDS = (Kind('the camera stands', False, None),
         Kind('it stands, a column crosses', False, crossing),
         Kind('it stands, a column approaches', False, approaching),
         Kind('the camera drives', True, None))


@dataclass(frozen=True)
class Drive:
    """A drive as it was seen."""

    images: NDArray[np.uint8]
    """RGB, N×H×W×3."""
    plain: Maps
    """The model's depth, metres, N×H×W."""
    video: Video


def make_room(split: str, number: int) -> World:
    """Build the first room from a number on that has room for the drive."""
    while True:
        world = make_world(scene_rng(split, number), split_textures(split), corridor=False)
        if suits(world):
            return world
        number += 1000


def pose(camera: Camera) -> Rigid:
    """Return where the camera's optical frame is in the room."""
    return Rigid(camera_axes(camera).numpy().astype(np.float64), np.array(camera.position))


def with_column(world: World, start: Camera, place: Place, seconds: float) -> World:
    """Stand a column in the room."""
    ahead, left = place(seconds)
    cosine, sine = math.cos(start.yaw), math.sin(start.yaw)
    centre = (start.position[0] + ahead * cosine - left * sine,
              start.position[1] + ahead * sine + left * cosine, TALL_M / 2)
    column = Cylinder(centre, RADIUS_M, TALL_M / 2, world.shapes[-1].material)
    return replace(world, shapes=(*world.shapes, column))


def moments(world: World, kind: Kind, number: int, count: int) -> Iterator[tuple[World, Camera]]:
    """Yield the room and the camera of each frame."""
    start = drive(world, 0.1 * number)
    for index in range(count):
        seconds = index / RATE_HZ
        camera = drive(world, 0.1 * number + seconds / ROUND_S) if kind.moves else start
        yield (world if kind.column is None else with_column(world, start, kind.column, seconds),
               camera)


def take(split: str, number: int, kind: Kind, estimator: DepthEstimator,
         count: int = FRAMES) -> Drive:
    """
    Render a drive and run the model on it.

    :param split: whose rooms: 'validation' or 'test'.
    :param number: of the room.
    :param count: of frames.
    """
    room, grid = make_room(split, number), camera_grid(CPU)
    images, plain, truth, static, poses = [], [], [], [], []
    for index, (world, camera) in enumerate(moments(room, kind, number, count)):
        picture = render(world, camera, *grid, bank_on(CPU))
        sensor = Sensor(0.45, (1.0, 1.0, 1.0), NOISE, 1000 * number + index)
        image = expose(picture.radiance, sensor).permute(1, 2, 0).contiguous().numpy()
        images.append(image)
        plain.append(estimator.estimate([image])[0])
        truth.append(picture.depth.numpy())
        empty = first_hits(room, camera, cast_rays(camera, *grid))[0].numpy()
        static.append(truth[-1] >= empty - 1e-3)
        poses.append(pose(camera))
    video = Video(np.stack(truth), poses, LENS, np.stack(static))
    return Drive(np.stack(images), np.stack(plain), video)


def kinds_of(split: str, number: int, estimator: DepthEstimator,
             count: int = FRAMES) -> Iterator[tuple[Kind, Drive]]:
    """Yield a drive of each kind."""
    run = partial(take, split, number, estimator=estimator, count=count)
    for kind in KINDS:
        yield kind, run(kind=kind)


def filtered(seen: Drive, *, odometry: bool, memory: int, gate: float) -> tuple[Maps, float]:
    """Return the filter's depth of a drive, and the share of pixels that it steadied."""
    steady, maps, shares = TemporalFilter(), [], []
    for index, (image, depth) in enumerate(zip(seen.images, seen.plain)):
        moment = Moment(index / RATE_HZ, image, LENS,
                        seen.video.poses[index] if odometry else None)
        maps.append(steady(torch.from_numpy(depth), moment, memory, gate).numpy())
        shares.append(float(steady.steadied))
    return np.stack(maps), float(np.mean(shares[SETTLED:]))
