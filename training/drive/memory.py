# SPDX-License-Identifier: Apache-2.0
"""
What past scans have shown: a grid of certainties around the start.

Histogramic in-motion mapping (J. Borenstein and Y. Koren, IEEE Transactions on Robotics and
Automation 7(4), 1991), the map of the vector field histogram: each sighting raises a cell's
certainty, each ray through it lowers it. The camera sees the floor from 1.7 m ahead on, so what is
low is remembered, not seen, when the robot is beside it: nearer than that nothing is cleared.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from training.drive.grid import CELL_M, Array, Grid, Place
from training.drive.robot import RADIUS_M, Pose, blind_m
from training.drive.sources import Ranges

REACH_M = 3.0
"""Beyond this neither marks nor clears anything, as a costmap's obstacle_max_range."""
SIDE_M = 24.0
HIT, MISS, MOST, OCCUPIED = 3, 1, 9, 3
BEFORE_M = 0.3
"""How far before an obstacle a ray stops clearing."""
WIDE_RAD = 0.03
"""Half of the angle that has to be free to clear a cell."""
START_M = 0.7
"""What is known to be free around the start."""


class Memory:
    """Certainties of obstacles, in a frame that odometry keeps."""

    def __init__(self, start: Place) -> None:
        count = round(SIDE_M / CELL_M)
        self.grid = Grid((start[0] - SIDE_M / 2, start[1] - SIDE_M / 2), (count, count))
        self._x, self._y = self.grid.centres()
        self._certainty = np.zeros(self.grid.cells, np.int32)
        self.seen = np.hypot(self._x - start[0], self._y - start[1]) < START_M
        """bool: cells that a ray has crossed, or the robot."""

    def observe(self, pose: Pose, scan: Ranges) -> None:
        """
        Take a scan in.

        :param pose: the robot's, when the image was taken.
        :param scan: ranges, first angle and increment.
        """
        marked, cleared = self._marked(pose, scan), self._cleared(pose, scan)
        self.seen |= cleared | marked | (
            np.hypot(self._x - pose.x, self._y - pose.y) < RADIUS_M)
        change = np.where(marked, HIT, np.where(cleared, -MISS, 0))
        self._certainty = np.clip(self._certainty + change, 0, MOST)

    def doubt(self) -> None:
        """Halve every certainty: what was sighted once is forgotten, what was often stays."""
        self._certainty //= 2

    @property
    def occupied(self) -> NDArray[np.bool_]:
        return np.asarray(self._certainty >= OCCUPIED)

    def _marked(self, pose: Pose, scan: Ranges) -> NDArray[np.bool_]:
        marked = np.zeros(self.grid.cells, bool)
        x, y = end_points(pose, scan)
        low = np.array(self.grid.corner)
        i, j = ((np.stack([x, y], 1) - low) / CELL_M).astype(int).T
        marked[i, j] = True
        return marked

    def _cleared(self, pose: Pose, scan: Ranges) -> NDArray[np.bool_]:
        ranges, first, increment = scan
        ahead, left = _in_robot_frame(pose, self._x, self._y)
        index = np.rint((np.arctan2(left, ahead) - first) / increment)
        inside = (index >= 0) & (index < len(ranges)) & (ahead > blind_m())
        free = _free_up_to(ranges, increment)[np.where(inside, index, 0).astype(int)]
        return np.asarray(inside & (np.hypot(ahead, left) < free))


def end_points(pose: Pose, scan: Ranges) -> tuple[Array, Array]:
    """Return where rays within reach end, x and y."""
    ranges, first, increment = scan
    near = np.isfinite(ranges) & (ranges < REACH_M)
    angles = pose.yaw + first + increment * np.flatnonzero(near)
    return pose.x + ranges[near] * np.cos(angles), pose.y + ranges[near] * np.sin(angles)


def _in_robot_frame(pose: Pose, x: Array, y: Array) -> tuple[Array, Array]:
    cosine, sine = np.cos(pose.yaw), np.sin(pose.yaw)
    x, y = x - pose.x, y - pose.y
    return x * cosine + y * sine, y * cosine - x * sine


def _free_up_to(ranges: NDArray[np.float32], increment: float) -> NDArray[np.float32]:
    """Return for each ray how far it and its neighbours are free; nothing is where one is NaN."""
    free = np.minimum(np.nan_to_num(ranges, nan=0.0, posinf=np.inf) - BEFORE_M, REACH_M)
    width = 2 * max(1, round(WIDE_RAD / increment)) + 1
    return np.asarray(cv2.erode(free.astype(np.float32)[None], np.ones((1, width), np.uint8))[0])
