# SPDX-License-Identifier: Apache-2.0
"""Measures of blur that others use, tried beside the monitor's own."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_estimation_ros.core.monitor.look import reduced

Grey = NDArray[np.float32]


def laplacian(grey: Grey) -> float:
    """Return the variance of the Laplacian (J. Pech-Pacheco et al., ICPR 2000)."""
    return float(cv2.Laplacian(grey, cv2.CV_32F).var())


def laplacian_by_contrast(grey: Grey) -> float:
    """Return the same as a share of the variance of luma."""
    return laplacian(grey) / max(float(grey.var()), 1.0)


def lost_by_blur(grey: Grey) -> float:
    """Return how much of its changes an image loses by more blur (F. Crete et al., SPIE 2007)."""
    changes, left = (np.abs(np.diff(each)) for each in (grey, cv2.blur(grey, (9, 9))))
    return float(np.maximum(changes - left, 0).sum() / max(float(changes.sum()), 1.0))


RIVALS: dict[str, Callable[[Grey], float]] = {
    'variance of the Laplacian': laplacian,
    'the same over the variance of luma': laplacian_by_contrast,
    'changes lost by more blur': lost_by_blur}
"""Less is more blurred."""


def rival_badness(image: NDArray[np.uint8]) -> dict[str, float]:
    """Return every rival's measure of an image so that larger is worse."""
    grey = cv2.cvtColor(reduced(image), cv2.COLOR_RGB2GRAY).astype(np.float32)
    return {name: -measure(grey) for name, measure in RIVALS.items()}
