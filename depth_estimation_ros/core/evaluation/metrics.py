# SPDX-License-Identifier: Apache-2.0
"""
The error of a depth map against ground truth.

With prediction p and truth t over n pixels, and d = ln p - ln t:

=========  ===================================================  ==================================
AbsRel     mean of |p - t| / t                                  Eigen et al. 2014, section 4
SqRel      mean of (p - t)² / t                                 Eigen et al. 2014, section 4
RMSE       √ mean of (p - t)², metres                           Eigen et al. 2014, section 4
RMSE log   √ mean of d²                                         Eigen et al. 2014, section 4
log10      mean of |log10 p - log10 t|                          ZoeDepth, compute_errors
SILog      100 √ (mean of d² - (mean of d)²)                    ZoeDepth, compute_errors
delta k    share of pixels with max(p / t, t / p) < 1.25^k      Eigen et al. 2014, section 4
=========  ===================================================  ==================================

D. Eigen, C. Puhrsch, R. Fergus, "Depth Map Prediction from a Single Image using a Multi-Scale Deep
Network", NIPS 2014; S. F. Bhat et al., "ZoeDepth", 2023, `zoedepth/utils/misc.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

RATIO = 1.25
"""The base of delta1, delta2 and delta3."""


@dataclass(frozen=True)
class DepthMetrics:
    """Errors over the valid pixels; every field but the count is NaN where there is none."""

    pixels: int  # how many were compared
    abs_rel: float
    sq_rel: float  # metres
    rmse_m: float  # metres
    rmse_log: float
    log10: float
    silog: float  # times 100
    delta1: float
    delta2: float
    delta3: float


NAMES = tuple(item.name for item in fields(DepthMetrics) if item.name != 'pixels')
"""The errors, in the order in which they are printed."""


@dataclass(frozen=True)
class ErrorSums:
    """What all the errors follow from; the sums of several images add up."""

    pixels: int = 0
    totals: NDArray[np.float64] | None = None
    """Sums over the pixels of the terms of :func:`error_sums`; None without pixels."""

    def __add__(self, other: ErrorSums) -> ErrorSums:
        if self.totals is None or other.totals is None:
            return other if self.totals is None else self
        return ErrorSums(self.pixels + other.pixels, self.totals + other.totals)

    def metrics(self) -> DepthMetrics:
        """Return the errors over all pixels together."""
        if self.totals is None:
            return DepthMetrics(0, *[float('nan')] * len(NAMES))
        relative, squared_relative, squared, logs, squared_logs, log10, *within = (
            self.totals / self.pixels).tolist()
        return DepthMetrics(
            pixels=self.pixels, abs_rel=relative, sq_rel=squared_relative, rmse_m=squared**0.5,
            rmse_log=squared_logs**0.5, log10=log10,
            silog=100 * max(squared_logs - logs**2, 0.0)**0.5,
            delta1=within[0], delta2=within[1], delta3=within[2])


def valid_pixels(prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """
    Mark the pixels where both maps hold a depth.

    :param prediction: metres, any shape.
    :param truth: metres, the same shape; 0, negative, NaN and Inf mean unknown.
    :return: bool, the same shape.
    """
    known = np.isfinite(truth) & (truth > 0)
    return np.asarray(known & np.isfinite(prediction) & (prediction > 0))


def depth_metrics(prediction: ArrayLike, truth: ArrayLike) -> DepthMetrics:
    """
    Compare a predicted depth map with ground truth, without scale or shift alignment.

    :param prediction: metres, float, any shape.
    :param truth: metres, the same shape; 0, negative, NaN and Inf are left out.
    :raises ValueError: the shapes differ.
    """
    predicted = np.asarray(prediction, np.float64)
    actual = np.asarray(truth, np.float64)
    if predicted.shape != actual.shape:
        raise ValueError(f'prediction is {predicted.shape}, truth is {actual.shape}')
    valid = valid_pixels(predicted, actual)
    return error_sums(predicted[valid], actual[valid]).metrics()


def error_sums(predicted: NDArray[np.float64], actual: NDArray[np.float64]) -> ErrorSums:
    """
    Sum up the terms of the errors.

    :param predicted: metres, finite and positive, one a pixel.
    :param actual: alike.
    """
    if not actual.size:
        return ErrorSums()
    difference = predicted - actual
    logs = np.log(predicted) - np.log(actual)
    ratio = np.maximum(predicted / actual, actual / predicted)
    terms = (np.abs(difference) / actual, difference**2 / actual, difference**2, logs, logs**2,
             np.abs(logs) / np.log(10), ratio < RATIO, ratio < RATIO**2, ratio < RATIO**3)
    return ErrorSums(int(actual.size), np.array([term.sum() for term in terms], np.float64))


def mean_metrics(results: Sequence[DepthMetrics]) -> DepthMetrics:
    """Average over images, each of one weight; those without a valid pixel are left out."""
    compared = [result for result in results if result.pixels]
    if not compared:
        return ErrorSums().metrics()
    return DepthMetrics(
        sum(result.pixels for result in compared),
        *(float(np.mean([getattr(result, name) for result in compared])) for name in NAMES))
