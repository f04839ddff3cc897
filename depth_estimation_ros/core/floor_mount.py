# SPDX-License-Identifier: Apache-2.0
"""How a camera stands, as the floor in its own depth shows."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from .floor import SIGMA, Floor, FloorOptions, NotEnoughFloorError, find_floor
from .frame import Depth
from .mount import Mount, UnknownMountError
from .pinhole import Pinhole

LOOKED_BACK = 15
"""The images whose floors make a mount."""

ENOUGH = 3
"""The least number of them that show a floor."""

HEIGHT_SPREAD = 0.05
"""How far they may disagree about the camera's height, as a share of it."""

OPTIONS = FloorOptions(tolerance=0.05, max_bend=0.05)
"""What is asked of a floor: less than of one that a scale is taken from, since what a network
bends by 5 % stays under a scan's lowest obstacle."""

TILT_SPREAD = 0.02
"""How far they may disagree about its pitch and its roll, in radians."""


@dataclass
class FloorMount:
    """
    A mount in metres of the camera's own depth, from its last images.

    So depth with a wrong scale still has its floor where the scan looks for it. What has been
    found stands until enough newer images show another floor.
    """

    looks: deque[Floor | None] = field(default_factory=lambda: deque(maxlen=LOOKED_BACK))
    """The last images' floors, None where there was none."""
    _mount: Mount | None = None
    _why: str = ''

    def look(self, depth: Depth, lens: Pinhole) -> None:
        """
        Search one image for the floor.

        :param depth: metres, H×W; what is not finite is unknown.
        """
        try:
            self.looks.append(find_floor(depth, lens, OPTIONS))
        except NotEnoughFloorError as error:
            self.looks.append(None)
            self._why = str(error)
        self._agree()

    @property
    def mount(self) -> Mount:
        """
        The mount that the last images with a floor agree on.

        :raises UnknownMountError: while none has been found; without a text where nothing but time
            is lacking.
        """
        if self._mount is None:
            raise UnknownMountError(self._why)
        return self._mount

    def _agree(self) -> None:
        floors = [floor for floor in self.looks if floor is not None]
        if len(floors) < ENOUGH:
            return
        found = np.array([(floor.height, -floor.pitch, floor.roll) for floor in floors])
        middle = np.median(found, axis=0)
        spread = SIGMA * np.median(np.abs(found - middle), axis=0)
        if (spread > (HEIGHT_SPREAD * middle[0], TILT_SPREAD, TILT_SPREAD)).any():
            self._why = ('not enough floor: the images disagree about it, by '
                         f'{spread[0]:.3f} m and {math.degrees(max(spread[1:])):.1f} degrees')
            return
        self._mount = Mount(*map(float, middle))
