# SPDX-License-Identifier: Apache-2.0
"""
Metres of a network that takes every camera for the one that it was trained on.

An object of width S at depth z is f S / z pixels wide in the network's input. A network that has
seen one focal length f' only reads these pixels as z' = f' S / (f S / z) = z f' / f, so its metres
times f / f' are right. The ambiguity is named by J. M. Facil et al., "CAM-Convs", CVPR 2019; the
factor is that of the label transformation of W. Yin et al., "Metric3D", ICCV 2023.
Both focal lengths are in pixels of the network's input, since a resize changes f and S alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Magnification = Callable[[int, int], float | None]
"""From an image's height and width to the network's pixels that one of its own becomes along x;
None for a model that is told the focal length, or estimates it."""


@dataclass(frozen=True)
class ReferenceCamera:
    """The camera that a model was trained on."""

    focal: float
    """fx in pixels of its images."""
    width: int
    height: int


@dataclass(frozen=True)
class FocalCorrection:
    """What makes a network's metres those of another lens."""

    reference: ReferenceCamera
    magnification: Magnification

    def __post_init__(self) -> None:
        """Refuse a model whose metres are of the camera's own lens already."""
        self._magnified(self.reference.height, self.reference.width)

    def factor(self, height: int, width: int, focal: float) -> float:
        """
        Return what to multiply metres by.

        :param height: of the image; width alike.
        :param focal: fx in pixels of the image.
        :raises ValueError: when another model serves by now, of the camera's own lens already.
        """
        own = self.reference
        seen, trained = self._magnified(height, width), self._magnified(own.height, own.width)
        return focal * seen / (own.focal * trained)

    def _magnified(self, height: int, width: int) -> float:
        found = self.magnification(height, width)
        if found is None:
            raise ValueError('the model takes the focal length itself, or another measure of '
                             'distance: calibration.reference_focal would count it twice')
        return found
