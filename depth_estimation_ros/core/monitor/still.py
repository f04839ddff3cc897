# SPDX-License-Identifier: Apache-2.0
"""How long a camera has shown one and the same picture."""

from __future__ import annotations

import numpy as np

from ..frame import Image

CHANGED = 0.005
"""The share of bytes up to which two pictures are the same: some cameras draw a clock."""


def changed_share(before: Image, after: Image) -> float:
    """Return the share of bytes that differ, 1 for pictures of two shapes."""
    if before.shape != after.shape:
        return 1.0
    return float(np.count_nonzero(before != after) / before.size)


class Stillness:
    """
    Compares each look with the first one of the same picture.

    The noise of a sensor alters bytes in each frame even where nothing moves.
    """

    def __init__(self) -> None:
        self._first: Image | None = None
        self._since = 0.0

    def observe(self, sample: Image, now: float) -> float:
        """
        Return the seconds for which the picture has been the same.

        :param sample: uint8, pixels of the image, the same ones each time.
        :param now: seconds on a clock that does not jump.
        """
        if self._first is None or changed_share(self._first, sample) > CHANGED:
            self._first, self._since = sample, now
        return now - self._since
