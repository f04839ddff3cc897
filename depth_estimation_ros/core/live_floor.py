# SPDX-License-Identifier: Apache-2.0
"""The floor's scale while a robot drives: collected, frozen, and from then on only watched."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from .correction import Correction
from .families.base import Quantity
from .floor import Floor, FloorOptions, NotEnoughFloorError, find_floor
from .floor_scale import FloorScale, agree
from .pinhole import Pinhole

T = TypeVar('T', NDArray[np.float32], Tensor)
"""A map on the host, or on a device."""

COLLECTED = 60
"""The images looked back at while a scale is collected."""

ENOUGH = 20
"""The images with a floor that a scale is frozen from."""

WATCHED = 15
"""The images looked back at once it is frozen."""

MIN_WATCHED = 5
"""Fewer floors among them say nothing."""

TOLERATED = 0.1
"""How far off the frozen scale the floor may be, as a share, without a fault."""

SAMPLES = 1500
"""Pixels of the lower image that are kept of a map."""


def thinned(depth: T, lens: Pinhole) -> tuple[T, Pinhole]:
    """
    Return every n-th pixel of a map, and the camera of that; no pixel is a mean.

    :param depth: H×W, on the host or a device.
    :return: of the same type, a view of it.
    """
    step = max(1, int(np.sqrt(np.prod(depth.shape) / 2 / SAMPLES)))
    small = Pinhole(lens.fx / step, lens.fy / step, lens.cx / step, lens.cy / step)
    return depth[::step, ::step], small


@dataclass
class LiveFloor:
    """One camera's scale by the floor. It changes once, from none to a frozen one."""

    options: FloorOptions
    """``quantity`` says what the model's maps are."""
    camera_height: float
    """Metres from the floor to the lens."""
    correction: Correction | None = None
    """What makes metres of the model's maps; None until the floor has told."""
    spread: float | None = None
    """The robust standard deviation of the collected scale, as a share of it."""
    looks: deque[Floor | None] = field(default_factory=lambda: deque(maxlen=COLLECTED))
    """The last images' floors, None where there was none."""
    _why: str = ''
    _off_since: float | None = None
    _now: float = 0.0

    def look(self, values: NDArray[np.float32], lens: Pinhole, now: float) -> bool:
        """
        Look for the floor in one image.

        :param values: the model's map, H×W, before any correction.
        :param now: seconds, on a clock that does not jump.
        :return: whether the scale was frozen by this image.
        """
        self._now = now
        if self.correction is not None:
            self._add(self.correction(values), lens,
                      replace(self.options, quantity=Quantity.METRES))
            self._watch()
            return False
        self._add(values, lens, self.options)
        return self._freeze()

    @property
    def state(self) -> str:
        """What is known, in words."""
        floors = len(self._floors)
        if self.correction is None:
            return f'collecting: {floors} of {ENOUGH} images with a floor' + (
                f'; {self._why}' if self._why else '')
        spread = '' if self.spread is None else f', spread {self.spread:.1%}'
        seen = self.disagreement
        return f'frozen: scale {self.correction.scale:.4g}{spread}; ' + (
            'not enough floor to watch it' if seen is None else f'the floor says {seen:+.1%}')

    @property
    def estimate(self) -> FloorScale | None:
        """What the images agree on so far; None where they do not, or once it is frozen."""
        if self.correction is not None:
            return None
        try:
            return agree(self._floors, len(self.looks), self.camera_height)
        except NotEnoughFloorError:
            return None

    @property
    def disagreement(self) -> float | None:
        """By which share corrected depth is too far, by the floor; None where it cannot tell."""
        if self.correction is None or len(self._floors) < MIN_WATCHED:
            return None
        return float(np.median([each.height for each in self._floors])) / self.camera_height - 1

    @property
    def fault(self) -> str:
        """What is wrong with the frozen scale, with its number; or nothing."""
        off = self.disagreement
        if self._off_since is None or off is None:
            return ''
        return (f'the floor says {abs(off):.0%} too {"far" if off > 0 else "near"} since '
                f'{self._now - self._off_since:.0f} s: has the camera moved, or its lens? '
                'Calibrate anew')

    @property
    def _floors(self) -> list[Floor]:
        return [floor for floor in self.looks if floor is not None]

    def _add(self, values: NDArray[np.float32], lens: Pinhole, options: FloorOptions) -> None:
        try:
            self.looks.append(find_floor(values, lens, options))
        except NotEnoughFloorError as error:
            self._why = str(error)
            self.looks.append(None)

    def _freeze(self) -> bool:
        """Keep what enough images agree on."""
        if len(self._floors) < ENOUGH:
            return False
        try:
            scale = agree(self._floors, len(self.looks), self.camera_height)
        except NotEnoughFloorError as error:
            self._why = str(error)
            return False
        correction = scale.correction(self.options.quantity)
        if fault := correction.fault():
            self._why = f'what the floor says is refused: {fault}'
            return False
        self.correction, self.spread = correction, scale.spread
        self.looks = deque(maxlen=WATCHED)
        return True

    def _watch(self) -> None:
        off = self.disagreement
        if off is None or abs(off) <= TOLERATED:
            self._off_since = None
        elif self._off_since is None:
            self._off_since = self._now


def watched(options: FloorOptions, camera_height: float, correction: Correction) -> LiveFloor:
    """Return what only watches a scale that is known already."""
    return LiveFloor(options, camera_height, correction, looks=deque(maxlen=WATCHED))
