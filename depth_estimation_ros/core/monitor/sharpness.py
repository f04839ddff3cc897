# SPDX-License-Identifier: Apache-2.0
"""How sharp an image is, by the steepness of its strongest edges."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

WINDOW = 21
"""Pixels on a side of the neighbourhood in which an edge is set against its contrast."""

LEAST_CONTRAST = 15
"""Levels between the darkest and the brightest pixel of a neighbourhood with an edge."""

NOISES = 10
"""Standard deviations of the noise that an edge stands above, or the noise would be sharp."""

STRONG = 0.7
"""The share of the contrast of the strongest edges from which on others are as strong."""

QUANTILE = 75
"""Which of the strong edges tells, in per cent: a lens in focus has sharp ones among them."""

ENOUGH = 0.01
"""The share of neighbourhoods with an edge below which nothing is told."""

STEP = 4
"""Rows and columns from one neighbourhood to the next; they overlap."""


def sharpness_of(grey: NDArray[np.uint8]) -> float | None:
    """
    Return the steepness of an image's edges as a share of their contrast a pixel.

    An edge of a lens that blurs by a Gaussian of standard deviation s has 1 / (s √(2π)) of its
    contrast in its steepest pixel, whatever its contrast: unlike the variance of the Laplacian
    (J. Pech-Pacheco et al., ICPR 2000), a room with little texture is as sharp as a full one.
    About 0.5 is as sharp as pixels can be.

    :param grey: uint8, H×W.
    :return: None where no edge stands out of the noise, as in fog and before a bare wall.
    """
    window = np.ones((WINDOW, WINDOW), np.uint8)
    contrast = cv2.subtract(cv2.dilate(grey, window), cv2.erode(grey, window))
    contrast = contrast[::STEP, ::STEP].astype(np.float32)
    least = max(LEAST_CONTRAST, NOISES * noise_of(grey), STRONG * _quantile(contrast, 90))
    strong = contrast >= least
    if np.count_nonzero(strong) < max(1, ENOUGH * strong.size):
        return None
    steepest = cv2.dilate(_gradient(grey), window)[::STEP, ::STEP]
    return _quantile(steepest[strong] / contrast[strong], QUANTILE)


def noise_of(grey: NDArray[np.uint8]) -> float:
    """Return the noise's standard deviation in levels, by J. Immerkær, CVIU 64(2), 1996."""
    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    residue = cv2.filter2D(grey, cv2.CV_16S, mask)
    return math.sqrt(math.pi / 2) / 6 * float(cv2.norm(residue, cv2.NORM_L1)) / grey.size


def _quantile(values: NDArray[np.float32], per_cent: int) -> float:
    """Return one of the values, in a fraction of the time of numpy.percentile."""
    place = (values.size - 1) * per_cent // 100
    return float(np.partition(values, place, axis=None)[place])


def _gradient(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the magnitude of the gradient in levels a pixel, by Sobel's operator."""
    across, down = (cv2.Sobel(grey, cv2.CV_32F, *axes, scale=1 / 8) for axes in ((1, 0), (0, 1)))
    return np.asarray(cv2.magnitude(across, down))
