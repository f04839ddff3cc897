# SPDX-License-Identifier: Apache-2.0
"""Where a scan comes from: the renderer's depth, the demo model's, or rows of a depth image."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from depth_estimation_ros.core.estimator import DepthEstimator
from depth_estimation_ros.core.frame import Depth, Image
from depth_estimation_ros.core.options import EstimatorOptions
from depth_estimation_ros.core.pinhole import Pinhole
from depth_estimation_ros.core.scan import Band, Scanner, ranges_of
from depth_estimation_ros.core.shaping.edges import mask_edges
from depth_estimation_ros.resources import DEMO_MODEL, model_folder
from training.dataset import CPU, bank_on, camera_grid
from training.drive.robot import MOUNT, TALL_M, Pose, camera_at, pinhole
from training.rays import cast_rays, first_hits
from training.render import render
from training.scene import IMAGE_HEIGHT, IMAGE_WIDTH
from training.sensor import Sensor, expose
from training.world import World

Ranges = tuple[NDArray[np.float32], float, float]
"""float32 metres, the first angle and the increment, radians, as core.scan has them."""
Source = Callable[[World, Pose, Sensor], Ranges]

BAND = Band(min_height=0.15, max_height=TALL_M, slack=0.02)
DIVISOR = 2  # true depth is rendered at 320 x 240
EDGE_JUMP, EDGE_WIDTH = 0.02, 2  # the model's depth is upsampled threefold, and slopes with it
FEW_ROWS = 10
SCANNER = Scanner()  # of the one camera of the true scans


def true_depth(world: World, pose: Pose) -> Depth:
    """Return the renderer's depth, metres along the optical axis, (240, 320)."""
    rows, columns = (torch.arange(float(side // DIVISOR)) for side in (IMAGE_HEIGHT, IMAGE_WIDTH))
    camera = camera_at(pose, DIVISOR)
    return first_hits(world, camera, cast_rays(camera, columns, rows))[0].numpy()


def true_scan(world: World, pose: Pose, sensor: Sensor) -> Ranges:
    """Return the package's scan of the true depth."""
    return ranges_of(true_depth(world, pose), pinhole(DIVISOR), MOUNT, BAND, SCANNER)


def take_image(world: World, pose: Pose, sensor: Sensor) -> Image:
    """Take the robot's picture, uint8 RGB, (480, 640, 3)."""
    picture = render(world, camera_at(pose), *camera_grid(CPU), bank_on(CPU))
    return expose(picture.radiance, sensor).permute(1, 2, 0).contiguous().numpy()


class DemoModel:
    """The package's scan of the demo model's depth, with its edges masked."""

    def __init__(self) -> None:
        self._estimator = DepthEstimator(
            EstimatorOptions(model_folder(DEMO_MODEL), device='cpu', backend='torch'))
        self._scanner = Scanner()

    def __call__(self, world: World, pose: Pose, sensor: Sensor) -> Ranges:
        depth = self._estimator.estimate([take_image(world, pose, sensor)])[0]
        masked = mask_edges(torch.from_numpy(depth), EDGE_JUMP, EDGE_WIDTH)
        return ranges_of(masked.numpy(), pinhole(), MOUNT, BAND, self._scanner)


def row_scan(depth: Depth, camera: Pinhole, rows: int) -> Ranges:
    """
    Scan rows about the middle one, each pixel as if the camera were level.

    As depthimage_to_laserscan does: the nearest of the rows in each column, whatever it is.

    :param depth: float32 metres along Z, H×W.
    :param rows: how many.
    """
    top = (len(depth) - rows) // 2
    nearest = depth[top:top + rows].min(0)
    x = (np.arange(depth.shape[1]) - camera.cx) / camera.fx
    last = float(np.arctan(-x[0]))
    increment = 2 * last / (len(x) - 1)
    slope = -np.tan(-last + increment * np.arange(len(x)))
    column = np.clip(np.rint(slope * camera.fx + camera.cx), 0, len(x) - 1).astype(int)
    ranges = nearest[column] * np.hypot(1, x[column])
    return ranges.astype(np.float32), -last, increment


def rows_of_true_depth(rows: int) -> Source:
    """Return the source that scans so many rows of the true depth."""
    return lambda world, pose, sensor: row_scan(true_depth(world, pose), pinhole(DIVISOR), rows)


SOURCES: dict[str, Callable[[], Source]] = {
    'true depth': lambda: true_scan,
    'demo model': DemoModel,
    f'true depth, {FEW_ROWS} middle rows, floor not removed': lambda: rows_of_true_depth(FEW_ROWS),
    'true depth, all rows, floor not removed': lambda: rows_of_true_depth(IMAGE_HEIGHT // DIVISOR),
}
"""What the table compares: a name, and what makes the source."""


def exposure(sensor: Sensor, frame: int) -> Sensor:
    """Return the sensor of one frame: the same settings, other noise."""
    return replace(sensor, seed=(sensor.seed + frame) % 2**31)
