# SPDX-License-Identifier: Apache-2.0
"""One look at an image: its brightness, sharpness, bare parts, and pixels to know it again by."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..frame import Image
from .cover import Tiles, tiles_of
from .sharpness import sharpness_of

Grey = NDArray[np.uint8]

SIDE = 320
"""Pixels of the longer side at which an image is looked at, near what the networks see: blur that
is not seen there harms no depth."""

THINNED = 1 / 4
"""The scale from which on the means along rows are of enough pixels."""

CLIPPED = 250
"""Levels from which on a channel counts as clipped; means and JPEG blur the end of the scale."""


@dataclass(frozen=True)
class Look:
    """What one image says."""

    luma: float
    """The mean of luma (BT.601), 0 to 255."""
    saturated: float
    """The share of pixels with a clipped channel, 0 to 1."""
    sharpness: float | None
    """:func:`~.sharpness.sharpness_of`; None where the image has no edge to tell by."""
    tiles: Tiles
    """Where it has texture."""
    sample: Image
    """Pixels of the image itself, none of them a mean."""


def look_at(image: Image) -> Look:
    """
    Measure an image.

    :param image: uint8 RGB, H×W×3, of any size from 1×1.
    """
    small = reduced(image)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    return Look(float(cv2.mean(grey)[0]), _saturated(small), sharpness_of(grey), tiles_of(grey),
                sample_of(image))


def reduced(image: Image) -> Image:
    """
    Return the image with a longer side of :data:`SIDE` at most, its pixels means over areas.

    Means take the noise out that would pass for sharpness. The time goes to reading, so of large
    images every n-th row is enough.
    """
    rows, columns = image.shape[:2]
    scale = SIDE / max(rows, columns)
    if scale >= 1:
        return np.ascontiguousarray(image)
    height, width = (max(1, round(side * scale)) for side in (rows, columns))
    step = rows // height if scale <= THINNED else 1
    return np.asarray(cv2.resize(image[::step], (width, height), interpolation=cv2.INTER_AREA))


def sample_of(image: Image) -> Image:
    """Return a copy of every n-th pixel, some 160 in a row."""
    step = max(1, 2 * max(image.shape[:2]) // SIDE)
    return np.array(image[::step, ::step])


def _saturated(image: Image) -> float:
    within = cv2.inRange(image, (0, 0, 0), (CLIPPED - 1,) * 3)
    return float(1 - cv2.countNonZero(within) / within.size)
