# SPDX-License-Identifier: Apache-2.0
"""Try the floor's scale in rendered rooms: `python -m training.floor_rooms` prints the table."""

import argparse
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch

from depth_estimation_ros.core.correction import Correction
from depth_estimation_ros.core.estimator import DepthEstimator, EstimatorOptions
from depth_estimation_ros.core.families.base import Quantity
from depth_estimation_ros.core.floor import FloorOptions, NotEnoughFloorError, find_floor
from depth_estimation_ros.core.floor_scale import agree
from depth_estimation_ros.core.pinhole import Pinhole
from depth_estimation_ros.resources import model_folder
from training.dataset import CPU, bank_on, camera_grid, is_corridor, make_scene
from training.rays import cast_rays, first_hits
from training.render import render
from training.scene import IMAGE_HEIGHT, IMAGE_WIDTH, make_camera
from training.sensor import draw_sensor, expose
from training.world import Camera, World

ROOMS, VIEWS = 100, 10
SEED = 77
STEP = 4  # pixels between rays
FLOOR = 4  # the floor's number among the room's faces
HIDDEN = 0.3  # the share of the visible floor that further objects hide
HEIGHT_ERROR_M = 0.01
PITCH_ERROR_RAD = math.radians(0.3)
PITCH_TOLERANCE_RAD = math.radians(0.6)  # that a careful person gives for it
SCALES = (0.5, 2.0)
NEAR_M = 4.0  # how far depth of a relative model is asked to be right
RIGHT = {'true depth, unknown scale': 0.02, 'inverse depth, unknown scale and shift': 0.05}
OF_MODEL = {  # of the demo model's depth, unknown scale
    "the demo model's depth, beyond its own error on the floor": 0.02,
    "the demo model's depth, from the scale that its floor needs": 0.02}


@dataclass(frozen=True)
class Room:
    """Views of one room by one camera, metres."""

    depths: list[np.ndarray]
    lens: Pinhole
    height: float
    pitch: float  # radians below the horizon
    world: World
    cameras: list[Camera]
    tolerance: float = PITCH_TOLERANCE_RAD


@dataclass
class Outcome:
    """What became of one kind of map in all rooms."""

    limit: float  # the largest error that counts as right, a share
    errors: list[float] = field(default_factory=list)
    unanswered: int = 0

    @property
    def right(self) -> int:
        return sum(error <= self.limit for error in self.errors)

    @property
    def wrong(self) -> int:
        return len(self.errors) - self.right

    def row(self, name: str) -> str:
        """Format a line of the Markdown table."""
        worst = f'{max(self.errors):.1%}' if self.errors else ''
        return (f'| {name} | {self.limit:.0%} | {self.right} | {self.unanswered} | {self.wrong} '
                f'| {worst} |')


def room(index: int, rng: np.random.Generator, views: int = VIEWS, split: str = 'test') -> Room:
    """Put a camera of one height and pitch at several places of a room, and hide its floor."""
    world, first = make_scene(rng, split, is_corridor(index))
    cameras = [first]
    while len(cameras) < views:
        if (other := make_camera(rng, world)) is not None:
            place = (*other.position[:2], first.position[2])
            cameras.append(replace(first, position=place, yaw=other.yaw))
    i = first.intrinsics
    lens = Pinhole(i.fx / STEP, i.fy / STEP, i.cx / STEP, i.cy / STEP)
    return Room([hide_floor(*look(world, camera), lens, rng) for camera in cameras], lens,
                first.position[2], -first.pitch, world, cameras)


def look(world: World, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Return depth and where the floor is seen."""
    columns = torch.arange(0, IMAGE_WIDTH, STEP, dtype=torch.float32)
    rows = torch.arange(0, IMAGE_HEIGHT, STEP, dtype=torch.float32)
    depth, surface = first_hits(world, camera, cast_rays(camera, columns, rows))
    return depth.numpy(), surface.numpy() == FLOOR


def hide_floor(depth: np.ndarray, floor: np.ndarray, lens: Pinhole,
               rng: np.random.Generator) -> np.ndarray:
    """Stand upright boards on the floor until they hide a share of it."""
    depth, hidden = depth.copy(), np.zeros_like(floor)
    while np.count_nonzero(hidden & floor) < HIDDEN * np.count_nonzero(floor):
        y, x = rng.choice(np.argwhere(floor))
        distance = depth[y, x]
        half = int(rng.uniform(0.1, 0.4) * lens.fx / distance)
        tall = int(rng.uniform(0.2, 1.2) * lens.fy / distance)
        board = (slice(max(0, y - tall), y + 1), slice(max(0, x - half), x + half + 1))
        behind = depth[board] > distance
        depth[board][behind] = distance
        hidden[board] |= behind
    return depth


def correction(maps: list[np.ndarray], lens: Pinhole, height: float,
               options: FloorOptions) -> Correction:
    """Return what the floors of several maps say; raises NotEnoughFloorError."""
    floors = []
    for values in maps:
        try:
            floors.append(find_floor(values, lens, options))
        except NotEnoughFloorError:
            continue
    return agree(floors, len(maps), height).correction(options.quantity)


def scale_error(seen: Room, rng: np.random.Generator) -> tuple[float]:
    """Return the error of the scale found for true depth times an unknown one, a share."""
    scale = float(np.exp(rng.uniform(*np.log(SCALES))))
    found = correction([scale * depth for depth in seen.depths], seen.lens,
                       *as_measured(seen, rng, Quantity.METRES))
    return (abs(found.scale * scale - 1),)


def inverse_error(seen: Room, rng: np.random.Generator) -> tuple[float]:
    """Return the error in depth that 95 % of what is near stay under, a share."""
    scale = float(np.exp(rng.uniform(*np.log(SCALES))))
    shift = float(rng.uniform(-0.5, 0.5)) * scale
    maps = [scale / depth + shift for depth in seen.depths]
    found = correction(maps, seen.lens, *as_measured(seen, rng, Quantity.INVERSE_DEPTH))
    errors = [np.abs(found(values) / depth - 1)[depth <= NEAR_M]
              for values, depth in zip(maps, seen.depths)]
    return (float(np.nanpercentile(np.concatenate(errors), 95)),)


def model_errors(seen: Room, rng: np.random.Generator,
                 estimator: DepthEstimator) -> tuple[float, float]:
    """
    Return the errors of the scale found for a model's depth times an unknown one, shares.

    The images show the room as it is: its own objects hide the floor, no boards do.

    :return: how far the error of the scale exceeds the mean relative error of the model's depth of
        the visible floor, and how far the scale is from the one that the floor's median needs.
    """
    scale = float(np.exp(rng.uniform(*np.log(SCALES))))
    maps, ratios = [], []
    for camera in seen.cameras:
        true, floor = look(seen.world, camera)
        depth = estimator.estimate([photograph(seen.world, camera, rng)])[0][::STEP, ::STEP]
        maps.append(scale * depth)
        ratios.append((true / depth)[floor])
    found = correction(maps, seen.lens, *as_measured(seen, rng, Quantity.METRES))
    ratio, factor = np.concatenate(ratios), found.scale * scale
    own = float(np.abs(1 / ratio - 1).mean())
    return max(0.0, abs(factor - 1) - own), abs(factor / float(np.median(ratio)) - 1)


def photograph(world: World, camera: Camera, rng: np.random.Generator) -> np.ndarray:
    """Return what a sensor makes of a view, (480, 640, 3) uint8 RGB."""
    picture = render(world, camera, *camera_grid(CPU), bank_on(CPU))
    return expose(picture.radiance, draw_sensor(rng)).permute(1, 2, 0).contiguous().numpy()


def as_measured(seen: Room, rng: np.random.Generator,
                quantity: Quantity) -> tuple[float, FloorOptions]:
    """Return height and pitch as a person measures them."""
    pitch = seen.pitch + rng.uniform(-PITCH_ERROR_RAD, PITCH_ERROR_RAD)
    height = seen.height + rng.uniform(-HEIGHT_ERROR_M, HEIGHT_ERROR_M)
    return float(height), FloorOptions(float(pitch), seen.tolerance, quantity=quantity)


Trial = Callable[[Room, np.random.Generator], tuple[float, ...]]
"""From a room to errors; raises NotEnoughFloorError."""

TRIALS: dict[tuple[str, ...], Trial] = {
    (name,): trial for name, trial in zip(RIGHT, (scale_error, inverse_error))}
"""By the names of the errors in RIGHT."""


def outcomes(rooms: int, views: int = VIEWS,
             estimator: DepthEstimator | None = None,
             tolerance: float = PITCH_TOLERANCE_RAD) -> dict[str, Outcome]:
    """
    Try all kinds of maps.

    :param rooms: how many; every fourth is a corridor.
    :param views: images of each.
    :param estimator: whose depth is tried too.
    :param tolerance: radians, given for the pitch.
    """
    trials = dict(TRIALS)
    if estimator is not None:
        trials[tuple(OF_MODEL)] = partial(model_errors, estimator=estimator)
    limits = {**RIGHT, **OF_MODEL}
    found = {name: Outcome(limits[name]) for names in trials for name in names}
    for index in range(rooms):
        rng = np.random.default_rng([SEED, index])
        seen = replace(room(index, rng, views), tolerance=tolerance)
        for names, trial in trials.items():
            try:
                for name, error in zip(names, trial(seen, rng), strict=True):
                    found[name].errors.append(error)
            except NotEnoughFloorError:
                for name in names:
                    found[name].unanswered += 1
    return found


def table(found: dict[str, Outcome]) -> Iterator[str]:
    """Yield the lines of a Markdown table."""
    yield '| maps | asked | rooms right | no answer | wrong | largest error |'
    yield '|---|---|---|---|---|---|'
    yield from (outcome.row(name) for name, outcome in found.items())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--rooms', type=int, default=ROOMS)
    parser.add_argument('--views', type=int, default=VIEWS, help='images of a room')
    parser.add_argument('--model', action='store_true', help="try the demo model's depth too")
    parser.add_argument('--pitch-tolerance', type=float, default=PITCH_TOLERANCE_RAD,
                        help='radians, given for the pitch (default 0.0105)')
    options = parser.parse_args()
    estimator = DepthEstimator(EstimatorOptions(model_folder('demo'), device='cpu')) if (
        options.model) else None
    print(*table(outcomes(options.rooms, options.views, estimator, options.pitch_tolerance)),
          sep='\n')
    if estimator is not None:
        estimator.close()


if __name__ == '__main__':
    main()
