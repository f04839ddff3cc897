# SPDX-License-Identifier: Apache-2.0
"""Where the pixels of one image lie in another one that the camera took from elsewhere."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from .pinhole import Pinhole
from .rigid import Rigid


def seen_from(inverse: Tensor, motion: Rigid, lens: Pinhole) -> tuple[Tensor, Tensor, Tensor]:
    """
    Project the pixels of a depth image into the image of a camera that stands elsewhere.

    With q = 1 / z, a pixel's point is K⁻¹ (u, v, 1) / q; times q it is R K⁻¹ (u, v, 1) + q t in
    the other camera's frame, which has a projection where q is 0 as well.

    :param inverse: inverse depth, 1/m, H×W; 0 is infinitely far. NaN is not taken.
    :param motion: where this camera's optical frame lies in the other one's.
    :param lens: of both images.
    :return: columns and rows in the other image, and the ratio of the depth there to the depth
        here, each H×W; the point lies behind the other camera where that is not above 0.
    """
    rows, columns = inverse.shape
    x = (torch.arange(columns, device=inverse.device) - lens.cx) / lens.fx
    y = ((torch.arange(rows, device=inverse.device) - lens.cy) / lens.fy)[:, None]
    across, down, ratio = (
        torch.add(x * a + (y * b + c), inverse, alpha=t) for (a, b, c), t in zip(
            motion.rotation.tolist(), motion.translation.tolist(), strict=True))
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
