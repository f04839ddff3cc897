# SPDX-License-Identifier: Apache-2.0
"""The focal length of a frame, for families whose metres go by it."""

from __future__ import annotations

import math

from ..errors import ImageError
from ..frame import Frame


def of(frame: Frame) -> float | None:
    """
    Return a frame's fx in pixels of its image; None where it is not known.

    :raises ImageError: when it is not a finite number above 0, by which there are no metres.
    """
    focal_length = frame.focal_length
    if focal_length is not None and not 0 < focal_length < math.inf:
        raise ImageError(f"the frame's focal length is {focal_length}, not a number of pixels "
                         'above 0: give fx of the camera, or None where it is not known')
    return focal_length
