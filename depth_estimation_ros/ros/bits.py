# SPDX-License-Identifier: Apache-2.0
"""How many bits of a 16-bit encoding a camera uses: 10- and 12-bit sensors leave the rest zero."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

LOGGER = logging.getLogger(__name__)

DEPTHS = (8, 10, 12, 14, 16)
"""The bits that sensors have."""


class BitsInUse:
    """
    Watches the values of one camera's images and tells the brightest that its sensor can give.

    The bits are those of the brightest value seen so far: they grow when a brighter image comes
    and never shrink, so that brightness does not follow what an image shows. Until a camera has
    seen something bright they may be too few, and dark images come out too bright. Values that
    are aligned to the left fill all 16 bits as soon as anything is bright.
    """

    def __init__(self, camera: str) -> None:
        self._camera = camera
        self._encoding, self._bits = '', 0

    def observe(self, pixels: NDArray[Any], encoding: str) -> int:
        """
        Take an image's values into account.

        :param encoding: its name; another one than before starts anew.
        :return: the bits in use, 16 for an image of bytes.
        """
        if pixels.dtype != np.uint16:
            return 16
        if encoding != self._encoding:
            self._encoding, self._bits = encoding, 0
        brightest = int(pixels.max())
        needed = next(depth for depth in DEPTHS if brightest < 2**depth)
        if brightest and needed > self._bits:
            if self._bits or needed < DEPTHS[-1]:
                LOGGER.info("%s sends '%s' with values up to %d: %d of its bits count as in use",
                            self._camera, encoding, brightest, needed)
            self._bits = needed
        return self._bits or DEPTHS[-1]
