# SPDX-License-Identifier: Apache-2.0
"""Where to drive: a held-out room, a start, a goal, and the shortest way between them."""

import math
from dataclasses import dataclass

import numpy as np

from training.dataset import SPLITS, is_corridor, make_scene, scene_rng
from training.drive.clearance import Array, clearance
from training.drive.grid import CELL_M, Grid, Place, cheapest_path, length_m
from training.drive.robot import RADIUS_M, Pose
from training.world import World

MARGIN_M = 0.1
"""What the robot's footprint is inflated by where a way is asked to exist."""
START_CLEARANCE_M, GOAL_CLEARANCE_M = 0.8, 0.45
LEAST_M = 3.0
DRAWS = 400
SALT = 7  # start and goal are drawn apart from the room, which stays that of the test split


@dataclass(frozen=True)
class Course:
    """What a robot is asked to do."""

    index: int
    world: World
    start: Pose
    goal: Place
    shortest: float
    """Metres from start to goal that the truth allows the inflated footprint."""


def draw_course(index: int) -> Course:
    """
    Draw a room of the test split, start and goal.

    The straight line is obstructed where one of 400 draws finds such a pair at least 3 m apart;
    else it is the longest way of them all.

    :param index: of the room; every fourth is a corridor.
    """
    world, _ = make_scene(scene_rng('test', index), 'test', is_corridor(index))
    rng = np.random.default_rng([SPLITS.index('test'), index, SALT])
    grid = Grid((0.0, 0.0), (math.ceil(world.size[0] / CELL_M), math.ceil(world.size[1] / CELL_M)))
    free = clearance(world, *grid.centres())
    pairs = [_draw_pair(rng, grid, free) for _ in range(DRAWS)]
    pairs.sort(key=lambda pair: math.dist(*pair) < LEAST_M or not obstructed(world, *pair))
    best: Course | None = None
    for start, goal in pairs:
        shortest = shortest_m(grid, free, start, goal)
        if shortest is None or (best is not None and shortest <= best.shortest):
            continue
        yaw = math.atan2(goal[1] - start[1], goal[0] - start[0])
        best = Course(index, world, Pose(*start, yaw), goal, shortest)
        if math.dist(start, goal) >= LEAST_M and obstructed(world, start, goal):
            return best
    if best is None:
        raise ValueError(f'no way leads through room {index}')
    return best


def _draw_pair(rng: np.random.Generator, grid: Grid, free: Array) -> tuple[Place, Place]:
    start, goal = (_draw(rng, grid, free, least)
                   for least in (START_CLEARANCE_M, GOAL_CLEARANCE_M))
    return start, goal


def _draw(rng: np.random.Generator, grid: Grid, free: Array, least: float) -> Place:
    """Draw a cell with that much clearance, or the clearest of a crowded room."""
    cells = np.argwhere(free >= min(least, float(free.max())))
    i, j = cells[rng.integers(len(cells))].tolist()
    return grid.place((i, j))


def obstructed(world: World, start: Place, goal: Place) -> bool:
    """Tell whether the robot could not drive the straight line."""
    share = np.linspace(0, 1, 200)
    x, y = (a + (b - a) * share for a, b in zip(start, goal))
    return bool(clearance(world, x, y).min() < RADIUS_M)


def shortest_m(grid: Grid, free: Array, start: Place, goal: Place) -> float | None:
    """Return the length of the shortest way over the true floor plan, None where none exists."""
    cost = np.where(free >= RADIUS_M + MARGIN_M, 1.0, np.inf)
    path = cheapest_path(cost, grid.cell(start), grid.cell(goal))
    return None if path is None else length_m([grid.place(cell) for cell in path])
