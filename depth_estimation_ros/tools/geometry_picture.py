# SPDX-License-Identifier: Apache-2.0
"""Draw a cloud of points and a scan: over the camera's shoulder, and from above."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from ..core.mount import Mount, optical_in_level
from ..core.rigid import rotation_matrix

Numbers = NDArray[np.float64]

SHOULDER = np.array([-1.6, 1.3, 0.9])
"""Metres ahead, to the left and up of the camera: where its points are looked at from."""

CLOSEST = 0.2
"""Metres from there within which nothing is drawn any larger."""

GRAIN = 4.6
"""Points of the page that a point is wide where it leaves no gap to its neighbours."""

TOP = 2.0
"""Metres over the floor up to which points are shown from above, as a scan's by default."""

RINGS = (0.5, 1, 2, 5, 10, 20, 50)
"""Metres between the rings of a plan: the first that makes few."""

FREE, SEEN, TRUE = '#dbe9f6', '#08519c', '#e6550d'
"""The colours of free floor, of obstacles, and of those of the ground truth."""


def level_points(cloud: Any, mount: Mount) -> Numbers:
    """
    Return a cloud in the camera's level frame, x forward and z up, NaN where there is no point.

    :param cloud: a sensor_msgs/PointCloud2 in the optical frame that begins with x, y and z.
    :return: metres from the camera, N×3.
    """
    numbers = np.frombuffer(cloud.data, np.float32).reshape(-1, cloud.point_step // 4)
    rotation = rotation_matrix(optical_in_level(mount.pitch, mount.roll))
    return np.asarray(numbers[:, :3].astype(np.float64) @ rotation.T)


def draw_cloud(axis: Axes, points: Numbers, colours: NDArray[np.uint8]) -> None:
    """
    Draw points as they are seen over the camera's left shoulder.

    :param points: metres in the level frame, N×3.
    :param colours: RGB of each.
    """
    known = points[:, 0] > 0
    points, colours = points[known], colours[known]
    x, y, distance = _seen_from(SHOULDER, np.median(points, axis=0), points)
    order = np.argsort(-distance)
    size = GRAIN * points[:, 0] / distance
    axis.scatter(x[order], y[order], s=size[order] ** 2, c=colours[order] / 255, marker='s',
                 linewidths=0)
    axis.set_aspect('equal')


def _seen_from(place: Numbers, target: Numbers, points: Numbers) -> tuple[Numbers, ...]:
    """Project points as a camera that looks at a target; return right, up and distance."""
    ahead = (target - place) / np.linalg.norm(target - place)
    right = np.cross(ahead, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    seen = points - place
    distance = np.maximum(seen @ ahead, CLOSEST)
    return seen @ right / distance, seen @ np.cross(right, ahead) / distance, distance


def draw_floor(axis: Axes, reach: float, half_view: float) -> None:
    """
    Lay out a plan: the camera at its lower edge looking up, rings, the sides of its view.

    :param reach: metres that it shows.
    :param half_view: radians between the optical axis and the image's side.
    """
    step = next((each for each in RINGS if reach < 6 * each), RINGS[-1])
    around = np.linspace(-half_view, half_view, 50)
    for ring in np.arange(step, reach, step):
        axis.plot(ring * np.sin(around), ring * np.cos(around), color='0.85', linewidth=0.8)
        axis.annotate(f'{ring:g} m', (-ring * np.sin(half_view), ring * np.cos(half_view)),
                      xytext=(-14, 0), textcoords='offset points', ha='right', va='center',
                      fontsize=8, color='0.4')
    for side in (-half_view, half_view):
        axis.plot([0, reach * np.sin(side)], [0, reach * np.cos(side)], color='0.6',
                  linewidth=0.8, linestyle='--')
    axis.plot(0, 0, marker='^', color='black', markersize=8, zorder=5)
    axis.set_xlim(-0.62 * reach, 0.62 * reach)
    axis.set_ylim(-0.05 * reach, reach)
    axis.set_aspect('equal')


def draw_heights(axis: Axes, points: Numbers, camera_height: float) -> Any:
    """
    Draw points on a plan, the higher ones over the lower ones.

    :param points: metres in the level frame, N×3.
    :return: what has the colours of heights.
    """
    low = points[points[:, 2] + camera_height < TOP]
    low = low[np.argsort(low[:, 2])]
    size = GRAIN * low[:, 0] / axis.get_ylim()[1]
    return axis.scatter(-low[:, 1], low[:, 0], s=size**2, c=low[:, 2] + camera_height, vmin=0,
                        vmax=TOP, cmap='viridis', marker='s', linewidths=0, zorder=3)


def draw_scans(axis: Axes, scans: Sequence[tuple[str, str, Numbers, Numbers]]) -> None:
    """
    Draw on a plan the floor that the first scan says is free, and the obstacles of each.

    :param scans: of each a label, a colour, the angles, and the ranges by REP 117.
    """
    _, _, angles, ranges = scans[0]
    free = np.nan_to_num(np.minimum(ranges, axis.get_ylim()[1]), nan=0.0)
    axis.fill(np.r_[0, -free * np.sin(angles)], np.r_[0, free * np.cos(angles)], color=FREE)
    for order, (label, colour, angles, ranges) in enumerate(scans):
        axis.scatter(-ranges * np.sin(angles), ranges * np.cos(angles), s=5 - 3 * order,
                     color=colour, label=label, linewidths=0, zorder=3 + order)
    axis.legend(loc='lower right', frameon=False, markerscale=3, handletextpad=0.2)
