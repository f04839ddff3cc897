# SPDX-License-Identifier: Apache-2.0
"""The scale that many images' floors agree on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .correction import INVERSE, RELATIVE, SCALE, Correction
from .families.base import Quantity
from .floor import SIGMA, Floor, NotEnoughFloorError

MIN_FRAMES = 5
"""The least number of images with a floor."""

MIN_PART = 0.3
"""The least part of the images that must have one."""

MAX_SPREAD = 0.03
"""How far the images may disagree about the scale, as a share of it."""

MAX_SHIFT_SPREAD = 0.0125
"""How far they may disagree about the shift, in 1 / m: 5 % of the depth at 4 m."""

KINDS_BY_FLOOR = {Quantity.METRES: SCALE, Quantity.INVERSE_DEPTH: INVERSE,
                  Quantity.RELATIVE_DEPTH: RELATIVE}
"""The kind of correction that a floor gives for each quantity."""


@dataclass(frozen=True)
class FloorScale:
    """What turns a model's maps into metres, agreed on by many images."""

    scale: float
    """Metres are the map's value times this; of inverse depth they are this / (value - shift)."""
    shift: float
    """The value of inverse depth at the horizon; 0 for metres."""
    spread: float
    """The robust standard deviation of the scale over the images, as a share of it."""
    frames: int
    """How many images had a floor."""
    looked_at: int
    """How many images there were."""
    pitch: float
    """Radians, the median over the images."""
    share: float
    """The median share of the lower image that is floor."""

    def correction(self, quantity: Quantity) -> Correction:
        """Return what to apply to the model's maps, which are of this quantity."""
        return Correction(KINDS_BY_FLOOR[quantity], self.scale, self.shift)


def agree(floors: Sequence[Floor], looked_at: int, camera_height: float) -> FloorScale:
    """
    Take the scale that the images agree on.

    :param floors: of the images that have one.
    :param looked_at: how many images there were.
    :param camera_height: metres.
    :raises NotEnoughFloorError: when they are too few, or do not agree.
    """
    wanted = max(MIN_FRAMES, math.ceil(MIN_PART * looked_at))
    if len(floors) < wanted:
        raise NotEnoughFloorError(f'{len(floors)} of {looked_at} images have one, '
                                  f'{wanted} are asked')
    scale, deviation = _centre([camera_height / floor.height for floor in floors])
    shift, shift_deviation = _centre([floor.shift for floor in floors])
    for what, spread, limit in (('scale', deviation / scale, MAX_SPREAD),
                                ('shift in 1/m', shift_deviation / scale, MAX_SHIFT_SPREAD)):
        if spread > limit:
            raise NotEnoughFloorError(f'the images disagree: the {what} spreads by {spread:.2g}, '
                                      f'{limit:g} is allowed')
    return FloorScale(scale, shift, deviation / scale, len(floors), looked_at,
                      _centre([floor.pitch for floor in floors])[0],
                      _centre([floor.share for floor in floors])[0])


def _centre(values: Sequence[float]) -> tuple[float, float]:
    """Return the median, and the standard deviation that the median deviation speaks of."""
    middle = float(np.median(values))
    return middle, SIGMA * float(np.median(np.abs(np.array(values) - middle)))
