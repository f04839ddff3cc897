# SPDX-License-Identifier: Apache-2.0
"""Depth as a laser scan: the nearest obstacle in each direction over a level floor."""

from __future__ import annotations

import math
from dataclasses import dataclass
from math import cos, sin
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .frame import Depth
from .mount import Mount
from .pinhole import Pinhole

Array = NDArray[np.floating[Any]]

MAX_DENSITY = 2.0
"""Rays for each pixel at the image's centre, at most: a wide image's margin is denser still."""

NEAR = 0.05
"""The share of a ray's pixels that must be too near to be measured before it says so: what is that
near is large in the picture, and single pixels are noise."""

SHIVER = 1e-3
"""Radians by which the tilt may change and count as the same, for which all is known: 1 cm of
height at 10 m at most. A robot shivers by more than nothing."""

SWAY = 0.1
"""Radians by which the tilt may change and leave a scan its rays: a robot that brakes or a floor
found anew. Those who match scans (slam_toolbox) know the number of rays from the first one."""


@dataclass(frozen=True)
class Band:
    """Which heights are obstacles, in metres above the floor."""

    min_height: float
    """Above what the depth's relative error makes of the camera's height."""
    max_height: float
    slack: float = 0.0
    """Metres that the lower limit rises with each metre of range: the tilt's error, in radians."""


@dataclass(frozen=True)
class Scan:
    """
    Ranges as sensor_msgs/LaserScan has them, counter-clockwise.

    The frame is level with x forward, y left and z up (REP 103), its origin at the optical
    centre, x along the optical axis as seen from above.
    """

    ranges: Tensor
    """float32 metres in the level plane, N; +Inf where nothing stands, -Inf where something stands
    too near to be measured (REP 117), NaN where unknown."""
    angle_min: float
    angle_increment: float
    """Radians, exact in float32: ray i points at angle_min + i · angle_increment."""


class Scanner:
    """
    Makes the scans of one camera.

    What each pixel is to each ray depends on the lens and the tilt alone; it takes several times
    as long as a scan, and is kept until one of them changes. The directions of the rays stay until
    the lens changes, or the tilt by more than :data:`SWAY`; what a tilt within that shows beside
    them is left out, and a ray that it does not show is NaN.
    """

    def __init__(self) -> None:
        """Know no camera yet."""
        self._known: tuple[Any, ...] = ()
        self._tilt = self._tilt_of_rays = (math.inf, math.inf)
        self._rays = _Rays(0.0, 0.0, 0)
        self._grid: _Grid | None = None

    def __call__(self, depth: Tensor, camera: Pinhole, mount: Mount, band: Band) -> Scan:
        """
        Find the nearest obstacle in each direction, on the depth's device.

        A ray of the scan takes, in every row of the image, the pixel that looks closest to its
        direction; rays are so close that each pixel is taken, up to 90 degrees of view and with
        the tilt that they were made for. A ray without an obstacle is +Inf only where all its
        pixels are known and they reach up to the horizon: else something may stand beyond what
        they see, and it is NaN. What is too near to be measured is at the camera's height; where
        that is one of obstacles, a ray with more than single pixels of it is -Inf, whatever
        stands behind.

        :param depth: float32 metres along Z (REP 118), H×W, not finite as REP 117 says.
        :param camera: the intrinsics of the depth image (P).
        :param mount: the camera's height and tilt.
        :param band: the heights of obstacles.
        """
        grid = self._grid_of(depth, camera, mount)
        seen = depth.flatten().index_select(0, grid.pixel).view(grid.ahead.shape)
        ranges = seen * grid.ahead
        above = seen * grid.up
        least = ranges * band.slack + (band.min_height - mount.height)
        obstacle = (above >= least) & (above <= band.max_height - mount.height) & seen.isfinite()
        nearest = torch.where(obstacle, ranges, torch.inf).amin(0)
        near = seen.isneginf() & grid.inside
        unknown = (near | (seen.isnan() & grid.inside)).any(0) | ~grid.reaches_horizon
        nearest.masked_fill_(unknown & nearest.isinf(), torch.nan)
        if band.min_height <= mount.height <= band.max_height:
            nearest.masked_fill_(near.sum(0) > NEAR * grid.inside.sum(0), -torch.inf)
        return Scan(nearest, self._rays.first, self._rays.step)

    def _grid_of(self, depth: Tensor, camera: Pinhole, mount: Mount) -> _Grid:
        known, tilt = (camera, depth.shape, depth.device), (mount.pitch, mount.roll)
        if self._grid is None or known != self._known or _moved(tilt, self._tilt) > SHIVER:
            y = ((np.arange(depth.shape[0]) - camera.cy) / camera.fy)[:, None]
            if known != self._known or _moved(tilt, self._tilt_of_rays) > SWAY:
                self._rays, self._tilt_of_rays = _rays(camera, mount, y, depth.shape[1]), tilt
            self._known, self._tilt = known, tilt
            self._grid = _grid(camera, mount, y, depth.shape[1], self._rays, depth.device)
        return self._grid


def scan_from_depth(depth: Tensor, camera: Pinhole, mount: Mount, band: Band) -> Scan:
    """Make one scan, as :class:`Scanner` does."""
    return Scanner()(depth, camera, mount, band)


def _moved(tilt: tuple[float, float], other: tuple[float, float]) -> float:
    return max(abs(one - another) for one, another in zip(tilt, other, strict=True))


@dataclass(frozen=True)
class _Rays:
    """The directions of a scan, in radians that are exact in float32."""

    first: float
    step: float
    count: int


@dataclass(frozen=True)
class _Grid:
    """What each row of the image shows to each ray of the scan: rows × rays."""

    pixel: Tensor
    """int32, flat: the pixel of the flattened depth."""
    ahead: Tensor
    """float32: metres in the level plane for a metre of depth; NaN outside the image."""
    up: Tensor
    """float32: metres upwards for a metre of depth."""
    inside: Tensor
    """bool: whether the image has such a pixel."""
    reaches_horizon: Tensor
    """bool, rays."""


def _grid(camera: Pinhole, mount: Mount, y: Array, columns: int, rays: _Rays,
          device: torch.device) -> _Grid:
    x = _x_towards(rays.first + rays.step * np.arange(rays.count), y, mount)
    column = np.rint(x * camera.fx + camera.cx)
    inside = (column >= 0) & (column < columns)
    column = np.clip(np.nan_to_num(column), 0, columns - 1)
    forward, left, up = _directions((column - camera.cx) / camera.fx, y, mount)
    inside &= forward > 0
    pixel = (np.arange(len(y))[:, None] * columns + column).astype(np.int32)
    ahead = np.where(inside, np.hypot(forward, left), np.nan)
    tables = (pixel.ravel(), ahead.astype(np.float32), up.astype(np.float32), inside,
              (inside & (up >= 0)).any(0))
    return _Grid(*(torch.from_numpy(table).to(device) for table in tables))


def _rays(camera: Pinhole, mount: Mount, y: Array, columns: int) -> _Rays:
    """Return directions towards all pixels of an image, as close as the narrowest of them."""
    x = (np.arange(columns) - camera.cx) / camera.fx
    forward, left, _ = _directions(x, y, mount)
    angles = np.where(forward > 0, np.arctan2(left, forward), np.nan)
    first, last = np.float32(np.nanmin(angles)), np.float32(np.nanmax(angles))
    gaps = np.abs(np.diff(angles, axis=1))
    narrowest = np.nanmin(gaps) if np.isfinite(gaps).any() else 0.0
    step = np.float32(max(narrowest, 1 / (MAX_DENSITY * camera.fx)))
    return _Rays(float(first), float(step), int(np.ceil((last - first) / step)) + 1)


def _directions(x: Array, y: Array, mount: Mount) -> tuple[Array, Array, Array]:
    """
    Turn rays of the optical frame into the level one.

    :param x: x/z of the optical frame; y likewise.
    :return: forward, left and up for a metre of depth.
    """
    level_down = cos(mount.roll) * y + sin(mount.roll) * x
    left = sin(mount.roll) * y - cos(mount.roll) * x
    return (cos(mount.pitch) + sin(mount.pitch) * level_down, left,
            sin(mount.pitch) - cos(mount.pitch) * level_down)


def _x_towards(angle: Array, y: Array, mount: Mount) -> Array:
    """Return x/z of the ray that points, seen from above, at an angle in each row."""
    slope = np.tan(angle)
    rolled = cos(mount.roll), sin(mount.roll)
    ahead = cos(mount.pitch) + sin(mount.pitch) * rolled[0] * y
    with np.errstate(divide='ignore', invalid='ignore'):
        return np.asarray((rolled[1] * y - slope * ahead)
                          / (rolled[0] + slope * sin(mount.pitch) * rolled[1]))


def ranges_of(depth: Depth, camera: Pinhole, mount: Mount, band: Band,
              scanner: Scanner | None = None) -> tuple[Depth, float, float]:
    """Return ranges, first angle and increment as a :class:`Scanner` does, on the host."""
    scan = (scanner or Scanner())(torch.from_numpy(depth), camera, mount, band)
    return scan.ranges.numpy(), scan.angle_min, scan.angle_increment
