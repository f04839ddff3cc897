# SPDX-License-Identifier: Apache-2.0
"""Where the pixels of one image lie in another one that the camera took from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from .pinhole import Pinhole

Pose = NDArray[np.float64]
"""4×4: takes points of a camera's optical frame (REP 103) into a frame that does not move."""


def pose_of(translation: Sequence[float], rotation: Sequence[float]) -> Pose:
    """
    Return a pose from what a transform holds.

    :param translation: x, y, z in metres.
    :param rotation: a quaternion x, y, z, w, not necessarily of length 1.
    """
    x, y, z, w = np.asarray(rotation, np.float64) / np.linalg.norm(rotation)
    pose = np.eye(4)
    pose[:3, :3] = [[1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                    [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                    [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)]]
    pose[:3, 3] = translation
    return pose


def seen_from(inverse: Tensor, motion: Pose, lens: Pinhole) -> tuple[Tensor, Tensor, Tensor]:
    """
    Project the pixels of a depth image into the image of a camera that stands elsewhere.

    With q = 1 / z, a pixel's point is K⁻¹ (u, v, 1) / q; times q it is R K⁻¹ (u, v, 1) + q t in
    the other camera's frame, which has a projection where q is 0 as well.

    :param inverse: inverse depth, 1/m, H×W; 0 is infinitely far. NaN is not taken.
    :param motion: 4×4, from this camera's optical frame into the other one's, metres.
    :param lens: of both images.
    :return: columns and rows in the other image, and the ratio of the depth there to the depth
        here, each H×W; the point lies behind the other camera where that is not above 0.
    """
    rows, columns = inverse.shape
    x = (torch.arange(columns, device=inverse.device) - lens.cx) / lens.fx
    y = ((torch.arange(rows, device=inverse.device) - lens.cy) / lens.fy)[:, None]
    across, down, ratio = (
        torch.add(x * a + (y * b + c), inverse, alpha=t) for a, b, c, t in motion[:3].tolist())
    return (across / ratio * lens.fx + lens.cx, down / ratio * lens.fy + lens.cy, ratio)


def sample(maps: Tensor, columns: Tensor, rows: Tensor) -> Tensor:
    """
    Interpolate maps between their pixels, by torch's bilinear grid_sample.

    :param maps: float32, C×H×W.
    :param columns: where to, in pixels of the maps, of any one shape M×N.
    :param rows: likewise; what lies outside takes the nearest pixel of the border.
    :return: float32, C×M×N; NaN where one of the four pixels is.
    """
    height, width = maps.shape[1:]
    grid = torch.stack((columns * (2 / max(width - 1, 1)) - 1,
                        rows * (2 / max(height - 1, 1)) - 1), -1)
    return functional.grid_sample(maps[None], grid[None], padding_mode='border',
                                  align_corners=True)[0]


def is_inside(columns: Tensor, rows: Tensor, size: tuple[int, int]) -> Tensor:
    """Say which places lie between the pixels of an image of (height, width)."""
    height, width = size
    return (columns >= 0) & (columns <= width - 1) & (rows >= 0) & (rows <= height - 1)
