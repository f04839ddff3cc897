# SPDX-License-Identifier: Apache-2.0
"""
From remembered obstacles to wheel speeds.

A* over the remembered grid, replanned with each scan, on which what was not seen counts as free
but dear (the free space assumption: S. Koenig, C. Tovey and Y. Smirnov, Artificial Intelligence
147, 2003); the path is followed by pure pursuit (R. C. Coulter, CMU-RI-TR-92-01, 1992).
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from training.drive.grid import CELL_M, Array, Place, cheapest_path
from training.drive.memory import Memory
from training.drive.robot import RADIUS_M, SPEED_M_S, TURN_RAD_S, Pose

LETHAL_M = RADIUS_M + CELL_M
"""Nearer to an occupied cell's centre the footprint may touch what is in the cell."""
DEAR, DECAY_M = 6.0, 0.2
"""What a cell at that distance costs above 1, and how fast the cost falls with distance."""
UNSEEN = 10.0
"""How much dearer a cell is where the footprint covers what was not seen, low things perhaps."""
ESCAPE, ESCAPE_M = 30.0, 0.35
"""What a cell too near to an obstacle costs, and how near the robot it may be entered."""
GOAL_M = 0.2
LOOKAHEAD_M = 0.35
TURN_ON_THE_SPOT_RAD = 0.5


class Planner:
    """Keeps the path from one scan to the next."""

    def __init__(self, goal: Place) -> None:
        self._goal = goal
        self._path: list[Place] = []

    def plan(self, memory: Memory, pose: Pose) -> bool:
        """Find a new path; return whether there is one."""
        grid = memory.grid
        cells = cheapest_path(costs(memory, pose), grid.cell((pose.x, pose.y)),
                              grid.cell(self._goal), GOAL_M / CELL_M)
        self._path = [] if cells is None else [grid.place(cell) for cell in cells]
        return cells is not None

    def command(self, pose: Pose) -> tuple[float, float]:
        """Return speed and turn; without a path the robot looks around."""
        if not self._path:
            return 0.0, TURN_RAD_S
        x, y = self._target(pose)
        bearing = math.remainder(math.atan2(y - pose.y, x - pose.x) - pose.yaw, math.tau)
        if abs(bearing) > TURN_ON_THE_SPOT_RAD:
            return 0.0, math.copysign(TURN_RAD_S, bearing)
        curvature = 2 * math.sin(bearing) / max(math.hypot(x - pose.x, y - pose.y), CELL_M)
        speed = min(SPEED_M_S, TURN_RAD_S / max(abs(curvature), 1e-9))
        return speed, speed * curvature

    def _target(self, pose: Pose) -> Place:
        """Return the path's first place beyond the lookahead, after the one nearest by."""
        away = [math.dist(place, (pose.x, pose.y)) for place in self._path]
        nearest = away.index(min(away))
        for place, distance in zip(self._path[nearest:], away[nearest:]):
            if distance >= LOOKAHEAD_M:
                return place
        return self._path[-1]


def costs(memory: Memory, pose: Pose) -> Array:
    """Return what crossing each cell costs, in widths of a free cell; inf is too near."""
    gap = distance_m(memory.occupied)
    cost = 1 + DEAR * np.exp((LETHAL_M - gap) / DECAY_M)
    cost = np.where(distance_m(~memory.seen) > RADIUS_M, cost, cost * UNSEEN)
    x, y = memory.grid.centres()
    near = np.hypot(x - pose.x, y - pose.y) < ESCAPE_M
    too_near = np.where(near & (gap > 0), ESCAPE, np.inf)
    return np.asarray(np.where(gap < LETHAL_M - 1e-6, too_near, cost), np.float64)


def distance_m(cells: NDArray[np.bool_]) -> Array:
    """Return how far each cell is from the nearest of those that are true, between centres."""
    others = (~cells).astype(np.uint8)
    return np.asarray(CELL_M * cv2.distanceTransform(others, cv2.DIST_L2, cv2.DIST_MASK_PRECISE),
                      np.float64)
