# SPDX-License-Identifier: Apache-2.0
"""What goes into an estimate, an image and what is known of its camera, and what comes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Depth = NDArray[np.float32]


@dataclass(frozen=True)
class Frame:
    """One image and what a family of models may use beside it."""

    image: Image
    """uint8 RGB, H×W×3."""
    focal_length: float | None = None
    """fx in pixels of ``image``; None where the camera's calibration is not known."""
    prompt: Depth | None = None
    """Another sensor's depth of the same view in metres, of any size; NaN and Inf are unknown."""
    camera: str | None = None
    """Whose image it is, where images of one camera follow each other; None is an image alone."""


class Prediction(NamedTuple):
    """What is estimated of one frame, on the host."""

    depth: Depth
    """float32, H×W of the image."""
    confidence: Depth | None = None
    """float32, H×W, 0 to 1 (:func:`~.confidence.agreement`); None where the mirrored image was not
    looked at."""
