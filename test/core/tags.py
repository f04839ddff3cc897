# SPDX-License-Identifier: Apache-2.0
"""Pictures of a tag whose pose is known."""

from __future__ import annotations

import cv2
import numpy as np

from depth_estimation_ros.core.pinhole import Pinhole
from depth_estimation_ros.core.rigid import Rigid

CELLS = 8
"""Along a side of a 36h11 tag's black square."""
NUMBER = 7
FINE = 4
"""Rays along a side of a pixel."""
GREY = 128


def tag_pose(z: float, tilt: float = 0.3) -> Rigid:
    """A tag ahead, its face to the camera but for a tilt about two axes."""
    turn = cv2.Rodrigues(np.array([tilt, -0.7 * tilt, 0.1]))[0] @ np.diag([1.0, -1.0, -1.0])
    return Rigid(turn, np.array([0.1 * z, -0.05 * z, z]))


def tag_view(lens: Pinhole, shape: tuple[int, int], pose: Rigid,
             size: float) -> tuple[np.ndarray, np.ndarray]:
    """
    Look at a tag on an endless grey wall.

    :return: the picture, uint8 RGB, and depth in metres along the optical axis.
    """
    fine = np.stack([_picture(lens, shape, pose, size, (row + 0.5) / FINE - 0.5,
                              (column + 0.5) / FINE - 0.5)[0]
                     for row in range(FINE) for column in range(FINE)]).mean(0)
    _, depth = _picture(lens, shape, pose, size, 0.0, 0.0)
    grey = np.rint(cv2.GaussianBlur(fine, (0, 0), 0.6)).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2), depth


def _picture(lens: Pinhole, shape: tuple[int, int], pose: Rigid, size: float, down: float,
             right: float) -> tuple[np.ndarray, np.ndarray]:
    """Cast one ray a pixel, at an offset from its centre."""
    v, u = np.indices(shape)
    rays = np.stack([(u + right - lens.cx) / lens.fx, (v + down - lens.cy) / lens.fy,
                     np.ones(shape)])
    normal = pose.rotation[:, 2]
    depth = (normal @ pose.translation) / np.tensordot(normal, rays, 1)
    points = (rays * depth).reshape(3, -1).T
    x, y, _ = pose.inverse()(points).T
    return _face(x.reshape(shape) / size, y.reshape(shape) / size), depth


def _face(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the grey of places on the tag's plane, in its sides from its middle."""
    dictionary = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_APRILTAG_36h11)
    cells = np.full((CELLS + 2, CELLS + 2), 255.0)
    cells[1:-1, 1:-1] = cv2.aruco.generateImageMarker(dictionary, NUMBER, CELLS)
    column, row = (np.floor((place + 0.5) * CELLS).astype(int) + 1 for place in (x, -y))
    inside = (np.minimum(column, row) >= 0) & (np.maximum(column, row) < CELLS + 2)
    return np.where(inside, cells[row.clip(0, CELLS + 1), column.clip(0, CELLS + 1)], GREY)
