# SPDX-License-Identifier: Apache-2.0
"""What is compared, and how: crop, then align, then clamp."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Window = tuple[float, float, float, float]
"""First and last row, first and last column, as shares of the image's sides."""

CROPS: Mapping[str, Window] = {
    'none': (0.0, 1.0, 0.0, 1.0),
    'eigen-nyu': (45 / 480, 471 / 480, 41 / 640, 601 / 640),
    'eigen-kitti': (0.3324324, 0.91351351, 0.0359477, 0.96405229),
    'garg': (0.40810811, 0.99189189, 0.03594771, 0.96405229),
}
"""
The crops of Eigen et al. 2014 and of R. Garg et al., "Unsupervised CNN for Single View Depth
Estimation", ECCV 2016, by the numbers of ZoeDepth's `compute_metrics`. That of NYU Depth v2 is of
rows 45 to 471 and columns 41 to 601 at 640 x 480, here scaled to other sizes.
"""

EXACT = 1e-9
"""Added before a side's share is cut to whole pixels, for 471 / 480 of 480 to be 471."""


@dataclass(frozen=True)
class Protocol:
    """The choices of an evaluation; the default compares everything as it is."""

    crop: str = 'none'
    """A name in :data:`CROPS`."""
    align: bool = False
    """Whether each prediction is first scaled by median(truth) / median(prediction)."""
    near: float | None = None
    """Metres; truth that is not farther is left out, nearer predictions are set to it."""
    far: float | None = None
    """Metres; truth that is not nearer is left out, farther predictions are set to it."""

    def describe(self) -> str:
        """Return the protocol in words, for a table's title."""
        caps = f'{0 if self.near is None else self.near:g} to ' + (
            'any distance' if self.far is None else f'{self.far:g} m')
        return (f'crop {self.crop}, {"median aligned" if self.align else "not aligned"}, '
                f'cap {caps}')


@dataclass(frozen=True)
class Compared:
    """The pixels of one image that count, one an entry."""

    predicted: NDArray[np.float64]
    actual: NDArray[np.float64]
    mask: NDArray[np.bool_]
    """Which pixels of the image they are."""
    known: int
    """How many pixels have truth that counts, whether they have a prediction or not."""
    scale: float
    """What alignment multiplies the prediction by, whether it is asked for or not."""


def prepare(prediction: NDArray[np.floating], truth: NDArray[np.floating],
            protocol: Protocol) -> Compared:
    """
    Crop, align and clamp one image, in this order.

    Where there is a cap, a prediction of +Inf or -Inf, which REP 117 has for too far and too near,
    is clamped too. NaN is no prediction, nor is what stays 0, negative or infinite.

    :param prediction: metres, H×W.
    :param truth: metres, H×W; 0, negative, NaN and Inf mean unknown.
    :raises ValueError: the shapes differ.
    """
    if prediction.shape != truth.shape:
        raise ValueError(f'prediction is {prediction.shape}, truth is {truth.shape}')
    known = _cropped(truth.shape, protocol.crop) & _within(truth, protocol)
    aligned = np.asarray(prediction, np.float64)
    scale = median_scale(aligned[known], truth[known])
    clamped = _clamped(aligned * scale if protocol.align else aligned, protocol)
    mask = known & np.isfinite(clamped) & (clamped > 0)
    return Compared(clamped[mask], np.asarray(truth[mask], np.float64), mask,
                    int(np.count_nonzero(known)), scale)


def median_scale(predicted: NDArray[np.floating], actual: NDArray[np.floating]) -> float:
    """
    Return median(actual) / median(predicted), where both are known; 1 where nothing is.

    :param predicted: metres, one a pixel; NaN and what is not positive is unknown.
    :param actual: metres, one a pixel.
    """
    both = np.isfinite(predicted) & (predicted > 0) & np.isfinite(actual) & (actual > 0)
    return float(np.median(actual[both]) / np.median(predicted[both])) if both.any() else 1.0


def _cropped(shape: tuple[int, ...], crop: str) -> NDArray[np.bool_]:
    height, width = shape
    top, bottom, left, right = CROPS[crop]
    mask = np.zeros(shape, np.bool_)
    mask[int(top * height + EXACT):int(bottom * height + EXACT),
         int(left * width + EXACT):int(right * width + EXACT)] = True
    return mask


def _within(truth: NDArray[np.floating], protocol: Protocol) -> NDArray[np.bool_]:
    known = np.isfinite(truth) & (truth > (protocol.near or 0.0))
    return np.asarray(known if protocol.far is None else known & (truth < protocol.far))


def _clamped(prediction: NDArray[np.float64], protocol: Protocol) -> NDArray[np.float64]:
    if protocol.near is None and protocol.far is None:
        return prediction
    return np.asarray(np.clip(prediction, protocol.near, protocol.far))
