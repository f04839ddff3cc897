# SPDX-License-Identifier: Apache-2.0
"""A square grid on the floor, and the cheapest path over it."""

import heapq
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Cell = tuple[int, int]
Place = tuple[float, float]

CELL_M = 0.1


@dataclass(frozen=True)
class Grid:
    """Cells of 10 cm; the first axis is x."""

    corner: Place
    cells: Cell

    def cell(self, place: Place) -> Cell:
        """Return the cell that holds a place, which has to be within the grid."""
        i, j = (int((at - low) / CELL_M) for at, low in zip(place, self.corner))
        return i, j

    def place(self, cell: Cell) -> Place:
        """Return a cell's centre."""
        return (self.corner[0] + (cell[0] + 0.5) * CELL_M,
                self.corner[1] + (cell[1] + 0.5) * CELL_M)

    def centres(self) -> tuple[Array, Array]:
        """Return x and y of all cells' centres."""
        x, y = ((np.arange(count) + 0.5) * CELL_M + low
                for count, low in zip(self.cells, self.corner))
        return np.broadcast_to(x[:, None], self.cells), np.broadcast_to(y, self.cells)


def cheapest_path(cost: Array, start: Cell, goal: Cell, tolerance: float = 0.0
                  ) -> list[Cell] | None:
    """
    Search by A* (Hart, Nilsson and Raphael, 1968) from a cell to one near another.

    :param cost: of a cell's width, at least 1; inf is an obstacle.
    :param tolerance: cells that the path may end before the goal.
    :return: the path with both ends, or None.
    """
    if not connected(cost, start, goal, tolerance):
        return None
    known, before = {start: 0.0}, {start: start}
    queue, done = [(math.dist(start, goal), start)], set()
    while queue:
        _, cell = heapq.heappop(queue)
        if math.dist(cell, goal) <= tolerance:
            return _path_to(cell, before)
        if cell in done:
            continue
        done.add(cell)
        for other, length in _neighbours(cell, cost):
            reached = known[cell] + length
            if reached < known.get(other, math.inf):
                known[other], before[other] = reached, cell
                heapq.heappush(queue, (reached + math.dist(other, goal), other))
    return None


def connected(cost: Array, start: Cell, goal: Cell, tolerance: float) -> bool:
    """Tell whether any way leads there, in far less time than a search in vain takes."""
    free = np.isfinite(cost)
    free[start] = True
    _, parts = cv2.connectedComponents(free.astype(np.uint8), connectivity=8)
    i, j = np.indices(cost.shape)
    near = free & (np.hypot(i - goal[0], j - goal[1]) <= tolerance)
    return bool((parts[near] == parts[start]).any())


def _neighbours(cell: Cell, cost: Array) -> Iterator[tuple[Cell, float]]:
    for i, j in itertools.product((-1, 0, 1), repeat=2):
        other = (cell[0] + i, cell[1] + j)
        if ((i or j) and 0 <= other[0] < cost.shape[0] and 0 <= other[1] < cost.shape[1]
                and cost[other] < math.inf):
            yield other, math.hypot(i, j) * float(cost[other])


def _path_to(cell: Cell, before: dict[Cell, Cell]) -> list[Cell]:
    path = [cell]
    while before[path[-1]] != path[-1]:
        path.append(before[path[-1]])
    return path[::-1]


def length_m(places: list[Place]) -> float:
    """Return the length of a path, metres."""
    return sum(math.dist(a, b) for a, b in itertools.pairwise(places))
