# SPDX-License-Identifier: Apache-2.0
"""Where an image shows something else than the one before, however little its depth changed."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ..device import upload
from ..frame import Image
from ..motion import sample

BLOCK = 8
"""Pixels on a side of the blocks whose means are compared: noise of 5 levels is 0.6 there."""

LEVELS = 3.0
"""Of 255, by which a block's mean may differ from that of a block that shows the same."""

CONTRAST = 0.3
"""How much more it may where the image was warped, as a share of the contrast to the blocks
around it: a warp is right to a part of a block only."""

TEXTURE = 16.0
"""Levels from the darkest to the brightest of a block and those around it, where it has any."""

TEXTURED = 0.02
"""The share of blocks with texture from which on they tell whether the camera moves."""


def block_means(image: Image, device: torch.device) -> Tensor:
    """
    Return the means of an image's green over blocks, which stand for its brightness.

    :param image: uint8 RGB, H×W×3.
    :return: float32, 0 to 255, H/8 × W/8, rounded up; the last blocks may be smaller.
    """
    return _pooled(upload(image[..., 1], device).float())


def block_places(columns: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """
    Return where in the means of another image the blocks lie whose pixels' places are given.

    :param columns: of each pixel in the other image, H×W.
    :param rows: likewise.
    """
    first = (BLOCK - 1) / 2
    return (_pooled(columns) - first) / BLOCK, (_pooled(rows) - first) / BLOCK


def warped_means(means: Tensor, columns: Tensor, rows: Tensor) -> Tensor:
    """Return the means of the image before at the places that this image's pixels had in it."""
    return sample(means[None], *block_places(columns, rows))[0]


def changed_blocks(means: Tensor, before: Tensor, *, warped: bool) -> tuple[Tensor, Tensor]:
    """
    Say which blocks show something else than before, and those beside them.

    The median of the differences is taken off first: a camera's exposure changes all blocks.

    :param means: of the image.
    :param before: of the image before, at the same places.
    :param warped: whether ``before`` was brought to those places by the camera's motion.
    :return: bool, of the same shape, and the share that changed of the blocks with texture, of no
        dimension; 1 where there are too few, since a bare wall looks the same wherever the camera
        goes.
    """
    difference = means - before
    difference = (difference - difference.median()).abs()
    contrast = _largest(means) + _largest(-means)
    changed = difference > (LEVELS + CONTRAST * contrast if warped else LEVELS)
    textured = contrast > TEXTURE
    bare = textured.float().mean() < TEXTURED
    share = (changed & textured).sum() / textured.sum().clamp(min=1)
    return _largest(changed.float()) > 0, share.masked_fill(bare, 1.0)


def of_pixels(blocks: Tensor, size: tuple[int, int]) -> Tensor:
    """Spread what is said of blocks over the pixels of an image of (height, width)."""
    rows, columns = (torch.arange(side, device=blocks.device) // BLOCK for side in size)
    return blocks.index_select(0, rows).index_select(1, columns)


def _pooled(values: Tensor) -> Tensor:
    return functional.avg_pool2d(values[None, None], BLOCK, ceil_mode=True)[0, 0]


def _largest(values: Tensor) -> Tensor:
    """Return the largest of each block and the eight around it."""
    return functional.max_pool2d(values[None, None], 3, 1, 1)[0, 0]
