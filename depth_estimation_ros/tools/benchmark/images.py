# SPDX-License-Identifier: Apache-2.0
"""Images to measure with: seeded, at any size, with detail at every scale as a camera's have."""

import cv2
import numpy as np
from numpy.typing import NDArray


def textured(width: int, height: int, seed: int = 0) -> NDArray[np.uint8]:
    """
    Return an image of smooth noise in several octaves, the same for the same seed.

    :return: uint8 RGB, H×W×3.
    """
    random = np.random.default_rng(seed)
    image = np.full((height, width, 3), 128, np.float32)
    for octave in range(2, 7):
        grid = random.standard_normal((3 * 2**octave, 4 * 2**octave, 3)).astype(np.float32)
        detail = cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        image += 160 / octave**1.5 * detail
    return np.clip(image, 0, 255).astype(np.uint8)
